/* spec/schema-walk.h: the leaves of a tree, each with the row that describes it.  Only for files schema*.c.
 */
#pragma once

#include "spec/schema.h"

typedef struct {
    const char *parts[TREE_MAX_DEPTH + 1]; /* keys from the root of the walk */
    guint length;
} KeyPath;

typedef struct {
    const Schema *schema;
    gboolean with_also;
    /* A row stands for the node. */
    void (*known)(const SchemaKey *row, const KeyPath *path, const TreeNode *node, gpointer data);
    /* No row does, or it should be a mapping and is none. */
    void (*unknown)(const KeyPath *path, const TreeNode *node, gpointer data);
    gpointer data;
} SchemaWalk;

void schema_walk(const SchemaWalk *walk, const TreeNode *root);

typedef enum { MATCH_NONE, MATCH_PREFIX, MATCH_FULL } KeyMatch;
KeyMatch schema_match(const SchemaKey *row, const KeyPath *path);

/* One value of any type. */
typedef union {
    gint64 integer;
    guint64 bytes;
    char *text;
} SchemaValue;
/* FALSE when the node does not fit the row; the value's text is owned by the caller. */
gboolean schema_value_read(const SchemaKey *row, const TreeNode *node, SchemaValue *ret_value,
                           GError **error);
void schema_value_clear(const SchemaKey *row, SchemaValue *value);
