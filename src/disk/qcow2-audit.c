/* Every reference in the image is followed and counted per cluster of the file: header, tables, refcount
 * blocks, and from the L1 table of the active state and of each snapshot the L2 tables and what they point
 * to. Then each count is held against the refcount that the image has written down.  A refcount that is too
 * high is a leak: space is lost, data are not.  One that is too low is corruption: the cluster would be
 * handed out again while it is in use.  So is a reference that leads outside of the file or off its clusters,
 * and a mark of sole ownership (QCOW2_COPIED) on a cluster that is shared, or none on one that is not.
 *
 * What can be repaired is what counts say.  The tables themselves are believed.
 */
#include "disk/qcow2-audit.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/qcow2-internal.h"

#define SNAPSHOTS_MAX       65536u
#define SNAPSHOT_FIXED      40u
#define SNAPSHOTS_AT        64u
#define SNAPSHOTS_BYTES_MAX (64 * MIB)

typedef struct {
    Bytes *bytes;
    Qcow2Header header;
    guint64 cluster_size;
    guint64 n_clusters; /* of the file, the last one may be short */
    guint32 *counts;
    guint64 *refcount_table;
    guint64 n_blocks;
    guint64 last_host; /* of the guest cluster before in its table, to see fragments; 0: none */
    Qcow2Repair repair;
    Qcow2Audit audit;
} Audit;

void qcow2_audit_clear(Qcow2Audit *audit)
{
    g_clear_pointer(&audit->first, g_free);
}

