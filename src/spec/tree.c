#include "spec/tree.h"

#include "base/error.h"
#include "base/io.h"
#include "base/secret.h"
#include "spec/tree-build.h"

#include <string.h>

static void node_free(gpointer data)
{
    TreeNode *node = data;

    /* It may be a password. */
    if (node->text != NULL)
        secret_wipe(node->text, strlen(node->text));
    g_free(node->key);
    g_free(node->text);
    g_clear_pointer(&node->children, g_ptr_array_unref);
    g_clear_pointer(&node->by_key, g_hash_table_unref);
    g_free(node);
}

/* A text that starts with a brace may be JSON or YAML's flow style.  Whatever is JSON is read as JSON, so
 * that a file means the same here as to every other program; the YAML reader gets what is not. */
static gboolean read_text(TreeBuilder *builder, const char *text, gsize length, GError **error)
{
    g_autoptr(GError) not_json = NULL;
    gboolean must_be_json = g_str_has_suffix(builder->tree->name, ".json");
    gsize start = 0;

    while (start < length && strchr(" \t\r\n", text[start]) != NULL && text[start] != '\0')
        start++;
    if (!must_be_json && (start == length || text[start] != '{'))
        return tree_read_yaml(builder, text, length, error);
    if (must_be_json)
        return tree_read_json(builder, text, length, error);

    g_autofree char *name = g_strdup(builder->tree->name);
    if (tree_read_json(builder, text, length, &not_json))
        return TRUE;
    tree_builder_fini(builder);
    tree_builder_init(builder, name);
    return tree_read_yaml(builder, text, length, error);
}

Tree *tree_parse(const char *text, gsize length, const char *name, GError **error)
{
    TreeBuilder builder;
    Tree *tree = NULL;

    if (length > TREE_MAX_BYTES) {
        vf_fail(error, VF_ERROR_INVALID, "%s: is larger than %zu KiB; that is no configuration", name,
                TREE_MAX_BYTES / 1024);
        return NULL;
    }
    tree_builder_init(&builder, name);
    if (read_text(&builder, text, length, error))
        tree = tree_builder_finish(&builder);
    tree_builder_fini(&builder);
    return tree;
}

Tree *tree_load(const char *path, GError **error)
{
    gsize length = 0;
    g_autofree char *text = io_read_file(path, TREE_MAX_BYTES, &length, error);
    Tree *tree = NULL;

    if (text == NULL)
        return NULL;
    tree = tree_parse(text, length, path, error);
    secret_wipe(text, length);
    return tree;
}

void tree_free(Tree *tree)
{
    if (tree == NULL)
        return;
    g_ptr_array_unref(tree->nodes);
    g_free(tree->name);
    g_free(tree);
}

const TreeNode *tree_root(const Tree *tree)
{
    return tree->nodes->pdata[0];
}

TreeKind tree_kind(const TreeNode *node)
{
    return node->kind;
}

const char *tree_kind_name(TreeKind kind)
{
    static const char *const names[] = {"a mapping", "a list", "a value", "nothing"};

    return names[kind];
}

guint tree_length(const TreeNode *node)
{
    return node != NULL && node->children != NULL ? node->children->len : 0;
}

const TreeNode *tree_item(const TreeNode *node, guint index)
{
    return index < tree_length(node) ? node->children->pdata[index] : NULL;
}

const TreeNode *tree_get(const TreeNode *node, const char *key)
{
    const TreeNode *value = NULL;

    if (node != NULL && node->by_key != NULL)
        value = g_hash_table_lookup(node->by_key, key);
    return value != NULL && value->kind != TREE_NULL ? value : NULL;
}

const TreeNode *tree_find(const TreeNode *node, const char *path)
{
    g_auto(GStrv) keys = g_strsplit(path, ".", -1);

    for (guint i = 0; keys[i] != NULL; i++)
        node = tree_get(node, keys[i]);
    return node;
}

const char *tree_key(const TreeNode *node)
{
    return node->key;
}

const char *tree_text(const TreeNode *node)
{
    return node->text;
}

gboolean tree_quoted(const TreeNode *node)
{
    return node->quoted;
}

const char *tree_name(const TreeNode *node)
{
    return node->tree->name;
}

guint tree_line(const TreeNode *node)
{
    return node->place.line;
}

guint tree_column(const TreeNode *node)
{
    return node->place.column;
}

char *tree_path(const TreeNode *node)
{
    g_autofree char *above = NULL;

    if (node->parent == NULL)
        return g_strdup("");
    above = tree_path(node->parent);
    if (node->key == NULL)
        return g_strdup_printf("%s[%u]", above, node->index);
    return *above != '\0' ? g_strconcat(above, ".", node->key, NULL) : g_strdup(node->key);
}

gboolean tree_fail(const TreeNode *node, GError **error, const char *format, ...)
{
    g_autofree char *path = tree_path(node);
    g_autofree char *why = NULL;
    va_list arguments;

    va_start(arguments, format);
    why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, VF_ERROR_INVALID, "%s:%u: %s%s%s", node->tree->name, node->place.line, path,
                   *path != '\0' ? ": " : "", why);
}

