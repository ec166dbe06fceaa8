/* spec/schema-value.c: between the text of a row and the field of a struct. */
#include "spec/schema.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "spec/schema-walk.h"
#include "spec/tree-build.h"

#include <string.h>

static void *field(const SchemaKey *row, const void *object)
{
    return (char *)object + row->at - 1;
}

/* --- from text --- */

static gboolean read_delay(const SchemaKey *row, const TreeNode *node, gint64 *ret, GError **error)
{
    guint64 seconds = 0;

    if (tree_text(node) != NULL && strcmp(tree_text(node), "none") == 0) {
        *ret = 0;
        return TRUE;
    }
    if (!tree_to_seconds(node, row->min, row->max, &seconds, error))
        return FALSE;
    *ret = seconds == 0 ? -1 : (gint64)seconds;
    return TRUE;
}

static gboolean read_time(const TreeNode *node, gint64 *ret, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;

    if (!tree_to_string(node, &text, error))
        return FALSE;
    return clock_parse(text, ret, &why) || tree_fail(node, error, "%s", why->message);
}

static gboolean read_text(const SchemaKey *row, const TreeNode *node, char **ret_text, GError **error)
{
    gint index = 0;

    if (row->type == KEY_WORD && !tree_to_enum(node, row->words, &index, error))
        return FALSE;
    return tree_to_string(node, ret_text, error);
}

gboolean schema_value_read(const SchemaKey *row, const TreeNode *node, SchemaValue *ret_value, GError **error)
{
    gint small = 0;

    switch (row->type) {
    case KEY_TEXT:
    case KEY_WORD:
    case KEY_SECRET:
    case KEY_TABLE:
        return read_text(row, node, &ret_value->text, error);
    case KEY_ENUM:
        if (!tree_to_enum(node, row->words, &small, error))
            return FALSE;
        ret_value->integer = small;
        return TRUE;
    case KEY_UINT:
    case KEY_UINT16:
        return tree_to_integer(node, (gint64)row->min, (gint64)row->max, &ret_value->integer, error);
    case KEY_SIZE:
        return tree_to_size(node, row->min, row->max, &ret_value->bytes, error);
    case KEY_SECONDS:
        return tree_to_seconds(node, row->min, row->max, &ret_value->bytes, error);
    case KEY_DELAY:
        return read_delay(row, node, &ret_value->integer, error);
    case KEY_TIME:
        return read_time(node, &ret_value->integer, error);
    case KEY_BOOLEAN:
        if (!tree_to_boolean(node, &small, error))
            return FALSE;
        ret_value->integer = small;
        return TRUE;
    case KEY_LIST:
        break;
    }
    return TRUE;
}

static gboolean is_text(KeyType type)
{
    return type == KEY_TEXT || type == KEY_WORD || type == KEY_SECRET || type == KEY_TABLE;
}

void schema_value_clear(const SchemaKey *row, SchemaValue *value)
{
    if (!is_text(row->type))
        return;
    if (row->type == KEY_SECRET && value->text != NULL)
        secret_wipe(value->text, strlen(value->text));
    g_clear_pointer(&value->text, g_free);
}

/* --- into the struct --- */

static void store_text(void *at, char *text)
{
    g_free(*(char **)at);
    *(char **)at = text;
}

static void store_secret(void *at, const char *text)
{
    secret_unref(*(Secret **)at);
    *(Secret **)at = text != NULL ? secret_new(text) : NULL;
}

/* "2000.storageid" of disks.2000.storageid: the path less its first `under` parts. */
static char *table_key(const SchemaKey *row, const KeyPath *path)
{
    g_autoptr(GString) key = g_string_new(NULL);

    for (guint i = row->under; i < path->length; i++)
        g_string_append_printf(key, "%s%s", i > row->under ? "." : "", path->parts[i]);
    return g_strdup(key->str);
}

static GHashTable *table_of(void *at)
{
    GHashTable **table = at;

    if (*table == NULL)
        *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return *table;
}

