#include "base/clock.h"
#include "base/error.h"
#include "store/sqlite.h"

#define VM_COLUMNS                                                                                           \
    "SELECT id, name, server, instance_uuid, moref, stage, failed_stage, error, error_class, spec, machine," \
    " progress, was_running, stopped_by_us, cbt_by_us, created, updated"                                     \
    " FROM vm LEFT JOIN vm_progress ON vm_progress.vm = vm.id "

static gpointer read_vm(const Query *query)
{
    StoreVm *vm = g_new0(StoreVm, 1);

    *vm = (StoreVm){
        .id = query_integer(query, 0),
        .name = query_text(query, 1),
        .server = query_text(query, 2),
        .instance_uuid = query_text(query, 3),
        .moref = query_text(query, 4),
        .stage = query_text(query, 5),
        .failed_stage = query_text(query, 6),
        .error = query_text(query, 7),
        .error_class = query_text(query, 8),
        .spec = query_text(query, 9),
        .machine = query_text(query, 10),
        .progress = query_text(query, 11),
        .was_running = query_integer(query, 12) != 0,
        .stopped_by_us = query_integer(query, 13) != 0,
        .cbt_by_us = query_integer(query, 14) != 0,
        .created = query_integer(query, 15),
        .updated = query_integer(query, 16),
    };
    return vm;
}

static void free_vm(gpointer vm)
{
    store_vm_free(vm);
}

/* Parts of an identity that a server does not have are kept as "", because NULLs are never equal. */
static const char *part(const char *text)
{
    return text != NULL ? text : "";
}

gboolean sqlite_changed_one(Store *store, const char *what, gint64 id, GError **error)
{
    return query_changes(store) == 1 ||
           vf_fail(error, VF_ERROR_NOT_FOUND, "there is no %s %" G_GINT64_FORMAT " in the store", what, id);
}

static gboolean put_progress(Store *store, gint64 id, const char *progress, GError **error)
{
    if (progress == NULL)
        return query_run(store, error, "DELETE FROM vm_progress WHERE vm = ?", "i", id);
    return query_run(store, error,
                     "INSERT INTO vm_progress (vm, progress) VALUES (?, ?)"
                     " ON CONFLICT (vm) DO UPDATE SET progress = excluded.progress",
                     "is", id, progress);
}

typedef struct {
    const StoreVm *vm;
    gint64 id;
} VmWrite;

static gboolean insert_vm(Store *store, gpointer data, GError **error)
{
    VmWrite *write = data;
    const StoreVm *vm = write->vm;
    gint64 now = clock_now();

    if (!query_run(store, error,
                   "INSERT INTO vm (name, server, instance_uuid, moref, stage, failed_stage, error, "
                   "error_class, spec,"
                   " machine, was_running, stopped_by_us, cbt_by_us, created, updated)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   "ssssssssssfffii", part(vm->name), part(vm->server), part(vm->instance_uuid),
                   part(vm->moref), vm->stage, vm->failed_stage, vm->error, vm->error_class, vm->spec,
                   vm->machine, vm->was_running, vm->stopped_by_us, vm->cbt_by_us, now, now))
        return FALSE;
    write->id = query_row_id(store);
    return put_progress(store, write->id, vm->progress, error);
}

gboolean sqlite_vm_create(Store *store, const StoreVm *vm, gint64 *ret_id, GError **error)
{
    VmWrite write = {.vm = vm};
    g_autoptr(GError) why = NULL;

    if (sqlite_atomically(store, insert_vm, &write, &why)) {
        *ret_id = write.id;
        return TRUE;
    }
    if (vf_error_is(why, VF_ERROR_CONFLICT))
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "a migration of %s (%s) is going on already; finish, cancel or retry that one",
                       part(vm->name), part(vm->moref));
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

