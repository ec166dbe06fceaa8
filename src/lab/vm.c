#include "lab/vm.h"

#include "base/error.h"
#include "lab/call.h"
#include "lab/property.h"

#include <string.h>

/* --- what the backing says --- */

/* The files below the one that `above` froze, nearest first. */
static GStrv files_below(const LabVm *vm, gint32 key, const LabSnapshot *above, const char *file)
{
    GPtrArray *files = g_ptr_array_new();
    const char *last = file;
    for (; above != NULL; above = above->above) {
        const LabDisk *frozen = lab_disk_find(above->disks, key);
        if (frozen == NULL || g_strcmp0(frozen->file, last) == 0)
            continue;
        last = frozen->file;
        g_ptr_array_add(files, g_strdup(last));
    }
    if (files->len == 0) {
        g_ptr_array_unref(files);
        return NULL;
    }
    g_ptr_array_add(files, NULL);
    return (GStrv)g_ptr_array_free(files, FALSE);
}

/* An independent disk has no part in snapshots: its file stays what it was, and nothing is tracked. */
static void refresh_disk(LabVm *vm, LabDisk *disk, const char *snapshot, const LabSnapshot *below)
{
    if (!lab_disk_snapshots(disk))
        return;
    char *file = lab_backing_file(vm->backing, disk->key, snapshot);
    if (file != NULL) {
        g_free(disk->file);
        disk->file = file;
    }
    g_free(disk->change_id);
    disk->change_id = lab_backing_change_id(vm->backing, disk->key, snapshot);
    g_strfreev(disk->parents);
    disk->parents = files_below(vm, disk->key, below, disk->file);
}

void lab_vm_refresh(LabVm *vm)
{
    for (guint i = 0; i < vm->snapshots->len; i++) { /* parents first */
        LabSnapshot *snapshot = g_ptr_array_index(vm->snapshots, i);
        for (guint d = 0; d < snapshot->disks->len; d++)
            refresh_disk(vm, g_ptr_array_index(snapshot->disks, d), snapshot->object.moref, snapshot->above);
    }
    for (guint d = 0; d < vm->disks->len; d++) {
        LabDisk *disk = g_ptr_array_index(vm->disks, d);
        refresh_disk(vm, disk, NULL, vm->current);
        disk->size = lab_backing_size(vm->backing, disk->key);
    }
}

/* --- power --- */

gboolean lab_fault_power(LabFault *fault, const LabVm *vm, gboolean wanted_on)
{
    Value *value = value_new("InvalidPowerState");
    value_set_text(value, "requestedState", wanted_on ? "poweredOn" : "poweredOff");
    value_set_text(value, "existingState", vm->on ? "poweredOn" : "poweredOff");
    return lab_fault(fault, value, "The attempted operation cannot be performed in the current state (%s).",
                     vm->on ? "Powered on" : "Powered off");
}

gboolean lab_vm_check_connected(const LabVm *vm, LabFault *fault)
{
    return g_str_equal(vm->connection_state, "connected") ||
           lab_fault_plain(fault, "InvalidState", "The operation is not allowed in the current state (%s).",
                           vm->connection_state);
}

/* Only a task of its own changes the power of a VM from off to on; the check and the act are one. */
static gboolean run_power(LabTask *task, gboolean on, LabFault *fault)
{
    LabVm *vm = task->vm;
    g_autoptr(GError) error = NULL;
    lab_lock(task->lab);
    gboolean right = vm->on != on || lab_fault_power(fault, vm, on);
    lab_unlock(task->lab);
    if (!right)
        return FALSE;
    gboolean done =
        on ? lab_backing_power_on(vm->backing, &error) : lab_backing_power_off(vm->backing, &error);
    /* A guest that went off by itself in this very moment is what was asked for. */
    if (!done && !(vf_error_is(error, VF_ERROR_CONFLICT) && !on))
        return lab_fault_backing(fault, vm, g_steal_pointer(&error));
    lab_lock(task->lab);
    vm->on = on;
    lab_vm_refresh(vm);
    lab_unlock(task->lab);
    return TRUE;
}

gboolean lab_vm_run_power_on(LabTask *task, LabFault *fault)
{
    return run_power(task, TRUE, fault);
}

gboolean lab_vm_run_power_off(LabTask *task, LabFault *fault)
{
    return run_power(task, FALSE, fault);
}

static gboolean run_reset(LabTask *task, LabFault *fault)
{
    lab_lock(task->lab);
    gboolean right = task->vm->on || lab_fault_power(fault, task->vm, TRUE);
    lab_unlock(task->lab);
    return right && run_power(task, FALSE, fault) && run_power(task, TRUE, fault);
}

