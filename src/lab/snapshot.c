#include "base/error.h"
#include "lab/call.h"
#include "lab/property.h"
#include "lab/vm.h"

#define MAX_LEVELS 32u

static LabVm *self_vm(LabCall *call)
{
    return (LabVm *)call->self;
}

static gboolean start_task(LabCall *call, LabVm *vm, const char *description_id, const char *method,
                           LabTaskRun run, gpointer data, GDestroyNotify free_data)
{
    LabTask *task = lab_task_start(call->lab, vm, description_id, method, run, data, free_data, &call->fault);
    call->result = task != NULL ? lab_ref(&task->object) : NULL;
    return task != NULL;
}

/* --- creating --- */

typedef struct {
    char *title, *description;
    gboolean quiesce;
} Creation;

static void creation_free(gpointer data)
{
    Creation *creation = data;
    g_free(creation->title);
    g_free(creation->description);
    g_free(creation);
}

static gboolean take_one(guint *count)
{
    if (*count == 0)
        return FALSE;
    (*count)--;
    return TRUE;
}

/* With the lock held. */
static gboolean check_creation(LabTask *task, LabFault *fault)
{
    const Creation *creation = task->data;
    LabVm *vm = task->vm;
    guint depth = 0;
    for (const LabSnapshot *up = vm->current; up != NULL; up = up->above)
        depth++;
    if (depth >= MAX_LEVELS)
        return lab_fault_plain(fault, "TooManySnapshotLevels", "The maximum number of snapshots is reached.");
    if (!creation->quiesce || !vm->on)
        return TRUE;
    if (!vm->has_tools)
        return lab_fault_plain(fault, "ToolsUnavailable",
                               "The guest cannot be quiesced: VMware Tools is not running.");
    if (vm->refuses_quiesce || take_one(&task->lab->troubles.refuse_quiesce))
        return lab_fault_plain(fault, "ApplicationQuiesceFault",
                               "An error occurred while quiescing the virtual machine.");
    return TRUE;
}

/* With the lock held. */
static void record(LabTask *task, const char *moref)
{
    const Creation *creation = task->data;
    LabSnapshot *snapshot = lab_snapshot_new(task->lab, task->vm, moref, creation->title);
    snapshot->description = g_strdup(creation->description);
    snapshot->quiesced = creation->quiesce && task->vm->on;
    for (guint i = 0; i < task->vm->disks->len; i++)
        g_ptr_array_add(snapshot->disks, lab_disk_copy(g_ptr_array_index(task->vm->disks, i)));
    lab_vm_refresh(task->vm);
    task->result = lab_ref(&snapshot->object);
}

static gboolean run_create(LabTask *task, LabFault *fault)
{
    const Creation *creation = task->data;
    g_autoptr(GError) error = NULL;
    lab_lock(task->lab);
    g_autofree char *moref = lab_next_moref(task->lab, "snapshot-");
    gboolean right = check_creation(task, fault);
    lab_unlock(task->lab);
    if (!right)
        return FALSE;
    if (!lab_backing_snapshot(task->vm->backing, moref, creation->quiesce, &error)) {
        /* A guest without an agent, which only its backing knows. */
        if (creation->quiesce && vf_error_is(error, VF_ERROR_UNSUPPORTED))
            return lab_fault_plain(fault, "FilesystemQuiesceFault", "%s", error->message);
        return lab_fault_backing(fault, task->vm, g_steal_pointer(&error));
    }
    lab_lock(task->lab);
    record(task, moref);
    lab_unlock(task->lab);
    return TRUE;
}