StoreVm *sqlite_vm_get(Store *store, gint64 id, GError **error)
{
    g_autoptr(GError) why = NULL;
    StoreVm *vm = query_first(store, read_vm, &why, VM_COLUMNS "WHERE id = ?", "i", id);

    if (vm == NULL && why == NULL)
        vf_fail(error, VF_ERROR_NOT_FOUND, "there is no migration %" G_GINT64_FORMAT " in the store", id);
    else if (vm == NULL)
        g_propagate_error(error, g_steal_pointer(&why));
    return vm;
}

StoreVm *sqlite_vm_find(Store *store, const char *server, const char *instance_uuid, const char *moref,
                        GError **error)
{
    return query_first(store, read_vm, error,
                       VM_COLUMNS
                       "WHERE server = ? AND instance_uuid = ? AND moref = ? ORDER BY id DESC LIMIT 1",
                       "sss", part(server), part(instance_uuid), part(moref));
}

GPtrArray *sqlite_vm_list(Store *store, GError **error)
{
    return query_list(store, read_vm, free_vm, error, VM_COLUMNS "ORDER BY id DESC", "");
}

static gboolean update_vm(Store *store, gpointer data, GError **error)
{
    const StoreVm *vm = data;

    return query_run(
               store, error,
               "UPDATE vm SET name = ?, stage = ?, failed_stage = ?, error = ?, error_class = ?, spec = ?,"
               " machine = ?, was_running = ?, stopped_by_us = ?, cbt_by_us = ?, updated = ? WHERE id = ?",
               "sssssssfffii", part(vm->name), vm->stage, vm->failed_stage, vm->error, vm->error_class,
               vm->spec, vm->machine, vm->was_running, vm->stopped_by_us, vm->cbt_by_us, clock_now(),
               vm->id) &&
           sqlite_changed_one(store, "migration", vm->id, error) &&
           put_progress(store, vm->id, vm->progress, error);
}

gboolean sqlite_vm_update(Store *store, const StoreVm *vm, GError **error)
{
    return sqlite_atomically(store, update_vm, (gpointer)vm, error);
}

typedef struct {
    gint64 id;
    const char *from, *to;
} StageMove;

static gboolean explain_refused_move(Store *store, const StageMove *move, GError **error)
{
    g_autoptr(StoreVm) vm = sqlite_vm_get(store, move->id, error);

    if (vm == NULL)
        return FALSE;
    return vf_fail(error, VF_ERROR_CONFLICT,
                   "migration %" G_GINT64_FORMAT " is in stage %s, not in %s; somebody else moved it",
                   move->id, vm->stage, move->from);
}

static gboolean move_stage(Store *store, gpointer data, GError **error)
{
    const StageMove *move = data;
    g_autofree char *text = g_strdup_printf("%s -> %s", move->from, move->to);

    if (!query_run(store, error, "UPDATE vm SET stage = ?, updated = ? WHERE id = ? AND stage = ?", "siis",
                   move->to, clock_now(), move->id, move->from))
        return FALSE;
    if (query_changes(store) == 0)
        return explain_refused_move(store, move, error);
    return sqlite_event_add(store, move->id, "info", "stage", text, error);
}

gboolean sqlite_vm_set_stage(Store *store, gint64 id, const char *from, const char *to, GError **error)
{
    StageMove move = {id, from, to};

    return sqlite_atomically(store, move_stage, &move, error);
}

typedef struct {
    gint64 id;
    const char *progress;
} ProgressWrite;

static gboolean write_progress(Store *store, gpointer data, GError **error)
{
    const ProgressWrite *write = data;

    return put_progress(store, write->id, write->progress, error);
}

gboolean sqlite_vm_set_progress(Store *store, gint64 id, const char *progress, GError **error)
{
    ProgressWrite write = {id, progress};

    return sqlite_relaxed(store, write_progress, &write, error);
}

gboolean sqlite_vm_delete(Store *store, gint64 id, GError **error)
{
    return query_run(store, error, "DELETE FROM vm WHERE id = ?", "i", id) &&
           sqlite_changed_one(store, "migration", id, error);
}
