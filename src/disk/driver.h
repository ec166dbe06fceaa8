/* disk/driver.h: what a format or transport fills in.  Only drivers include this.
 *
 * To add one: embed a Disk as the first member of your own structure, fill a static const DiskOps, call
 * disk_init() when the open function has succeeded otherwise, and register the open function in format.c.
 * memory.c is the shortest example.
 *
 * The front doors have checked: the disk is open, the range lies within it, length > 0, alignment as disk.h
 * says, writable for what writes.  So slots do only their work.  Thread rule: as in disk.h.
 */
#pragma once

#include "disk/disk.h"

typedef struct {
    const char *format;

    gboolean (*pread)(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error);
    /* NULL for a driver that only reads. */
    gboolean (*pwrite)(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error);
    /* NULL: the front door writes zeros with pwrite. */
    gboolean (*zero)(Disk *disk, guint64 offset, guint64 length, GError **error);
    /* NULL: all data.  Appends with disk_extent_append(). */
    gboolean (*extents)(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error);
    /* NULL: what extents says.  Appends with disk_mapping_append(). */
    gboolean (*map)(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error);
    /* NULL only where pwrite is NULL. */
    gboolean (*flush)(Disk *disk, GError **error);
    /* NULL: unsupported. */
    gboolean (*resize)(Disk *disk, guint64 size, GError **error);
    /* Releases all that the driver holds, and `disk` itself.  May be called in any state after disk_init().
     */
    void (*free)(Disk *disk);
    /* Called once, by disk_close(), in place of flush: for images that are complete only when all has been
     * written.  NULL: flush. */
    gboolean (*finish)(Disk *disk, GError **error);
} DiskOps;

struct Disk {
    /* Set by disk_init() and never changed, but for size, which resize changes. */
    const DiskOps *ops;
    char *name;
    guint64 size;
    guint32 granularity;
    gboolean writable;
    gboolean starts_zero;
    gboolean compresses; /* FALSE until the driver says otherwise */

    /* Atomic. */
    DiskCounters counters;
};

/* Copies `name`.  granularity 0 means 512. */
void disk_init(Disk *disk, const DiskOps *ops, const char *name, guint64 size, guint32 granularity,
               gboolean writable, gboolean starts_zero);
/* Frees what disk_init() made; the last call of every free slot before it frees itself. */
void disk_fini(Disk *disk);

/* Appends, merged with the last one when it touches it and has the same kind.  length 0 does nothing. */
void disk_extent_append(GArray *extents, guint64 offset, guint64 length, DiskExtentKind kind);

/* Appends, merged with the last one when it continues that.  length 0 does nothing. */
void disk_mapping_append(GArray *mappings, const DiskMapping *mapping);