static LabVm *self(LabCall *call)
{
    return (LabVm *)call->self;
}

static gboolean start_task(LabCall *call, const char *description_id, const char *method, LabTaskRun run,
                           gpointer data, GDestroyNotify free_data)
{
    if (!lab_vm_check_connected(self(call), &call->fault)) {
        if (free_data != NULL)
            free_data(data);
        return FALSE;
    }
    LabTask *task =
        lab_task_start(call->lab, self(call), description_id, method, run, data, free_data, &call->fault);
    call->result = task != NULL ? lab_ref(&task->object) : NULL;
    return task != NULL;
}

static gboolean power_on(LabCall *call)
{
    if (self(call)->is_template)
        return lab_fault_plain(&call->fault, "NotSupported", "A template cannot be powered on.");
    return start_task(call, "VirtualMachine.powerOn", "PowerOnVM_Task", lab_vm_run_power_on, NULL, NULL);
}

static gboolean power_off(LabCall *call)
{
    return start_task(call, "VirtualMachine.powerOff", "PowerOffVM_Task", lab_vm_run_power_off, NULL, NULL);
}

static gboolean reset(LabCall *call)
{
    return start_task(call, "VirtualMachine.reset", "ResetVM_Task", run_reset, NULL, NULL);
}

static gboolean shutdown_guest(LabCall *call)
{
    LabVm *vm = self(call);
    g_autoptr(GError) error = NULL;
    if (!lab_vm_check_connected(vm, &call->fault))
        return FALSE;
    if (!vm->on)
        return lab_fault_power(&call->fault, vm, FALSE);
    if (!vm->has_tools)
        return lab_fault_plain(
            &call->fault, "ToolsUnavailable",
            "Cannot complete operation because VMware Tools is not running in this virtual machine.");
    /* A backing may be busy with a snapshot for a while; the lab goes on meanwhile. */
    lab_unlock(call->lab);
    gboolean asked = lab_backing_shutdown(vm->backing, &error);
    lab_lock(call->lab);
    if (!asked && !vf_error_is(error, VF_ERROR_CONFLICT))
        return lab_fault_backing(&call->fault, vm, g_steal_pointer(&error));
    return TRUE;
}

/* --- configuration --- */

gboolean lab_vm_run_resize(LabTask *task, LabFault *fault)
{
    const LabResize *resize = task->data;
    g_autoptr(GError) error = NULL;
    if (!lab_backing_resize(task->vm->backing, resize->key, resize->size, &error))
        return lab_fault_backing(fault, task->vm, g_steal_pointer(&error));
    lab_lock(task->lab);
    lab_vm_refresh(task->vm);
    lab_unlock(task->lab);
    return TRUE;
}

/* What one ReconfigVM_Task asks for. */
typedef struct {
    gint cbt; /* -1: leave */
    char *name, *annotation;
    LabResize resize; /* size 0: none */
} Reconfigure;

static void reconfigure_free(gpointer data)
{
    Reconfigure *change = data;
    g_free(change->name);
    g_free(change->annotation);
    g_free(change);
}

static void set_name(LabVm *vm, const char *name)
{
    g_free(vm->object.name);
    vm->object.name = lab_escape_name(name);
}

static gboolean run_reconfigure(LabTask *task, LabFault *fault)
{
    const Reconfigure *change = task->data;
    LabVm *vm = task->vm;
    g_autoptr(GError) error = NULL;
    if (change->cbt >= 0)
        lab_backing_set_tracking(vm->backing, change->cbt);
    if (change->resize.size != 0 &&
        !lab_backing_resize(vm->backing, change->resize.key, change->resize.size, &error))
        return lab_fault_backing(fault, vm, g_steal_pointer(&error));
    lab_lock(task->lab);
    if (change->cbt >= 0)
        vm->cbt = change->cbt;
    if (change->name != NULL)
        set_name(vm, change->name);
    if (change->annotation != NULL) {
        g_free(vm->annotation);
        vm->annotation = g_strdup(change->annotation);
    }
    lab_vm_refresh(vm);
    lab_unlock(task->lab);
    return TRUE;
}