static gboolean create(LabCall *call, const char *method, gboolean quiesce)
{
    gboolean memory = FALSE;
    const char *name = call_text(call, "name");
    if (!call_boolean(call, "memory", &memory) || !lab_vm_check_connected(self_vm(call), &call->fault))
        return FALSE;
    if (name[0] == '\0' || g_utf8_strlen(name, -1) > 80)
        return lab_fault_argument(&call->fault, "name");
    Creation *creation = g_new0(Creation, 1);
    creation->title = g_strdup(name);
    creation->description = g_strdup(call_text(call, "description"));
    creation->quiesce = quiesce;
    return start_task(call, self_vm(call), "VirtualMachine.createSnapshot", method, run_create, creation,
                      creation_free);
}

static gboolean create_snapshot(LabCall *call)
{
    gboolean quiesce = FALSE;
    return call_boolean(call, "quiesce", &quiesce) && create(call, "CreateSnapshot_Task", quiesce);
}

static gboolean create_snapshot_ex(LabCall *call)
{
    XmlNode *spec = xml_child(call->arguments, "quiesceSpec");
    const char *text = xml_child_text(spec, "timeout");
    gint64 minutes;
    if (text != NULL && !g_ascii_string_to_signed(text, 10, 5, 240, &minutes, NULL))
        return lab_fault_argument(&call->fault, "quiesceSpec.timeout");
    return create(call, "CreateSnapshotEx_Task", spec != NULL);
}

/* --- removing --- */

typedef struct {
    GPtrArray *morefs; /* char *: in the order in which they go */
    gboolean consolidate;
} Removal;

static void removal_free(gpointer data)
{
    Removal *removal = data;
    g_ptr_array_unref(removal->morefs);
    g_free(removal);
}

/* Out of the tree, but its link is still there: what is left when consolidation fails. */
static void leave_link(LabTask *task, LabSnapshot *snapshot)
{
    g_ptr_array_add(task->vm->orphans, g_strdup(snapshot->object.moref));
    task->vm->consolidation_needed = TRUE;
    lab_snapshot_drop(task->lab, snapshot);
}

static gboolean merge(LabTask *task, const char *moref, LabFault *fault)
{
    g_autoptr(GError) error = NULL;
    return lab_backing_remove_snapshot(task->vm->backing, moref, &error) ||
           lab_fault_backing(fault, task->vm, g_steal_pointer(&error));
}

static gboolean locked_disk(LabFault *fault, const LabVm *vm)
{
    Value *value = value_new("FileLocked");
    value_setf(value, "file", "[%s] %s", vm->datastore->object.name, vm->home);
    return lab_fault(fault, value, "Unable to access file since it is locked");
}

static gboolean remove_one(LabTask *task, const char *moref, gboolean consolidate, LabFault *fault)
{
    lab_lock(task->lab);
    LabSnapshot *snapshot = (LabSnapshot *)lab_find(task->lab, moref);
    gboolean refused = take_one(&task->lab->troubles.fail_removal);
    gboolean half = !refused && (!consolidate || take_one(&task->lab->troubles.half_removal));
    if (refused)
        locked_disk(fault, task->vm);
    else if (half)
        leave_link(task, snapshot);
    lab_unlock(task->lab);
    if (refused || half)
        return half;
    if (!merge(task, moref, fault))
        return FALSE;
    lab_lock(task->lab);
    lab_snapshot_drop(task->lab, snapshot);
    lab_vm_refresh(task->vm);
    lab_unlock(task->lab);
    return TRUE;
}

static gboolean run_remove(LabTask *task, LabFault *fault)
{
    const Removal *removal = task->data;
    for (guint i = 0; i < removal->morefs->len; i++)
        if (!remove_one(task, g_ptr_array_index(removal->morefs, i), removal->consolidate, fault))
            return FALSE;
    return TRUE;
}

static gboolean run_consolidate(LabTask *task, LabFault *fault)
{
    for (;;) {
        lab_lock(task->lab);
        GPtrArray *orphans = task->vm->orphans;
        g_autofree char *moref = orphans->len > 0 ? g_strdup(g_ptr_array_index(orphans, 0)) : NULL;
        task->vm->consolidation_needed = moref != NULL;
        lab_unlock(task->lab);
        if (moref == NULL)
            return TRUE;
        if (!merge(task, moref, fault))
            return FALSE;
        lab_lock(task->lab);
        g_ptr_array_remove_index(orphans, 0);
        lab_vm_refresh(task->vm);
        lab_unlock(task->lab);
    }
}

