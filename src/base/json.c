#include "base/json.h"

#include "base/error.h"

/* As many as every double has: 0.1 stays 0.1. */
#define REAL_DIGITS JSON_REAL_PRECISION(15)

Json *json_parse(const char *text, gsize length, gsize max, const char *name, GError **error)
{
    json_error_t problem;
    Json *json;

    if (length > max) {
        vf_fail(error, VF_ERROR_INVALID, "%s is longer than the %zu bytes that are allowed", name, max);
        return NULL;
    }
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (json == NULL)
        vf_fail(error, VF_ERROR_INVALID, "%s: line %d, column %d: %s", name, problem.line, problem.column,
                problem.text);
    return json;
}

char *json_to_line(const Json *json)
{
    return json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | REAL_DIGITS);
}

char *json_to_text(const Json *json)
{
    g_autofree char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY | REAL_DIGITS);

    return g_strconcat(text, "\n", NULL);
}

const char *json_get_string(const Json *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

gint64 json_get_integer(const Json *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

gboolean json_get_boolean(const Json *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

void json_set_string(Json *object, const char *key, const char *text)
{
    g_autofree char *valid = text != NULL ? g_utf8_make_valid(text, -1) : NULL;

    json_set_take(object, key, valid != NULL ? json_string(valid) : json_null());
}

void json_set_integer(Json *object, const char *key, gint64 value)
{
    json_set_take(object, key, json_integer(value));
}

void json_set_real(Json *object, const char *key, double value)
{
    Json *real = json_real(value);

    /* JSON has no way to write infinity or not-a-number. */
    json_set_take(object, key, real != NULL ? real : json_null());
}

void json_set_boolean(Json *object, const char *key, gboolean value)
{
    json_set_take(object, key, json_boolean(value));
}

void json_set_take(Json *object, const char *key, Json *value)
{
    if (json_object_set_new(object, key, value) != 0)
        g_error("cannot set the JSON key %s", key);
}
