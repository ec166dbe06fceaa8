/* disk/vmdk-reorder.h: records that come in any order and are taken in that of their keys.
 *
 * What waits is kept in memory up to a limit, and beyond it in a file without a name: whoever puts a record
 * never waits for another thread, and no order is wrong, only slower.
 *
 * Thread rule: belongs to one thread at a time.
 */
#pragma once

#include <glib.h>

typedef struct VmdkReorder VmdkReorder;

/* `memory`: bytes of records in memory.  Beside them some 100 bytes for each record that waits.  The file is
 * made in `folder` when it is first needed. */
VmdkReorder *vmdk_reorder_new(const char *folder, gsize memory);
void vmdk_reorder_free(VmdkReorder *reorder); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmdkReorder, vmdk_reorder_free)

/* Copies `record`.  The key must not be there.  VF_ERROR_TARGET_IO. */
gboolean vmdk_reorder_put(VmdkReorder *reorder, guint64 key, const void *record, gsize length,
                          GError **error);

/* The record of `key`, which is removed; its length is 0 when there is none.  `to` is resized. */
gboolean vmdk_reorder_take(VmdkReorder *reorder, guint64 key, GByteArray *to, GError **error);

/* Bytes that the file has taken so far. */
guint64 vmdk_reorder_spilled(const VmdkReorder *reorder);
