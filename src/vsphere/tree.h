/* vsphere/tree.h: the folders of the inventory, as far as they were read: names, and from them paths.
 *
 * A tree is moref -> VimManaged *, borrowed from the array that it was made of.
 */
#pragma once

#include "vsphere/vim25.h"

typedef GHashTable Tree;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, g_hash_table_unref)

Tree *tree_new(const GPtrArray *objects);

/* "/DC/vm/folder/name" as FindByInventoryPath takes it, names escaped as the server has them.  It begins
 * below `root` or as high as the session may see.  The second is that of the datacenter above it, without the
 * first slash; "" when none is seen. */
char *tree_path(Tree *tree, const VimManaged *object, const char *root);
char *tree_datacenter_path(Tree *tree, const VimManaged *object, const char *root);

/* The name of what `moref` stands for, unescaped; NULL when it was not read. */
char *tree_name(Tree *tree, const char *moref);

/* %2f, %5c and %25 (any case) mean themselves in names from the server. */
char *tree_unescape(const char *name);
