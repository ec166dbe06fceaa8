/* The file, all of it in sectors:
 *
 *   header                    directory "at the end"
 *   descriptor, padding       up to sector 128
 *   grain records             {u64 sector of the disk, u32 size, zlib stream}, ascending
 *     after the last one of each 32 MiB that has any: marker "table", table of 512 sectors of records
 *   marker "directory", directory   the sector of each table, 0: none
 *   marker "footer", footer   the header, with the place of the directory
 *   marker "end of stream"
 *
 * A grain of zeros has no record.  The output is a cursor that only moves forward, under the lock; deflating,
 * which is nearly all of the work, is done before the lock is taken.
 */
#include "disk/vmdk-write-stream.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/codec.h"
#include "disk/driver.h"
#include "disk/vmdk-layout.h"
#include "disk/vmdk-record.h"
#include "disk/vmdk-reorder.h"

/* What does not compress grows by some bytes for each block that is stored. */
#define RECORD_MAX  (VMDK_GRAIN_SIZE + 2 * SECTOR_SIZE)
#define OUTPUT_SIZE (1u << 20)
#define WAITING_MAX (32u << 20)
/* Files some 2 % larger than zlib's level 6 makes them, for a quarter of its work. */
#define LEVEL 2u

typedef struct {
    Disk disk;

    /* Constant. */
    Bytes *bytes;
    guint level;
    guint64 n_grains;

    GMutex lock;     /* guards all that follows */
    guint8 *settled; /* a bit for each grain that was written or zeroed */
    guint64 next;    /* the first grain that has not been put out */
    VmdkReorder *waiting;
    GByteArray *taken; /* the record that was taken out last */
    DiskBuffer *output;
    gsize filled;        /* of the output */
    guint64 position;    /* in the file, of the output's first byte */
    guint8 *table;       /* of the grains around `next` */
    gboolean table_used; /* it has an entry */
    guint8 *directory;
    gboolean failed;
} Stream;

static gsize directory_size(const Stream *s)
{
    guint64 tables = div_round_up(s->n_grains, VMDK_TABLE_ENTRIES);

    return (gsize)round_up(tables * sizeof(guint32), SECTOR_SIZE);
}

/* --- output, under the lock --- */

static gboolean write_output(Stream *s, GError **error)
{
    if (!bytes_pwrite(s->bytes, s->output, s->filled, s->position, error))
        return FALSE;
    s->position += s->filled;
    s->filled = 0;
    return TRUE;
}

static gboolean put(Stream *s, const void *data, gsize length, GError **error)
{
    const guint8 *from = data;

    while (length > 0) {
        gsize n = MIN(length, OUTPUT_SIZE - s->filled);

        memcpy(s->output + s->filled, from, n);
        s->filled += n;
        from += n;
        length -= n;
        if (s->filled == OUTPUT_SIZE && !write_output(s, error))
            return FALSE;
    }
    return TRUE;
}

static guint64 current_sector(const Stream *s)
{
    return (s->position + s->filled) / SECTOR_SIZE;
}

static gboolean put_marker(Stream *s, guint64 sectors, VmdkMarker type, GError **error)
{
    guint8 marker[SECTOR_SIZE] = {0};

    vmdk_put64(marker, sectors);
    vmdk_put32(marker + 12, type);
    return put(s, marker, sizeof marker, error);
}

static gboolean put_table(Stream *s, guint64 index, GError **error)
{
    if (!s->table_used)
        return TRUE;
    if (!put_marker(s, VMDK_TABLE_SECTORS, VMDK_MARKER_TABLE, error))
        return FALSE;
    vmdk_put32(s->directory + index * sizeof(guint32), (guint32)current_sector(s));
    if (!put(s, s->table, VMDK_TABLE_SIZE, error))
        return FALSE;
    memset(s->table, 0, VMDK_TABLE_SIZE);
    s->table_used = FALSE;
    return TRUE;
}

/* The sector of every record and table must fit in an entry. */
static gboolean check_room(const Stream *s, GError **error)
{
    guint64 tail = directory_size(s) / SECTOR_SIZE + RECORD_MAX / SECTOR_SIZE + 16;

    if (current_sector(s) + tail < VMDK_SECTORS_MAX)
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s: its data do not fit in the 2 TiB that a streamOptimized VMDK can hold", s->disk.name);
}

