/* store/sqlite.c: the SQLite driver: opening, transactions, and the table of operations.
 *
 * WAL with synchronous=FULL: a commit returns after the log is on the disk, readers never wait for the
 * writer, and a kill at any instant leaves the last commit.  Every writing transaction is BEGIN IMMEDIATE,
 * because one that starts by reading cannot wait for its turn to write: SQLite would refuse it as soon as
 * somebody else has written.
 */
#include "store/sqlite.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>

/* How long a writer waits for another; transactions here last milliseconds. */
#define BUSY_TIMEOUT_MS 20000

static void sqlite_free(Store *base)
{
    SqliteStore *store = (SqliteStore *)base;

    g_clear_pointer(&store->statements, g_hash_table_unref);
    sqlite3_close(store->db);
    g_free(store->path);
    g_free(store->token);
    g_free(store->base.directory);
    g_free(store);
}

static void statement_free(gpointer statement)
{
    sqlite3_finalize(statement);
}

/* SQLite would create it with whatever the umask leaves; the log and the index file get the same mode. */
static gboolean create_private(const char *path, GError **error)
{
    g_auto(Fd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd >= 0 || vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot open the store %s", path);
}

static gboolean configure(SqliteStore *store, GError **error)
{
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    sqlite3_extended_result_codes(store->db, 1);
    return sqlite_execute(store, "PRAGMA journal_mode = WAL", error) &&
           sqlite_execute(store, "PRAGMA synchronous = FULL", error) &&
           sqlite_execute(store, "PRAGMA foreign_keys = ON", error) &&
           sqlite_execute(store, "PRAGMA trusted_schema = OFF", error);
}

/* SQLite does not wait, but refuses, when two switch a new database to WAL at once.  So those who open take
 * turns, until the descriptor is closed.  Where a directory cannot be locked (NFS), the loser of that race
 * has to try again. */
static Fd wait_for_turn(const char *directory)
{
    Fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
        continue;
    return fd;
}

/* From the kernel: a generator of our own would go on the same way in two children of one fork. */
static char *random_token(void)
{
    guint64 random[2];

    if (getrandom(random, sizeof random, 0) != (gssize)sizeof random)
        g_error("the kernel has no random numbers");
    return g_strdup_printf("%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x", random[0], random[1]);
}

Store *sqlite_store_open(const char *directory, GError **error)
{
    SqliteStore *store = g_new0(SqliteStore, 1);
    G_GNUC_UNUSED g_auto(Fd) turn = wait_for_turn(directory);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

    store->base = (Store){.ops = &sqlite_ops, .directory = g_strdup(directory)};
    store->path = g_build_filename(directory, "vmferry.db", NULL);
    store->token = random_token();
    store->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, statement_free);
    if (create_private(store->path, error) &&
        (sqlite3_open_v2(store->path, &store->db, flags, NULL) == SQLITE_OK ||
         sqlite_fail(store, error, "open")) &&
        configure(store, error) && sqlite_migrate(store, sqlite_migrations, error))
        return &store->base;
    sqlite_free(&store->base);
    return NULL;
}

/* --- transactions --- */

static gboolean sqlite_begin(Store *base, GError **error)
{
    SqliteStore *store = (SqliteStore *)base;

    if (!sqlite3_get_autocommit(store->db))
        return vf_fail(error, VF_ERROR_INTERNAL, "store: a transaction is open already");
    return sqlite_execute(store, "BEGIN IMMEDIATE", error);
}

static void sqlite_rollback(Store *base)
{
    SqliteStore *store = (SqliteStore *)base;

    /* SQLite has done it by itself after a full disk or an I/O error. */
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

static gboolean sqlite_commit(Store *base, GError **error)
{
    SqliteStore *store = (SqliteStore *)base;

    if (sqlite3_get_autocommit(store->db))
        return vf_fail(error, VF_ERROR_TARGET_IO,
                       "store %s: the transaction was undone after an earlier error; nothing was stored",
                       store->path);
    if (sqlite_execute(store, "COMMIT", error))
        return TRUE;
    sqlite_rollback(base);
    return FALSE;
}

static gboolean part_of_open_transaction(SqliteStore *store,
                                         gboolean (*body)(Store *store, gpointer data, GError **error),
                                         gpointer data, GError **error)
{
    if (!sqlite_execute(store, "SAVEPOINT part", error))
        return FALSE;
    if (body(&store->base, data, error))
        return sqlite_execute(store, "RELEASE part", error);
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK TO part; RELEASE part", NULL, NULL, NULL);
    return FALSE;
}

gboolean sqlite_atomically(Store *base, gboolean (*body)(Store *store, gpointer data, GError **error),
                           gpointer data, GError **error)
{
    SqliteStore *store = (SqliteStore *)base;

    if (!sqlite3_get_autocommit(store->db))
        return part_of_open_transaction(store, body, data, error);
    if (!sqlite_begin(base, error))
        return FALSE;
    if (body(base, data, error))
        return sqlite_commit(base, error);
    sqlite_rollback(base);
    return FALSE;
}

gboolean sqlite_relaxed(Store *base, gboolean (*body)(Store *store, gpointer data, GError **error),
                        gpointer data, GError **error)
{
    SqliteStore *store = (SqliteStore *)base;
    g_autoptr(GError) strict_error = NULL;
    gboolean done = FALSE;

    /* Inside a transaction SQLite does not let the level change, and need not: its commit is synced anyway.
     */
    if (!sqlite3_get_autocommit(store->db))
        return body(base, data, error);
    if (!sqlite_execute(store, "PRAGMA synchronous = NORMAL", error))
        return FALSE;
    done = body(base, data, error);
    if (!sqlite_execute(store, "PRAGMA synchronous = FULL", &strict_error))
        g_error("store: %s", strict_error->message);
    return done;
}

const StoreOps sqlite_ops = {
    .free = sqlite_free,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .vm_create = sqlite_vm_create,
    .vm_get = sqlite_vm_get,
    .vm_find = sqlite_vm_find,
    .vm_list = sqlite_vm_list,
    .vm_update = sqlite_vm_update,
    .vm_set_stage = sqlite_vm_set_stage,
    .vm_set_progress = sqlite_vm_set_progress,
    .vm_delete = sqlite_vm_delete,
    .disk_put = sqlite_disk_put,
    .disk_get = sqlite_disk_get,
    .disk_list = sqlite_disk_list,
    .round_create = sqlite_round_create,
    .round_update = sqlite_round_update,
    .round_last = sqlite_round_last,
    .round_list = sqlite_round_list,
    .round_disk_put = sqlite_round_disk_put,
    .round_disk_list = sqlite_round_disk_list,
    .round_disk_done = sqlite_round_disk_done,
    .round_disk_complete = sqlite_round_disk_complete,
    .snapshot_intend = sqlite_snapshot_intend,
    .snapshot_made = sqlite_snapshot_made,
    .snapshot_gone = sqlite_snapshot_gone,
    .snapshot_list = sqlite_snapshot_list,
    .request_add = sqlite_request_add,
    .request_open = sqlite_request_open,
    .request_close = sqlite_request_close,
    .request_close_all = sqlite_request_close_all,
    .event_add = sqlite_event_add,
    .event_list = sqlite_event_list,
    .lease_take = sqlite_lease_take,
    .lease_renew = sqlite_lease_renew,
    .lease_release = sqlite_lease_release,
    .lease_holder = sqlite_lease_holder,
    .fact_set = sqlite_fact_set,
    .fact_get = sqlite_fact_get,
    .fact_list = sqlite_fact_list,
};
