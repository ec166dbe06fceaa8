/* From guest offsets to places in the file, through L1 and L2, and back into the tables what has changed. */
#include "disk/qcow2-internal.h"

#include "base/error.h"
#include "base/size.h"

static gboolean fail_entry(const Qcow2 *q, const char *what, guint64 entry, GError **error)
{
    return vf_fail(error, VF_ERROR_INTEGRITY,
                   "%s: %s entry 0x%016" G_GINT64_MODIFIER
                   "x is corrupt; qemu-img check -r all may repair it",
                   q->disk.name, what, entry);
}

gboolean qcow2_parse_l1_entry(const Qcow2 *q, guint64 entry, guint64 *ret_offset, GError **error)
{
    guint64 offset = entry & QCOW2_OFFSET_MASK;

    if ((entry & ~(QCOW2_OFFSET_MASK | QCOW2_COPIED)) != 0 || offset % q->cluster_size != 0 || offset == 0)
        return fail_entry(q, "L1", entry, error);
    *ret_offset = offset;
    return TRUE;
}

gboolean qcow2_parse_entry(const Qcow2 *q, guint64 entry, Qcow2Run *ret, GError **error)
{
    guint64 host = entry & QCOW2_OFFSET_MASK;
    gboolean zero = (entry & QCOW2_ZERO) != 0;

    *ret = (Qcow2Run){.kind = QCOW2_RUN_COMPRESSED, .length = q->cluster_size};
    if ((entry & QCOW2_COMPRESSED) != 0)
        return TRUE;
    if ((entry & ~(QCOW2_OFFSET_MASK | QCOW2_COPIED | QCOW2_ZERO)) != 0 || host % q->cluster_size != 0 ||
        (host == 0 && (entry & QCOW2_COPIED) != 0))
        return fail_entry(q, "L2", entry, error);
    ret->host = host;
    if (host == 0)
        ret->kind = zero ? QCOW2_RUN_ZERO : QCOW2_RUN_HOLE;
    else
        ret->kind = zero ? QCOW2_RUN_ZERO_ALLOCATED : QCOW2_RUN_DATA;
    return TRUE;
}

static guint64 *entries_of(const Qcow2Table *table)
{
    return (guint64 *)(void *)table->data;
}

static Qcow2Table *get_l2(Qcow2 *q, guint64 l1_entry, GError **error)
{
    guint64 offset;

    if (!qcow2_parse_l1_entry(q, l1_entry, &offset, error))
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

static gboolean continues(const Qcow2Run *run, const Qcow2Run *next)
{
    return next->kind == run->kind && (!has_storage(run->kind) || next->host == run->host + run->length);
}

/* The run that starts at `offset`, at most `length` long, in the table that maps it. */
static gboolean find_run(const Qcow2 *q, const Qcow2Table *table, guint64 offset, guint64 length,
                         Qcow2Run *run, GError **error)
{
    const guint64 *entries = entries_of(table);
    guint64 index = (offset >> q->cluster_bits) % q->l2_entries;
    guint64 within = offset % q->cluster_size;
    Qcow2Run next;

    if (!qcow2_parse_entry(q, GUINT64_FROM_BE(entries[index]), run, error))
        return FALSE;
    while (run->length < within + length && ++index < q->l2_entries) {
        if (!qcow2_parse_entry(q, GUINT64_FROM_BE(entries[index]), &next, error))
            return FALSE;
        if (!continues(run, &next))
            break;
        run->length += q->cluster_size;
    }
    run->length = MIN(run->length - within, length);
    run->host += has_storage(run->kind) ? within : 0;
    return TRUE;
}

gboolean qcow2_lookup(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error)
{
    guint64 entry = qcow2_top_get(&q->l1, offset / q->l2_span);
    Qcow2Table *table;
    gboolean ok;

    if (entry == 0) {
        *ret = (Qcow2Run){.kind = QCOW2_RUN_HOLE, .length = hole_length(q, offset, length)};
        return TRUE;
    }
    table = get_l2(q, entry, error);
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
    return get_l2(q, qcow2_top_get(&q->l1, index), error);
}

static void set_entries(Qcow2 *q, Qcow2Table *table, guint64 guest, guint64 n, guint64 host)
{
    guint64 *entries = entries_of(table) + guest % q->l2_entries;

    for (guint64 i = 0; i < n; i++)
        entries[i] = GUINT64_TO_BE(((host + i) << q->cluster_bits) | QCOW2_COPIED);
    qcow2_table_touch(q, table);
}

gboolean qcow2_map(Qcow2 *q, guint64 guest, guint64 n, guint64 host, gboolean count, GError **error)
{
    Qcow2Table *table = get_l2_for(q, guest, error);
    Qcow2Table *block = NULL;

    if (table == NULL)
        return FALSE;
    /* Both tables are in memory before either changes: a commit must see both changes or none. */
    if (count) {
        block = qcow2_block_get(q, host, error);
        if (block == NULL) {
            qcow2_table_put(q, table);
            return FALSE;
        }
        qcow2_block_set(q, block, host, n, 1);
        qcow2_table_put(q, block);
    }
    set_entries(q, table, guest, n, host);
    qcow2_table_put(q, table);
    return TRUE;
}

gboolean qcow2_map_zero(Qcow2 *q, guint64 guest, guint64 n, GError **error)
{
    Qcow2Table *table = get_l2_for(q, guest, error);
    guint64 *entries;

    if (table == NULL)
        return FALSE;
    entries = entries_of(table) + guest % q->l2_entries;
    for (guint64 i = 0; i < n; i++)
        entries[i] |= GUINT64_TO_BE(QCOW2_ZERO);
    qcow2_table_touch(q, table);
    qcow2_table_put(q, table);
    return TRUE;
}
