/* A qcow2 image: opened to be read, and, on a copy, to be written. */
#include "fuzz.h"

#include <string.h>

#include "base/size.h"
#include "disk/qcow2.h"
#include "disk/test-trace.h"

/* A table may map the same cluster to terabytes; looking at some of it shows as much. */
#define LOOK_MAX  (8 * MIB)
#define READS_MAX 16u

static void read_some(Disk *disk)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(64 * KIB);
    g_autoptr(GError) error = NULL;

    if (!disk_extents(disk, 0, MIN(disk_size(disk), LOOK_MAX) & ~(guint64)511, extents, &error))
        return;
    for (guint i = 0; i < MIN(extents->len, READS_MAX); i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        g_clear_error(&error);
        disk_pread(disk, buffer, (gsize)MIN(extent->length, 64 * KIB), extent->offset, &error);
    }
}

static void try_reading(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = qcow2_open(bytes_open_memory(data, size, "fuzz"), &error);

    if (disk != NULL)
        read_some(disk);
}

static void change(Disk *disk)
{
    guint64 half = disk_size(disk) / 2 & ~(guint64)511;
    guint8 sector[512] = {1};
    GError *error = NULL;

    if (disk_size(disk) < 4 * sizeof sector)
        return;
    disk_pwrite(disk, sector, sizeof sector, 0, &error);
    g_clear_error(&error);
    disk_pwrite(disk, sector, sizeof sector, half, &error);
    g_clear_error(&error);
    disk_zero(disk, 0, MIN(half, LOOK_MAX), &error);
    g_clear_error(&error);
    if (disk_size(disk) < GIB)
        disk_resize(disk, disk_size(disk) + MIB, &error);
    g_clear_error(&error);
}

/* What can be opened for writing can be written to, and then be opened again. */
static void try_writing(const uint8_t *data, size_t size)
{
    g_autoptr(Trace) trace = trace_new(data, size);
    g_autoptr(GError) error = NULL;
    Disk *disk = qcow2_open(trace_bytes(trace), &error);

    if (disk == NULL)
        return;
    change(disk);
    read_some(disk);
    disk_close(disk, &error);
    g_assert_no_error(error);
    disk = qcow2_open(trace_bytes(trace), &error);
    g_assert_no_error(error);
    disk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_reading(data, size);
    try_writing(data, size);
    return 0;
}
