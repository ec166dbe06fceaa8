/* disk/bytes.h: where the bytes of an image lie: a local file, a file on a datastore over HTTPS, a member of
 * an OVA.
 *
 * A Bytes is a flat array of bytes with a size; formats sit on it and own it (closing the format closes it).
 * Errors: as in disk.h, VF_ERROR_SOURCE_IO when opened read-only, else VF_ERROR_TARGET_IO, or a class that
 * says more.
 *
 * Thread rule: pread, pwrite, zero and extents may be called from many threads at once.  One thread at a time
 * may flush, and one may make the bytes longer, beside them; making them shorter and freeing need the bytes
 * alone.
 */
#pragma once

#include "disk/disk.h"

typedef struct Bytes Bytes;

typedef struct {
    /* Reads exactly `length` bytes; the front door has checked that they exist. */
    gboolean (*pread)(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error);
    /* NULL when read-only.  Writing past the end extends. */
    gboolean (*pwrite)(Bytes *bytes, const void *buffer, gsize length, guint64 offset, GError **error);
    /* Makes a range read as zero, deallocated where possible.  NULL: the front door writes zeros. */
    gboolean (*zero)(Bytes *bytes, guint64 offset, guint64 length, GError **error);
    /* Data and holes as DiskExtents.  NULL: all data. */
    gboolean (*extents)(Bytes *bytes, guint64 offset, guint64 length, GArray *extents, GError **error);
    gboolean (*truncate)(Bytes *bytes, guint64 size, GError **error);
    gboolean (*flush)(Bytes *bytes, GError **error);
    void (*free)(Bytes *bytes);
} BytesOps;

struct Bytes {
    const BytesOps *ops;
    char *name;
    guint64 size; /* atomic; grows with writes past the end */
    gboolean writable;
};

guint64 bytes_size(const Bytes *bytes);
const char *bytes_name(const Bytes *bytes);
gboolean bytes_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error);
gboolean bytes_pwrite(Bytes *bytes, const void *buffer, gsize length, guint64 offset, GError **error);
gboolean bytes_zero(Bytes *bytes, guint64 offset, guint64 length, GError **error);
gboolean bytes_extents(Bytes *bytes, guint64 offset, guint64 length, GArray *extents, GError **error);
/* The slow way of bytes_zero(), for drivers that may find out that they have no better one. */
gboolean bytes_write_zeros(Bytes *bytes, guint64 offset, guint64 length, GError **error);
gboolean bytes_truncate(Bytes *bytes, guint64 size, GError **error);
gboolean bytes_flush(Bytes *bytes, GError **error); /* fdatasync, or its like */
void bytes_free(Bytes *bytes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bytes, bytes_free)

typedef enum {
    BYTES_READ = 0,
    BYTES_WRITE = 1 << 0,
    BYTES_CREATE = 1 << 1, /* with WRITE: must not exist yet (VF_ERROR_CONFLICT), made 0600 */
    BYTES_DIRECT = 1 << 2, /* try to go round the page cache; quietly not, where that is impossible */
} BytesFlags;

/* A local file or block device (which keeps its size).  A writable one is locked against other processes,
 * QEMU included, on the bytes that QEMU locks; VF_ERROR_CONFLICT. */
Bytes *bytes_open_file(const char *path, BytesFlags flags, GError **error);

/* A copy of memory, read-only: for tests and fuzzing. */
Bytes *bytes_open_memory(const void *data, gsize length, const char *name);