static gboolean read_device_change(LabCall *call, XmlNode *node, Reconfigure *change)
{
    XmlNode *device = xml_child(node, "device");
    const char *type = xml_xsi_type(device), *key_text = xml_child_text(device, "key");
    const char *kib_text = xml_child_text(device, "capacityInKB");
    gint64 key, kib;
    if (g_strcmp0(xml_child_text(node, "operation"), "edit") != 0 || g_strcmp0(type, "VirtualDisk") != 0)
        return lab_fault_plain(&call->fault, "NotSupported",
                               "The lab changes nothing but the capacity of disks.");
    if (key_text == NULL || !g_ascii_string_to_signed(key_text, 10, G_MININT32, G_MAXINT32, &key, NULL) ||
        kib_text == NULL || !g_ascii_string_to_signed(kib_text, 10, 1, G_MAXINT64 / 1024, &kib, NULL))
        return lab_fault_argument(&call->fault, "configSpec.deviceChange.device");
    LabDisk *disk = lab_vm_disk(self(call), (gint32)key);
    if (disk == NULL || (guint64)kib * 1024 < disk->size)
        return lab_fault_argument(&call->fault, "configSpec.deviceChange.device");
    if (self(call)->snapshots->len > 0)
        return lab_fault_plain(&call->fault, "GenericVmConfigFault",
                               "A disk cannot be extended while the virtual machine has snapshots.");
    if ((guint64)kib * 1024 > disk->size)
        change->resize = (LabResize){.key = (gint32)key, .size = (guint64)kib * 1024};
    return TRUE;
}

static gboolean read_change(LabCall *call, XmlNode *node, Reconfigure *change)
{
    const char *text = xml_text(node);
    if (xml_is(node, "changeTrackingEnabled"))
        change->cbt = g_str_equal(text, "true") || g_str_equal(text, "1");
    else if (xml_is(node, "name"))
        change->name = g_strdup(text);
    else if (xml_is(node, "annotation"))
        change->annotation = g_strdup(text);
    else if (xml_is(node, "deviceChange"))
        return read_device_change(call, node, change);
    else
        return lab_fault_plain(&call->fault, "NotSupported", "The lab cannot reconfigure %s.",
                               xml_name(node));
    return TRUE;
}

static const char *needed_privilege(const Reconfigure *change)
{
    return change->cbt >= 0           ? "VirtualMachine.Config.ChangeTracking"
           : change->resize.size != 0 ? "VirtualMachine.Config.DiskExtend"
           : change->name != NULL     ? "VirtualMachine.Config.Rename"
                                      : "VirtualMachine.Config.Settings";
}

static gboolean read_changes(LabCall *call, Reconfigure *change)
{
    for (XmlNode *node = xml_child(xml_child(call->arguments, "spec"), NULL); node != NULL;
         node = xml_next(node, NULL))
        if (!read_change(call, node, change))
            return FALSE;
    if (change->cbt >= 0 && self(call)->cbt_support == LAB_CBT_UNSUPPORTED)
        return lab_fault_plain(&call->fault, "NotSupported",
                               "Changed block tracking is not supported by this virtual machine.");
    return call_allowed(call, needed_privilege(change));
}

static gboolean reconfigure(LabCall *call)
{
    Reconfigure *change = g_new0(Reconfigure, 1);
    change->cbt = -1;
    if (!read_changes(call, change)) {
        reconfigure_free(change);
        return FALSE;
    }
    return start_task(call, "VirtualMachine.reconfigure", "ReconfigVM_Task", run_reconfigure, change,
                      reconfigure_free);
}

static gboolean run_rename(LabTask *task, LabFault *fault)
{
    lab_lock(task->lab);
    set_name(task->vm, task->data);
    lab_unlock(task->lab);
    return TRUE;
}

static gboolean rename_vm(LabCall *call)
{
    const char *name = call_text(call, "newName");
    g_autofree char *escaped = lab_escape_name(name);
    LabObject *other = lab_child(self(call)->object.parent, escaped);
    if (name[0] == '\0')
        return lab_fault_argument(&call->fault, "newName");
    if (other != NULL && other != call->self) {
        Value *value = value_new("DuplicateName");
        value_set_text(value, "name", escaped);
        value_set(value, "object", lab_ref(other));
        return lab_fault(&call->fault, value, "The name '%s' already exists.", name);
    }
    return start_task(call, "ManagedEntity.rename", "Rename_Task", run_rename, g_strdup(name), g_free);
}

/* --- changed areas --- */

typedef struct {
    LabDisk *disk;
    LabSnapshot *snapshot; /* NULL: now */
    gint64 key, start;
    const char *change_id;
} AreaQuery;

static gboolean file_fault(LabCall *call, const LabDisk *disk, const char *why)
{
    Value *value = value_new("FileFault");
    value_setf(value, "file", "/vmfs/volumes/%s/%s/%s", disk->datastore->object.name, self(call)->home,
               disk->file);
    return lab_fault(&call->fault, value, "Error caused by file /vmfs/volumes/%s/%s/%s: %s",
                     disk->datastore->object.name, self(call)->home, disk->file, why);
}

