#include "store/store.h"

#include "base/error.h"
#include "base/io.h"
#include "store/driver.h"
#include "store/sqlite.h"

Store *store_open(const char *directory, GError **error)
{
    return io_make_directory(directory, error) ? sqlite_store_open(directory, error) : NULL;
}

void store_free(Store *store)
{
    if (store != NULL)
        store->ops->free(store);
}

const char *store_directory(const Store *store)
{
    return store->directory;
}

gboolean store_begin(Store *store, GError **error)
{
    return store->ops->begin(store, error);
}

gboolean store_commit(Store *store, GError **error)
{
    return store->ops->commit(store, error);
}

void store_rollback(Store *store)
{
    store->ops->rollback(store);
}

/* Text that must be there: a NULL is a fault of the caller, not of the database. */
static gboolean needs(const char *text, const char *what, GError **error)
{
    return (text != NULL && *text != '\0') || vf_fail(error, VF_ERROR_INVALID, "store: %s is missing", what);
}

/* --- VMs --- */

gboolean store_vm_create(Store *store, const StoreVm *vm, gint64 *ret_id, GError **error)
{
    return needs(vm->stage, "the stage", error) && needs(vm->moref, "the moref", error) &&
           store->ops->vm_create(store, vm, ret_id, error);
}

StoreVm *store_vm_get(Store *store, gint64 id, GError **error)
{
    return store->ops->vm_get(store, id, error);
}

StoreVm *store_vm_find(Store *store, const char *server, const char *instance_uuid, const char *moref,
                       GError **error)
{
    return store->ops->vm_find(store, server, instance_uuid, moref, error);
}

GPtrArray *store_vm_list(Store *store, GError **error)
{
    return store->ops->vm_list(store, error);
}

gboolean store_vm_update(Store *store, const StoreVm *vm, GError **error)
{
    return needs(vm->stage, "the stage", error) && store->ops->vm_update(store, vm, error);
}

gboolean store_vm_set_stage(Store *store, gint64 id, const char *from, const char *to, GError **error)
{
    return needs(from, "the stage that it leaves", error) && needs(to, "the stage that it enters", error) &&
           store->ops->vm_set_stage(store, id, from, to, error);
}

gboolean store_vm_set_progress(Store *store, gint64 id, const char *progress, GError **error)
{
    return store->ops->vm_set_progress(store, id, progress, error);
}

gboolean store_vm_delete(Store *store, gint64 id, GError **error)
{
    return store->ops->vm_delete(store, id, error);
}

/* --- disks --- */

gboolean store_disk_put(Store *store, gint64 vm, const StoreDisk *disk, GError **error)
{
    return needs(disk->key, "the key of a disk", error) && store->ops->disk_put(store, vm, disk, error);
}

StoreDisk *store_disk_get(Store *store, gint64 vm, const char *key, GError **error)
{
    return store->ops->disk_get(store, vm, key, error);
}

GPtrArray *store_disk_list(Store *store, gint64 vm, GError **error)
{
    return store->ops->disk_list(store, vm, error);
}

/* --- rounds --- */

gboolean store_round_create(Store *store, gint64 vm, const StoreRound *round, gint64 *ret_id, GError **error)
{
    return needs(round->kind, "the kind of a round", error) &&
           store->ops->round_create(store, vm, round, ret_id, error);
}

gboolean store_round_update(Store *store, const StoreRound *round, GError **error)
{
    return needs(round->kind, "the kind of a round", error) && store->ops->round_update(store, round, error);
}

StoreRound *store_round_last(Store *store, gint64 vm, GError **error)
{
    return store->ops->round_last(store, vm, error);
}

GPtrArray *store_round_list(Store *store, gint64 vm, GError **error)
{
    return store->ops->round_list(store, vm, error);
}

gboolean store_round_disk_put(Store *store, const StoreRoundDisk *disk, GError **error)
{
    return needs(disk->key, "the key of a disk", error) && store->ops->round_disk_put(store, disk, error);
}

GPtrArray *store_round_disk_list(Store *store, gint64 round, GError **error)
{
    return store->ops->round_disk_list(store, round, error);
}

gboolean store_round_disk_done(Store *store, gint64 round, const char *key, GBytes *done, GError **error)
{
    return store->ops->round_disk_done(store, round, key, done, error);
}

gboolean store_round_disk_complete(Store *store, gint64 vm, gint64 round, const char *key, GError **error)
{
    return store->ops->round_disk_complete(store, vm, round, key, error);
}

/* --- snapshots --- */

gboolean store_snapshot_intend(Store *store, gint64 vm, const char *name, gint64 *ret_id, GError **error)
{
    return needs(name, "the name of a snapshot", error) &&
           store->ops->snapshot_intend(store, vm, name, ret_id, error);
}

gboolean store_snapshot_made(Store *store, gint64 id, const char *moref, GError **error)
{
    return needs(moref, "the moref of a snapshot", error) &&
           store->ops->snapshot_made(store, id, moref, error);
}

gboolean store_snapshot_gone(Store *store, gint64 id, GError **error)
{
    return store->ops->snapshot_gone(store, id, error);
}

GPtrArray *store_snapshot_list(Store *store, gint64 vm, gboolean with_removed, GError **error)
{
    return store->ops->snapshot_list(store, vm, with_removed, error);
}

/* --- requests and events --- */

gboolean store_request_add(Store *store, gint64 vm, const char *kind, const char *arguments,
                           gboolean *ret_already, GError **error)
{
    return needs(kind, "the kind of a request", error) &&
           store->ops->request_add(store, vm, kind, arguments, ret_already, error);
}

GPtrArray *store_request_open(Store *store, gint64 vm, GError **error)
{
    return store->ops->request_open(store, vm, error);
}

gboolean store_request_close(Store *store, gint64 id, const char *outcome, GError **error)
{
    return store->ops->request_close(store, id, outcome, error);
}

gboolean store_request_close_all(Store *store, gint64 vm, const char *outcome, GError **error)
{
    return store->ops->request_close_all(store, vm, outcome, error);
}

gboolean store_event_add(Store *store, gint64 vm, const char *level, const char *kind, const char *text,
                         GError **error)
{
    return needs(level, "the level of an event", error) && needs(kind, "the kind of an event", error) &&
           needs(text, "the text of an event", error) &&
           store->ops->event_add(store, vm, level, kind, text, error);
}

GPtrArray *store_event_list(Store *store, gint64 vm, gint64 after_id, guint limit, GError **error)
{
    return store->ops->event_list(store, vm, after_id, limit, error);
}

/* --- leases --- */

gboolean store_lease_take(Store *store, gint64 vm, guint ttl_seconds, GError **error)
{
    return store->ops->lease_take(store, vm, ttl_seconds, error);
}

gboolean store_lease_renew(Store *store, gint64 vm, GError **error)
{
    return store->ops->lease_renew(store, vm, error);
}

gboolean store_lease_release(Store *store, gint64 vm, GError **error)
{
    return store->ops->lease_release(store, vm, error);
}

char *store_lease_holder(Store *store, gint64 vm, GError **error)
{
    return store->ops->lease_holder(store, vm, error);
}

/* --- facts --- */

gboolean store_fact_set(Store *store, gint64 vm, const char *name, const char *value, GError **error)
{
    return needs(name, "the name of a fact", error) && store->ops->fact_set(store, vm, name, value, error);
}

char *store_fact_get(Store *store, gint64 vm, const char *name, GError **error)
{
    return store->ops->fact_get(store, vm, name, error);
}

GHashTable *store_fact_list(Store *store, gint64 vm, GError **error)
{
    return store->ops->fact_list(store, vm, error);
}
