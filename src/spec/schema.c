#include "spec/schema.h"

#include "base/error.h"
#include "spec/schema-walk.h"

#include <string.h>

/* What a person still reads; more of it would be the same mistake again and again. */
#define MAX_COMPLAINTS 50

Complaints *complaints_new(void)
{
    return g_ptr_array_new_with_free_func(g_free);
}

void complaints_take(Complaints *complaints, GError *error)
{
    g_ptr_array_add(complaints, g_strdup(error->message));
    g_error_free(error);
}

gboolean complaints_check(const Complaints *complaints, GError **error)
{
    g_autoptr(GString) text = NULL;

    if (complaints->len == 0)
        return TRUE;
    text = g_string_new(complaints->pdata[0]);
    for (guint i = 1; i < MIN(complaints->len, MAX_COMPLAINTS); i++)
        g_string_append_printf(text, "\n%s", (const char *)complaints->pdata[i]);
    if (complaints->len > MAX_COMPLAINTS)
        g_string_append_printf(text, "\nand %u more", complaints->len - MAX_COMPLAINTS);
    return vf_fail(error, VF_ERROR_INVALID, "%s", text->str);
}

/* --- walking --- */

KeyMatch schema_match(const SchemaKey *row, const KeyPath *path)
{
    const char *part = row->path;

    for (guint i = 0; i < path->length; i++) {
        gsize length = strcspn(part, ".");
        gboolean any = length == 1 && *part == '*';

        if (length == 0 ||
            (!any && (strncmp(part, path->parts[i], length) != 0 || path->parts[i][length] != '\0')))
            return MATCH_NONE;
        part += length;
        part += *part == '.';
    }
    return *part == '\0' ? MATCH_FULL : MATCH_PREFIX;
}

/* The row for this path; with MATCH_PREFIX any row below it. */
static const SchemaKey *find_row(const SchemaWalk *walk, const KeyPath *path, KeyMatch wanted)
{
    for (const Schema *schema = walk->schema; schema != NULL;
         schema = walk->with_also ? schema->also : NULL) {
        for (gsize i = 0; i < schema->n_keys; i++) {
            if (schema_match(&schema->keys[i], path) == wanted)
                return &schema->keys[i];
        }
    }
    return NULL;
}

static void walk_mapping(const SchemaWalk *walk, KeyPath *path, const TreeNode *mapping);

/* An empty text is what templates of configuration are full of: not given. */
static gboolean is_given(const TreeNode *node)
{
    return tree_kind(node) != TREE_NULL && (tree_kind(node) != TREE_SCALAR || *tree_text(node) != '\0');
}

static void walk_node(const SchemaWalk *walk, KeyPath *path, const TreeNode *node)
{
    const SchemaKey *row = find_row(walk, path, MATCH_FULL);

    if (row == NULL && find_row(walk, path, MATCH_PREFIX) == NULL)
        walk->unknown(path, node, walk->data);
    else if (!is_given(node))
        return;
    else if (row != NULL)
        walk->known(row, path, node, walk->data);
    else if (tree_kind(node) == TREE_MAPPING)
        walk_mapping(walk, path, node);
    else
        walk->unknown(path, node, walk->data);
}

static void walk_mapping(const SchemaWalk *walk, KeyPath *path, const TreeNode *mapping)
{
    for (guint i = 0; i < tree_length(mapping); i++) {
        const TreeNode *node = tree_item(mapping, i);

        path->parts[path->length++] = tree_key(node);
        walk_node(walk, path, node);
        path->length--;
    }
}

void schema_walk(const SchemaWalk *walk, const TreeNode *root)
{
    KeyPath path = {0};

    if (tree_kind(root) == TREE_MAPPING)
        walk_mapping(walk, &path, root);
    else
        walk->unknown(&path, root, walk->data);
}

/* --- checking --- */

typedef struct {
    const Schema *schema;
    Complaints *complaints;
} Check;

