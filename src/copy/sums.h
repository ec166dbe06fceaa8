/* copy/sums.h: a checksum per 64 KiB block of a disk, from the moment its source was read.
 *
 * A sparse file: a 4 KiB header, then one 8-byte entry per block: XXH3-64 of the block's bytes, 0 meaning
 * "never read", which by the planner's rule means that the source said it is a hole; a real checksum of 0 is
 * stored as 1.  Blocks at the end may be short.  A 3 TiB disk needs a 384 MiB sparse file and no memory:
 * entries are read and written where they lie.
 *
 * What a sum proves: after the checkpoint that committed it, the target's block must have this checksum.
 * While a copy is at work, and after it was killed, a block that is not committed may have a sum without the
 * data or the data without the sum: the file says so itself (sums_settled), and nobody may then spare a write
 * because of a sum.
 *
 * Thread rule: sums_set(), sums_get() and sums_next() from many threads, on different blocks; sums_sync()
 * beside them; the rest by one.
 */
#pragma once

#include <glib.h>

#define SUMS_BLOCK_SIZE 65536u

typedef struct Sums Sums;

/* Opens, or makes one for `size` bytes; VF_ERROR_INTEGRITY when it belongs to another size or is damaged. */
Sums *sums_open(const char *path, guint64 size, GError **error);
void sums_free(Sums *sums); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sums, sums_free)

guint64 sums_size(const Sums *sums);   /* bytes of the disk */
guint64 sums_blocks(const Sums *sums); /* entries */

guint64 sums_of(const void *block, gsize length); /* never 0 */
guint64 sums_of_zero(gsize length);               /* of a block of zeros, at most SUMS_BLOCK_SIZE */

/* `count` entries from block `first`. */
gboolean sums_set(Sums *sums, guint64 first, const guint64 *values, guint count, GError **error);
gboolean sums_get(Sums *sums, guint64 first, guint64 *ret_values, guint count, GError **error);

/* The next stretch of blocks, from `first` on, in which there may be sums: what lies before it has none, and
 * the file system knows that without reading.  Empty and at the end when there is no more. */
gboolean sums_next(Sums *sums, guint64 first, guint64 *ret_first, guint64 *ret_end, GError **error);

/* The disk grew.  A short last block loses its sum: it is another block now, and must be read again. */
gboolean sums_resize(Sums *sums, guint64 size, GError **error);
gboolean sums_sync(Sums *sums, GError **error);

/* A copy brackets its work with these; both are durable when they return. */
gboolean sums_unsettle(Sums *sums, GError **error);
gboolean sums_settle(Sums *sums, GError **error);
/* TRUE when every sum is the target's: no copy is at work, and the last one ended in order.  A new file is
 * settled. */
gboolean sums_settled(const Sums *sums);
