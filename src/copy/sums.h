/* copy/sums.h: a checksum per 64 KiB block of a disk, from the moment its source was read.
 *
 * A sparse file: a 4 KiB header (magic, version, block size, disk size, all little-endian, and their checksum), then one 8-byte
 * entry per block: XXH3-64 of the block's bytes, 0 meaning "never read", which by the planner's rule means that the source said
 * it is a hole; a real checksum of 0 is stored as 1.  Blocks at the end may be short.  A 3 TiB disk needs a 384 MiB sparse file and no memory:
 * entries are read and written where they lie.
 *
 * What a sum proves: after the checkpoint that committed it, the target's block must have this checksum.
 *
 * Thread rule: sums_set() and sums_get() from many threads, on different blocks; the rest by one.
 */
#pragma once

#include <glib.h>

#define SUMS_BLOCK_SIZE 65536u

typedef struct Sums Sums;

/* Opens, or makes one for `size` bytes; VF_ERROR_INTEGRITY when it belongs to another size or is damaged. */
Sums *sums_open(const char *path, guint64 size, GError **error);
void sums_free(Sums *sums); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sums, sums_free)

guint64 sums_of(const void *block, gsize length); /* never 0 */
guint64 sums_of_zero(gsize length);               /* of a block of zeros */

/* `count` entries from block `first`. */
gboolean sums_set(Sums *sums, guint64 first, const guint64 *values, guint count, GError **error);
gboolean sums_get(Sums *sums, guint64 first, guint64 *ret_values, guint count, GError **error);
gboolean sums_resize(Sums *sums, guint64 size, GError **error); /* the disk grew */
gboolean sums_sync(Sums *sums, GError **error);
