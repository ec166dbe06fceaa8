/* The order in which metadata reach the file.
 *
 * Data go to the file as they come, into clusters that nothing in the file points to or that the guest was
 * told nothing about yet.  A commit then takes a copy of everything dirty, at one instant under the lock, and
 * writes it so that at any cut the file is a valid image:
 *
 *   1. refcount blocks, and L2 tables that nothing points to yet;    fdatasync, which covers the data too
 *   2. the refcount table, which finds new blocks;                   fdatasync, only when there were any
 *   3. the other L2 tables, and L1;                                  fdatasync
 *
 * After 1 and 2 every cluster that 3 will point to is there and counted.  A cut before 3 leaves at most
 * clusters that are counted and not used (a leak, which the next writable open takes back), never the
 * opposite.  Entries are 8 bytes, aligned, so a torn write of 3 leaves each of them old or new, and both are
 * right.  Writers go on meanwhile: what they change after the copy was taken is dirty again and belongs to
 * the next commit.
 *
 * What a compressed cluster has left behind is therefore uncounted only after 3, in memory, and a flush that
 * has done so commits once more.
 *
 * When a write or sync of a commit fails nobody can say what is durable.  The image then refuses every
 * change; what was flushed before is still right, and opening it again starts from there.
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"

/* Streams that wait to be uncounted. */
#define UNMAPPED_MAX 65536u

typedef struct {
    guint64 offset;
    gsize length;
    guint8 *data;
} Piece;

typedef struct {
    GPtrArray *tables; /* pinned */
    GArray *targets;   /* Pieces of step 1 */
    GArray *refcounts; /* 2 */
    GArray *pointers;  /* 3 */
    GArray *unmapped;  /* Qcow2Streams that nothing points to after 3 */
} Commit;

static void clear_piece(gpointer piece)
{
    g_aligned_free(((Piece *)piece)->data);
}

static GArray *new_pieces(void)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(Piece));

    g_array_set_clear_func(pieces, clear_piece);
    return pieces;
}

static void add_piece(GArray *pieces, guint64 offset, const void *data, gsize length)
{
    /* Small ones cannot be written directly, and there may be many of them. */
    gsize align = length % DISK_BUFFER_ALIGN == 0 ? DISK_BUFFER_ALIGN : sizeof(guint64);
    Piece piece = {.offset = offset, .length = length, .data = g_aligned_alloc(1, length, align)};

    memcpy(piece.data, data, length);
    g_array_append_val(pieces, piece);
}

static void take_tables(Qcow2 *q, Commit *commit)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, q->tables);
    while (q->n_dirty > 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
        Qcow2Table *table = value;
        gboolean is_target = table->fresh || table->kind == QCOW2_REFCOUNT_BLOCK;

        if (!table->dirty)
            continue;
        add_piece(is_target ? commit->targets : commit->pointers, table->offset, table->data,
                  q->cluster_size);
        qcow2_table_pin(q, table);
        g_ptr_array_add(commit->tables, table);
        table->dirty = table->fresh = FALSE;
        q->n_dirty--;
    }
}

static void take_top(Qcow2Top *top, GArray *pieces)
{
    gsize size = (gsize)top->n * sizeof(guint64);

    for (gsize at = 0; at < size; at += QCOW2_PAGE) {
        if (!top->dirty[at / QCOW2_PAGE])
            continue;
        top->dirty[at / QCOW2_PAGE] = 0;
        add_piece(pieces, top->offset + at, (const guint8 *)top->entries + at, MIN(QCOW2_PAGE, size - at));
    }
}

static int compare_pieces(gconstpointer a, gconstpointer b)
{
    guint64 left = ((const Piece *)a)->offset;
    guint64 right = ((const Piece *)b)->offset;

    return left < right ? -1 : left > right;
}