static gboolean descends(const LabSnapshot *snapshot, const LabSnapshot *from)
{
    for (; snapshot != NULL; snapshot = snapshot->above)
        if (snapshot == from)
            return TRUE;
    return FALSE;
}

/* `from` NULL: all.  The youngest go first. */
static Removal *removal_new(const LabVm *vm, const LabSnapshot *from, gboolean children, gboolean consolidate)
{
    Removal *removal = g_new0(Removal, 1);
    removal->morefs = g_ptr_array_new_with_free_func(g_free);
    removal->consolidate = consolidate;
    for (guint i = vm->snapshots->len; i > 0; i--) {
        const LabSnapshot *snapshot = g_ptr_array_index(vm->snapshots, i - 1);
        if (from == NULL || snapshot == from || (children && descends(snapshot, from)))
            g_ptr_array_add(removal->morefs, g_strdup(snapshot->object.moref));
    }
    return removal;
}

static gboolean remove_snapshot(LabCall *call)
{
    LabSnapshot *snapshot = (LabSnapshot *)call->self;
    gboolean children = FALSE, consolidate = TRUE;
    if (!call_boolean(call, "removeChildren", &children) ||
        !call_boolean(call, "consolidate", &consolidate) ||
        !lab_vm_check_connected(snapshot->vm, &call->fault))
        return FALSE;
    return start_task(call, snapshot->vm, "vm.Snapshot.remove", "RemoveSnapshot_Task", run_remove,
                      removal_new(snapshot->vm, snapshot, children, consolidate), removal_free);
}

static gboolean remove_all(LabCall *call)
{
    gboolean consolidate = TRUE;
    if (!call_boolean(call, "consolidate", &consolidate) ||
        !lab_vm_check_connected(self_vm(call), &call->fault))
        return FALSE;
    return start_task(call, self_vm(call), "VirtualMachine.removeAllSnapshots", "RemoveAllSnapshots_Task",
                      run_remove, removal_new(self_vm(call), NULL, TRUE, consolidate), removal_free);
}

static gboolean revert(LabCall *call)
{
    return lab_fault_plain(&call->fault, "NotSupported", "The lab cannot go back to a snapshot.");
}

static gboolean consolidate_disks(LabCall *call)
{
    return lab_vm_check_connected(self_vm(call), &call->fault) &&
           start_task(call, self_vm(call), "VirtualMachine.consolidateDisks", "ConsolidateVMDisks_Task",
                      run_consolidate, NULL, NULL);
}

const LabMethod LAB_SNAPSHOT_METHODS[] = {
    {"CreateSnapshot_Task", "VirtualMachine", create_snapshot, "name description? memory quiesce",
     "VirtualMachine.State.CreateSnapshot", 20},
    {"CreateSnapshotEx_Task", "VirtualMachine", create_snapshot_ex, "name description? memory quiesceSpec?",
     "VirtualMachine.State.CreateSnapshot", 65},
    {"RemoveSnapshot_Task", "VirtualMachineSnapshot", remove_snapshot, "removeChildren consolidate?",
     "VirtualMachine.State.RemoveSnapshot", 20},
    {"RemoveAllSnapshots_Task", "VirtualMachine", remove_all, "consolidate?",
     "VirtualMachine.State.RemoveSnapshot", 20},
    {"RevertToSnapshot_Task", "VirtualMachineSnapshot", revert, "host? suppressPowerOn?",
     "VirtualMachine.State.RevertToSnapshot", 20},
    {"ConsolidateVMDisks_Task", "VirtualMachine", consolidate_disks, "",
     "VirtualMachine.State.RemoveSnapshot", 50},
    {NULL},
};
