/* Where new clusters come from.
 *
 * Clusters are only ever taken from the tail, the first cluster that was never handed out, so that what is
 * written in order lies in order, a run is one write, and a new cluster of a file is known to read as zero.
 * A cluster that the guest gives back keeps its place in the image with the zero flag (its storage is
 * punched), so nothing is ever freed while the image is in use.
 *
 * Handing out is not counting: a cluster gets its refcount at the moment in which something points to it, so
 * that a commit finds the two in step whatever is in flight, and a write that fails leaves no leak.
 *
 * A refcount block covers block_entries clusters in a row, a region.  The block of a region that the tail
 * enters is put on the first cluster of it, where it counts itself.
 */
#include "disk/qcow2-internal.h"

#include "base/error.h"
#include "base/size.h"

/* The file is made longer in steps, since a write that extends a file holds up all others; a small file in
 * small ones. */
#define GROW_STEP_MAX (64 * MIB)

static gboolean reserve(Qcow2 *q, guint64 tail, GError **error)
{
    guint64 end = tail << q->cluster_bits;

    if (!q->growable || end <= q->reserved)
        return TRUE;
    end += MIN(end, GROW_STEP_MAX);
    if (!bytes_truncate(q->bytes, end, error))
        return FALSE;
    q->reserved = end;
    return TRUE;
}

static gboolean check_capacity(const Qcow2 *q, guint64 end, GError **error)
{
    if (end / q->block_entries < q->refcount_table.n)
        return TRUE;
    return vf_fail(error, VF_ERROR_TARGET_IO,
                   "%s: clusters of %" G_GUINT64_FORMAT
                   " bytes cannot hold more data; convert it to an image with larger clusters",
                   q->disk.name, q->cluster_size);
}

static Qcow2Table *new_block(Qcow2 *q, guint64 region)
{
    guint64 offset = q->tail << q->cluster_bits;

    q->tail++;
    qcow2_top_set(&q->refcount_table, region, offset);
    return qcow2_table_new(q, offset, QCOW2_REFCOUNT_BLOCK);
}

gboolean qcow2_allocate(Qcow2 *q, guint64 max, guint64 *ret_first, guint64 *ret_n, GError **error)
{
    guint64 region = q->tail / q->block_entries;
    guint64 n;

    /* One more for the block. */
    if (!check_capacity(q, q->tail + 1, error) || !reserve(q, q->tail + 1 + max, error))
        return FALSE;
    if (qcow2_top_get(&q->refcount_table, region) == 0) {
        Qcow2Table *block = new_block(q, region);

        qcow2_block_set(q, block, q->tail - 1, 1, 1);
        qcow2_table_put(q, block);
    }
    region = q->tail / q->block_entries;
    n = MIN(max, (region + 1) * q->block_entries - q->tail);
    *ret_first = q->tail;
    *ret_n = n;
    q->tail += n;
    return TRUE;
}

gboolean qcow2_allocate_table(Qcow2 *q, guint64 n, guint64 *ret_first, GError **error)
{
    guint64 first = q->tail;
    /* Twice as much as the run and its blocks can take. */
    guint64 end = first + n + 2 * (n / q->block_entries + 2);

    if (!check_capacity(q, end, error) || !reserve(q, end, error))
        return FALSE;
    q->tail += n;
    /* The blocks follow the run; they may enter a further region, which then gets its block as well. */
    for (guint64 region = first / q->block_entries; region <= (q->tail - 1) / q->block_entries; region++)
        if (qcow2_top_get(&q->refcount_table, region) == 0)
            qcow2_table_put(q, new_block(q, region));
    if (!qcow2_set_refcounts(q, first, q->tail - first, 1, error))
        return FALSE;
    *ret_first = first;
    return TRUE;
}

Qcow2Table *qcow2_block_get(Qcow2 *q, guint64 cluster, GError **error)
{
    guint64 offset = qcow2_top_get(&q->refcount_table, cluster / q->block_entries);

    return qcow2_table_get(q, offset, QCOW2_REFCOUNT_BLOCK, error);
}

void qcow2_block_set(Qcow2 *q, Qcow2Table *block, guint64 first, guint64 n, guint16 refcount)
{
    guint16 *counts = (guint16 *)(void *)block->data + first % q->block_entries;

    for (guint64 i = 0; i < n; i++)
        counts[i] = GUINT16_TO_BE(refcount);
    qcow2_table_touch(q, block);
}

gboolean qcow2_set_refcounts(Qcow2 *q, guint64 first, guint64 n, guint16 refcount, GError **error)
{
    for (guint64 step; n > 0; first += step, n -= step) {
        Qcow2Table *block = qcow2_block_get(q, first, error);

        if (block == NULL)
            return FALSE;
        step = MIN(n, q->block_entries - first % q->block_entries);
        qcow2_block_set(q, block, first, step, refcount);
        qcow2_table_put(q, block);
    }
    return TRUE;
}

static void change_count(Qcow2 *q, Qcow2Table *block, guint64 cluster, gint delta)
{
    guint16 *count = (guint16 *)(void *)block->data + cluster % q->block_entries;

    *count = GUINT16_TO_BE((guint16)(GUINT16_FROM_BE(*count) + delta));
    qcow2_table_touch(q, block);
}

gboolean qcow2_count_stream(Qcow2 *q, const Qcow2Stream *stream, gint delta, GError **error)
{
    guint64 first = stream->offset >> q->cluster_bits;
    guint64 last = (stream->offset + stream->length - 1) >> q->cluster_bits;
    guint64 boundary = last / q->block_entries * q->block_entries;
    Qcow2Table *low = qcow2_block_get(q, first, error);
    Qcow2Table *high = low == NULL ? NULL : qcow2_block_get(q, last, error);

    if (low != NULL && high == NULL)
        qcow2_table_put(q, low);
    if (high == NULL)
        return FALSE;
    for (guint64 cluster = first; cluster <= last; cluster++)
        change_count(q, cluster < boundary ? low : high, cluster, delta);
    qcow2_table_put(q, high);
    qcow2_table_put(q, low);
    return TRUE;
}

guint64 qcow2_refcount_table_need(const Qcow2 *q, guint64 tail, guint64 size)
{
    guint64 data = div_round_up(size, q->cluster_size);
    guint64 l2_tables = div_round_up(data, q->l2_entries);
    guint64 l1_clusters = div_round_up(l2_tables * sizeof(guint64), q->cluster_size);
    guint64 clusters = tail + data + l2_tables + l1_clusters;
    guint64 max = QCOW2_REFCOUNT_TABLE_MAX / sizeof(guint64);
    guint64 per_cluster = q->cluster_size / sizeof(guint64);
    guint64 need;

    /* The blocks and the table itself are counted too; a sixteenth more and some is ample, and lasts for a
     * while. */
    clusters += clusters / 16 + 2 * q->block_entries;
    need = round_up(div_round_up(clusters, q->block_entries), per_cluster);
    return MIN(need, max);
}