static void audit_fini(Audit *a)
{
    qcow2_header_clear(&a->header);
    qcow2_audit_clear(&a->audit);
    g_free(a->counts);
    g_free(a->refcount_table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Audit, audit_fini)

static void note(Audit *a, const char *what, guint64 offset, const char *why)
{
    if (a->audit.first == NULL)
        a->audit.first = g_strdup_printf("the %s at %" G_GUINT64_FORMAT " %s", what, offset, why);
}

static void corrupt(Audit *a, const char *what, guint64 offset, const char *why)
{
    a->audit.corruptions++;
    note(a, what, offset, why);
}

static void count_cluster(Audit *a, guint64 cluster)
{
    a->counts[cluster] += a->counts[cluster] < G_MAXUINT32;
    a->audit.end = MAX(a->audit.end, (cluster + 1) * a->cluster_size);
}

/* `length` bytes from a cluster's start on.  FALSE when they do not lie on clusters of the file. */
static gboolean refer(Audit *a, guint64 offset, guint64 length, const char *what)
{
    guint64 n = div_round_up(length, a->cluster_size);
    guint64 first = offset / a->cluster_size;

    if (offset % a->cluster_size != 0 || !range_within(first, n, a->n_clusters)) {
        corrupt(a, what, offset, "does not lie on clusters of the file");
        return FALSE;
    }
    for (guint64 i = first; i < first + n; i++)
        count_cluster(a, i);
    return TRUE;
}

/* ---- refcounts as they are written down ---- */

static guint refcount_bits(const Audit *a)
{
    return 1u << a->header.refcount_order;
}

static guint64 per_block(const Audit *a)
{
    return a->cluster_size * 8 / refcount_bits(a);
}

static guint64 get_count(const Audit *a, const guint8 *block, guint64 i)
{
    guint bits = refcount_bits(a);
    guint64 value = 0;

    if (bits < 8)
        return block[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
    for (guint byte = 0; byte < bits / 8; byte++)
        value = value << 8 | block[i * bits / 8 + byte];
    return value;
}

static void set_count(const Audit *a, guint8 *block, guint64 i, guint64 value)
{
    guint bits = refcount_bits(a);

    if (bits < 8) {
        guint shift = (guint)(i * bits % 8);
        guint mask = ((1u << bits) - 1) << shift;

        block[i * bits / 8] = (guint8)((block[i * bits / 8] & ~mask) | (value << shift & mask));
        return;
    }
    for (guint byte = bits / 8; byte-- > 0; value >>= 8)
        block[i * bits / 8 + byte] = (guint8)value;
}

static gboolean fits(const Audit *a, guint64 value)
{
    return refcount_bits(a) == 64 || value < (guint64)1 << refcount_bits(a);
}

/* ---- following references ---- */

static void count_data(Audit *a, guint64 host, gboolean active)
{
    if (!active)
        return;
    a->audit.allocated++;
    a->audit.fragmented += a->last_host != 0 && a->last_host + a->cluster_size != host;
    a->last_host = host;
}

/* Where a compressed cluster lies is said in sectors. */
static void follow_compressed(Audit *a, guint64 entry, guint64 at, gboolean active)
{
    guint shift = 62 - (a->header.cluster_bits - 8);
    guint64 offset = entry & (((guint64)1 << shift) - 1);
    guint64 sectors = ((entry & (QCOW2_COMPRESSED - 1)) >> shift) + 1;
    guint64 end = round_down(offset, SECTOR_SIZE) + sectors * SECTOR_SIZE;

    if (offset / a->cluster_size >= a->n_clusters || (end - 1) / a->cluster_size >= a->n_clusters) {
        corrupt(a, "compressed cluster of the entry", at, "does not lie in the file");
        return;
    }
    for (guint64 i = offset / a->cluster_size; i <= (end - 1) / a->cluster_size; i++)
        count_cluster(a, i);
    a->audit.compressed += active;
    a->audit.allocated += active;
    a->audit.fragmented += active;
}

static void follow_entry(Audit *a, guint64 entry, guint64 at, gboolean active)
{
    guint64 host = entry & QCOW2_OFFSET_MASK;

    if ((entry & QCOW2_COMPRESSED) != 0) {
        follow_compressed(a, entry, at, active);
        return;
    }
    if (host == 0 && ((a->header.incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) == 0 || entry == 0))
        return;
    if ((a->header.incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) != 0 ||
        refer(a, host, a->cluster_size, "data cluster"))
        count_data(a, host, active);
}

static gboolean follow_l2(Audit *a, guint64 offset, guint64 *table, gboolean active, GError **error)
{
    guint step = (a->header.incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0 ? 2 : 1;

    if (!refer(a, offset, a->cluster_size, "L2 table"))
        return TRUE;
    if (!range_within(offset, a->cluster_size, bytes_size(a->bytes))) {
        corrupt(a, "L2 table", offset, "is cut off by the end of the file");
        return TRUE;
    }
    if (!bytes_pread(a->bytes, table, a->cluster_size, offset, error))
        return FALSE;
    a->last_host = 0;
    for (guint64 i = 0; i < a->cluster_size / sizeof *table; i += step)
        if (table[i] != 0)
            follow_entry(a, GUINT64_FROM_BE(table[i]), offset + i * sizeof *table, active);
    return TRUE;
}

static gboolean follow_l1(Audit *a, guint64 offset, guint64 entries, gboolean active, GError **error)
{
    g_autofree guint64 *l1 = NULL;
    g_autofree guint64 *l2 = g_malloc(a->cluster_size);

    if (entries * sizeof *l1 > QCOW2_L1_MAX || !refer(a, offset, entries * sizeof *l1, "L1 table") ||
        !range_within(offset, entries * sizeof *l1, bytes_size(a->bytes)))
        return TRUE;
    l1 = g_malloc(entries * sizeof *l1);
    if (!bytes_pread(a->bytes, l1, entries * sizeof *l1, offset, error))
        return FALSE;
    for (guint64 i = 0; i < entries; i++) {
        guint64 table = GUINT64_FROM_BE(l1[i]) & QCOW2_OFFSET_MASK;

        if (table != 0 && !follow_l2(a, table, l2, active, error))
            return FALSE;
    }
    return TRUE;
}

static guint64 big_endian(const guint8 *at, guint bytes)
{
    guint64 value = 0;

    for (guint i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* One entry of the snapshot table, and its L1 table. */
static gboolean follow_snapshot(Audit *a, guint64 *at, GError **error)
{
    guint8 raw[SNAPSHOT_FIXED];

    if (!range_within(*at, sizeof raw, bytes_size(a->bytes))) {
        corrupt(a, "snapshot table", *at, "is cut off by the end of the file");
        return TRUE;
    }
    if (!bytes_pread(a->bytes, raw, sizeof raw, *at, error))
        return FALSE;
    *at += round_up(
        SNAPSHOT_FIXED + big_endian(raw + 36, 4) + big_endian(raw + 12, 2) + big_endian(raw + 14, 2), 8);
    return follow_l1(a, big_endian(raw, 8), big_endian(raw + 8, 4), FALSE, error);
}

static gboolean follow_snapshots(Audit *a, GError **error)
{
    guint8 raw[8];
    guint64 start, at;

    if (a->header.n_snapshots == 0)
        return TRUE;
    if (a->header.n_snapshots > SNAPSHOTS_MAX)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s: %u snapshots are more than QEMU makes",
                       bytes_name(a->bytes), a->header.n_snapshots);
    if (!bytes_pread(a->bytes, raw, sizeof raw, SNAPSHOTS_AT, error))
        return FALSE;
    start = at = big_endian(raw, 8);
    for (guint i = 0; i < a->header.n_snapshots; i++)
        if (!follow_snapshot(a, &at, error))
            return FALSE;
    if (at - start <= SNAPSHOTS_BYTES_MAX)
        refer(a, start, at - start, "snapshot table");
    return TRUE;
}

static gboolean follow_refcounts(Audit *a, GError **error)
{
    guint64 bytes = a->header.refcount_table_clusters * a->cluster_size;

    a->n_blocks = bytes / sizeof *a->refcount_table;
    a->refcount_table = g_malloc(bytes);
    if (!bytes_pread(a->bytes, a->refcount_table, bytes, a->header.refcount_table_offset, error))
        return FALSE;
    refer(a, a->header.refcount_table_offset, bytes, "refcount table");
    for (guint64 i = 0; i < a->n_blocks; i++) {
        guint64 offset = GUINT64_FROM_BE(a->refcount_table[i]);

        if (offset != 0 && !refer(a, offset, a->cluster_size, "refcount block"))
            offset = 0;
        a->refcount_table[i] = offset;
    }
    return TRUE;
}

static gboolean follow_all(Audit *a, GError **error)
{
    refer(a, 0, a->cluster_size, "header");
    return follow_refcounts(a, error) &&
           follow_l1(a, a->header.l1_offset, a->header.l1_entries, TRUE, error) && follow_snapshots(a, error);
}

/* ---- holding counts against refcounts ---- */

/* TRUE when the refcount is to be set to what was counted. */
static gboolean judge(Audit *a, guint64 cluster, guint64 written)
{
    guint64 counted = cluster < a->n_clusters ? a->counts[cluster] : 0;
    gboolean repair = FALSE;

    if (written == counted)
        return FALSE;
    if (written > counted) {
        a->audit.leaks++;
        note(a, "cluster", cluster * a->cluster_size, "is leaked");
        repair = a->repair != QCOW2_REPAIR_NOTHING;
        a->audit.leaks_fixed += repair;
        if (!repair)
            a->audit.end = MAX(a->audit.end, (cluster + 1) * a->cluster_size);
        return repair;
    }
    corrupt(a, "cluster", cluster * a->cluster_size, "is in use and not counted as often");
    repair = a->repair == QCOW2_REPAIR_ALL && fits(a, counted);
    a->audit.corruptions_fixed += repair;
    return repair;
}

static gboolean judge_block(Audit *a, guint64 index, guint8 *block, GError **error)
{
    guint64 base = index * per_block(a), offset = a->refcount_table[index];
    gboolean changed = FALSE;

    if (!range_within(offset, a->cluster_size, bytes_size(a->bytes))) {
        corrupt(a, "refcount block", offset, "is cut off by the end of the file");
        return TRUE;
    }
    if (!bytes_pread(a->bytes, block, a->cluster_size, offset, error))
        return FALSE;
    for (guint64 i = 0; i < per_block(a); i++) {
        if (!judge(a, base + i, get_count(a, block, i)))
            continue;
        set_count(a, block, i, base + i < a->n_clusters ? a->counts[base + i] : 0);
        changed = TRUE;
    }
    return !changed || bytes_pwrite(a->bytes, block, a->cluster_size, offset, error);
}

/* Clusters that no block counts, and are in use. */
static void judge_uncounted(Audit *a, guint64 first, guint64 end)
{
    for (guint64 i = first; i < MIN(end, a->n_clusters); i++)
        if (a->counts[i] != 0)
            corrupt(a, "cluster", i * a->cluster_size, "is in use and not counted");
}

static gboolean judge_all(Audit *a, GError **error)
{
    g_autofree guint8 *block = g_malloc(a->cluster_size);

    for (guint64 i = 0; i < a->n_blocks; i++) {
        if (a->refcount_table[i] == 0)
            judge_uncounted(a, i * per_block(a), (i + 1) * per_block(a));
        else if (!judge_block(a, i, block, error))
            return FALSE;
    }
    judge_uncounted(a, a->n_blocks * per_block(a), a->n_clusters);
    return TRUE;
}

/* ---- marks of sole ownership, in the active tables ---- */

/* TRUE when the entry at `at` was changed. */
static gboolean judge_mark(Audit *a, guint64 *raw, guint64 at, const char *what)
{
    guint64 entry = GUINT64_FROM_BE(*raw), host = entry & QCOW2_OFFSET_MASK;
    guint64 cluster = host / a->cluster_size;

    if (host == 0 || (entry & QCOW2_COMPRESSED) != 0 || cluster >= a->n_clusters ||
        ((entry & QCOW2_COPIED) != 0) == (a->counts[cluster] == 1))
        return FALSE;
    corrupt(a, what, at, "is not marked as what it is, its own or shared");
    if (a->repair != QCOW2_REPAIR_ALL)
        return FALSE;
    *raw = GUINT64_TO_BE(entry ^ QCOW2_COPIED);
    a->audit.corruptions_fixed++;
    return TRUE;
}

static gboolean judge_marks_of_l2(Audit *a, guint64 offset, guint64 *table, GError **error)
{
    guint step = (a->header.incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0 ? 2 : 1;
    gboolean changed = FALSE;

    if (offset == 0 || offset % a->cluster_size != 0 ||
        !range_within(offset, a->cluster_size, bytes_size(a->bytes)) ||
        (a->header.incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) != 0)
        return TRUE;
    if (!bytes_pread(a->bytes, table, a->cluster_size, offset, error))
        return FALSE;
    for (guint64 i = 0; i < a->cluster_size / sizeof *table; i += step)
        changed |= judge_mark(a, &table[i], offset + i * sizeof *table, "L2 entry");
    return !changed || bytes_pwrite(a->bytes, table, a->cluster_size, offset, error);
}

static gboolean judge_marks(Audit *a, GError **error)
{
    gsize length = (gsize)a->header.l1_entries * sizeof(guint64);
    g_autofree guint64 *l1 = g_malloc(length);
    g_autofree guint64 *l2 = g_malloc(a->cluster_size);
    gboolean changed = FALSE;

    if (!bytes_pread(a->bytes, l1, length, a->header.l1_offset, error))
        return FALSE;
    for (guint64 i = 0; i < a->header.l1_entries; i++) {
        changed |= judge_mark(a, &l1[i], a->header.l1_offset + i * sizeof *l1, "L1 entry");
        if (!judge_marks_of_l2(a, GUINT64_FROM_BE(l1[i]) & QCOW2_OFFSET_MASK, l2, error))
            return FALSE;
    }
    return !changed || bytes_pwrite(a->bytes, l1, length, a->header.l1_offset, error);
}

gboolean qcow2_audit(Bytes *bytes, Qcow2Repair repair, Qcow2Audit *ret_audit, GError **error)
{
    g_auto(Audit) a = {.bytes = bytes, .repair = repair};

    if (!qcow2_header_read(bytes, &a.header, error))
        return FALSE;
    if (a.header.has_bitmaps)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s has persistent bitmaps, which are not checked here; use qemu-img check",
                       bytes_name(bytes));
    a.cluster_size = (guint64)1 << a.header.cluster_bits;
    a.n_clusters = div_round_up(bytes_size(bytes), a.cluster_size);
    a.counts = g_try_malloc0_n(a.n_clusters, sizeof *a.counts);
    a.audit.total = div_round_up(a.header.size, a.cluster_size);
    if (a.counts == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: not enough memory to count its clusters",
                       bytes_name(bytes));
    if (!follow_all(&a, error) || !judge_all(&a, error) || !judge_marks(&a, error) ||
        (repair != QCOW2_REPAIR_NOTHING && !bytes_flush(bytes, error)))
        return FALSE;
    *ret_audit = a.audit;
    a.audit.first = NULL;
    return TRUE;
}
