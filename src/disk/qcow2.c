/* Opening, making, resizing and closing qcow2 images.  qcow2-internal.h says which file does what. */
#include "disk/qcow2.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/qcow2-internal.h"

static gboolean qcow2_flush(Disk *disk, GError **error)
{
    return qcow2_commit((Qcow2 *)disk, error);
}

/* Sizes and places as they are now. */
static Qcow2Header current_header(const Qcow2 *q, guint64 size)
{
    return (Qcow2Header){
        .version = 3,
        .cluster_bits = q->cluster_bits,
        .size = size,
        .l1_offset = q->l1.offset,
        .l1_entries = (guint32)q->l1.n,
        .refcount_table_offset = q->refcount_table.offset,
        .refcount_table_clusters = (guint32)(q->refcount_table.n * sizeof(guint64) / q->cluster_size),
        .refcount_order = 4,
    };
}

static guint64 top_clusters(const Qcow2 *q, guint64 n)
{
    return div_round_up(n * sizeof(guint64), q->cluster_size);
}

static gboolean set_refcounts(Qcow2 *q, guint64 first, guint64 n, guint16 refcount, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    return qcow2_set_refcounts(q, first, n, refcount, error);
}

/* Puts a table on top on new clusters, with room for `n` entries; the header does not know yet. */
static gboolean move_top(Qcow2 *q, Qcow2Top *top, guint64 n, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);
    guint64 first;

    /* The larger refcount table must be in place before it can count itself. */
    qcow2_top_move(top, top->offset, n);
    if (!qcow2_allocate_table(q, top_clusters(q, n), &first, error))
        return FALSE;
    top->offset = first << q->cluster_bits;
    return TRUE;
}

/* Moves `top` to a larger place: new copy durable, then the header, then the old place is given up. */
static gboolean enlarge_top(Qcow2 *q, Qcow2Top *top, guint64 n, guint64 size, GError **error)
{
    guint64 old_first = top->offset >> q->cluster_bits;
    guint64 old_clusters = top_clusters(q, top->n);
    Qcow2Header header;

    if (!qcow2_commit(q, error) || !move_top(q, top, n, error) || !qcow2_commit(q, error))
        return FALSE;
    header = current_header(q, size);
    return qcow2_header_write_tables(q->bytes, &header, error) && bytes_flush(q->bytes, error) &&
           set_refcounts(q, old_first, old_clusters, 0, error) && qcow2_commit(q, error);
}

/* While an image is written to its refcount table stays where it is, so it must be large enough beforehand.
 */
static gboolean ensure_refcount_table(Qcow2 *q, guint64 size, GError **error)
{
    guint64 need = qcow2_refcount_table_need(q, q->tail, size);

    return need <= q->refcount_table.n || enlarge_top(q, &q->refcount_table, need, q->disk.size, error);
}

static gboolean check_size(const char *name, guint64 size, guint64 l2_span, GError **error)
{
    if (size <= G_MAXINT64 && div_round_up(size, l2_span) <= QCOW2_L1_MAX / sizeof(guint64))
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s: %" G_GUINT64_FORMAT " bytes are too many for its clusters; choose larger clusters",
                   name, size);
}

/* In the last cluster, which is compressed. */
static gboolean zero_stored(Qcow2 *q, guint64 offset, guint64 length, GError **error)
{
    g_autofree guint8 *zeros = g_malloc0(length);

    return qcow2_pwrite(&q->disk, zeros, (gsize)length, offset, error) && qcow2_commit(q, error);
}

/* What was behind the end of the disk in its last cluster must read as zero once the disk reaches there. */
static gboolean zero_behind_end(Qcow2 *q, guint64 size, GError **error)
{
    guint64 old = q->disk.size;
    guint64 end = MIN(round_up(old, q->cluster_size), size);
    Qcow2Run run = {0};
    gboolean ok;

    if (old == end)
        return TRUE;
    g_mutex_lock(&q->lock);
    ok = qcow2_lookup(q, old, end - old, &run, error);
    g_mutex_unlock(&q->lock);
    if (ok && run.kind == QCOW2_RUN_COMPRESSED)
        return zero_stored(q, old, end - old, error);
    if (!ok || run.kind != QCOW2_RUN_DATA)
        return ok;
    return bytes_zero(q->bytes, run.host, run.length, error) && bytes_flush(q->bytes, error);
}

static gboolean qcow2_resize(Disk *disk, guint64 size, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;
    guint64 l1_need = div_round_up(size, q->l2_span);
    Qcow2Header header;

    if (q->backing != NULL && disk_size(q->backing) > disk->size)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s cannot grow: its backing file %s is longer, and would show behind the end",
                       disk->name, disk_name(q->backing));
    if (!check_size(disk->name, size, q->l2_span, error) || !zero_behind_end(q, size, error) ||
        !ensure_refcount_table(q, size, error))
        return FALSE;
    if (l1_need > q->l1.n)
        return enlarge_top(q, &q->l1, l1_need, size, error);
    header = current_header(q, size);
    return qcow2_header_write_tables(q->bytes, &header, error) && bytes_flush(q->bytes, error);
}

