/* copy/content-hash.h: a checksum of what a guest sees of a disk, whatever its format and its holes.
 *
 * The disk is cut into blocks of 64 KiB (the last may be short, and is whole sectors, padded with zeros). For
 * each block that is not all zeros, in order, sixteen bytes are hashed: its number and the XXH3-64 of its
 * bytes (0 taken as 1: the sums of sums.h); at the end, once more sixteen: the size of the disk in bytes and
 * 0. All numbers are little-endian, the hash of these is XXH3-128.  So zeros cost nothing, whether they are
 * stored, flagged or holes, and equal disks have equal sums.  It finds accidents, not attacks.
 *
 * Thread rule: a ContentHash belongs to one thread at a time.
 */
#pragma once

#include "copy/copy.h"

#define CONTENT_HASH_TEXT 33 /* hexadecimal digits and the NUL */

typedef struct ContentHash ContentHash;

ContentHash *content_hash_new(void);
void content_hash_free(ContentHash *hash); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ContentHash, content_hash_free)

/* Blocks in ascending order; those that are all zeros are left out. */
void content_hash_add(ContentHash *hash, guint64 block, guint64 sum);
void content_hash_finish(ContentHash *hash, guint64 size, char text[CONTENT_HASH_TEXT]);

/* Of a copy, from the sums that it kept: no block is read again. */
gboolean content_hash_of_sums(Sums *sums, char text[CONTENT_HASH_TEXT], GError **error);

typedef struct {
    Disk *disk;
    guint threads;                                   /* 0: 8 */
    RateLimit *limit;                                /* may be NULL */
    CopyMeter *meter;                                /* may be NULL */
    const Cancel *cancel;                            /* may be NULL */
    gboolean (*tick)(gpointer data, GError **error); /* as in copy.h; may be NULL */
    gpointer tick_data;
} ContentHashJob;

/* Reads what of the disk is data, by several threads. */
gboolean content_hash_run(const ContentHashJob *job, char text[CONTENT_HASH_TEXT], GError **error);
