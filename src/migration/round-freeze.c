#include "migration/round-plan.h"

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "migration/snapshots.h"
#include "migration/source.h"

#include <string.h>

#define IDLE_SECONDS 7200u

static gboolean freeze_with_snapshot(Round *round, GPtrArray **ret_disks, GError **error)
{
    Engine *engine = round->engine;

    if (!snapshot_make(engine, round->row->snapshot_name, engine->spec->snapshot_quiesce,
                       &round->row->snapshot, error))
        return FALSE;
    round->frozen = clock_monotonic();
    round->row->started = clock_now();
    if (!store_round_update(engine->store, round->row, error))
        return FALSE;
    crash_point("round.snapshot-recorded");
    *ret_disks = vsphere_snapshot_disks(engine->vsphere, round->row->snapshot, error);
    return *ret_disks != NULL;
}

static gboolean check_off(const VsphereVm *vm, GError **error)
{
    return strcmp(vm->power_state, "poweredOff") == 0
               ? TRUE
               : vf_fail(error, VF_ERROR_CONFLICT,
                         "%s is %s at the source, and was to be read while it is off", vm->machine->name,
                         vm->power_state);
}

/* The state that the disks are in: of a snapshot, or of a VM that is off. */
static gboolean freeze(Round *round, GPtrArray **ret_disks, GError **error)
{
    Engine *engine = round->engine;
    g_autoptr(VsphereVm) vm = NULL;

    if (!round->off && !freeze_with_snapshot(round, ret_disks, error))
        return FALSE;
    if (round->off) {
        crash_point("cutover.final-round-recorded");
        if (!vsphere_wait_idle(engine->vsphere, engine->vm->moref, IDLE_SECONDS, error))
            return FALSE;
        round->frozen = clock_monotonic();
    }
    vm = engine_get_vm(engine, error);
    if (vm == NULL)
        return FALSE;
    round->datacenter_path = g_strdup(vm->datacenter_path);
    if (!round->off)
        return TRUE;
    *ret_disks = g_steal_pointer(&vm->disks);
    vm->disks = g_ptr_array_new();
    return check_off(vm, error);
}

static StoreRoundDisk *disk_row(const Round *round, const VsphereDisk *frozen, const char *key)
{
    StoreRoundDisk *row = g_new0(StoreRoundDisk, 1);

    row->round = round->row->id;
    row->key = g_strdup(key);
    row->size = frozen->size;
    row->source_path = g_strdup(frozen->path);
    row->change_id = g_strdup(frozen->change_id);
    return row;
}

static gboolean check_tracked(Engine *engine, const VsphereDisk *frozen, gboolean off, GError **error)
{
    if (frozen->path == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "disk %d has no file that could be read (%s)",
                       frozen->key, frozen->backing);
    if (frozen->change_id != NULL || off || engine->spec->allow_full_reread)
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "disk %d shows no change id in the snapshot: vSphere stopped tracking what changes on it; "
                   "switch change tracking "
                   "off and on, or set migration.allow_full_reread",
                   frozen->key);
}

static gboolean record_frozen(Round *round, const GPtrArray *frozen, GError **error)
{
    const Machine *machine = round->engine->machine;

    if (!source_check_disks(machine, frozen, error))
        return FALSE;
    for (guint i = 0; i < machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(machine->disks, i);
        const VsphereDisk *now = source_find_disk(frozen, disk->key);
        RoundDisk *added;

        if (!check_tracked(round->engine, now, round->off, error))
            return FALSE;
        added = round_add_disk(round, disk, disk_row(round, now, disk->key), error);
        if (added == NULL || !store_round_disk_put(round->engine->store, added->row, error))
            return FALSE;
    }
    crash_point("round.change-ids-recorded");
    return TRUE;
}

gboolean round_freeze(Round *round, GError **error)
{
    g_autoptr(GPtrArray) frozen = NULL;

    return freeze(round, &frozen, error) && record_frozen(round, frozen, error);
}