static void check_list(const SchemaKey *row, const TreeNode *list, Complaints *complaints)
{
    g_autoptr(GError) error = NULL;

    if (tree_kind(list) != TREE_SEQUENCE) {
        tree_fail(list, &error, "a list is expected here, not %s", tree_kind_name(tree_kind(list)));
        complaints_take(complaints, g_steal_pointer(&error));
    }
    for (guint i = 0; i < tree_length(list) && tree_kind(list) == TREE_SEQUENCE; i++)
        schema_check(row->items, tree_item(list, i), complaints);
}

/* A dot inside a key would be taken for a step when the table is written back; only behind the last step it
 * is not. */
static gboolean check_dots(const SchemaKey *row, const KeyPath *path, const TreeNode *node, GError **error)
{
    for (guint i = 0; row->type == KEY_TABLE && i + 1 < path->length; i++) {
        if (strchr(path->parts[i], '.') != NULL)
            return tree_fail(node, error, "\"%s\" must not contain a dot", path->parts[i]);
    }
    return TRUE;
}

static void check_known(const SchemaKey *row, const KeyPath *path, const TreeNode *node, gpointer data)
{
    const Check *check = data;
    SchemaValue value = {0};
    GError *error = NULL;

    if (row->type == KEY_LIST)
        check_list(row, node, check->complaints);
    else if (!check_dots(row, path, node, &error) || !schema_value_read(row, node, &value, &error))
        complaints_take(check->complaints, error);
    else
        schema_value_clear(row, &value);
}

static char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');

    return g_strdup(dot != NULL ? dot + 1 : path);
}

/* The `index`-th part of a row's path, or NULL when it has none or any key may stand there. */
static char *part_of(const SchemaKey *row, guint index)
{
    g_auto(GStrv) parts = g_strsplit(row->path, ".", -1);

    if (index >= g_strv_length(parts) || strcmp(parts[index], "*") == 0)
        return NULL;
    return g_strdup(parts[index]);
}

/* A key written at the wrong level is as frequent as a key written wrongly. */
static char *same_key_elsewhere(const Schema *schema, const char *key)
{
    for (; schema != NULL; schema = schema->also) {
        for (gsize i = 0; i < schema->n_keys; i++) {
            g_autofree char *last = last_part(schema->keys[i].path);

            if (strcmp(last, key) == 0)
                return g_strdup(schema->keys[i].path);
        }
    }
    return NULL;
}

static char *suggestion(const Schema *schema, const KeyPath *path)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    KeyPath above = *path;
    const char *key = path->parts[path->length - 1];
    const char *near = NULL;

    above.length--;
    for (const Schema *part = schema; part != NULL; part = part->also) {
        for (gsize i = 0; i < part->n_keys; i++) {
            char *word = NULL;

            if (schema_match(&part->keys[i], &above) == MATCH_PREFIX)
                word = part_of(&part->keys[i], above.length);
            if (word != NULL)
                g_ptr_array_add(words, word);
        }
    }
    g_ptr_array_add(words, NULL);
    near = tree_did_you_mean(key, (const char *const *)words->pdata);
    return near != NULL ? g_strdup(near) : same_key_elsewhere(schema, key);
}

static void check_unknown(const KeyPath *path, const TreeNode *node, gpointer data)
{
    const Check *check = data;
    const SchemaWalk walk = {.schema = check->schema, .with_also = TRUE};
    g_autofree char *meant = NULL;
    GError *error = NULL;

    if (path->length == 0 || find_row(&walk, path, MATCH_PREFIX) != NULL) {
        tree_fail(node, &error, "keys and values are expected here, not %s", tree_kind_name(tree_kind(node)));
    } else if ((meant = suggestion(check->schema, path)) != NULL) {
        tree_fail(node, &error, "unknown key; did you mean %s?", meant);
    } else {
        tree_fail(node, &error, "unknown key");
    }
    complaints_take(check->complaints, error);
}

void schema_check(const Schema *schema, const TreeNode *root, Complaints *complaints)
{
    Check check = {schema, complaints};
    SchemaWalk walk = {
        .schema = schema, .with_also = TRUE, .known = check_known, .unknown = check_unknown, .data = &check};

    schema_walk(&walk, root);
}
