/* disk/qcow2.h: QEMU's copy-on-write image (QEMU docs/interop/qcow2).
 *
 * Reads whatever QEMU writes: versions 2 and 3, any cluster size, backing chains, compressed clusters (zlib
 * and zstd, inflated by each reader in its own thread), subclusters, external data files; of an image with
 * internal snapshots the current state.  Encrypted and corrupt images and unknown incompatible features are
 * refused by name.
 *
 * Written by many threads at once, sparse, in place where a plain cluster exists.  Crash safety: between two
 * disk_flush() calls the file on disk is always a valid image whose contents, for everything covered by the
 * last flush, are right; a kill -9 at any instant leaves at worst leaked clusters beyond the last flush,
 * which the next writable open takes back, so that `qemu-img check` is clean after every flush and after
 * every reopening. Memory is bounded whatever the size of the disk: table caches have a stated maximum.
 *
 * With compression, a write that covers whole clusters is compressed in the thread that writes; what does not
 * get smaller, and writes of parts, are stored plainly.  The storage of a compressed cluster that is written
 * over is not used again while the image is open.
 */
#pragma once

#include "disk/bytes.h"

typedef enum { QCOW2_PLAIN, QCOW2_ZLIB, QCOW2_ZSTD } Qcow2Compression;

/* Opens what an image refers to.  `name` is what the image says, of whoever made it: the opener decides what
 * of that it follows. */
typedef struct {
    /* `format` NULL: the image does not say. */
    Disk *(*open_backing)(const char *name, const char *format, gpointer data, GError **error);
    Bytes *(*open_data_file)(const char *name, gpointer data, GError **error);
    gpointer data;
} Qcow2Opener;

typedef struct {
    guint cluster_bits; /* 9..21; 0 means 16 */

    Qcow2Compression compression;
    guint level; /* of the compression; 0: the usual one */

    /* What the header says; `backing` is the opened disk, taken over, in failure too. */
    const char *backing_file, *backing_format;
    Disk *backing;

    gboolean lazy_refcounts; /* allows QEMU to keep refcounts late; we do not */
} Qcow2Options;

/* Takes over `bytes`, in failure too.  Writable when the bytes are, but for subclusters and data files.
 * `opener` NULL: refuses images that refer to other files. */
Disk *qcow2_open_with(Bytes *bytes, const Qcow2Opener *opener, GError **error);
Disk *qcow2_open(Bytes *bytes, GError **error);

/* What is written from now on, when it covers whole clusters; for an image that was opened again.  The kind
 * of compression is the image's own, zlib unless it was made with zstd.  Before any other thread uses the
 * disk. */
void qcow2_compress(Disk *disk, guint level);

/* Makes a fresh image of `size` bytes, rounded up to whole sectors, in empty, writable `bytes` (taken over).
 * `options` may be NULL. */
Disk *qcow2_create(Bytes *bytes, guint64 size, const Qcow2Options *options, GError **error);
