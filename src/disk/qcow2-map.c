/* From guest offsets to places in the file, through L1 and L2, and back into the tables what has changed. */
#include "disk/qcow2-internal.h"

#include "base/error.h"
#include "base/size.h"

static gboolean fail_entry(const Qcow2 *q, const char *what, guint64 entry, guint64 at, GError **error)
{
    return vf_fail(error, VF_ERROR_INTEGRITY,
                   "%s: the %s entry 0x%016" G_GINT64_MODIFIER "x at %" G_GUINT64_FORMAT
                   " is corrupt; qemu-img check -r all may repair it",
                   q->disk.name, what, entry, at);
}

gboolean qcow2_parse_l1_entry(const Qcow2 *q, guint64 entry, guint64 at, guint64 *ret_offset, GError **error)
{
    guint64 offset = entry & QCOW2_OFFSET_MASK;

    if ((entry & ~(QCOW2_OFFSET_MASK | QCOW2_COPIED)) != 0 || offset % q->cluster_size != 0 || offset == 0)
        return fail_entry(q, "L1", entry, at, error);
    *ret_offset = offset;
    return TRUE;
}

/* Of the 62 bits, the lower say where a stream starts, the upper in how many sectors after that one it ends.
 */
static guint offset_bits(const Qcow2 *q)
{
    return 62 - (q->cluster_bits - 8);
}

guint64 qcow2_stream_end_max(const Qcow2 *q)
{
    return (guint64)1 << offset_bits(q);
}

static guint64 encode_stream(const Qcow2 *q, const Qcow2Stream *stream)
{
    guint64 more = (stream->offset % SECTOR_SIZE + stream->length - 1) / SECTOR_SIZE;

    return QCOW2_COMPRESSED | more << offset_bits(q) | stream->offset;
}

static Qcow2Stream decode_stream(const Qcow2 *q, guint64 entry)
{
    guint64 offset = entry & (qcow2_stream_end_max(q) - 1);
    guint64 sectors = ((entry & (QCOW2_COMPRESSED - 1)) >> offset_bits(q)) + 1;

    return (Qcow2Stream){.offset = offset, .length = (guint32)(sectors * SECTOR_SIZE - offset % SECTOR_SIZE)};
}

/* Only a cluster of a data file can be the first of its file. */
static gboolean has_place(const Qcow2 *q, guint64 entry)
{
    return (entry & QCOW2_OFFSET_MASK) != 0 || (q->data != q->bytes && (entry & QCOW2_COPIED) != 0);
}

static gboolean parse_plain(const Qcow2 *q, guint64 entry, guint64 at, Qcow2Run *ret, GError **error)
{
    guint64 host = entry & QCOW2_OFFSET_MASK;
    gboolean zero = (entry & QCOW2_ZERO) != 0;
    gboolean stored = has_place(q, entry);

    if ((entry & ~(QCOW2_OFFSET_MASK | QCOW2_COPIED | QCOW2_ZERO)) != 0 || host % q->cluster_size != 0 ||
        (!stored && (entry & QCOW2_COPIED) != 0) || (q->is_extended && zero))
        return fail_entry(q, "L2", entry, at, error);
    *ret = (Qcow2Run){.length = q->cluster_size, .host = host};
    if (!stored)
        ret->kind = zero ? QCOW2_RUN_ZERO : QCOW2_RUN_HOLE;
    else
        ret->kind = zero ? QCOW2_RUN_ZERO_ALLOCATED : QCOW2_RUN_DATA;
    return TRUE;
}

gboolean qcow2_parse_entry(const Qcow2 *q, guint64 entry, guint64 at, Qcow2Run *ret, GError **error)
{
    if ((entry & QCOW2_COMPRESSED) == 0)
        return parse_plain(q, entry, at, ret, error);
    if (q->data != q->bytes)
        return fail_entry(q, "L2", entry, at, error);
    *ret = (Qcow2Run){
        .kind = QCOW2_RUN_COMPRESSED, .length = q->cluster_size, .stream = decode_stream(q, entry)};
    return TRUE;
}

static guint64 *entries_of(const Qcow2Table *table)
{
    return (guint64 *)(void *)table->data;
}

