#include "disk/raw.h"

#include "disk/driver.h"

typedef struct {
    Disk disk;
    Bytes *bytes;
} RawDisk;

static Bytes *raw_bytes(Disk *disk)
{
    return ((RawDisk *)disk)->bytes;
}

static gboolean raw_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    return bytes_pread(raw_bytes(disk), buffer, length, offset, error);
}

static gboolean raw_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    return bytes_pwrite(raw_bytes(disk), buffer, length, offset, error);
}

static gboolean raw_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    return bytes_zero(raw_bytes(disk), offset, length, error);
}

static gboolean raw_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    return bytes_extents(raw_bytes(disk), offset, length, extents, error);
}

/* Everything lies where it is, holes too. */
static gboolean raw_map(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));

    if (!bytes_extents(raw_bytes(disk), offset, length, extents, error))
        return FALSE;
    for (guint i = 0; i < extents->len; i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        disk_mapping_append(mappings, &(DiskMapping){.offset = extent->offset,
                                                     .length = extent->length,
                                                     .kind = extent->kind,
                                                     .present = TRUE,
                                                     .is_placed = TRUE,
                                                     .place = extent->offset,
                                                     .name = disk->name});
    }
    return TRUE;
}

static gboolean raw_flush(Disk *disk, GError **error)
{
    return bytes_flush(raw_bytes(disk), error);
}

static gboolean raw_resize(Disk *disk, guint64 size, GError **error)
{
    return bytes_truncate(raw_bytes(disk), size, error);
}

static void raw_free(Disk *disk)
{
    RawDisk *raw = (RawDisk *)disk;

    bytes_free(raw->bytes);
    disk_fini(disk);
    g_free(raw);
}

static const DiskOps raw_ops = {
    .format = "raw",
    .pread = raw_pread,
    .pwrite = raw_pwrite,
    .zero = raw_zero,
    .extents = raw_extents,
    .map = raw_map,
    .flush = raw_flush,
    .resize = raw_resize,
    .free = raw_free,
};

static Disk *raw_new(Bytes *bytes, gboolean starts_zero)
{
    RawDisk *raw = g_new0(RawDisk, 1);

    raw->bytes = bytes;
    disk_init(&raw->disk, &raw_ops, bytes_name(bytes), bytes_size(bytes), 0, bytes->writable, starts_zero);
    return &raw->disk;
}

Disk *raw_open(Bytes *bytes, GError **error)
{
    return raw_new(bytes, FALSE);
}

Disk *raw_create(Bytes *bytes, guint64 size, GError **error)
{
    if (!bytes_truncate(bytes, size, error)) {
        bytes_free(bytes);
        return NULL;
    }
    return raw_new(bytes, TRUE);
}
