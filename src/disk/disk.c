#include "disk/disk.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/driver.h"

#define ZEROES_MAX (1u << 20)

static void count(guint64 *counter, guint64 amount)
{
    __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

static guint64 counted(const guint64 *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

DiskBuffer *disk_buffer_new(gsize length)
{
    return g_aligned_alloc(1, MAX(length, 1), DISK_BUFFER_ALIGN);
}

void disk_buffer_free(DiskBuffer *buffer)
{
    g_aligned_free(buffer);
}

void disk_init(Disk *disk, const DiskOps *ops, const char *name, guint64 size, guint32 granularity,
               gboolean writable, gboolean starts_zero)
{
    disk->ops = ops;
    disk->name = g_strdup(name);
    disk->size = size;
    disk->granularity = granularity == 0 ? SECTOR_SIZE : granularity;
    disk->writable = writable;
    disk->starts_zero = starts_zero;
    disk->compresses = FALSE;
    disk->counters = (DiskCounters){0};
}

void disk_fini(Disk *disk)
{
    g_clear_pointer(&disk->name, g_free);
}

guint64 disk_size(const Disk *disk)
{
    return disk->size;
}

const char *disk_name(const Disk *disk)
{
    return disk->name;
}

const char *disk_format(const Disk *disk)
{
    return disk->ops->format;
}

gboolean disk_is_writable(const Disk *disk)
{
    return disk->writable;
}

guint32 disk_granularity(const Disk *disk)
{
    return disk->granularity;
}

gboolean disk_compresses(const Disk *disk)
{
    return disk->compresses;
}

gboolean disk_starts_zero(const Disk *disk)
{
    return disk->starts_zero;
}

DiskCounters disk_counters(const Disk *disk)
{
    const DiskCounters *counters = &disk->counters;

    return (DiskCounters){
        .reads = counted(&counters->reads),
        .bytes_read = counted(&counters->bytes_read),
        .writes = counted(&counters->writes),
        .bytes_written = counted(&counters->bytes_written),
        .zeroes = counted(&counters->zeroes),
        .bytes_zeroed = counted(&counters->bytes_zeroed),
        .flushes = counted(&counters->flushes),
    };
}

static gboolean check_range(const Disk *disk, guint64 offset, guint64 length, GError **error)
{
    if (!range_within(offset, length, disk->size))
        return vf_fail(error, VF_ERROR_INTERNAL,
                       "%s: request for %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                       " does not lie within its %" G_GUINT64_FORMAT " bytes",
                       disk->name, length, offset, disk->size);
    if (offset % SECTOR_SIZE != 0 || (length % SECTOR_SIZE != 0 && offset + length != disk->size))
        return vf_fail(error, VF_ERROR_INTERNAL,
                       "%s: request for %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                       " is not made of whole sectors",
                       disk->name, length, offset);
    return TRUE;
}

static gboolean check_writable(const Disk *disk, GError **error)
{
    if (!disk->writable || disk->ops->pwrite == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s is open for reading only", disk->name);
    return TRUE;
}

gboolean disk_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    if (!check_range(disk, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    count(&disk->counters.reads, 1);
    count(&disk->counters.bytes_read, length);
    return disk->ops->pread(disk, buffer, length, offset, error);
}

gboolean disk_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    if (!check_writable(disk, error) || !check_range(disk, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    count(&disk->counters.writes, 1);
    count(&disk->counters.bytes_written, length);
    return disk->ops->pwrite(disk, buffer, length, offset, error);
}

static gboolean write_zeros(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    gsize piece = (gsize)MIN(length, ZEROES_MAX);
    g_autoptr(DiskBuffer) zeros = disk_buffer_new(piece);

    memset(zeros, 0, piece);
    for (guint64 done = 0; done < length; done += piece) {
        piece = (gsize)MIN(length - done, ZEROES_MAX);
        if (!disk->ops->pwrite(disk, zeros, piece, offset + done, error))
            return FALSE;
    }
    return TRUE;
}

gboolean disk_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    if (!check_writable(disk, error) || !check_range(disk, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    count(&disk->counters.zeroes, 1);
    count(&disk->counters.bytes_zeroed, length);
    if (disk->ops->zero == NULL)
        return write_zeros(disk, offset, length, error);
    return disk->ops->zero(disk, offset, length, error);
}

gboolean disk_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    if (!check_range(disk, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (disk->ops->extents == NULL) {
        disk_extent_append(extents, offset, length, DISK_EXTENT_DATA);
        return TRUE;
    }
    return disk->ops->extents(disk, offset, length, extents, error);
}

static gboolean map_by_extents(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));

    if (!disk_extents(disk, offset, length, extents, error))
        return FALSE;
    for (guint i = 0; i < extents->len; i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        disk_mapping_append(mappings, &(DiskMapping){.offset = extent->offset,
                                                     .length = extent->length,
                                                     .kind = extent->kind,
                                                     .present = extent->kind != DISK_EXTENT_HOLE,
                                                     .name = disk->name});
    }
    return TRUE;
}

gboolean disk_map(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error)
{
    if (!check_range(disk, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    return (disk->ops->map != NULL ? disk->ops->map : map_by_extents)(disk, offset, length, mappings, error);
}

gboolean disk_flush(Disk *disk, GError **error)
{
    if (!check_writable(disk, error))
        return FALSE;
    count(&disk->counters.flushes, 1);
    return disk->ops->flush(disk, error);
}

gboolean disk_resize(Disk *disk, guint64 size, GError **error)
{
    if (!check_writable(disk, error))
        return FALSE;
    if (size < disk->size)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s cannot shrink from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " bytes",
                       disk->name, disk->size, size);
    if (size == disk->size)
        return TRUE;
    if (disk->ops->resize == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: a disk of format %s cannot be resized", disk->name,
                       disk->ops->format);
    if (!disk->ops->resize(disk, size, error))
        return FALSE;
    disk->size = size;
    return TRUE;
}

gboolean disk_close(Disk *disk, GError **error)
{
    gboolean ok = TRUE;

    if (disk->writable && disk->ops->finish != NULL)
        ok = disk->ops->finish(disk, error);
    else if (disk->writable)
        ok = disk_flush(disk, error);
    disk_free(disk);
    return ok;
}

void disk_free(Disk *disk)
{
    if (disk != NULL)
        disk->ops->free(disk);
}

void disk_extent_append(GArray *extents, guint64 offset, guint64 length, DiskExtentKind kind)
{
    DiskExtent extent = {.offset = offset, .length = length, .kind = kind};
    DiskExtent *last = NULL;

    if (length == 0)
        return;
    if (extents->len > 0)
        last = &g_array_index(extents, DiskExtent, extents->len - 1);
    if (last != NULL && last->kind == kind && last->offset + last->length == offset)
        last->length += length;
    else
        g_array_append_val(extents, extent);
}

static gboolean continues(const DiskMapping *last, const DiskMapping *next)
{
    return last->offset + last->length == next->offset && last->kind == next->kind &&
           last->present == next->present && last->is_placed == next->is_placed &&
           last->compressed == next->compressed && last->depth == next->depth && last->name == next->name &&
           (!last->is_placed || last->place + last->length == next->place);
}

void disk_mapping_append(GArray *mappings, const DiskMapping *mapping)
{
    DiskMapping *last = mappings->len > 0 ? &g_array_index(mappings, DiskMapping, mappings->len - 1) : NULL;

    if (mapping->length == 0)
        return;
    if (last != NULL && continues(last, mapping))
        last->length += mapping->length;
    else
        g_array_append_val(mappings, *mapping);
}