/* --- building --- */

void tree_builder_init(TreeBuilder *builder, const char *name)
{
    *builder = (TreeBuilder){.tree = g_new0(Tree, 1)};
    builder->tree->name = g_strdup(name);
    builder->tree->nodes = g_ptr_array_new_with_free_func(node_free);
}

void tree_builder_fini(TreeBuilder *builder)
{
    g_clear_pointer(&builder->tree, tree_free);
    g_clear_pointer(&builder->key, g_free);
}

Tree *tree_builder_finish(TreeBuilder *builder)
{
    if (builder->tree->nodes->len == 0) {
        g_autoptr(GError) impossible = NULL;

        tree_builder_open(builder, TREE_MAPPING, (TreePlace){1, 1}, &impossible);
    }
    return g_steal_pointer(&builder->tree);
}

gboolean tree_builder_fail(const TreeBuilder *builder, TreePlace place, GError **error, const char *format,
                           ...)
{
    g_autofree char *why = NULL;
    va_list arguments;

    va_start(arguments, format);
    why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, VF_ERROR_INVALID, "%s:%u: %s", builder->tree->name, place.line, why);
}

gboolean tree_builder_wants_key(const TreeBuilder *builder)
{
    return builder->open != NULL && builder->open->kind == TREE_MAPPING && builder->key == NULL;
}

/* A copy of foreign text that is safe to print and to compare: UTF-8 without NUL. */
static char *checked_text(const TreeBuilder *builder, const char *text, gsize length, TreePlace place,
                          GError **error)
{
    if (g_utf8_validate_len(text, length, NULL))
        return g_strndup(text, length);
    tree_builder_fail(builder, place, error, "the text holds a NUL or is not UTF-8");
    return NULL;
}

gboolean tree_builder_key(TreeBuilder *builder, const char *text, gsize length, TreePlace place,
                          GError **error)
{
    g_autofree char *key = checked_text(builder, text, length, place, error);
    const TreeNode *before = NULL;

    if (key == NULL)
        return FALSE;
    before = g_hash_table_lookup(builder->open->by_key, key);
    if (before != NULL)
        return tree_builder_fail(builder, place, error, "%s is given twice, first in line %u", key,
                                 before->place.line);
    builder->key = g_steal_pointer(&key);
    builder->key_place = place;
    return TRUE;
}

static TreeNode *add_node(TreeBuilder *builder, TreeKind kind, TreePlace place, GError **error)
{
    TreeNode *node = NULL;

    if (builder->tree->nodes->len >= TREE_MAX_NODES) {
        tree_builder_fail(builder, place, error, "more than %u values; that is no configuration",
                          TREE_MAX_NODES);
        return NULL;
    }
    node = g_new0(TreeNode, 1);
    *node = (TreeNode){.tree = builder->tree, .parent = builder->open, .kind = kind, .place = place};
    g_ptr_array_add(builder->tree->nodes, node);
    if (builder->open == NULL)
        return node;
    if (builder->key != NULL) {
        node->key = g_steal_pointer(&builder->key);
        node->place = builder->key_place;
        g_hash_table_insert(builder->open->by_key, node->key, node);
    }
    node->index = builder->open->children->len;
    g_ptr_array_add(builder->open->children, node);
    return node;
}

gboolean tree_builder_open(TreeBuilder *builder, TreeKind kind, TreePlace place, GError **error)
{
    TreeNode *node = NULL;

    if (builder->depth == TREE_MAX_DEPTH)
        return tree_builder_fail(builder, place, error, "nested deeper than %u", TREE_MAX_DEPTH);
    node = add_node(builder, kind, place, error);
    if (node == NULL)
        return FALSE;
    node->children = g_ptr_array_new();
    if (kind == TREE_MAPPING)
        node->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    builder->open = node;
    builder->depth++;
    return TRUE;
}

void tree_builder_close(TreeBuilder *builder)
{
    builder->open = builder->open->parent;
    builder->depth--;
}

gboolean tree_builder_leaf(TreeBuilder *builder, TreeKind kind, gboolean quoted, const char *text,
                           gsize length, TreePlace place, GError **error)
{
    g_autofree char *copy = NULL;
    TreeNode *node = NULL;

    /* A document of nothing but a null is an empty one. */
    if (builder->open == NULL && kind == TREE_NULL)
        return TRUE;
    if (builder->open == NULL)
        return tree_builder_fail(builder, place, error,
                                 "keys and values are expected here, not a lone value");
    if (kind == TREE_SCALAR && (copy = checked_text(builder, text, length, place, error)) == NULL)
        return FALSE;
    node = add_node(builder, kind, place, error);
    if (node == NULL)
        return FALSE;
    node->text = g_steal_pointer(&copy);
    node->quoted = quoted;
    return TRUE;
}
