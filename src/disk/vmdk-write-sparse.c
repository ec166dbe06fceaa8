/* The file, in this order:
 *
 *   header, descriptor
 *   redundant directory, redundant tables     the same as the next two, for repair tools
 *   directory, tables                         an entry for each grain: its first sector in the file, 0: none
 *   grains                                    from a multiple of 64 KiB on, in the order of their first write
 *
 * The tables follow each other, so the entry of grain n lies n entries behind the first one, and the
 * directory is only for others to read.
 *
 * A grain is allocated under the lock: the file is made longer, where it reads as zero, and the entries are
 * written.  Data are written without it.  So two writers of parts of one new grain find the same grain, and
 * whoever reads between the two steps reads the zeros that were there before.
 */
#include "disk/vmdk-write-sparse.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/driver.h"
#include "disk/vmdk-layout.h"

/* Entries that are looked at in one go. */
#define BATCH 512u

typedef struct {
    Disk disk;
    Bytes *bytes;

    /* Constant: where in the file the first entry lies, and its copy. */
    guint64 tables, redundant_tables;
    VmdkLayout layout;

    GMutex lock;  /* guards the entries in the file, and: */
    guint64 tail; /* where the next new grain goes */
} Sparse;

/* Part of a request: grains first..first + n, and their entries. */
typedef struct {
    guint64 first;
    guint n;
    guint32 entries[BATCH]; /* as in the file */
} Batch;

static gboolean load(Sparse *s, guint64 offset, guint64 length, Batch *batch, GError **error)
{
    guint64 end = div_round_up(offset + length, VMDK_GRAIN_SIZE);

    batch->first = offset / VMDK_GRAIN_SIZE;
    batch->n = (guint)MIN(BATCH, end - batch->first);
    return bytes_pread(s->bytes, batch->entries, batch->n * sizeof(guint32),
                       s->tables + batch->first * sizeof(guint32), error);
}

/* --- runs: neighbours on the disk that are neighbours in the file, or all not there --- */

typedef struct {
    guint64 length; /* bytes of disk */
    guint64 host;   /* in the file; 0: not there */
} Run;

static guint64 host_of(const Batch *batch, guint index)
{
    return (guint64)GUINT32_FROM_LE(batch->entries[index]) * SECTOR_SIZE;
}

/* The run at `offset`, which lies in the batch; at most `length`. */
static Run find_run(const Batch *batch, guint64 offset, guint64 length)
{
    guint index = (guint)(offset / VMDK_GRAIN_SIZE - batch->first);
    guint64 within = offset % VMDK_GRAIN_SIZE;
    guint64 host = host_of(batch, index);
    guint n = 1;

    while (index + n < batch->n &&
           host_of(batch, index + n) == (host == 0 ? 0 : host + (guint64)n * VMDK_GRAIN_SIZE))
        n++;
    return (Run){.length = MIN(length, (guint64)n * VMDK_GRAIN_SIZE - within),
                 .host = host == 0 ? 0 : host + within};
}

typedef gboolean (*RunFunc)(Sparse *s, const Run *run, guint64 offset, gpointer data, GError **error);

/* Calls `func` for each run of [offset, offset + length). */
static gboolean for_each_run(Sparse *s, guint64 offset, guint64 length, RunFunc func, gpointer data,
                             GError **error)
{
    Batch batch;

    while (length > 0) {
        guint64 end;

        if (!load(s, offset, length, &batch, error))
            return FALSE;
        end = MIN(offset + length, (batch.first + batch.n) * VMDK_GRAIN_SIZE);
        length -= end - offset;
        while (offset < end) {
            Run run = find_run(&batch, offset, end - offset);

            if (!func(s, &run, offset, data, error))
                return FALSE;
            offset += run.length;
        }
    }
    return TRUE;
}

/* --- allocation, under the lock --- */

