#include "migration/snapshots.h"

#include "base/crash-point.h"
#include "base/error.h"

#include <string.h>

#define IDLE_SECONDS 7200u

char *snapshot_name_new(const Engine *engine, const char *what)
{
    return g_strdup_printf("vmferry-%" G_GINT64_FORMAT "-%s-%08x", engine->id, what, g_random_int());
}

/* A snapshot that is made while another one is merged can freeze a mixture. */
static gboolean wait_until_idle(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = NULL;

    if (!vsphere_wait_idle(engine->vsphere, engine->vm->moref, IDLE_SECONDS, error))
        return FALSE;
    vm = engine_get_vm(engine, error);
    if (vm == NULL)
        return FALSE;
    if (!vm->consolidation_needed)
        return TRUE;
    engine_event(engine, LOG_WARNING, "snapshot", "the disks need consolidation; doing it first");
    return vsphere_consolidate(engine->vsphere, engine->vm->moref, error);
}

static gboolean ask_for(Engine *engine, const char *name, QuiesceMode quiesce, char **ret_moref,
                        GError **error)
{
    g_autofree char *description = g_strdup_printf(
        "Made by vmferry, migration %" G_GINT64_FORMAT ", and removed by it; see vmferry status", engine->id);
    g_autoptr(GError) failed = NULL;
    gboolean wanted = quiesce == QUIESCE_TRUE || (quiesce == QUIESCE_AUTO && !engine->never_quiesces);

    if (vsphere_create_snapshot(engine->vsphere, engine->vm->moref, name, description, wanted, ret_moref,
                                &failed))
        return TRUE;
    if (!wanted || quiesce == QUIESCE_TRUE || !vf_error_is(failed, VF_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return FALSE;
    }
    engine->never_quiesces = TRUE;
    engine_event(engine, LOG_INFO, "snapshot",
                 "the guest cannot be quiesced, from here on its disks are frozen as they are: %s",
                 failed->message);
    return vsphere_create_snapshot(engine->vsphere, engine->vm->moref, name, description, FALSE, ret_moref,
                                   error);
}

gboolean snapshot_make(Engine *engine, const char *name, QuiesceMode quiesce, char **ret_moref,
                       GError **error)
{
    g_autofree char *moref = NULL;
    gint64 row = 0;

    engine_doing(engine, "waiting until no snapshot task runs");
    if (!wait_until_idle(engine, error) ||
        !store_snapshot_intend(engine->store, engine->id, name, &row, error))
        return FALSE;
    crash_point("round.intent-recorded");
    engine_doing(engine, "making a snapshot");
    if (!ask_for(engine, name, quiesce, &moref, error))
        return FALSE;
    crash_point("round.snapshot-created");
    if (!store_snapshot_made(engine->store, row, moref, error))
        return FALSE;
    *ret_moref = g_steal_pointer(&moref);
    return TRUE;
}

static gboolean record_gone(Engine *engine, const char *name, GError **error)
{
    g_autoptr(GPtrArray) rows = store_snapshot_list(engine->store, engine->id, FALSE, error);

    if (rows == NULL)
        return FALSE;
    for (guint i = 0; i < rows->len; i++) {
        const StoreSnapshot *row = g_ptr_array_index(rows, i);

        if (strcmp(row->name, name) == 0 && !store_snapshot_gone(engine->store, row->id, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean consolidate_if_needed(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);

    if (vm == NULL)
        return FALSE;
    return !vm->consolidation_needed || vsphere_consolidate(engine->vsphere, engine->vm->moref, error);
}

gboolean snapshot_drop(Engine *engine, const char *name, const char *moref, GError **error)
{
    g_autofree char *found = NULL;

    if (moref == NULL) {
        found = vsphere_find_snapshot(engine->vsphere, engine->vm->moref, name, error);
        if (found == NULL && *error != NULL)
            return FALSE;
        moref = found;
    }
    crash_point("round.snapshot-removing");
    if (moref != NULL && !vsphere_remove_snapshot(engine->vsphere, moref, error)) {
        g_prefix_error(error, "snapshot %s: ", name);
        return FALSE;
    }
    crash_point("round.snapshot-removed");
    return record_gone(engine, name, error) && (moref == NULL || consolidate_if_needed(engine, error));
}

gboolean snapshots_clear(Engine *engine, const char *keep, GError **error)
{
    g_autoptr(GPtrArray) rows = store_snapshot_list(engine->store, engine->id, FALSE, error);
    GError *first = NULL;

    if (rows == NULL)
        return FALSE;
    for (guint i = 0; i < rows->len; i++) {
        const StoreSnapshot *row = g_ptr_array_index(rows, i);
        g_autoptr(GError) failed = NULL;

        if (keep != NULL && strcmp(row->name, keep) == 0)
            continue;
        engine_doing(engine, "removing snapshots");
        /* Asked for and killed: it may be in the making. */
        if (vsphere_wait_idle(engine->vsphere, engine->vm->moref, IDLE_SECONDS, &failed))
            snapshot_drop(engine, row->name, row->moref, &failed);
        if (failed != NULL && first == NULL)
            first = g_steal_pointer(&failed);
    }
    if (first != NULL)
        g_propagate_error(error, first);
    return first == NULL;
}