/* Takes back what was reserved ahead.  Should that fail the file is only longer than it need be. */
static void cut_reserve(Qcow2 *q)
{
    g_autoptr(GError) ignored = NULL;

    if (!q->growable || q->tail == 0 || q->failed)
        return;
    if (q->pack_end == q->tail << q->cluster_bits)
        q->tail = div_round_up(q->pack_at, q->cluster_size);
    bytes_truncate(q->bytes, q->tail << q->cluster_bits, &ignored);
}

static void qcow2_free(Disk *disk)
{
    Qcow2 *q = (Qcow2 *)disk;

    cut_reserve(q);
    qcow2_streams_fini(q);
    qcow2_cache_fini(q);
    qcow2_top_clear(&q->l1);
    qcow2_top_clear(&q->refcount_table);
    g_cond_clear(&q->changed);
    g_mutex_clear(&q->lock);
    g_mutex_clear(&q->commit_lock);
    disk_free(q->backing);
    if (q->data != q->bytes)
        bytes_free(q->data);
    bytes_free(q->bytes);
    disk_fini(disk);
    g_free(q);
}

static const DiskOps qcow2_ops = {
    .format = "qcow2",
    .pread = qcow2_pread,
    .pwrite = qcow2_pwrite,
    .zero = qcow2_zero,
    .extents = qcow2_extents,
    .map = qcow2_map_places,
    .flush = qcow2_flush,
    .resize = qcow2_resize,
    .free = qcow2_free,
};

/* An empty one, which holds only what follows from the header. */
static Qcow2 *new_disk(Bytes *bytes, const Qcow2Header *header, gboolean starts_zero)
{
    Qcow2 *q = g_new0(Qcow2, 1);

    q->bytes = q->data = bytes;
    q->cluster_bits = header->cluster_bits;
    q->cluster_size = (guint64)1 << header->cluster_bits;
    q->is_extended = (header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
    q->unit_bits = header->cluster_bits - (q->is_extended ? QCOW2_SUBCLUSTER_BITS : 0);
    q->codec = header->compression == 0 ? CODEC_DEFLATE : CODEC_ZSTD;
    q->l2_entries = q->cluster_size / (q->is_extended ? 2 * sizeof(guint64) : sizeof(guint64));
    q->l2_span = q->l2_entries * q->cluster_size;
    q->block_entries = q->cluster_size / sizeof(guint16);
    q->growable = bytes->writable && bytes->ops->truncate != NULL;
    g_mutex_init(&q->commit_lock);
    g_mutex_init(&q->lock);
    g_cond_init(&q->changed);
    qcow2_cache_init(q);
    qcow2_streams_init(q);
    disk_init(&q->disk, &qcow2_ops, bytes_name(bytes), header->size, (guint32)q->cluster_size,
              bytes->writable, starts_zero);
    return q;
}

static gboolean load_l1(Qcow2 *q, const Qcow2Header *header, GError **error)
{
    return qcow2_top_load(q, &q->l1, header->l1_offset, header->l1_entries, "L1 table", error);
}

/* Everything that only a writer needs. */
static gboolean open_for_writing(Qcow2 *q, const Qcow2Header *header, GError **error)
{
    guint64 n = header->refcount_table_clusters * (q->cluster_size / sizeof(guint64));
    gboolean is_dirty = (header->incompatible & QCOW2_INCOMPATIBLE_DIRTY) != 0;

    if (!qcow2_top_load(q, &q->refcount_table, header->refcount_table_offset, n, "refcount table", error) ||
        !qcow2_check_and_repair(q, is_dirty, error))
        return FALSE;
    /* The counts that were repaired are durable. */
    if (is_dirty && !qcow2_header_clear_dirty(q->bytes, header, error))
        return FALSE;
    if (header->autoclear != 0 && !qcow2_header_clear_autoclear(q->bytes, error))
        return FALSE;
    return ensure_refcount_table(q, q->disk.size, error);
}

static gboolean open_backing(Qcow2 *q, const Qcow2Header *header, const Qcow2Opener *opener, GError **error)
{
    if (header->backing_file == NULL)
        return TRUE;
    if (opener == NULL || opener->open_backing == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: its backing file %s cannot be opened from here",
                       q->disk.name, header->backing_file);
    if (q->disk.size % SECTOR_SIZE != 0)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s has a backing file, but its size is no multiple of %u bytes", q->disk.name,
                       SECTOR_SIZE);
    q->backing = opener->open_backing(header->backing_file, header->backing_format, opener->data, error);
    if (q->backing == NULL)
        g_prefix_error(error, "%s: its backing file: ", q->disk.name);
    return q->backing != NULL;
}

static gboolean open_data_file(Qcow2 *q, const Qcow2Header *header, const Qcow2Opener *opener, GError **error)
{
    Bytes *data;

    if ((header->incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) == 0)
        return TRUE;
    if (header->data_file == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s does not say which is its external data file",
                       q->disk.name);
    if (opener == NULL || opener->open_data_file == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: its data file %s cannot be opened from here",
                       q->disk.name, header->data_file);
    data = opener->open_data_file(header->data_file, opener->data, error);
    if (data == NULL) {
        g_prefix_error(error, "%s: its data file: ", q->disk.name);
        return FALSE;
    }
    q->data = data;
    return TRUE;
}