/* Gives a grain to each that has none, from the tail on. */
static gboolean fill_entries(Sparse *s, Batch *batch, guint64 *ret_tail, GError **error)
{
    guint64 tail = s->tail;

    for (guint i = 0; i < batch->n; i++) {
        if (batch->entries[i] != 0)
            continue;
        if (tail / SECTOR_SIZE + VMDK_GRAIN_SECTORS > VMDK_SECTORS_MAX)
            return vf_fail(error, VF_ERROR_UNSUPPORTED,
                           "%s: its data do not fit in the 2 TiB that a monolithicSparse VMDK can hold",
                           s->disk.name);
        batch->entries[i] = GUINT32_TO_LE((guint32)(tail / SECTOR_SIZE));
        tail += VMDK_GRAIN_SIZE;
    }
    *ret_tail = tail;
    return TRUE;
}

static gboolean write_entries(Sparse *s, const Batch *batch, GError **error)
{
    gsize length = batch->n * sizeof(guint32);
    guint64 at = batch->first * sizeof(guint32);

    return bytes_pwrite(s->bytes, batch->entries, length, s->redundant_tables + at, error) &&
           bytes_pwrite(s->bytes, batch->entries, length, s->tables + at, error);
}

/* Makes sure that there is storage for the next part of a request; returns its length. */
static gboolean allocate(Sparse *s, guint64 offset, guint64 length, guint64 *ret_length, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&s->lock);
    guint64 tail = s->tail;
    Batch batch;

    if (!load(s, offset, length, &batch, error) || !fill_entries(s, &batch, &tail, error))
        return FALSE;
    if (tail != s->tail) {
        /* A try that fails half way costs the grains, which nothing then points to. */
        s->tail = tail;
        if (!bytes_truncate(s->bytes, tail, error) || !write_entries(s, &batch, error))
            return FALSE;
    }
    *ret_length = MIN(length, (batch.first + batch.n) * VMDK_GRAIN_SIZE - offset);
    return TRUE;
}

/* --- slots --- */

static gboolean read_run(Sparse *s, const Run *run, guint64 offset, gpointer data, GError **error)
{
    guint8 **to = data;

    if (run->host == 0)
        memset(*to, 0, run->length);
    else if (!bytes_pread(s->bytes, *to, run->length, run->host, error))
        return FALSE;
    *to += run->length;
    return TRUE;
}

static gboolean sparse_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    guint8 *to = buffer;

    return for_each_run((Sparse *)disk, offset, length, read_run, &to, error);
}

static gboolean write_run(Sparse *s, const Run *run, guint64 offset, gpointer data, GError **error)
{
    const guint8 **from = data;

    if (!bytes_pwrite(s->bytes, *from, run->length, run->host, error))
        return FALSE;
    *from += run->length;
    return TRUE;
}

