/* store/driver.h: what a database must be able to do: one slot per function of store.h, with the same
 * contract.
 *
 * To add a database: a file with a static const StoreOps and an open function that store_open() calls.
 * sqlite.c is the example.  Slots are called through the front doors of store.c, which have checked what can
 * be checked without the database.
 */
#pragma once

#include "store/store.h"

typedef struct {
    void (*free)(Store *store);
    gboolean (*begin)(Store *store, GError **error);
    gboolean (*commit)(Store *store, GError **error);
    void (*rollback)(Store *store);

    gboolean (*vm_create)(Store *store, const StoreVm *vm, gint64 *ret_id, GError **error);
    StoreVm *(*vm_get)(Store *store, gint64 id, GError **error);
    StoreVm *(*vm_find)(Store *store, const char *server, const char *instance_uuid, const char *moref,
                        GError **error);
    GPtrArray *(*vm_list)(Store *store, GError **error);
    gboolean (*vm_update)(Store *store, const StoreVm *vm, GError **error);
    gboolean (*vm_set_stage)(Store *store, gint64 id, const char *from, const char *to, GError **error);
    gboolean (*vm_set_progress)(Store *store, gint64 id, const char *progress, GError **error);
    gboolean (*vm_delete)(Store *store, gint64 id, GError **error);

    gboolean (*disk_put)(Store *store, gint64 vm, const StoreDisk *disk, GError **error);
    StoreDisk *(*disk_get)(Store *store, gint64 vm, const char *key, GError **error);
    GPtrArray *(*disk_list)(Store *store, gint64 vm, GError **error);

    gboolean (*round_create)(Store *store, gint64 vm, const StoreRound *round, gint64 *ret_id,
                             GError **error);
    gboolean (*round_update)(Store *store, const StoreRound *round, GError **error);
    StoreRound *(*round_last)(Store *store, gint64 vm, GError **error);
    GPtrArray *(*round_list)(Store *store, gint64 vm, GError **error);

    gboolean (*round_disk_put)(Store *store, const StoreRoundDisk *disk, GError **error);
    GPtrArray *(*round_disk_list)(Store *store, gint64 round, GError **error);
    gboolean (*round_disk_done)(Store *store, gint64 round, const char *key, GBytes *done, GError **error);
    gboolean (*round_disk_complete)(Store *store, gint64 vm, gint64 round, const char *key, GError **error);

    gboolean (*snapshot_intend)(Store *store, gint64 vm, const char *name, gint64 *ret_id, GError **error);
    gboolean (*snapshot_made)(Store *store, gint64 id, const char *moref, GError **error);
    gboolean (*snapshot_gone)(Store *store, gint64 id, GError **error);
    GPtrArray *(*snapshot_list)(Store *store, gint64 vm, gboolean with_removed, GError **error);

    gboolean (*request_add)(Store *store, gint64 vm, const char *kind, const char *arguments,
                            gboolean *ret_already, GError **error);
    GPtrArray *(*request_open)(Store *store, gint64 vm, GError **error);
    gboolean (*request_close)(Store *store, gint64 id, const char *outcome, GError **error);
    gboolean (*request_close_all)(Store *store, gint64 vm, const char *outcome, GError **error);

    gboolean (*event_add)(Store *store, gint64 vm, const char *level, const char *kind, const char *text,
                          GError **error);
    GPtrArray *(*event_list)(Store *store, gint64 vm, gint64 after_id, guint limit, GError **error);

    gboolean (*lease_take)(Store *store, gint64 vm, guint ttl_seconds, GError **error);
    gboolean (*lease_renew)(Store *store, gint64 vm, GError **error);
    gboolean (*lease_release)(Store *store, gint64 vm, GError **error);
    char *(*lease_holder)(Store *store, gint64 vm, GError **error);

    gboolean (*fact_set)(Store *store, gint64 vm, const char *name, const char *value, GError **error);
    char *(*fact_get)(Store *store, gint64 vm, const char *name, GError **error);
    GHashTable *(*fact_list)(Store *store, gint64 vm, GError **error);
} StoreOps;

struct Store {
    const StoreOps *ops;
    char *directory;
};