static Qcow2Table *get_l2(Qcow2 *q, guint64 l1_index, GError **error)
{
    guint64 at = q->l1.offset + l1_index * sizeof(guint64);
    guint64 offset;

    if (!qcow2_parse_l1_entry(q, qcow2_top_get(&q->l1, l1_index), at, &offset, error))
        return NULL;
    return qcow2_table_get(q, offset, QCOW2_L2_TABLE, error);
}

/* Where the tables that do not exist end: an empty disk of any size is one step. */
static guint64 hole_length(const Qcow2 *q, guint64 offset, guint64 length)
{
    guint64 index = offset / q->l2_span;
    guint64 end = (index + 1) * q->l2_span;

    while (end < offset + length && qcow2_top_get(&q->l1, ++index) == 0)
        end += q->l2_span;
    return MIN(end - offset, length);
}

static gboolean has_storage(Qcow2RunKind kind)
{
    return kind == QCOW2_RUN_DATA || kind == QCOW2_RUN_ZERO_ALLOCATED;
}

/* The second half of an extended entry has a bit for each subcluster that is stored, and one for each that
 * reads as zero. */
static gboolean parse_subcluster(const Qcow2 *q, guint64 bitmap, guint subcluster, guint64 at, Qcow2Run *run,
                                 GError **error)
{
    gboolean stored = (bitmap >> subcluster & 1) != 0;
    gboolean zero = (bitmap >> (subcluster + 32) & 1) != 0;

    if ((stored && zero) || (stored && !has_storage(run->kind)))
        return fail_entry(q, "subcluster", bitmap, at, error);
    run->length = (guint64)1 << q->unit_bits;
    run->host += (guint64)subcluster << q->unit_bits;
    if (zero)
        run->kind = has_storage(run->kind) ? QCOW2_RUN_ZERO_ALLOCATED : QCOW2_RUN_ZERO;
    else if (!stored)
        run->kind = QCOW2_RUN_HOLE;
    return TRUE;
}

/* A cluster, or a subcluster unless its cluster is compressed. */
static gboolean parse_unit(const Qcow2 *q, const Qcow2Table *table, guint64 unit, Qcow2Run *run,
                           GError **error)
{
    const guint64 *entries = entries_of(table);
    guint64 index = q->is_extended ? unit >> QCOW2_SUBCLUSTER_BITS << 1 : unit;
    guint64 at = table->offset + index * sizeof(guint64);

    if (!qcow2_parse_entry(q, GUINT64_FROM_BE(entries[index]), at, run, error))
        return FALSE;
    if (!q->is_extended || run->kind == QCOW2_RUN_COMPRESSED)
        return TRUE;
    return parse_subcluster(q, GUINT64_FROM_BE(entries[index + 1]), unit % (1u << QCOW2_SUBCLUSTER_BITS),
                            at + sizeof(guint64), run, error);
}

static gboolean continues(const Qcow2Run *run, const Qcow2Run *next)
{
    return next->kind == run->kind && run->kind != QCOW2_RUN_COMPRESSED &&
           (!has_storage(run->kind) || next->host == run->host + run->length);
}

/* The run that starts at `offset`, at most `length` long, in the table that maps it. */
static gboolean find_run(const Qcow2 *q, const Qcow2Table *table, guint64 offset, guint64 length,
                         Qcow2Run *run, GError **error)
{
    guint64 unit = offset % q->l2_span >> q->unit_bits;
    guint64 end = q->l2_span >> q->unit_bits;
    guint64 within;
    Qcow2Run next;

    if (!parse_unit(q, table, unit, run, error))
        return FALSE;
    within = offset % (run->kind == QCOW2_RUN_COMPRESSED ? q->cluster_size : (guint64)1 << q->unit_bits);
    while (run->kind != QCOW2_RUN_COMPRESSED && run->length < within + length && ++unit < end) {
        if (!parse_unit(q, table, unit, &next, error))
            return FALSE;
        if (!continues(run, &next))
            break;
        run->length += next.length;
    }
    run->length = MIN(run->length - within, length);
    run->host += has_storage(run->kind) ? within : 0;
    return TRUE;
}

