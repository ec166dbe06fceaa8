/* Metadata in memory.
 *
 * L1 and the refcount table are small and stay in memory whole.  L2 tables and refcount blocks go through one
 * cache with a stated maximum.  A table is pinned while somebody uses it; one that is neither pinned nor
 * dirty is idle, and the idle table that was used longest ago makes room for the next.  A dirty table is
 * never written from here, because what it points to must be durable first: qcow2_make_room() commits before
 * too many are dirty.
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

#define CACHE_BYTES      (32 * MIB)
#define CACHE_MIN_TABLES 16u

void qcow2_cache_init(Qcow2 *q)
{
    q->max_tables = MAX((guint)(CACHE_BYTES >> q->cluster_bits), CACHE_MIN_TABLES);
    q->max_dirty = q->max_tables / 2;
    q->tables = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&q->idle);
}

static void free_table(Qcow2Table *table)
{
    g_aligned_free(table->data);
    g_free(table);
}

void qcow2_cache_fini(Qcow2 *q)
{
    GHashTableIter iter;
    gpointer table;

    g_hash_table_iter_init(&iter, q->tables);
    while (g_hash_table_iter_next(&iter, NULL, &table))
        free_table(table);
    g_hash_table_destroy(q->tables);
}

/* With everything pinned or dirty the cache grows past its maximum, by a few tables for each thread at work.
 */
static void evict(Qcow2 *q)
{
    while (g_hash_table_size(q->tables) >= q->max_tables && q->idle.length > 0) {
        Qcow2Table *table = g_queue_pop_tail_link(&q->idle)->data;

        g_hash_table_remove(q->tables, &table->offset);
        free_table(table);
    }
}

static Qcow2Table *insert(Qcow2 *q, guint64 offset, Qcow2TableKind kind)
{
    Qcow2Table *table = g_new0(Qcow2Table, 1);

    evict(q);
    table->offset = offset;
    table->kind = kind;
    table->pins = 1;
    table->idle.data = table;
    table->data = g_aligned_alloc(1, q->cluster_size, MIN(q->cluster_size, DISK_BUFFER_ALIGN));
    g_hash_table_insert(q->tables, &table->offset, table);
    return table;
}

static gboolean is_idle(const Qcow2Table *table)
{
    return table->pins == 0 && !table->dirty;
}

void qcow2_table_pin(Qcow2 *q, Qcow2Table *table)
{
    if (is_idle(table))
        g_queue_unlink(&q->idle, &table->idle);
    table->pins++;
}

void qcow2_table_put(Qcow2 *q, Qcow2Table *table)
{
    table->pins--;
    if (table->pins > 0)
        return;
    if (table->failed)
        free_table(table);
    else if (!table->dirty)
        g_queue_push_head_link(&q->idle, &table->idle);
}

void qcow2_table_touch(Qcow2 *q, Qcow2Table *table)
{
    if (table->dirty)
        return;
    table->dirty = TRUE;
    q->n_dirty++;
}

Qcow2Table *qcow2_table_new(Qcow2 *q, guint64 offset, Qcow2TableKind kind)
{
    Qcow2Table *table = insert(q, offset, kind);

    memset(table->data, 0, q->cluster_size);
    table->fresh = TRUE;
    qcow2_table_touch(q, table);
    return table;
}

/* Returns the table, not yet pinned by the caller, once nobody is reading it; NULL when it is not in the
 * cache. */
static Qcow2Table *find_loaded(Qcow2 *q, guint64 offset)
{
    Qcow2Table *table = g_hash_table_lookup(q->tables, &offset);

    while (table != NULL && table->loading) {
        g_cond_wait(&q->changed, &q->lock);
        table = g_hash_table_lookup(q->tables, &offset);
    }
    return table;
}

static gboolean load(Qcow2 *q, Qcow2Table *table, GError **error)
{
    gboolean ok;

    table->loading = TRUE;
    g_mutex_unlock(&q->lock);
    ok = bytes_pread(q->bytes, table->data, q->cluster_size, table->offset, error);
    g_mutex_lock(&q->lock);
    table->loading = FALSE;
    g_cond_broadcast(&q->changed);
    return ok;
}

Qcow2Table *qcow2_table_get(Qcow2 *q, guint64 offset, Qcow2TableKind kind, GError **error)
{
    Qcow2Table *table = find_loaded(q, offset);

    if (table != NULL) {
        qcow2_table_pin(q, table);
        return table;
    }
    table = insert(q, offset, kind);
    if (load(q, table, error))
        return table;
    g_hash_table_remove(q->tables, &table->offset);
    table->failed = TRUE;
    qcow2_table_put(q, table);
    return NULL;
}

/* --- the tables on top --- */

static gsize count_pages(guint64 n)
{
    return (gsize)div_round_up(n * sizeof(guint64), QCOW2_PAGE);
}

gboolean qcow2_top_load(Qcow2 *q, Qcow2Top *top, guint64 offset, guint64 n, const char *what, GError **error)
{
    top->entries = g_try_new0(guint64, n + 1);
    if (top->entries == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: no memory for its %s", bytes_name(q->bytes), what);
    top->n = n;
    top->offset = offset;
    top->dirty = g_new0(guint8, count_pages(n) + 1);
    if (!bytes_pread(q->bytes, top->entries, n * sizeof(guint64), offset, error)) {
        g_prefix_error(error, "reading its %s: ", what);
        return FALSE;
    }
    return TRUE;
}

void qcow2_top_clear(Qcow2Top *top)
{
    g_clear_pointer(&top->entries, g_free);
    g_clear_pointer(&top->dirty, g_free);
}

void qcow2_top_move(Qcow2Top *top, guint64 offset, guint64 n)
{
    top->entries = g_renew(guint64, top->entries, n + 1);
    memset(top->entries + top->n, 0, (n + 1 - top->n) * sizeof(guint64));
    top->dirty = g_renew(guint8, top->dirty, count_pages(n) + 1);
    memset(top->dirty, 1, count_pages(n));
    top->offset = offset;
    top->n = n;
}

guint64 qcow2_top_get(const Qcow2Top *top, guint64 index)
{
    return GUINT64_FROM_BE(top->entries[index]);
}

void qcow2_top_set(Qcow2Top *top, guint64 index, guint64 value)
{
    top->entries[index] = GUINT64_TO_BE(value);
    top->dirty[index * sizeof(guint64) / QCOW2_PAGE] = 1;
}
