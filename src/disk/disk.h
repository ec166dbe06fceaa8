/* disk/disk.h: a block device, whatever it is made of.
 *
 * A Disk is opened by one of the open functions of its format or transport (raw.h, qcow2.h, nbd.h,
 * vmdk.h, memory.h; format.h chooses by name), used through the checked front doors below and ended by
 * disk_close().  Formats lie on Bytes (bytes.h), so each of them works on a local file and over HTTPS alike;
 * transports that are disks already (nbd) do not.
 *
 * The front doors check bounds, alignment and state, and count; a driver sees only requests that are right.
 * Offsets and lengths are in bytes and multiples of 512, except that a request may end at the end of a disk
 * whose size is no multiple.  Buffers that are aligned to DISK_BUFFER_ALIGN avoid a copy in drivers that use
 * O_DIRECT.
 *
 * Errors: a disk opened read-only is a source and fails with VF_ERROR_SOURCE_IO, a writable one is a target
 * and fails with VF_ERROR_TARGET_IO, unless a class says more (transient, auth, integrity, not-found).
 *
 * Thread rule: pread, pwrite, zero and extents may be called from many threads at once, on ranges that do not
 * overlap when one of them writes.  flush may run beside them and covers what had returned before it was
 * called.  resize and close need the disk to themselves.
 */
#pragma once

#include "base/cancel.h"

#include <glib.h>

#define DISK_BUFFER_ALIGN 4096u

/* Memory that is aligned so; for g_autoptr(DiskBuffer). */
typedef guint8 DiskBuffer;
DiskBuffer *disk_buffer_new(gsize length);
void disk_buffer_free(DiskBuffer *buffer); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskBuffer, disk_buffer_free)

typedef struct Disk Disk;

typedef enum {
    DISK_EXTENT_DATA, /* must be read */
    DISK_EXTENT_ZERO, /* reads as zero, and storage may be allocated for it */
    DISK_EXTENT_HOLE, /* nothing is stored for it, nor in a backing file; reads as zero */
} DiskExtentKind;

typedef struct {
    guint64 offset;
    guint64 length;
    DiskExtentKind kind;
} DiskExtent;

/* Where a part of a disk lies, for people and scripts. */
typedef struct {
    guint64 offset;
    guint64 length;
    DiskExtentKind kind;
    gboolean present;   /* this disk or one of its backing files says what it is */
    gboolean is_placed; /* `place` is where it lies in the file `name`, byte for byte */
    gboolean compressed;
    guint64 place;
    guint depth;      /* 0: this disk itself; 1: its backing file; ... */
    const char *name; /* of that file; lives as long as the disk */
} DiskMapping;

/* What has been asked of a disk since it was opened: tests assert on the I/O issued, `info` prints it. */
typedef struct {
    guint64 reads, bytes_read;
    guint64 writes, bytes_written;
    guint64 zeroes, bytes_zeroed;
    guint64 flushes;
} DiskCounters;

guint64 disk_size(const Disk *disk);       /* bytes */
const char *disk_name(const Disk *disk);   /* for messages: path or URL without credentials */
const char *disk_format(const Disk *disk); /* "raw", "qcow2", ... */
gboolean disk_is_writable(const Disk *disk);
/* The unit in which the disk allocates (a cluster, a grain), a power of two >= 512: writes aligned to it are
 * cheapest. */
guint32 disk_granularity(const Disk *disk);
/* TRUE when writes of whole granules are compressed, and others are not. */
gboolean disk_compresses(const Disk *disk);
/* TRUE when everything not yet written is known to read as zero (a fresh image). */
gboolean disk_starts_zero(const Disk *disk);
DiskCounters disk_counters(const Disk *disk);

gboolean disk_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error);
gboolean disk_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error);

/* Makes the range read as zero, by deallocating where that is possible.  Cheap where nothing is allocated. */
gboolean disk_zero(Disk *disk, guint64 offset, guint64 length, GError **error);

/* Appends DiskExtents that cover [offset, offset + length) exactly, in order, neighbours of one kind merged.
 * A driver that cannot tell answers DISK_EXTENT_DATA for all of it. */
gboolean disk_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error);

/* Appends DiskMappings that cover the range exactly, in order; neighbours that continue each other are
 * merged. A driver that cannot say more says what disk_extents() does. */
gboolean disk_map(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error);

/* Everything that returned before this call is durable afterwards, data and the metadata that find them. */
gboolean disk_flush(Disk *disk, GError **error);

/* Grows only; the new part reads as zero.  VF_ERROR_UNSUPPORTED where a driver cannot. */
gboolean disk_resize(Disk *disk, guint64 size, GError **error);

/* Flushes a writable disk, or completes it where its format needs that, closes it and frees it, whether or
 * not that works. */
gboolean disk_close(Disk *disk, GError **error);

/* Drops the disk without a flush: for error paths and sources.  NULL is fine. */
void disk_free(Disk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Disk, disk_free)