/* `length` 0: zeros. */
static gboolean put_grain(Stream *s, const void *record, gsize length, GError **error)
{
    guint64 entry = s->next % VMDK_TABLE_ENTRIES;

    if (length > 0) {
        if (!check_room(s, error))
            return FALSE;
        vmdk_put32(s->table + entry * sizeof(guint32), (guint32)current_sector(s));
        s->table_used = TRUE;
        if (!put(s, record, length, error))
            return FALSE;
    }
    s->next++;
    if (s->next % VMDK_TABLE_ENTRIES == 0 || s->next == s->n_grains)
        return put_table(s, (s->next - 1) / VMDK_TABLE_ENTRIES, error);
    return TRUE;
}

/* --- order, under the lock --- */

static gboolean is_settled(const Stream *s, guint64 grain)
{
    return (s->settled[grain / 8] >> grain % 8 & 1) != 0;
}

static gboolean settle(Stream *s, guint64 grain, GError **error)
{
    if (is_settled(s, grain))
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: what lies at %" G_GUINT64_FORMAT
                       " was written already, and a stream is written once; choose another subformat",
                       s->disk.name, grain * VMDK_GRAIN_SIZE);
    s->settled[grain / 8] |= (guint8)(1u << grain % 8);
    return TRUE;
}

/* Puts out all that no unsettled grain lies before; at the end, all. */
static gboolean put_ready(Stream *s, gboolean is_end, GError **error)
{
    while (s->next < s->n_grains && (is_end || is_settled(s, s->next)))
        if (!vmdk_reorder_take(s->waiting, s->next, s->taken, error) ||
            !put_grain(s, s->taken->data, s->taken->len, error))
            return FALSE;
    return TRUE;
}

static gboolean check_usable(const Stream *s, GError **error)
{
    if (!s->failed)
        return TRUE;
    return vf_fail(error, VF_ERROR_TARGET_IO,
                   "%s: an earlier write failed, and a stream cannot go on after that; start again",
                   s->disk.name);
}

static gboolean submit_locked(Stream *s, guint64 grain, const guint8 *record, gsize length, GError **error)
{
    if (!settle(s, grain, error))
        return FALSE;
    if (grain != s->next)
        return length == 0 || vmdk_reorder_put(s->waiting, grain, record, length, error);
    return put_grain(s, record, length, error) && put_ready(s, FALSE, error);
}

/* `length` 0: zeros. */
static gboolean submit(Stream *s, guint64 grain, const guint8 *record, gsize length, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&s->lock);

    if (!check_usable(s, error))
        return FALSE;
    s->failed = !submit_locked(s, grain, record, length, error);
    return !s->failed;
}

/* --- slots --- */

static gboolean check_whole(const Stream *s, guint64 offset, guint64 length, GError **error)
{
    guint64 end = offset + length;

    if (offset % VMDK_GRAIN_SIZE == 0 && (end % VMDK_GRAIN_SIZE == 0 || end == s->disk.size))
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s: %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                   " are not whole grains of 64 KiB, which are all that a stream takes",
                   s->disk.name, length, offset);
}

/* Noise is not worth the work. */
static gsize deflate(const Stream *s, const void *data, gsize length, guint8 *to, gsize max)
{
    if (codec_looks_random(data, length))
        return codec_store(data, length, to, max);
    return codec_compress(CODEC_ZLIB, s->level, data, length, to, max);
}

/* Makes the record of a grain; FALSE only without memory. */
static gboolean make_record(const Stream *s, guint64 grain, const void *data, gsize length, guint8 *record,
                            gsize *ret_length, GError **error)
{
    gsize size = deflate(s, data, length, record + VMDK_RECORD_HEADER, RECORD_MAX - VMDK_RECORD_HEADER);
    gsize end = VMDK_RECORD_HEADER + size;

    if (size == 0)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: no memory to deflate with", s->disk.name);
    vmdk_put64(record, grain * VMDK_GRAIN_SECTORS);
    vmdk_put32(record + 8, (guint32)size);
    *ret_length = (gsize)round_up(end, SECTOR_SIZE);
    memset(record + end, 0, *ret_length - end);
    return TRUE;
}

