/* spec/tree.h: YAML or JSON text as one tree of mappings, sequences and scalars that remembers where
 * everything was written, so that a complaint can name file, line and key.
 *
 * Both languages become the same tree.  What configuration does not need is refused with a message: anchors,
 * aliases, tags, several documents in one file, keys that are not scalars, keys written twice, more than
 * TREE_MAX_BYTES, TREE_MAX_DEPTH or TREE_MAX_NODES.  Nothing is guessed: a scalar is text until a getter says
 * what it should be.
 *
 * Ownership: nodes and their strings are borrowed from the Tree.  Thread rule: immutable after parsing.
 */
#pragma once

#include <glib.h>

#define TREE_MAX_BYTES ((gsize)1 << 20)
#define TREE_MAX_DEPTH 32u
#define TREE_MAX_NODES 65536u

typedef struct Tree Tree;
typedef struct TreeNode TreeNode;

typedef enum {
    TREE_MAPPING,
    TREE_SEQUENCE,
    TREE_SCALAR,
    TREE_NULL, /* "key:" with nothing behind it, ~, null */
} TreeKind;

/* `name` is what messages call the text.  A text that is JSON as a whole is read as JSON, anything else as
 * YAML; with a name that ends in ".json" it must be JSON.  VF_ERROR_INVALID: "name:line: what is wrong". */
Tree *tree_parse(const char *text, gsize length, const char *name, GError **error);
Tree *tree_load(const char *path, GError **error);
void tree_free(Tree *tree); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, tree_free)

/* Never NULL: an empty text is an empty mapping. */
const TreeNode *tree_root(const Tree *tree);

TreeKind tree_kind(const TreeNode *node);
const char *tree_kind_name(TreeKind kind); /* "a mapping", for messages */
/* Values of a mapping or elements of a sequence, in the order written; 0 and NULL for other nodes,
 * a missing one (NULL) included. */
guint tree_length(const TreeNode *node);
const TreeNode *tree_item(const TreeNode *node, guint index);
/* The value of a key; NULL when it is missing or null, when `node` is NULL or no mapping. */
const TreeNode *tree_get(const TreeNode *node, const char *key);
/* tree_get() along "a.b.c". */
const TreeNode *tree_find(const TreeNode *node, const char *path);

/* The key under which the node hangs; NULL for the root and for elements of a sequence. */
const char *tree_key(const TreeNode *node);
/* Text of a scalar as it was written, quotes and escapes undone; NULL for other nodes. */
const char *tree_text(const TreeNode *node);
/* TRUE when the scalar stood in quotes, or was written as a block: text, whatever it looks like. */
gboolean tree_quoted(const TreeNode *node);
const char *tree_name(const TreeNode *node); /* of the file */
/* Of the key, or of the value where there is no key; from 1. */
guint tree_line(const TreeNode *node);
guint tree_column(const TreeNode *node);
/* "vms[2].migration.readers"; "" for the root. */
char *tree_path(const TreeNode *node);

/* Sets VF_ERROR_INVALID "file:line: path: why" and returns FALSE. */
gboolean tree_fail(const TreeNode *node, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Typed getters.  A NULL node (a key that is not there) is success and leaves *ret as it is: put the default
 * there first. A null is refused; tree_get() has turned it into NULL already. */
gboolean tree_to_string(const TreeNode *node, char **ret_text,
                        GError **error); /* frees what *ret_text held */
gboolean tree_to_integer(const TreeNode *node, gint64 min, gint64 max, gint64 *ret, GError **error);
gboolean tree_to_uint(const TreeNode *node, guint min, guint max, guint *ret, GError **error);
/* "10G", or a number of bytes. */
gboolean tree_to_size(const TreeNode *node, guint64 min, guint64 max, guint64 *ret_bytes, GError **error);
/* "30s", "1h30m", or a number of seconds. */
gboolean tree_to_seconds(const TreeNode *node, guint64 min, guint64 max, guint64 *ret_seconds,
                         GError **error);
/* true, false; also yes, no, on, off as older YAML has it. */
gboolean tree_to_boolean(const TreeNode *node, gboolean *ret, GError **error);
/* The index of the word in `words`, which ends with NULL. */
gboolean tree_to_enum(const TreeNode *node, const char *const *words, gint *ret_index, GError **error);

/* The one of `words` (ended by NULL) that `word` was probably meant to be, or NULL. */
const char *tree_did_you_mean(const char *word, const char *const *words);