static gboolean sparse_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    Sparse *s = (Sparse *)disk;
    const guint8 *from = buffer;

    while (length > 0) {
        guint64 n = 0;

        if (!allocate(s, offset, length, &n, error) || !for_each_run(s, offset, n, write_run, &from, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

static gboolean zero_run(Sparse *s, const Run *run, guint64 offset, gpointer data, GError **error)
{
    return run->host == 0 || bytes_zero(s->bytes, run->host, run->length, error);
}

static gboolean sparse_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    return for_each_run((Sparse *)disk, offset, length, zero_run, NULL, error);
}

static gboolean add_extent(Sparse *s, const Run *run, guint64 offset, gpointer data, GError **error)
{
    disk_extent_append(data, offset, run->length, run->host == 0 ? DISK_EXTENT_HOLE : DISK_EXTENT_DATA);
    return TRUE;
}

static gboolean sparse_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    return for_each_run((Sparse *)disk, offset, length, add_extent, extents, error);
}

static gboolean sparse_flush(Disk *disk, GError **error)
{
    return bytes_flush(((Sparse *)disk)->bytes, error);
}

static gboolean write_header(Sparse *s, gboolean is_unclean, GError **error)
{
    guint8 header[SECTOR_SIZE];

    s->layout.is_unclean = is_unclean;
    vmdk_layout_header(&s->layout, header);
    return bytes_pwrite(s->bytes, header, sizeof header, 0, error);
}

static gboolean sparse_finish(Disk *disk, GError **error)
{
    Sparse *s = (Sparse *)disk;

    return bytes_flush(s->bytes, error) && write_header(s, FALSE, error) && bytes_flush(s->bytes, error);
}

static void sparse_free(Disk *disk)
{
    Sparse *s = (Sparse *)disk;

    g_mutex_clear(&s->lock);
    bytes_free(s->bytes);
    disk_fini(disk);
    g_free(s);
}

static const DiskOps sparse_ops = {
    .format = "vmdk",
    .pread = sparse_pread,
    .pwrite = sparse_pwrite,
    .zero = sparse_zero,
    .extents = sparse_extents,
    .flush = sparse_flush,
    .free = sparse_free,
    .finish = sparse_finish,
};

/* --- creating --- */

static guint64 count_tables(const Sparse *s)
{
    return div_round_up(s->disk.size, (guint64)VMDK_GRAIN_SIZE * VMDK_TABLE_ENTRIES);
}

static guint64 directory_sectors(const Sparse *s)
{
    return div_round_up(count_tables(s) * sizeof(guint32), SECTOR_SIZE);
}

static void lay_out(Sparse *s)
{
    guint64 table_sectors = count_tables(s) * VMDK_TABLE_SECTORS;
    guint64 redundant = VMDK_DESCRIPTOR_SECTOR + VMDK_DESCRIPTOR_SECTORS;
    guint64 directory = redundant + directory_sectors(s) + table_sectors;
    guint64 end = directory + directory_sectors(s) + table_sectors;

    s->redundant_tables = (redundant + directory_sectors(s)) * SECTOR_SIZE;
    s->tables = (directory + directory_sectors(s)) * SECTOR_SIZE;
    s->layout = (VmdkLayout){.capacity = s->disk.size / SECTOR_SIZE,
                             .redundant_offset = redundant,
                             .directory_offset = directory,
                             .overhead = round_up(end, VMDK_GRAIN_SECTORS)};
    s->tail = s->layout.overhead * SECTOR_SIZE;
}

/* A directory of tables that follow each other from `tables` on. */
static gboolean write_directory(Sparse *s, guint64 sector, guint64 tables, GError **error)
{
    gsize size = (gsize)directory_sectors(s) * SECTOR_SIZE;
    g_autofree guint8 *directory = g_malloc0(size);

    for (guint64 i = 0; i < count_tables(s); i++)
        vmdk_put32(directory + i * sizeof(guint32), (guint32)(tables / SECTOR_SIZE + i * VMDK_TABLE_SECTORS));
    return bytes_pwrite(s->bytes, directory, size, sector * SECTOR_SIZE, error);
}

static gboolean write_front(Sparse *s, const char *text, GError **error)
{
    guint8 sectors[VMDK_DESCRIPTOR_SECTORS * SECTOR_SIZE];

    if (!vmdk_layout_descriptor(text, sectors))
        return vf_fail(error, VF_ERROR_INVALID, "%s: its name is too long", s->disk.name);
    return bytes_truncate(s->bytes, s->tail, error) && write_header(s, TRUE, error) &&
           bytes_pwrite(s->bytes, sectors, sizeof sectors, VMDK_DESCRIPTOR_SECTOR * SECTOR_SIZE, error) &&
           write_directory(s, s->layout.redundant_offset, s->redundant_tables, error) &&
           write_directory(s, s->layout.directory_offset, s->tables, error) && bytes_flush(s->bytes, error);
}

Disk *vmdk_sparse_create(Bytes *bytes, guint64 size, const char *text, GError **error)
{
    Sparse *s = g_new0(Sparse, 1);

    disk_init(&s->disk, &sparse_ops, bytes_name(bytes), size, VMDK_GRAIN_SIZE, TRUE, TRUE);
    s->bytes = bytes;
    g_mutex_init(&s->lock);
    lay_out(s);
    if (write_front(s, text, error))
        return &s->disk;
    disk_free(&s->disk);
    return NULL;
}