static gboolean stream_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    Stream *s = (Stream *)disk;
    g_autofree guint8 *record = g_malloc(RECORD_MAX);

    if (!check_whole(s, offset, length, error))
        return FALSE;
    for (gsize done = 0; done < length; done += VMDK_GRAIN_SIZE) {
        const guint8 *data = (const guint8 *)buffer + done;
        gsize n = MIN(length - done, VMDK_GRAIN_SIZE);
        guint64 grain = (offset + done) / VMDK_GRAIN_SIZE;
        gsize size = 0;

        if (!buffer_is_zero(data, n) && !make_record(s, grain, data, n, record, &size, error))
            return FALSE;
        if (!submit(s, grain, record, size, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean stream_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    Stream *s = (Stream *)disk;
    guint64 end = div_round_up(offset + length, VMDK_GRAIN_SIZE);

    if (!check_whole(s, offset, length, error))
        return FALSE;
    for (guint64 grain = offset / VMDK_GRAIN_SIZE; grain < end; grain++)
        if (!submit(s, grain, NULL, 0, error))
            return FALSE;
    return TRUE;
}

static gboolean stream_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s is being written as a stream: it can be read when it is complete", disk->name);
}

static gboolean stream_flush(Disk *disk, GError **error)
{
    return bytes_flush(((Stream *)disk)->bytes, error);
}

static VmdkLayout layout_of(const Stream *s, guint64 directory_sector)
{
    return (VmdkLayout){
        .is_stream = TRUE,
        .capacity = s->disk.size / SECTOR_SIZE,
        .directory_offset = directory_sector,
        .overhead = VMDK_GRAIN_SECTORS,
    };
}

static gboolean put_tail(Stream *s, GError **error)
{
    gsize size = directory_size(s);
    guint8 footer[SECTOR_SIZE];
    VmdkLayout layout;

    if (!put_marker(s, size / SECTOR_SIZE, VMDK_MARKER_DIRECTORY, error))
        return FALSE;
    layout = layout_of(s, current_sector(s));
    vmdk_layout_header(&layout, footer);
    return put(s, s->directory, size, error) && put_marker(s, 1, VMDK_MARKER_FOOTER, error) &&
           put(s, footer, sizeof footer, error) && put_marker(s, 0, VMDK_MARKER_END, error);
}

static gboolean stream_finish(Disk *disk, GError **error)
{
    Stream *s = (Stream *)disk;
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&s->lock);

    return check_usable(s, error) && put_ready(s, TRUE, error) && put_tail(s, error) &&
           write_output(s, error) && bytes_flush(s->bytes, error);
}

static void stream_free(Disk *disk)
{
    Stream *s = (Stream *)disk;

    vmdk_reorder_free(s->waiting);
    g_byte_array_unref(s->taken);
    disk_buffer_free(s->output);
    g_free(s->settled);
    g_free(s->table);
    g_free(s->directory);
    g_mutex_clear(&s->lock);
    bytes_free(s->bytes);
    disk_fini(disk);
    g_free(s);
}

static const DiskOps stream_ops = {
    .format = "vmdk",
    .pread = stream_pread,
    .pwrite = stream_pwrite,
    .zero = stream_zero,
    .flush = stream_flush,
    .free = stream_free,
    .finish = stream_finish,
};

/* --- creating --- */

static Stream *new_stream(Bytes *bytes, guint64 size, guint level)
{
    g_autofree char *folder = g_path_get_dirname(bytes_name(bytes));
    Stream *s = g_new0(Stream, 1);

    disk_init(&s->disk, &stream_ops, bytes_name(bytes), size, VMDK_GRAIN_SIZE, TRUE, FALSE);
    s->bytes = bytes;
    s->level = level != 0 ? level : LEVEL;
    s->n_grains = div_round_up(size, VMDK_GRAIN_SIZE);
    g_mutex_init(&s->lock);
    s->settled = g_malloc0(s->n_grains / 8 + 1);
    s->waiting = vmdk_reorder_new(folder, WAITING_MAX);
    s->taken = g_byte_array_new();
    s->output = disk_buffer_new(OUTPUT_SIZE);
    s->table = g_malloc0(VMDK_TABLE_SIZE);
    s->directory = g_malloc0(directory_size(s));
    return s;
}

Disk *vmdk_stream_create(Bytes *bytes, guint64 size, const char *text, guint level, GError **error)
{
    Stream *s = new_stream(bytes, size, level);
    VmdkLayout layout = layout_of(s, G_MAXUINT64);

    memset(s->output, 0, VMDK_GRAIN_SIZE);
    s->filled = VMDK_GRAIN_SIZE;
    vmdk_layout_header(&layout, s->output);
    if (vmdk_layout_descriptor(text, s->output + VMDK_DESCRIPTOR_SECTOR * SECTOR_SIZE))
        return &s->disk;
    vf_fail(error, VF_ERROR_INVALID, "%s: its name is too long", s->disk.name);
    disk_free(&s->disk);
    return NULL;
}
