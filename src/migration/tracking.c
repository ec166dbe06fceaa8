#include "migration/tracking.h"

#include "base/crash-point.h"
#include "base/error.h"
#include "migration/snapshots.h"

#include <string.h>

static gboolean all_tracked(const VsphereVm *vm)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        if (((const VsphereDisk *)g_ptr_array_index(vm->disks, i))->change_id == NULL)
            return FALSE;
    }
    return TRUE;
}

static gboolean switch_on(Engine *engine, GError **error)
{
    engine_event(engine, LOG_INFO, "tracking", "switching change tracking on");
    /* Recorded before it is done: who cancels after a crash must know. */
    engine->vm->cbt_by_us = TRUE;
    if (!engine_save(engine, error) ||
        !vsphere_set_change_tracking(engine->vsphere, engine->vm->moref, TRUE, error)) {
        g_prefix_error(error, "change tracking could not be switched on: ");
        return FALSE;
    }
    crash_point("cbt.enabled");
    return TRUE;
}

/* Makes the hypervisor open the disks anew, now with their tracking files. */
static gboolean cycle(Engine *engine, GError **error)
{
    g_autofree char *name = snapshot_name_new(engine, "cbt");
    g_autofree char *moref = NULL;

    engine_doing(engine, "activating change tracking");
    if (!snapshot_make(engine, name, QUIESCE_FALSE, &moref, error) ||
        !snapshot_drop(engine, name, moref, error)) {
        g_prefix_error(error, "change tracking could not be activated: ");
        return FALSE;
    }
    crash_point("cbt.cycled");
    return TRUE;
}

static gboolean report_untracked(Engine *engine, const VsphereVm *vm, GError **error)
{
    for (guint i = 0; i < vm->disks->len; i++) {
        const VsphereDisk *disk = g_ptr_array_index(vm->disks, i);

        if (disk->change_id != NULL)
            continue;
        if (!engine->spec->allow_full_reread)
            return vf_fail(
                error, VF_ERROR_UNSUPPORTED,
                "disk %d (%s) shows no change id, so vSphere does not track what changes on it; migrate the "
                "VM "
                "switched off, or set migration.allow_full_reread to read this disk in full in each round",
                disk->key, disk->path != NULL ? disk->path : "no file");
        engine_event(engine, LOG_WARNING, "tracking",
                     "disk %d shows no change id: it is read in full in each round, the last one included",
                     disk->key);
    }
    return TRUE;
}

gboolean tracking_ensure(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);

    if (vm == NULL)
        return FALSE;
    if (strcmp(vm->power_state, "poweredOn") != 0 || (vm->cbt_enabled && all_tracked(vm)))
        return TRUE;
    if (vm->cbt_supported && ((!vm->cbt_enabled && !switch_on(engine, error)) || !cycle(engine, error)))
        return FALSE;
    g_clear_pointer(&vm, vsphere_vm_free);
    vm = engine_get_vm(engine, error);
    return vm != NULL && report_untracked(engine, vm, error);
}

void tracking_restore(Engine *engine)
{
    g_autoptr(GError) error = NULL;

    if (!engine->vm->cbt_by_us)
        return;
    if (!vsphere_set_change_tracking(engine->vsphere, engine->vm->moref, FALSE, &error)) {
        engine_event(engine, LOG_WARNING, "tracking", "change tracking stays on at the source: %s",
                     error->message);
        return;
    }
    engine->vm->cbt_by_us = FALSE;
    if (!engine_save(engine, &error))
        log_warning("%s: %s", engine->vm->name, error->message);
}
