#include "disk/padded.h"

#include <string.h>

#include "base/size.h"
#include "disk/driver.h"

typedef struct {
    Disk disk;
    Disk *inner;
} PaddedDisk;

static gboolean padded_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    Disk *inner = ((PaddedDisk *)disk)->inner;
    gsize stored = (gsize)MIN(length, disk_size(inner) - offset);

    memset((guint8 *)buffer + stored, 0, length - stored);
    return disk_pread(inner, buffer, stored, offset, error);
}

static gboolean padded_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    Disk *inner = ((PaddedDisk *)disk)->inner;
    guint64 stored = MIN(length, disk_size(inner) - offset);

    if (!disk_extents(inner, offset, stored, extents, error))
        return FALSE;
    g_array_index(extents, DiskExtent, extents->len - 1).length += length - stored;
    return TRUE;
}

static gboolean padded_map(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error)
{
    Disk *inner = ((PaddedDisk *)disk)->inner;
    guint64 stored = MIN(length, disk_size(inner) - offset);

    if (!disk_map(inner, offset, stored, mappings, error))
        return FALSE;
    g_array_index(mappings, DiskMapping, mappings->len - 1).length += length - stored;
    return TRUE;
}

static void padded_free(Disk *disk)
{
    PaddedDisk *padded = (PaddedDisk *)disk;

    disk_free(padded->inner);
    disk_fini(disk);
    g_free(padded);
}

/* The format that is only looked through: a file that ends within a sector is raw. */
static const DiskOps padded_ops = {
    .format = "raw",
    .pread = padded_pread,
    .extents = padded_extents,
    .map = padded_map,
    .free = padded_free,
};

Disk *padded_disk_new(Disk *inner)
{
    guint64 size = round_up(disk_size(inner), SECTOR_SIZE);
    PaddedDisk *padded;

    if (size == disk_size(inner))
        return inner;
    padded = g_new0(PaddedDisk, 1);
    padded->inner = inner;
    disk_init(&padded->disk, &padded_ops, disk_name(inner), size, disk_granularity(inner), FALSE, FALSE);
    return &padded->disk;
}
