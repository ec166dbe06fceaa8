/* store/sqlite-round.c: rounds, their disks and the snapshots that they are read from.
 *
 * The one transaction that matters most is here: sqlite_round_disk_complete() moves the change id of a disk
 * together with the mark that its round is done, so that no crash can leave one without the other.
 */
#include "base/clock.h"
#include "base/error.h"
#include "store/sqlite.h"

#define ROUND_COLUMNS                                                                                        \
    "SELECT id, number, kind, state, snapshot_name, snapshot, started, ended, stats FROM round "

static gpointer read_round(const Query *query)
{
    StoreRound *round = g_new0(StoreRound, 1);

    *round = (StoreRound){
        .id = query_integer(query, 0),
        .number = (guint)query_integer(query, 1),
        .kind = query_text(query, 2),
        .state = (RoundState)query_integer(query, 3),
        .snapshot_name = query_text(query, 4),
        .snapshot = query_text(query, 5),
        .started = query_integer(query, 6),
        .ended = query_integer(query, 7),
        .stats = query_text(query, 8),
    };
    return round;
}

static void free_round(gpointer round)
{
    store_round_free(round);
}

gboolean sqlite_round_create(Store *store, gint64 vm, const StoreRound *round, gint64 *ret_id, GError **error)
{
    if (!query_run(
            store, error,
            "INSERT INTO round (vm, number, kind, state, snapshot_name, snapshot, started, ended, stats)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "iusussiis", vm, round->number, round->kind, (guint)round->state, round->snapshot_name,
            round->snapshot, round->started, round->ended, round->stats))
        return FALSE;
    *ret_id = query_row_id(store);
    return TRUE;
}

gboolean sqlite_round_update(Store *store, const StoreRound *round, GError **error)
{
    return query_run(store, error,
                     "UPDATE round SET number = ?, kind = ?, state = ?, snapshot_name = ?, snapshot = ?, "
                     "started = ?,"
                     " ended = ?, stats = ? WHERE id = ?",
                     "usussiisi", round->number, round->kind, (guint)round->state, round->snapshot_name,
                     round->snapshot, round->started, round->ended, round->stats, round->id) &&
           sqlite_changed_one(store, "round", round->id, error);
}

StoreRound *sqlite_round_last(Store *store, gint64 vm, GError **error)
{
    return query_first(store, read_round, error, ROUND_COLUMNS "WHERE vm = ? ORDER BY id DESC LIMIT 1", "i",
                       vm);
}

GPtrArray *sqlite_round_list(Store *store, gint64 vm, GError **error)
{
    return query_list(store, read_round, free_round, error, ROUND_COLUMNS "WHERE vm = ? ORDER BY id", "i",
                      vm);
}

/* --- disks of a round --- */

static gpointer read_round_disk(const Query *query)
{
    StoreRoundDisk *disk = g_new0(StoreRoundDisk, 1);

    *disk = (StoreRoundDisk){
        .round = query_integer(query, 0),
        .key = query_text(query, 1),
        .mode = (RoundMode)query_integer(query, 2),
        .size = (guint64)query_integer(query, 3),
        .source_path = query_text(query, 4),
        .change_id = query_text(query, 5),
        .read = query_bytes(query, 6),
        .zero = query_bytes(query, 7),
        .done = query_bytes(query, 8),
        .complete = query_integer(query, 9) != 0,
    };
    return disk;
}

static void free_round_disk(gpointer disk)
{
    store_round_disk_free(disk);
}

gboolean sqlite_round_disk_done(Store *store, gint64 round, const char *key, GBytes *done, GError **error)
{
    if (done == NULL)
        return query_run(store, error, "DELETE FROM round_disk_done WHERE round = ? AND key = ?", "is", round,
                         key);
    return query_run(store, error,
                     "INSERT INTO round_disk_done (round, key, done) VALUES (?, ?, ?)"
                     " ON CONFLICT (round, key) DO UPDATE SET done = excluded.done",
                     "isb", round, key, done);
}

