/* spec/schema-json.c: a struct written back as the document that it could have been read from, and the table
 * written for people.
 */
#include "base/clock.h"
#include "base/size.h"
#include "spec/schema.h"

#include <string.h>

static const void *field(const SchemaKey *row, const void *object)
{
    return (const char *)object + row->at - 1;
}

/* --- JSON --- */

/* Sets a value at a path, making the objects on the way.  Takes over `value`. */
static void set_at(Json *root, char **parts, Json *value)
{
    for (; parts[1] != NULL; parts++) {
        Json *next = json_object_get(root, parts[0]);

        if (next == NULL) {
            next = json_object();
            json_set_take(root, parts[0], next);
        }
        root = next;
    }
    json_set_take(root, parts[0], value);
}

static Json *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : NULL;
}

static Json *delay_to_json(gint seconds)
{
    return seconds == 0 ? json_string("none") : json_integer(MAX(seconds, 0));
}

static Json *time_to_json(gint64 microseconds)
{
    g_autofree char *text = microseconds != 0 ? clock_format(microseconds) : NULL;

    return text_or_null(text);
}

/* NULL when there is nothing to write. */
static Json *value_to_json(const SchemaKey *row, const void *object)
{
    const void *at = field(row, object);

    switch (row->type) {
    case KEY_TEXT:
    case KEY_WORD:
        return text_or_null(*(char *const *)at);
    case KEY_ENUM:
        return json_string(row->words[*(const gint *)at]);
    case KEY_UINT:
    case KEY_SECONDS:
        return json_integer(*(const guint *)at);
    case KEY_UINT16:
        return json_integer(*(const guint16 *)at);
    case KEY_SIZE:
        return json_integer((json_int_t) * (const guint64 *)at);
    case KEY_DELAY:
        return delay_to_json(*(const gint *)at);
    case KEY_TIME:
        return time_to_json(*(const gint64 *)at);
    case KEY_BOOLEAN:
        return json_boolean(*(const gboolean *)at);
    case KEY_SECRET:
    case KEY_TABLE:
    case KEY_LIST:
        break;
    }
    return NULL;
}

/* The parts of a table's key as they stand behind the row's first `under` parts; NULL when this row did not
 * make it. */
static char **table_path(const SchemaKey *row, const char *key)
{
    g_auto(GStrv) pattern = g_strsplit(row->path, ".", -1);
    guint length = g_strv_length(pattern);
    g_auto(GStrv) rest = g_strsplit(key, ".", (gint)(length - row->under));

    if (g_strv_length(rest) != length - row->under)
        return NULL;
    for (guint i = row->under; i < length; i++) {
        const char *part = rest[i - row->under];

        if (strcmp(pattern[i], "*") != 0 && strcmp(pattern[i], part) != 0)
            return NULL;
        g_free(pattern[i]);
        pattern[i] = g_strdup(part);
    }
    return g_steal_pointer(&pattern);
}

static void table_to_json(const SchemaKey *row, const void *object, Json *root)
{
    GHashTable *table = *(GHashTable *const *)field(row, object);
    GHashTableIter iter;
    gpointer key = NULL;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_auto(GStrv) parts = table_path(row, key);

        if (parts != NULL)
            set_at(root, parts, json_string(value));
    }
}

void schema_to_json(const Schema *schema, const void *object, Json *root)
{
    for (gsize i = 0; i < schema->n_keys; i++) {
        const SchemaKey *row = &schema->keys[i];
        g_auto(GStrv) parts = g_strsplit(row->path, ".", -1);
        Json *value = row->at != 0 ? value_to_json(row, object) : NULL;

        if (value != NULL)
            set_at(root, parts, value);
        else if (row->at != 0 && row->type == KEY_TABLE)
            table_to_json(row, object, root);
    }
}

/* --- troff --- */

/* Hyphens that are to be typed, backslashes, and a control character at the start of a line. */
static void append_escaped(GString *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        g_string_append(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            g_string_append(out, "\\e");
        else if (*text == '-')
            g_string_append(out, "\\-");
        else
            g_string_append_c(out, *text);
    }
}

static char *range_of(const SchemaKey *row)
{
    g_autofree char *low = size_format(row->min);
    g_autofree char *high = size_format(row->max);

    switch (row->type) {
    case KEY_UINT:
    case KEY_UINT16:
        return g_strdup_printf("number, %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, row->min, row->max);
    case KEY_SECONDS:
    case KEY_DELAY:
        return g_strdup_printf("seconds or a duration, %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " s",
                               row->min, row->max);
    case KEY_SIZE:
        return row->max == G_MAXINT64 ? g_strdup("size") : g_strdup_printf("size, %s to %s", low, high);
    case KEY_WORD:
    case KEY_ENUM:
        return g_strjoinv(" | ", (char **)row->words);
    case KEY_BOOLEAN:
        return g_strdup("true | false");
    case KEY_TIME:
        return g_strdup("time, RFC 3339 or UTC without a zone");
    case KEY_LIST:
        return g_strdup("list");
    case KEY_TEXT:
    case KEY_SECRET:
    case KEY_TABLE:
        break;
    }
    return g_strdup("text");
}

void schema_to_man(const Schema *schema, GString *out)
{
    for (gsize i = 0; i < schema->n_keys; i++) {
        const SchemaKey *row = &schema->keys[i];
        g_autofree char *range = range_of(row);

        g_string_append(out, ".TP\n.B ");
        append_escaped(out, row->path);
        g_string_append_c(out, '\n');
        append_escaped(out, row->help);
        g_string_append(out, "\n(");
        append_escaped(out, range);
        if (row->fallback != NULL) {
            g_string_append(out, "; default ");
            append_escaped(out, row->fallback);
        }
        g_string_append(out, ")\n");
    }
}