static gboolean open_all(Qcow2 *q, const Qcow2Header *header, const Qcow2Opener *opener, GError **error)
{
    if (q->bytes->writable && !qcow2_header_check_writable(header, q->disk.name, error))
        return FALSE;
    return load_l1(q, header, error) && open_data_file(q, header, opener, error) &&
           open_backing(q, header, opener, error) &&
           (!q->bytes->writable || open_for_writing(q, header, error));
}

Disk *qcow2_open_with(Bytes *bytes, const Qcow2Opener *opener, GError **error)
{
    g_autoptr(Bytes) owned = bytes;
    g_auto(Qcow2Header) header = {0};
    Qcow2 *q;

    if (!qcow2_header_read(bytes, &header, error))
        return NULL;
    q = new_disk(g_steal_pointer(&owned), &header, FALSE);
    if (open_all(q, &header, opener, error))
        return &q->disk;
    qcow2_free(&q->disk);
    return NULL;
}

Disk *qcow2_open(Bytes *bytes, GError **error)
{
    return qcow2_open_with(bytes, NULL, error);
}

void qcow2_compress(Disk *disk, guint level)
{
    Qcow2 *q = (Qcow2 *)disk;

    disk->compresses = TRUE;
    q->level = level;
}

/* The header comes last and alone: until then the file is no image. */
static gboolean lay_out(Qcow2 *q, const Qcow2Header *fixed, GError **error)
{
    guint64 n_refcounts = qcow2_refcount_table_need(q, 1, q->disk.size);
    guint64 n_l1 = MAX(div_round_up(q->disk.size, q->l2_span), 1);
    Qcow2Header header;

    q->tail = 1;
    if (!move_top(q, &q->refcount_table, n_refcounts, error) || !move_top(q, &q->l1, n_l1, error) ||
        !set_refcounts(q, 0, 1, 1, error) || !qcow2_commit(q, error))
        return FALSE;
    header = current_header(q, q->disk.size);
    header.incompatible = fixed->incompatible;
    header.compatible = fixed->compatible;
    header.compression = fixed->compression;
    header.backing_file = fixed->backing_file;
    header.backing_format = fixed->backing_format;
    return qcow2_header_write(q->bytes, &header, error) && bytes_flush(q->bytes, error);
}

static gboolean check_options(const Qcow2Options *options, const char *name, GError **error)
{
    if (options->cluster_bits != 0 &&
        (options->cluster_bits < QCOW2_CLUSTER_BITS_MIN || options->cluster_bits > QCOW2_CLUSTER_BITS_MAX))
        return vf_fail(error, VF_ERROR_INVALID, "%s: cluster_bits is %u, not %u to %u", name,
                       options->cluster_bits, QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX);
    if (options->level > CODEC_LEVEL_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: compression level is %u, not 0 to %u", name,
                       options->level, CODEC_LEVEL_MAX);
    if ((options->backing_file == NULL) != (options->backing == NULL))
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: a backing file needs its name and its disk", name);
    return TRUE;
}

/* What of the header the options say; its strings are theirs. */
static Qcow2Header header_of(const Qcow2Options *options, guint64 size)
{
    gboolean is_zstd = options->compression == QCOW2_ZSTD;

    return (Qcow2Header){
        .cluster_bits = options->cluster_bits != 0 ? options->cluster_bits : QCOW2_CLUSTER_BITS_DEFAULT,
        .size = round_up(size, SECTOR_SIZE),
        .incompatible = is_zstd ? QCOW2_INCOMPATIBLE_COMPRESSION : 0,
        .compatible = options->lazy_refcounts ? QCOW2_COMPATIBLE_LAZY : 0,
        .compression = is_zstd ? 1 : 0,
        .backing_file = (char *)options->backing_file,
        .backing_format = (char *)options->backing_format,
    };
}

static Qcow2 *create(Bytes *bytes, const Qcow2Header *header, const Qcow2Options *options, GError **error)
{
    Qcow2 *q = new_disk(bytes, header, options->backing == NULL);

    q->backing = options->backing;
    q->disk.compresses = options->compression != QCOW2_PLAIN;
    q->level = options->level;
    if (lay_out(q, header, error))
        return q;
    qcow2_free(&q->disk);
    return NULL;
}

Disk *qcow2_create(Bytes *bytes, guint64 size, const Qcow2Options *options, GError **error)
{
    static const Qcow2Options defaults = {0};
    const Qcow2Options *chosen = options != NULL ? options : &defaults;
    const char *name = bytes_name(bytes);
    Qcow2Header header = header_of(chosen, MIN(size, G_MAXINT64));
    guint64 l2_span = (guint64)1 << (2 * header.cluster_bits - 3);
    Qcow2 *q;

    if (!check_options(chosen, name, error) || !check_size(name, size, l2_span, error)) {
        disk_free(chosen->backing);
        bytes_free(bytes);
        return NULL;
    }
    q = create(bytes, &header, chosen, error);
    return q != NULL ? &q->disk : NULL;
}
