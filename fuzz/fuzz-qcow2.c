/* A qcow2 image, whatever other files it names: opened to be read, and, on a copy, to be written, plainly and
 * compressed. */
#include "fuzz.h"

#include <string.h>

#include "base/size.h"
#include "disk/memory.h"
#include "disk/qcow2-audit.h"
#include "disk/qcow2.h"
#include "disk/test-trace.h"

/* A table may map the same cluster to terabytes; looking at some of it shows as much. */
#define LOOK_MAX  (8 * MIB)
#define READS_MAX 16u

typedef struct {
    const uint8_t *data;
    size_t size;
} Input;

static Disk *open_backing(const char *name, const char *format, gpointer data, GError **error)
{
    return pattern_disk_new(name, MIB + 512, 1, 50);
}

/* The same bytes will do. */
static Bytes *open_data_file(const char *name, gpointer data, GError **error)
{
    const Input *input = data;

    return bytes_open_memory(input->data, input->size, name);
}

static Disk *open_image(Bytes *bytes, Input *input, GError **error)
{
    Qcow2Opener opener = {.open_backing = open_backing, .open_data_file = open_data_file, .data = input};

    return qcow2_open_with(bytes, &opener, error);
}

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

static void try_reading(Input *input)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = open_image(bytes_open_memory(input->data, input->size, "fuzz"), input, &error);

    if (disk != NULL)
        read_some(disk);
}

static void try_auditing(const Input *input)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Bytes) bytes = bytes_open_memory(input->data, input->size, "fuzz");
    g_auto(Qcow2Audit) found = {0};

    qcow2_audit(bytes, QCOW2_REPAIR_NOTHING, &found, &error);
}

/* A whole cluster and its neighbourhood, so that something is compressed. */
static void write_clusters(Disk *disk)
{
    gsize length = (gsize)MIN(disk_granularity(disk) * 2, disk_size(disk)) & ~(gsize)511;
    g_autofree guint8 *buffer = g_malloc0(length);
    g_autoptr(GError) error = NULL;

    disk_pwrite(disk, buffer, length, 0, &error);
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
static void try_writing(Input *input, gboolean compress)
{
    g_autoptr(Trace) trace = trace_new(input->data, input->size);
    g_autoptr(GError) error = NULL;
    Disk *disk = open_image(trace_bytes(trace), input, &error);

    if (disk == NULL)
        return;
    if (compress)
        qcow2_compress(disk, 1);
    write_clusters(disk);
    change(disk);
    write_clusters(disk);
    read_some(disk);
    disk_close(disk, &error);
    g_assert_no_error(error);
    disk = open_image(trace_bytes(trace), input, &error);
    g_assert_no_error(error);
    disk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {.data = data, .size = size};

    try_reading(&input);
    try_auditing(&input);
    try_writing(&input, FALSE);
    try_writing(&input, TRUE);
    return 0;
}