static void store(const SchemaKey *row, const KeyPath *path, SchemaValue *value, void *object)
{
    void *at = field(row, object);

    switch (row->type) {
    case KEY_TEXT:
    case KEY_WORD:
        store_text(at, g_steal_pointer(&value->text));
        break;
    case KEY_SECRET:
        store_secret(at, value->text);
        break;
    case KEY_TABLE:
        g_hash_table_replace(table_of(at), table_key(row, path), g_steal_pointer(&value->text));
        break;
    case KEY_ENUM:
    case KEY_DELAY:
    case KEY_BOOLEAN:
        *(gint *)at = (gint)value->integer;
        break;
    case KEY_UINT:
        *(guint *)at = (guint)value->integer;
        break;
    case KEY_UINT16:
        *(guint16 *)at = (guint16)value->integer;
        break;
    case KEY_SECONDS:
        *(guint *)at = (guint)value->bytes;
        break;
    case KEY_SIZE:
        *(guint64 *)at = value->bytes;
        break;
    case KEY_TIME:
        *(gint64 *)at = value->integer;
        break;
    case KEY_LIST:
        break;
    }
}

static void fill_known(const SchemaKey *row, const KeyPath *path, const TreeNode *node, gpointer object)
{
    g_autoptr(GError) error = NULL;
    SchemaValue value = {0};

    if (row->at == 0)
        return;
    if (!schema_value_read(row, node, &value, &error))
        g_error("%s: schema_fill() for a tree that was not checked", error->message);
    store(row, path, &value, object);
    schema_value_clear(row, &value);
}

static void fill_unknown(const KeyPath *path, const TreeNode *node, gpointer object)
{
    /* Another part of the schema, which fills another struct, knows it. */
}

void schema_fill(const Schema *schema, const TreeNode *root, void *object)
{
    SchemaWalk walk = {.schema = schema, .known = fill_known, .unknown = fill_unknown, .data = object};

    schema_walk(&walk, root);
}

/* A default is read as if it had been written in a file. */
static void init_row(const SchemaKey *row, void *object)
{
    Tree tree = {.name = (char *)"default"};
    TreeNode node = {
        .tree = &tree, .kind = TREE_SCALAR, .key = (char *)row->path, .text = (char *)row->fallback};
    KeyPath path = {0};

    if (row->fallback != NULL)
        fill_known(row, &path, &node, object);
    else if (row->type == KEY_DELAY)
        *(gint *)field(row, object) = -1;
    else if (row->type == KEY_TABLE)
        table_of(field(row, object));
}

void schema_init(const Schema *schema, void *object)
{
    for (gsize i = 0; i < schema->n_keys; i++) {
        if (schema->keys[i].at != 0)
            init_row(&schema->keys[i], object);
    }
}

static void copy_table(GHashTable *from, void *to)
{
    GHashTableIter iter;
    gpointer key = NULL;
    gpointer value = NULL;

    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_replace(table_of(to), g_strdup(key), g_strdup(value));
}

static gsize width_of(KeyType type)
{
    switch (type) {
    case KEY_UINT16:
        return sizeof(guint16);
    case KEY_SIZE:
    case KEY_TIME:
        return sizeof(guint64);
    case KEY_TEXT:
    case KEY_WORD:
    case KEY_SECRET:
    case KEY_TABLE:
    case KEY_LIST:
        return 0;
    case KEY_ENUM:
    case KEY_UINT:
    case KEY_SECONDS:
    case KEY_DELAY:
    case KEY_BOOLEAN:
        return sizeof(gint);
    }
    return 0;
}

static void copy_row(const SchemaKey *row, const void *from, void *to)
{
    const void *source = field(row, from);
    void *target = field(row, to);

    if (row->type == KEY_TEXT || row->type == KEY_WORD) {
        store_text(target, g_strdup(*(char *const *)source));
    } else if (row->type == KEY_SECRET) {
        Secret *secret = *(Secret *const *)source;

        store_secret(target, NULL);
        *(Secret **)target = secret != NULL ? secret_ref(secret) : NULL;
    } else if (row->type == KEY_TABLE) {
        copy_table(*(GHashTable *const *)source, target);
    } else {
        memcpy(target, source, width_of(row->type));
    }
}

void schema_copy(const Schema *schema, const void *from, void *to)
{
    for (gsize i = 0; i < schema->n_keys; i++) {
        if (schema->keys[i].at != 0)
            copy_row(&schema->keys[i], from, to);
    }
}

void schema_clear(const Schema *schema, void *object)
{
    for (gsize i = 0; i < schema->n_keys; i++) {
        const SchemaKey *row = &schema->keys[i];

        if (row->at == 0)
            continue;
        if (row->type == KEY_TEXT || row->type == KEY_WORD)
            store_text(field(row, object), NULL);
        else if (row->type == KEY_SECRET)
            store_secret(field(row, object), NULL);
        else if (row->type == KEY_TABLE)
            g_clear_pointer((GHashTable **)field(row, object), g_hash_table_unref);
    }
}
