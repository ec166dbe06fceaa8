/* spec/tree-build.h: how the readers of YAML and JSON make a tree.  Only for files tree*.c.
 *
 * A reader reports what it meets in the order of the text; the builder checks what is common to both
 * languages: depth, number of nodes, UTF-8, keys written twice.
 */
#pragma once

#include "spec/tree.h"

typedef struct {
    guint line, column; /* from 1 */
} TreePlace;

struct TreeNode {
    Tree *tree;
    TreeNode *parent;
    TreeKind kind;
    gboolean quoted;
    char *key;
    char *text;
    TreePlace place;     /* of the key, or of the value where there is no key */
    guint index;         /* in the parent */
    GPtrArray *children; /* TreeNode, borrowed from tree->nodes; NULL for leaves */
    GHashTable *by_key;  /* key -> TreeNode, both borrowed; NULL but for mappings */
};

struct Tree {
    char *name;
    GPtrArray *nodes; /* owns every node; the first is the root */
};

typedef struct {
    Tree *tree;
    TreeNode *open; /* the collection that is being filled; NULL before the root and after it */
    guint depth;
    char *key; /* of the value that comes next in a mapping */
    TreePlace key_place;
} TreeBuilder;

void tree_builder_init(TreeBuilder *builder, const char *name);
void tree_builder_fini(TreeBuilder *builder);
/* The finished tree; the builder is empty afterwards. */
Tree *tree_builder_finish(TreeBuilder *builder);

/* TRUE when what comes next must be a key. */
gboolean tree_builder_wants_key(const TreeBuilder *builder);
gboolean tree_builder_key(TreeBuilder *builder, const char *text, gsize length, TreePlace place,
                          GError **error);
gboolean tree_builder_open(TreeBuilder *builder, TreeKind kind, TreePlace place, GError **error);
void tree_builder_close(TreeBuilder *builder);
/* TREE_SCALAR or TREE_NULL. */
gboolean tree_builder_leaf(TreeBuilder *builder, TreeKind kind, gboolean quoted, const char *text,
                           gsize length, TreePlace place, GError **error);
/* VF_ERROR_INVALID "name:line: message". */
gboolean tree_builder_fail(const TreeBuilder *builder, TreePlace place, GError **error, const char *format,
                           ...) G_GNUC_PRINTF(4, 5);

gboolean tree_read_yaml(TreeBuilder *builder, const char *text, gsize length, GError **error);
gboolean tree_read_json(TreeBuilder *builder, const char *text, gsize length, GError **error);
