/* Reading: a run is looked up under the lock, and its data are fetched without it: from the file, out of a
 * compressed cluster, or, where nothing is stored, from the backing file.
 */
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/qcow2-internal.h"

gboolean qcow2_lookup_now(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    return qcow2_check_usable(q, error) && qcow2_lookup(q, offset, length, ret, error);
}

/* The last cluster of a file need not be there to its end. */
static gboolean read_host(Qcow2 *q, guint8 *buffer, gsize length, guint64 host, GError **error)
{
    guint64 size = bytes_size(q->data);
    gsize there;

    if (round_down(host, q->cluster_size) >= size)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: a data cluster at %" G_GUINT64_FORMAT " lies behind its end", bytes_name(q->data),
                       host);
    there = host < size ? (gsize)MIN(length, size - host) : 0;
    memset(buffer + there, 0, length - there);
    return bytes_pread(q->data, buffer, there, MIN(host, size), error);
}

/* How much of a range the backing file has. */
static guint64 backed_length(const Qcow2 *q, guint64 offset, guint64 length)
{
    guint64 size = q->backing == NULL ? 0 : disk_size(q->backing);

    return offset < size ? MIN(length, size - offset) : 0;
}

static gboolean read_hole(Qcow2 *q, guint8 *buffer, gsize length, guint64 offset, GError **error)
{
    gsize there = (gsize)backed_length(q, offset, length);

    memset(buffer + there, 0, length - there);
    return there == 0 || disk_pread(q->backing, buffer, there, offset, error);
}

static gboolean read_run(Qcow2 *q, const Qcow2Run *run, guint8 *buffer, guint64 offset, GError **error)
{
    gsize length = (gsize)run->length;

    switch (run->kind) {
    case QCOW2_RUN_HOLE:
        return read_hole(q, buffer, length, offset, error);
    case QCOW2_RUN_DATA:
        return read_host(q, buffer, length, run->host, error);
    case QCOW2_RUN_COMPRESSED:
        return qcow2_read_stream(q, &run->stream, buffer, length, (gsize)(offset % q->cluster_size), error);
    case QCOW2_RUN_ZERO:
    case QCOW2_RUN_ZERO_ALLOCATED:
        break;
    }
    memset(buffer, 0, length);
    return TRUE;
}

gboolean qcow2_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;
    guint8 *target = buffer;

    while (length > 0) {
        Qcow2Run run = {0};

        if (!qcow2_lookup_now(q, offset, length, &run, error) || !read_run(q, &run, target, offset, error))
            return FALSE;
        target += run.length;
        offset += run.length;
        length -= (gsize)run.length;
    }
    return TRUE;
}

/* What is stored nowhere here is what the backing file says. */
static gboolean add_hole(Qcow2 *q, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    guint64 there = backed_length(q, offset, length);

    if (there > 0 && !disk_extents(q->backing, offset, there, extents, error))
        return FALSE;
    disk_extent_append(extents, offset + there, length - there, DISK_EXTENT_HOLE);
    return TRUE;
}

gboolean qcow2_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    static const DiskExtentKind kinds[] = {
        [QCOW2_RUN_ZERO] = DISK_EXTENT_ZERO,
        [QCOW2_RUN_ZERO_ALLOCATED] = DISK_EXTENT_ZERO,
        [QCOW2_RUN_DATA] = DISK_EXTENT_DATA,
        [QCOW2_RUN_COMPRESSED] = DISK_EXTENT_DATA,
    };
    Qcow2 *q = (Qcow2 *)disk;

    while (length > 0) {
        Qcow2Run run = {0};

        if (!qcow2_lookup_now(q, offset, length, &run, error))
            return FALSE;
        if (run.kind == QCOW2_RUN_HOLE && !add_hole(q, offset, run.length, extents, error))
            return FALSE;
        if (run.kind != QCOW2_RUN_HOLE)
            disk_extent_append(extents, offset, run.length, kinds[run.kind]);
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}

static gboolean map_hole(Qcow2 *q, guint64 offset, guint64 length, GArray *mappings, GError **error)
{
    guint64 there = backed_length(q, offset, length);
    g_autoptr(GArray) below = g_array_new(FALSE, FALSE, sizeof(DiskMapping));

    if (there > 0 && !disk_map(q->backing, offset, there, below, error))
        return FALSE;
    for (guint i = 0; i < below->len; i++) {
        DiskMapping *mapping = &g_array_index(below, DiskMapping, i);

        mapping->depth++;
        disk_mapping_append(mappings, mapping);
    }
    disk_mapping_append(mappings, &(DiskMapping){.offset = offset + there,
                                                 .length = length - there,
                                                 .kind = DISK_EXTENT_HOLE,
                                                 .name = q->disk.name});
    return TRUE;
}

static DiskMapping mapping_of(const Qcow2 *q, guint64 offset, const Qcow2Run *run)
{
    gboolean is_data = run->kind == QCOW2_RUN_DATA || run->kind == QCOW2_RUN_COMPRESSED;

    return (DiskMapping){
        .offset = offset,
        .length = run->length,
        .kind = is_data ? DISK_EXTENT_DATA : DISK_EXTENT_ZERO,
        .present = TRUE,
        .is_placed = run->kind == QCOW2_RUN_DATA || run->kind == QCOW2_RUN_ZERO_ALLOCATED,
        .place = run->host,
        .compressed = run->kind == QCOW2_RUN_COMPRESSED,
        .name = run->kind == QCOW2_RUN_DATA ? bytes_name(q->data) : q->disk.name,
    };
}

gboolean qcow2_map_places(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;

    while (length > 0) {
        Qcow2Run run = {0};
        DiskMapping mapping;

        if (!qcow2_lookup_now(q, offset, length, &run, error))
            return FALSE;
        if (run.kind == QCOW2_RUN_HOLE && !map_hole(q, offset, run.length, mappings, error))
            return FALSE;
        mapping = mapping_of(q, offset, &run);
        if (run.kind != QCOW2_RUN_HOLE)
            disk_mapping_append(mappings, &mapping);
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}