static gboolean write_and_sync(Qcow2 *q, GArray *pieces, GError **error)
{
    g_array_sort(pieces, compare_pieces);
    for (guint i = 0; i < pieces->len; i++) {
        const Piece *piece = &g_array_index(pieces, Piece, i);

        if (!bytes_pwrite(q->bytes, piece->data, piece->length, piece->offset, error))
            return FALSE;
    }
    return bytes_flush(q->bytes, error);
}

static gboolean write_all(Qcow2 *q, const Commit *commit, GError **error)
{
    return write_and_sync(q, commit->targets, error) &&
           (commit->refcounts->len == 0 || write_and_sync(q, commit->refcounts, error)) &&
           (commit->pointers->len == 0 || write_and_sync(q, commit->pointers, error));
}

gboolean qcow2_check_usable(const Qcow2 *q, GError **error)
{
    if (q->failed)
        return vf_fail(
            error, VF_ERROR_TARGET_IO,
            "%s: an earlier flush failed, so what has been written since the one before it may be lost; "
            "open the image again and repeat that",
            q->disk.name);
    return TRUE;
}

static gboolean take(Qcow2 *q, Commit *commit, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    if (!qcow2_check_usable(q, error))
        return FALSE;
    take_tables(q, commit);
    take_top(&q->refcount_table, commit->refcounts);
    take_top(&q->l1, commit->pointers);
    g_array_append_vals(commit->unmapped, q->unmapped->data, q->unmapped->len);
    g_array_set_size(q->unmapped, 0);
    return TRUE;
}

static gboolean uncount(Qcow2 *q, const GArray *streams, GError **error)
{
    for (guint i = 0; i < streams->len; i++)
        if (!qcow2_count_stream(q, &g_array_index(streams, Qcow2Stream, i), -1, error))
            return FALSE;
    return TRUE;
}

static gboolean give_back(Qcow2 *q, const Commit *commit, gboolean ok, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    for (guint i = 0; i < commit->tables->len; i++)
        qcow2_table_put(q, g_ptr_array_index(commit->tables, i));
    ok = ok && uncount(q, commit->unmapped, error);
    if (!ok)
        q->failed = TRUE;
    return ok;
}

/* Under commit_lock. */
static gboolean run_commit(Qcow2 *q, gboolean *ret_uncounted, GError **error)
{
    g_autoptr(GPtrArray) tables = g_ptr_array_new();
    g_autoptr(GArray) targets = new_pieces();
    g_autoptr(GArray) refcounts = new_pieces();
    g_autoptr(GArray) pointers = new_pieces();
    g_autoptr(GArray) unmapped = g_array_new(FALSE, FALSE, sizeof(Qcow2Stream));
    Commit commit = {.tables = tables,
                     .targets = targets,
                     .refcounts = refcounts,
                     .pointers = pointers,
                     .unmapped = unmapped};

    if (!take(q, &commit, error) || !give_back(q, &commit, write_all(q, &commit, error), error))
        return FALSE;
    *ret_uncounted = unmapped->len > 0;
    return TRUE;
}

gboolean qcow2_commit(Qcow2 *q, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->commit_lock);
    gboolean uncounted;

    return run_commit(q, &uncounted, error) && (!uncounted || run_commit(q, &uncounted, error));
}

static gboolean has_room(Qcow2 *q, gboolean *ret_ok, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    *ret_ok = qcow2_check_usable(q, error);
    return !*ret_ok || (q->n_dirty < q->max_dirty && q->unmapped->len < UNMAPPED_MAX);
}

gboolean qcow2_make_room(Qcow2 *q, GError **error)
{
    g_autoptr(GMutexLocker) locker = NULL;
    gboolean uncounted, ok;

    if (has_room(q, &ok, error))
        return ok;
    /* Whoever waited here finds that the one before has made room for all. */
    locker = g_mutex_locker_new(&q->commit_lock);
    if (has_room(q, &ok, error))
        return ok;
    return run_commit(q, &uncounted, error);
}
