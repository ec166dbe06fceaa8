/* What is looked at before an image is written to.
 *
 * All tables are read once, L2 tables and refcount blocks one after the other, so the cost grows with what is
 * allocated and memory is one bit per cluster of the file, and two bytes where there are compressed clusters.
 * Every cluster that something points to is marked; one that is marked twice, unless by compressed clusters
 * only, lies outside the file or is not counted as often as it is marked means that the image is corrupt, and
 * writing to it could destroy data: refused.  A cluster that is counted and not marked is a leak, left behind
 * by a crash: its count is corrected and its storage given back.  Only where QEMU was interrupted while it
 * kept counts late (lazy_refcounts, which sets the dirty bit) are counts that are too low corrected as well.
 * The tail, where allocation goes on, is behind the last marked cluster.
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

#define BITMAP_MAX  (96 * MIB)
#define STREAMS_MAX (512 * MIB)

typedef struct {
    Qcow2 *q;
    guint64 n_clusters;
    guint64 *used;    /* bits */
    guint16 *streams; /* compressed clusters in each; NULL until there is one */
    guint64 tail;
    gboolean counted_late;
    guint64 *table; /* a cluster of scratch */
    gboolean repaired;
} Scan;

static gboolean is_used(const Scan *scan, guint64 cluster)
{
    return cluster < scan->n_clusters && (scan->used[cluster / 64] >> (cluster % 64) & 1) != 0;
}

static gboolean fail_corrupt(const Scan *scan, guint64 offset, const char *what, const char *why,
                             GError **error)
{
    return vf_fail(error, VF_ERROR_INTEGRITY,
                   "%s is corrupt: its %s at %" G_GUINT64_FORMAT " %s; qemu-img check -r all may repair it",
                   bytes_name(scan->q->bytes), what, offset, why);
}

static gboolean mark(Scan *scan, guint64 offset, guint64 n, const char *what, GError **error)
{
    guint64 first = offset >> scan->q->cluster_bits;

    if (offset % scan->q->cluster_size != 0 || !range_within(first, n, scan->n_clusters))
        return fail_corrupt(scan, offset, what, "does not lie on clusters of the file", error);
    for (guint64 cluster = first; cluster < first + n; cluster++) {
        if (is_used(scan, cluster))
            return fail_corrupt(scan, offset, what, "overlaps something else", error);
        scan->used[cluster / 64] |= (guint64)1 << (cluster % 64);
    }
    scan->tail = MAX(scan->tail, first + n);
    return TRUE;
}

static gboolean need_streams(Scan *scan, GError **error)
{
    guint64 size = (scan->n_clusters + 1) * sizeof *scan->streams;

    if (scan->streams == NULL && size <= STREAMS_MAX)
        scan->streams = g_try_malloc0(size);
    if (scan->streams != NULL)
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s has compressed clusters and is too large to be checked for writing",
                   bytes_name(scan->q->bytes));
}

static gboolean mark_stream(Scan *scan, const Qcow2Stream *stream, GError **error)
{
    guint64 first = stream->offset >> scan->q->cluster_bits;
    guint64 last = (stream->offset + stream->length - 1) >> scan->q->cluster_bits;

    if (!need_streams(scan, error))
        return FALSE;
    if (!range_within(first, last - first + 1, scan->n_clusters))
        return fail_corrupt(scan, stream->offset, "compressed cluster", "does not lie in the file", error);
    for (guint64 cluster = first; cluster <= last; cluster++) {
        if ((is_used(scan, cluster) && scan->streams[cluster] == 0) || scan->streams[cluster] == G_MAXUINT16)
            return fail_corrupt(scan, stream->offset, "compressed cluster", "overlaps something else", error);
        scan->used[cluster / 64] |= (guint64)1 << (cluster % 64);
        scan->streams[cluster]++;
    }
    scan->tail = MAX(scan->tail, last + 1);
    return TRUE;
}

static gboolean mark_entry(Scan *scan, guint64 entry, guint64 at, GError **error)
{
    Qcow2Run run;

    if (!qcow2_parse_entry(scan->q, entry, at, &run, error))
        return FALSE;
    if (run.kind == QCOW2_RUN_COMPRESSED)
        return mark_stream(scan, &run.stream, error);
    if (run.kind == QCOW2_RUN_HOLE || run.kind == QCOW2_RUN_ZERO)
        return TRUE;
    if ((entry & QCOW2_COPIED) == 0)
        return fail_corrupt(scan, run.host, "data cluster", "is not marked as its own", error);
    return mark(scan, run.host, 1, "data cluster", error);
}

static gboolean scan_l2(Scan *scan, guint64 index, GError **error)
{
    const Qcow2 *q = scan->q;
    guint64 l1_entry = qcow2_top_get(&q->l1, index);
    guint64 offset;

    if (!qcow2_parse_l1_entry(q, l1_entry, q->l1.offset + index * sizeof l1_entry, &offset, error))
        return FALSE;
    if ((l1_entry & QCOW2_COPIED) == 0)
        return fail_corrupt(scan, offset, "L2 table", "is not marked as its own", error);
    if (!mark(scan, offset, 1, "L2 table", error) ||
        !bytes_pread(q->bytes, scan->table, q->cluster_size, offset, error))
        return FALSE;
    for (guint64 i = 0; i < q->l2_entries; i++)
        if (scan->table[i] != 0 &&
            !mark_entry(scan, GUINT64_FROM_BE(scan->table[i]), offset + i * sizeof(guint64), error))
            return FALSE;
    return TRUE;
}

static gboolean mark_top(Scan *scan, const Qcow2Top *top, const char *what, GError **error)
{
    return mark(scan, top->offset, div_round_up(top->n * sizeof(guint64), scan->q->cluster_size), what,
                error);
}