static gboolean put_round_disk(Store *store, gpointer data, GError **error)
{
    const StoreRoundDisk *disk = data;

    return query_run(
               store, error,
               "INSERT INTO round_disk (round, key, mode, size, source_path, change_id, read, zero, complete)"
               " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
               " ON CONFLICT (round, key) DO UPDATE SET mode = excluded.mode, size = excluded.size,"
               " source_path = excluded.source_path, change_id = excluded.change_id, read = excluded.read,"
               " zero = excluded.zero, complete = excluded.complete",
               "isuzssbbf", disk->round, disk->key, (guint)disk->mode, disk->size, disk->source_path,
               disk->change_id, disk->read, disk->zero, disk->complete) &&
           sqlite_round_disk_done(store, disk->round, disk->key, disk->done, error);
}

gboolean sqlite_round_disk_put(Store *store, const StoreRoundDisk *disk, GError **error)
{
    return sqlite_atomically(store, put_round_disk, (gpointer)disk, error);
}

GPtrArray *sqlite_round_disk_list(Store *store, gint64 round, GError **error)
{
    return query_list(
        store, read_round_disk, free_round_disk, error,
        "SELECT round, key, mode, size, source_path, change_id, read, zero, done, complete"
        " FROM round_disk LEFT JOIN round_disk_done USING (round, key) WHERE round = ? ORDER BY key",
        "i", round);
}

typedef struct {
    gint64 vm, round;
    const char *key;
} Completion;

static gboolean complete(Store *store, gpointer data, GError **error)
{
    const Completion *it = data;

    if (!query_run(store, error,
                   "UPDATE round_disk SET complete = 1 WHERE round = ? AND key = ?"
                   " AND round IN (SELECT id FROM round WHERE vm = ?)",
                   "isi", it->round, it->key, it->vm))
        return FALSE;
    if (query_changes(store) != 1)
        return vf_fail(error, VF_ERROR_NOT_FOUND,
                       "round %" G_GINT64_FORMAT " of migration %" G_GINT64_FORMAT " has no disk %s",
                       it->round, it->vm, it->key);
    if (!query_run(store, error,
                   "UPDATE disk SET change_id = r.change_id, size = r.size FROM round_disk AS r"
                   " WHERE disk.vm = ? AND disk.key = ? AND r.round = ? AND r.key = disk.key",
                   "isi", it->vm, it->key, it->round))
        return FALSE;
    return query_changes(store) == 1 ||
           vf_fail(error, VF_ERROR_NOT_FOUND, "migration %" G_GINT64_FORMAT " has no disk %s in the store",
                   it->vm, it->key);
}

gboolean sqlite_round_disk_complete(Store *store, gint64 vm, gint64 round, const char *key, GError **error)
{
    Completion it = {vm, round, key};

    return sqlite_atomically(store, complete, &it, error);
}

/* --- snapshots --- */

static gpointer read_snapshot(const Query *query)
{
    StoreSnapshot *snapshot = g_new0(StoreSnapshot, 1);

    *snapshot = (StoreSnapshot){
        .id = query_integer(query, 0),
        .name = query_text(query, 1),
        .moref = query_text(query, 2),
        .removed = query_integer(query, 3) != 0,
    };
    return snapshot;
}

static void free_snapshot(gpointer snapshot)
{
    store_snapshot_free(snapshot);
}

gboolean sqlite_snapshot_intend(Store *store, gint64 vm, const char *name, gint64 *ret_id, GError **error)
{
    if (!query_run(store, error, "INSERT INTO snapshot (vm, name, removed) VALUES (?, ?, 0)", "is", vm, name))
        return FALSE;
    *ret_id = query_row_id(store);
    return TRUE;
}

gboolean sqlite_snapshot_made(Store *store, gint64 id, const char *moref, GError **error)
{
    return query_run(store, error, "UPDATE snapshot SET moref = ? WHERE id = ?", "si", moref, id) &&
           sqlite_changed_one(store, "snapshot", id, error);
}

gboolean sqlite_snapshot_gone(Store *store, gint64 id, GError **error)
{
    return query_run(store, error, "UPDATE snapshot SET removed = 1 WHERE id = ?", "i", id) &&
           sqlite_changed_one(store, "snapshot", id, error);
}

GPtrArray *sqlite_snapshot_list(Store *store, gint64 vm, gboolean with_removed, GError **error)
{
    return query_list(
        store, read_snapshot, free_snapshot, error,
        "SELECT id, name, moref, removed FROM snapshot WHERE vm = ? AND (? OR NOT removed) ORDER BY id", "if",
        vm, with_removed);
}
