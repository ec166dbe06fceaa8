/* disk/qcow2.h: QEMU's copy-on-write image, version 3 (QEMU docs/interop/qcow2).
 *
 * Written by many threads at once, sparse, in place where a cluster exists.  Crash safety: between two
 * disk_flush() calls the file on disk is always a valid image whose contents, for everything covered by the
 * last flush, are right; a kill -9 at any instant leaves at worst leaked clusters beyond the last flush,
 * which the next writable open takes back, so that `qemu-img check` is clean after every flush and after
 * every reopening. Memory is bounded whatever the size of the disk: table caches have a stated maximum.
 */
#pragma once

#include "disk/bytes.h"

typedef struct {
    guint cluster_bits; /* 9..21; 0 means 16 */
} Qcow2Options;

/* Takes over `bytes`, in failure too.  Writable when the bytes are.  Anything not understood (encryption,
 * unknown incompatible bits, a corrupt image) is refused by name. */
Disk *qcow2_open(Bytes *bytes, GError **error);

/* Makes a fresh image of `size` bytes, rounded up to whole sectors, in empty, writable `bytes` (taken over).
 * `options` may be NULL. */
Disk *qcow2_create(Bytes *bytes, guint64 size, const Qcow2Options *options, GError **error);
