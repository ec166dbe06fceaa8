/* disk/vmdk-cache.h: blocks of one size that are expensive to get, known by number, kept while there is room.
 *
 * Two kinds of block are kept so: pages of a file's grain tables, and inflated grains.  What is cached never
 * changes.  A block is loaded without a lock, by the first thread that wants it; others that want the same
 * one wait for it, and all that want another go on.
 *
 * Thread rule: vmdk_cache_copy() from many threads at once.
 */
#pragma once

#include <glib.h>

typedef struct VmdkCache VmdkCache;

/* Fills block `number`.  Called from many threads at once, never twice at a time for one number. */
typedef gboolean (*VmdkCacheLoad)(gpointer owner, guint64 number, guint8 *block, GError **error);

/* Keeps at most `max_blocks` blocks, and one more for each thread that is copying. */
VmdkCache *vmdk_cache_new(gsize block_size, guint max_blocks, VmdkCacheLoad load, gpointer owner);
void vmdk_cache_free(VmdkCache *cache); /* NULL is fine */

/* Copies `length` bytes from `from` on out of one block.  A block that could not be loaded is tried again by
 * whoever asks next. */
gboolean vmdk_cache_copy(VmdkCache *cache, guint64 number, gsize from, gsize length, void *to,
                         GError **error);