static gboolean mark_all(Scan *scan, GError **error)
{
    const Qcow2 *q = scan->q;

    if (!mark(scan, 0, 1, "header", error) || !mark_top(scan, &q->l1, "L1 table", error) ||
        !mark_top(scan, &q->refcount_table, "refcount table", error))
        return FALSE;
    for (guint64 i = 0; i < q->refcount_table.n; i++) {
        guint64 offset = qcow2_top_get(&q->refcount_table, i);

        if (offset != 0 && !mark(scan, offset, 1, "refcount block", error))
            return FALSE;
    }
    for (guint64 i = 0; i < q->l1.n; i++)
        if (qcow2_top_get(&q->l1, i) != 0 && !scan_l2(scan, i, error))
            return FALSE;
    return TRUE;
}

/* Gives back the storage of a leaked run below the tail; what is behind it goes when the file is cut. */
static gboolean punch(const Scan *scan, guint64 first, guint64 end, GError **error)
{
    const Qcow2 *q = scan->q;

    end = MIN(end, scan->tail);
    if (first >= end || q->bytes->ops->zero == NULL)
        return TRUE;
    return bytes_zero(q->bytes, first << q->cluster_bits, (end - first) << q->cluster_bits, error);
}

static guint16 wanted_count(const Scan *scan, guint64 cluster)
{
    if (!is_used(scan, cluster))
        return 0;
    return scan->streams != NULL && scan->streams[cluster] > 0 ? scan->streams[cluster] : 1;
}

/* Compares a refcount block (in scan->table) with what is used, and corrects it. */
static gboolean compare_block(Scan *scan, guint64 region, gboolean *ret_changed, GError **error)
{
    const Qcow2 *q = scan->q;
    guint16 *counts = (guint16 *)scan->table;
    guint64 base = region * q->block_entries;
    guint64 leak = 0; /* length of the leaked run that ends here */

    for (guint64 i = 0; i < q->block_entries; i++) {
        guint16 want = wanted_count(scan, base + i);
        guint16 count = GUINT16_FROM_BE(counts[i]);

        if (count < want && !scan->counted_late)
            return fail_corrupt(scan, (base + i) << q->cluster_bits, "cluster", "is in use but not counted",
                                error);
        if (count != 0 && want == 0) {
            leak++;
        } else {
            if (!punch(scan, base + i - leak, base + i, error))
                return FALSE;
            leak = 0;
        }
        *ret_changed |= count != want;
        counts[i] = GUINT16_TO_BE(want);
    }
    return punch(scan, base + q->block_entries - leak, base + q->block_entries, error);
}

static gboolean has_used(const Scan *scan, guint64 region)
{
    guint64 first = region * scan->q->block_entries;
    guint64 end = MIN(first + scan->q->block_entries, scan->n_clusters);

    for (guint64 i = first; i < end; i++)
        if (is_used(scan, i))
            return TRUE;
    return FALSE;
}

static gboolean repair_region(Scan *scan, guint64 region, GError **error)
{
    const Qcow2 *q = scan->q;
    guint64 offset = region < q->refcount_table.n ? qcow2_top_get(&q->refcount_table, region) : 0;
    gboolean changed = FALSE;

    if (offset == 0) {
        if (has_used(scan, region))
            return fail_corrupt(scan, region * q->block_entries * q->cluster_size, "region",
                                "is in use but not counted", error);
        return TRUE;
    }
    if (!bytes_pread(q->bytes, scan->table, q->cluster_size, offset, error) ||
        !compare_block(scan, region, &changed, error))
        return FALSE;
    scan->repaired |= changed;
    return !changed || bytes_pwrite(q->bytes, scan->table, q->cluster_size, offset, error);
}

static gboolean repair_all(Scan *scan, GError **error)
{
    guint64 n_regions =
        MAX(div_round_up(scan->n_clusters, scan->q->block_entries), scan->q->refcount_table.n);

    for (guint64 region = 0; region < n_regions; region++)
        if (!repair_region(scan, region, error))
            return FALSE;
    return TRUE;
}

/* What lies behind the tail is cut off, so that new clusters read as zero; durably, before anything relies on
 * it. */
static gboolean cut_tail(const Scan *scan, GError **error)
{
    Qcow2 *q = scan->q;
    guint64 end = scan->tail << q->cluster_bits;
    gboolean cut = q->growable && bytes_size(q->bytes) > end;

    if (cut && !bytes_truncate(q->bytes, end, error))
        return FALSE;
    q->tail = scan->tail;
    q->reserved = bytes_size(q->bytes);
    return (!cut && !scan->repaired) || bytes_flush(q->bytes, error);
}

static gboolean run(Scan *scan, GError **error)
{
    return mark_all(scan, error) && repair_all(scan, error) && cut_tail(scan, error);
}

gboolean qcow2_check_and_repair(Qcow2 *q, gboolean counted_late, GError **error)
{
    Scan scan = {.q = q,
                 .n_clusters = div_round_up(bytes_size(q->bytes), q->cluster_size),
                 .counted_late = counted_late};
    gboolean ok;

    if (scan.n_clusters / 8 > BITMAP_MAX)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: the file has too many clusters; convert it to an image with larger ones",
                       bytes_name(q->bytes));
    scan.used = g_try_new0(guint64, scan.n_clusters / 64 + 1);
    if (scan.used == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: no memory to check it", bytes_name(q->bytes));
    scan.table = (guint64 *)(void *)disk_buffer_new(q->cluster_size);
    ok = run(&scan, error);
    disk_buffer_free((DiskBuffer *)scan.table);
    g_free(scan.used);
    g_free(scan.streams);
    return ok;
}
