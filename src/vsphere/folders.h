/* vsphere/folders.h: the folders of the inventory, as far as they were read: names, and from them paths.
 *
 * It is a table moref -> VimManaged *, borrowed from the array that it was made of.
 */
#pragma once

#include "vsphere/vim25.h"

typedef GHashTable Folders;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Folders, g_hash_table_unref)

Folders *folders_new(const GPtrArray *objects);

/* "/DC/vm/folder/name" as FindByInventoryPath takes it, names escaped as the server has them.  It begins
 * below `root` or as high as the session may see.  The second is that of the datacenter above it, without the
 * first slash; "" when none is seen. */
char *folders_path(Folders *folders, const VimManaged *object, const char *root);
char *folders_datacenter_path(Folders *folders, const VimManaged *object, const char *root);

/* The name of what `moref` stands for, unescaped; NULL when it was not read. */
char *folders_name(Folders *folders, const char *moref);

/* %2f, %5c and %25 (any case) mean themselves in names from the server. */
char *folders_unescape(const char *name);
