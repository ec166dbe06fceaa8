/* store/sqlite.h: what the files of the SQLite driver share.  Only for files sqlite*.c.
 *
 * Queries are prepared once per store and kept.  Their parameters are given by a string of types, one letter
 * each: i gint64    u guint    z guint64 (what does not fit in 63 bits is refused)    f gboolean s char *,
 * NULL allowed    b GBytes *, NULL allowed
 */
#pragma once

#include "store/driver.h"

#include <sqlite3.h>

typedef struct {
    Store base;
    sqlite3 *db;
    char *path;
    char *token;            /* of this handle, for leases */
    GHashTable *statements; /* SQL -> sqlite3_stmt */
} SqliteStore;

/* Opened by store_open(). */
Store *sqlite_store_open(const char *directory, GError **error);
extern const StoreOps sqlite_ops;

/* --- queries (sqlite-query.c) --- */

typedef struct {
    SqliteStore *store;
    sqlite3_stmt *statement;
} Query;

gboolean query_start(Query *query, Store *store, GError **error, const char *sql, const char *types, ...);
/* 1: a row is there, 0: no more, -1: error. */
gint query_next(Query *query, GError **error);
void query_end(Query *query);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Query, query_end)

char *query_text(const Query *query, int column); /* NULL for NULL */
gint64 query_integer(const Query *query, int column);
GBytes *query_bytes(const Query *query, int column); /* NULL for NULL */

/* Runs to the end a statement that returns no rows. */
gboolean query_run(Store *store, GError **error, const char *sql, const char *types, ...);
/* How many rows the last query_run() changed, and the row id that it made. */
gint64 query_changes(Store *store);
gint64 query_row_id(Store *store);

typedef gpointer (*QueryReader)(const Query *query);
/* Every row through `reader`. */
GPtrArray *query_list(Store *store, QueryReader reader, GDestroyNotify free_row, GError **error,
                      const char *sql, const char *types, ...);
/* The first row; NULL without error when there is none. */
gpointer query_first(Store *store, QueryReader reader, GError **error, const char *sql, const char *types,
                     ...);

/* The class of SQLite's last error on this store, with the path and what to do. */
gboolean sqlite_fail(SqliteStore *store, GError **error, const char *doing);
gboolean sqlite_execute(SqliteStore *store, const char *sql, GError **error);

/* Runs `body` so that all of it or nothing is done, in a transaction of its own or as part of the open one.
 */
gboolean sqlite_atomically(Store *store, gboolean (*body)(Store *store, gpointer data, GError **error),
                           gpointer data, GError **error);

/* For what may be lost in a power cut: the commit of `body` is not synced, unless a transaction is open. */
gboolean sqlite_relaxed(Store *store, gboolean (*body)(Store *store, gpointer data, GError **error),
                        gpointer data, GError **error);

/* --- schema (sqlite-schema.c) --- */

extern const char *const sqlite_migrations[]; /* generated from schema/; ends with NULL */
/* Brings the database to the last of `migrations`, each in one transaction; VF_ERROR_UNSUPPORTED when it is
 * newer. */
gboolean sqlite_migrate(SqliteStore *store, const char *const *migrations, GError **error);

/* --- the slots --- */

/* VF_ERROR_NOT_FOUND when the last query_run() changed nothing. */
gboolean sqlite_changed_one(Store *store, const char *what, gint64 id, GError **error);

gboolean sqlite_vm_create(Store *store, const StoreVm *vm, gint64 *ret_id, GError **error);
StoreVm *sqlite_vm_get(Store *store, gint64 id, GError **error);
StoreVm *sqlite_vm_find(Store *store, const char *server, const char *instance_uuid, const char *moref,
                        GError **error);
GPtrArray *sqlite_vm_list(Store *store, GError **error);
gboolean sqlite_vm_update(Store *store, const StoreVm *vm, GError **error);
gboolean sqlite_vm_set_stage(Store *store, gint64 id, const char *from, const char *to, GError **error);
gboolean sqlite_vm_set_progress(Store *store, gint64 id, const char *progress, GError **error);
gboolean sqlite_vm_delete(Store *store, gint64 id, GError **error);

gboolean sqlite_disk_put(Store *store, gint64 vm, const StoreDisk *disk, GError **error);
StoreDisk *sqlite_disk_get(Store *store, gint64 vm, const char *key, GError **error);
GPtrArray *sqlite_disk_list(Store *store, gint64 vm, GError **error);

gboolean sqlite_round_create(Store *store, gint64 vm, const StoreRound *round, gint64 *ret_id,
                             GError **error);
gboolean sqlite_round_update(Store *store, const StoreRound *round, GError **error);
StoreRound *sqlite_round_last(Store *store, gint64 vm, GError **error);
GPtrArray *sqlite_round_list(Store *store, gint64 vm, GError **error);
gboolean sqlite_round_disk_put(Store *store, const StoreRoundDisk *disk, GError **error);
GPtrArray *sqlite_round_disk_list(Store *store, gint64 round, GError **error);
gboolean sqlite_round_disk_done(Store *store, gint64 round, const char *key, GBytes *done, GError **error);
gboolean sqlite_round_disk_complete(Store *store, gint64 vm, gint64 round, const char *key, GError **error);

gboolean sqlite_snapshot_intend(Store *store, gint64 vm, const char *name, gint64 *ret_id, GError **error);
gboolean sqlite_snapshot_made(Store *store, gint64 id, const char *moref, GError **error);
gboolean sqlite_snapshot_gone(Store *store, gint64 id, GError **error);
GPtrArray *sqlite_snapshot_list(Store *store, gint64 vm, gboolean with_removed, GError **error);

gboolean sqlite_request_add(Store *store, gint64 vm, const char *kind, const char *arguments,
                            gboolean *ret_already, GError **error);
GPtrArray *sqlite_request_open(Store *store, gint64 vm, GError **error);
gboolean sqlite_request_close(Store *store, gint64 id, const char *outcome, GError **error);
gboolean sqlite_request_close_all(Store *store, gint64 vm, const char *outcome, GError **error);

gboolean sqlite_event_add(Store *store, gint64 vm, const char *level, const char *kind, const char *text,
                          GError **error);
GPtrArray *sqlite_event_list(Store *store, gint64 vm, gint64 after_id, guint limit, GError **error);

gboolean sqlite_lease_take(Store *store, gint64 vm, guint ttl_seconds, GError **error);
gboolean sqlite_lease_renew(Store *store, gint64 vm, GError **error);
gboolean sqlite_lease_release(Store *store, gint64 vm, GError **error);
char *sqlite_lease_holder(Store *store, gint64 vm, GError **error);

gboolean sqlite_fact_set(Store *store, gint64 vm, const char *name, const char *value, GError **error);
char *sqlite_fact_get(Store *store, gint64 vm, const char *name, GError **error);
GHashTable *sqlite_fact_list(Store *store, gint64 vm, GError **error);