static gboolean read_query(LabCall *call, AreaQuery *query)
{
    LabObject *snapshot = NULL;
    query->change_id = call_text(call, "changeId");
    if (!call_object(call, "snapshot", "VirtualMachineSnapshot", &snapshot) ||
        !call_integer(call, "deviceKey", &query->key) || !call_integer(call, "startOffset", &query->start))
        return FALSE;
    query->snapshot = (LabSnapshot *)snapshot;
    if (query->snapshot != NULL && query->snapshot->vm != self(call))
        return lab_fault_argument(&call->fault, "snapshot");
    if (query->snapshot == NULL && self(call)->on)
        return lab_fault_argument(&call->fault, "snapshot");
    GPtrArray *disks = query->snapshot != NULL ? query->snapshot->disks : self(call)->disks;
    query->disk = lab_disk_find(disks, (gint32)CLAMP(query->key, G_MININT32, G_MAXINT32));
    if (query->disk == NULL)
        return lab_fault_argument(&call->fault, "deviceKey");
    if (query->start < 0 || (guint64)query->start >= query->disk->size)
        return lab_fault_argument(&call->fault, "startOffset");
    if (!g_str_equal(query->change_id, "*") && strchr(query->change_id, '/') == NULL)
        return lab_fault_argument(&call->fault, "changeId");
    if (query->disk->change_id == NULL)
        return file_fault(call, query->disk, "change tracking is not active for this disk");
    return TRUE;
}

/* At most a page of areas from `start` on; its length says how far they speak for. */
static Value *area_page(const Extents *areas, guint64 start, guint64 size, guint max)
{
    Value *info = value_new("DiskChangeInfo");
    guint64 end = size;
    guint n = 0;
    for (guint i = 0; i < extents_count(areas); i++) {
        Extent extent = extents_get(areas, i);
        if (extent.end <= start)
            continue;
        if (n++ == max) {
            end = extent.start;
            break;
        }
        guint64 from = MAX(extent.start, start), to = MIN(extent.end, size);
        Value *area = value_new("DiskChangeExtent");
        value_set_int(area, "start", (gint64)from);
        value_set_int(area, "length", (gint64)(to - from));
        value_append(info, "changedArea", area);
    }
    value_set_int(info, "startOffset", (gint64)start);
    value_set_int(info, "length", (gint64)(end - start));
    return info;
}

static guint area_limit(Lab *lab)
{
    if (lab->troubles.short_areas == 0)
        return lab->areas_page;
    lab->troubles.short_areas--;
    return MAX(lab->areas_page / 2, 1);
}

static gboolean query_changed_areas(LabCall *call)
{
    LabVm *vm = self(call);
    AreaQuery query = {0};
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;
    if (!lab_vm_check_connected(vm, &call->fault) || !read_query(call, &query))
        return FALSE;
    g_autofree char *snapshot = query.snapshot != NULL ? g_strdup(query.snapshot->object.moref) : NULL;
    guint64 size = query.disk->size;
    g_autoptr(LabDisk) disk = lab_disk_copy(query.disk);

    /* The backing may take its time, and the snapshot may go meanwhile: only copies are used from here. */
    lab_unlock(call->lab);
    gboolean known =
        lab_backing_changed(vm->backing, (gint32)query.key, snapshot, query.change_id, areas, &error);
    lab_lock(call->lab);
    if (!known)
        return file_fault(call, disk, error->message);
    call->result = area_page(areas, (guint64)query.start, size, area_limit(call->lab));
    return TRUE;
}

const LabMethod LAB_VM_METHODS[] = {
    {"PowerOnVM_Task", "VirtualMachine", power_on, "host?", "VirtualMachine.Interact.PowerOn", 20},
    {"PowerOffVM_Task", "VirtualMachine", power_off, "", "VirtualMachine.Interact.PowerOff", 20},
    {"ResetVM_Task", "VirtualMachine", reset, "", "VirtualMachine.Interact.Reset", 20},
    {"ShutdownGuest", "VirtualMachine", shutdown_guest, "", "VirtualMachine.Interact.PowerOff", 20},
    {"ReconfigVM_Task", "VirtualMachine", reconfigure, "spec", .since = 20},
    {"Rename_Task", "VirtualMachine", rename_vm, "newName", "VirtualMachine.Config.Rename", 20},
    {"QueryChangedDiskAreas", "VirtualMachine", query_changed_areas,
     "snapshot? deviceKey startOffset changeId", "VirtualMachine.Provisioning.DiskRandomRead", 40},
    {NULL},
};
