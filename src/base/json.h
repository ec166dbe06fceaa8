/* base/json.h: the one place that includes jansson; its API is used as it is, with these cleanups and
 * shortcuts.
 *
 * Thread rule: a json_t belongs to one thread.
 */
#pragma once

#include <glib.h>
#include <jansson.h>

typedef json_t Json;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_decref)

/* Parses foreign text: at most `max` bytes, duplicate keys refused.  `name` is what errors call it.
 * VF_ERROR_INVALID with line and column. */
Json *json_parse(const char *text, gsize length, gsize max, const char *name, GError **error);

/* One line, keys in order of insertion, no trailing newline. */
char *json_to_line(const Json *json);
/* Indented by two, with a trailing newline: for people and scripts. */
char *json_to_text(const Json *json);

/* NULL or 0 when the key is missing or of another type. */
const char *json_get_string(const Json *object, const char *key);
gint64 json_get_integer(const Json *object, const char *key);
gboolean json_get_boolean(const Json *object, const char *key);

/* Sets a string, or JSON null when `text` is NULL.  Text that is not UTF-8 has its bad bytes replaced. */
void json_set_string(Json *object, const char *key, const char *text);
void json_set_integer(Json *object, const char *key, gint64 value);
void json_set_real(Json *object, const char *key, double value);
void json_set_boolean(Json *object, const char *key, gboolean value);
/* Takes over `value`. */
void json_set_take(Json *object, const char *key, Json *value);