gboolean qcow2_lookup(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error)
{
    guint64 index = offset / q->l2_span;
    Qcow2Table *table;
    gboolean ok;

    if (qcow2_top_get(&q->l1, index) == 0) {
        *ret = (Qcow2Run){.kind = QCOW2_RUN_HOLE, .length = hole_length(q, offset, length)};
        return TRUE;
    }
    table = get_l2(q, index, error);
    if (table == NULL)
        return FALSE;
    ok = find_run(q, table, offset, length, ret, error);
    qcow2_table_put(q, table);
    return ok;
}

/* Puts an empty L2 table on a new cluster, unless another thread has been faster: then the cluster is wasted,
 * but not counted and so not leaked. */
static gboolean create_l2(Qcow2 *q, guint64 l1_index, GError **error)
{
    Qcow2Table *block, *table;
    guint64 cluster, n;

    if (!qcow2_allocate(q, 1, &cluster, &n, error))
        return FALSE;
    block = qcow2_block_get(q, cluster, error);
    if (block == NULL)
        return FALSE;
    if (qcow2_top_get(&q->l1, l1_index) == 0) {
        table = qcow2_table_new(q, cluster << q->cluster_bits, QCOW2_L2_TABLE);
        qcow2_table_put(q, table);
        qcow2_block_set(q, block, cluster, 1, 1);
        qcow2_top_set(&q->l1, l1_index, (cluster << q->cluster_bits) | QCOW2_COPIED);
    }
    qcow2_table_put(q, block);
    return TRUE;
}

static Qcow2Table *get_l2_for(Qcow2 *q, guint64 guest, GError **error)
{
    guint64 index = guest / q->l2_entries;

    if (qcow2_top_get(&q->l1, index) == 0 && !create_l2(q, index, error))
        return NULL;
    return get_l2(q, index, error);
}

/* What a compressed cluster leaves behind is counted until nothing durable points to it. */
static void set_entry(Qcow2 *q, Qcow2Table *table, guint64 guest, guint64 value)
{
    guint64 *entry = entries_of(table) + guest % q->l2_entries;
    guint64 old = GUINT64_FROM_BE(*entry);

    if ((old & QCOW2_COMPRESSED) != 0) {
        Qcow2Stream stream = decode_stream(q, old);

        g_array_append_val(q->unmapped, stream);
    }
    *entry = GUINT64_TO_BE(value);
    qcow2_table_touch(q, table);
}

static gboolean count_new(Qcow2 *q, guint64 first, guint64 n, GError **error)
{
    Qcow2Table *block = qcow2_block_get(q, first, error);

    if (block == NULL)
        return FALSE;
    qcow2_block_set(q, block, first, n, 1);
    qcow2_table_put(q, block);
    return TRUE;
}

/* Both tables are in memory before either changes: a commit must see both changes or none. */
gboolean qcow2_map(Qcow2 *q, guint64 guest, guint64 n, guint64 host, gboolean count, GError **error)
{
    Qcow2Table *table = get_l2_for(q, guest, error);
    gboolean ok;

    if (table == NULL)
        return FALSE;
    ok = !count || count_new(q, host, n, error);
    for (guint64 i = 0; ok && i < n; i++)
        set_entry(q, table, guest + i, ((host + i) << q->cluster_bits) | QCOW2_COPIED);
    qcow2_table_put(q, table);
    return ok;
}

gboolean qcow2_map_stream(Qcow2 *q, guint64 guest, const Qcow2Stream *stream, GError **error)
{
    Qcow2Table *table = get_l2_for(q, guest, error);
    gboolean ok;

    if (table == NULL)
        return FALSE;
    ok = qcow2_count_stream(q, stream, 1, error);
    if (ok)
        set_entry(q, table, guest, encode_stream(q, stream));
    qcow2_table_put(q, table);
    return ok;
}

gboolean qcow2_map_zero(Qcow2 *q, guint64 guest, guint64 n, GError **error)
{
    Qcow2Table *table = get_l2_for(q, guest, error);

    if (table == NULL)
        return FALSE;
    for (guint64 i = 0; i < n; i++) {
        guint64 entry = GUINT64_FROM_BE(entries_of(table)[(guest + i) % q->l2_entries]);

        set_entry(q, table, guest + i, (entry & QCOW2_COMPRESSED) != 0 ? QCOW2_ZERO : entry | QCOW2_ZERO);
    }
    qcow2_table_put(q, table);
    return TRUE;
}
