#include "base/error.h"
#include "base/log.h"
#include "vsphere/property.h"
#include "vsphere/task.h"
#include "vsphere/vm-ops.h"
#include "vsphere/vm.h"

#include <string.h>

#define IDLE_POLL_MS 1000u

/* --- create --- */

/* The task is forgotten: if it did its work, the snapshot is there. */
static gboolean found_after_all(Vsphere *vsphere, const char *vm, const char *name, char **ret_moref,
                                GError **error)
{
    g_autoptr(GError) local = NULL;
    char *moref = vsphere_find_snapshot(vsphere, vm, name, &local);

    if (moref != NULL) {
        *ret_moref = moref;
        return TRUE;
    }
    if (local == NULL)
        return vf_fail(error, VF_ERROR_TRANSIENT,
                       "%s: the task that made snapshot \"%s\" of %s is forgotten and there is no snapshot",
                       vsphere_server(vsphere), name, vm);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean vsphere_create_snapshot(Vsphere *vsphere, const char *vm, const char *name, const char *description,
                                 gboolean quiesce, char **ret_moref, GError **error)
{
    g_autoptr(SoapRequest) request = soap_request_new("CreateSnapshot_Task", "VirtualMachine", vm, SOAP_ONCE);
    XmlWriter *writer = soap_request_writer(request);
    g_autofree char *moref = NULL;
    TaskEnd end;

    xml_element(writer, "name", name);
    xml_element(writer, "description", description);
    soap_put_boolean(request, "memory", FALSE);
    soap_put_boolean(request, "quiesce", quiesce);
    end = task_run(vsphere, request, &moref, error);
    if (end == TASK_FAILED)
        return FALSE;
    if (end == TASK_VANISHED || moref == NULL || *moref == '\0')
        return found_after_all(vsphere, vm, name, ret_moref, error);
    *ret_moref = g_steal_pointer(&moref);
    return TRUE;
}

/* --- remove --- */

/* When the task is forgotten the same is asked again: a snapshot that is gone says so. */
gboolean vsphere_remove_snapshot(Vsphere *vsphere, const char *snapshot, GError **error)
{
    for (;;) {
        g_autoptr(SoapRequest) request =
            soap_request_new("RemoveSnapshot_Task", "VirtualMachineSnapshot", snapshot, SOAP_REPEATABLE);
        g_autoptr(GError) local = NULL;
        TaskEnd end;

        soap_put_boolean(request, "removeChildren", FALSE);
        soap_put_boolean(request, "consolidate", TRUE);
        end = task_run(vsphere, request, NULL, &local);
        if (end == TASK_DONE || (end == TASK_FAILED && vsphere_fault_is(local, "ManagedObjectNotFound")))
            return TRUE;
        if (end == TASK_FAILED) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        log_debug("vsphere: the task that removes %s is forgotten, asking again", snapshot);
    }
}

gboolean vsphere_consolidate(Vsphere *vsphere, const char *vm, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("ConsolidateVMDisks_Task", "VirtualMachine", vm, SOAP_REPEATABLE);
    TaskEnd end = task_run(vsphere, request, NULL, error);
    g_autoptr(VimVmState) state = NULL;

    if (end != TASK_VANISHED)
        return end == TASK_DONE;
    state = property_read_one(vsphere, &vim_vm_state_type, vm, error);
    if (state == NULL)
        return FALSE;
    if (!state->consolidation_needed)
        return TRUE;
    return vf_fail(error, VF_ERROR_TRANSIENT, "%s: the disks of %s still need consolidation",
                   vsphere_server(vsphere), vm);
}

/* --- find --- */

static const char *find_in(const GPtrArray *trees, const char *name)
{
    for (guint i = 0; i < trees->len; i++) {
        const VimVirtualMachineSnapshotTree *tree = trees->pdata[i];
        g_autofree char *plain = folders_unescape(tree->name);
        const char *below = NULL;

        if (strcmp(plain, name) == 0)
            return tree->snapshot;
        below = find_in(tree->child_snapshot_list, name);
        if (below != NULL)
            return below;
    }
    return NULL;
}

char *vsphere_find_snapshot(Vsphere *vsphere, const char *vm, const char *name, GError **error)
{
    g_autoptr(VimVmSnapshots) snapshots = property_read_one(vsphere, &vim_vm_snapshots_type, vm, error);

    if (snapshots == NULL || snapshots->snapshot == NULL)
        return NULL;
    return g_strdup(find_in(snapshots->snapshot->root_snapshot_list, name));
}

GPtrArray *vsphere_snapshot_disks(Vsphere *vsphere, const char *snapshot, GError **error)
{
    g_autoptr(VimSnapshot) properties = property_read_one(vsphere, &vim_snapshot_type, snapshot, error);

    return properties != NULL ? vm_disks(properties->device, error) : NULL;
}

/* --- waiting --- */

/* "VirtualMachine.createSnapshot", "vm.Snapshot.remove", "VirtualMachine.consolidateDisks", ... */
static gboolean is_snapshot_work(const VimTaskInfo *info)
{
    gboolean unfinished =
        info->state != VIM_TASK_INFO_STATE_SUCCESS && info->state != VIM_TASK_INFO_STATE_ERROR;
    const char *what = info->description_id != NULL ? info->description_id : "";

    return unfinished && (strstr(what, "napshot") != NULL || strstr(what, "onsolidate") != NULL);
}

/* *ret_task: the description of the first one found, or NULL. */
static gboolean find_snapshot_work(Vsphere *vsphere, const char *vm, char **ret_task, GError **error)
{
    static const VimType *const wanted[] = {&vim_task_type, NULL};
    static const PropertyWay way = {.name = "task", .type = "VirtualMachine", .path = "recentTask"};
    PropertyQuery query = {.type = "VirtualMachine",
                           .moref = vm,
                           .skip_start = TRUE,
                           .ways = &way,
                           .n_ways = 1,
                           .wanted = wanted};
    g_autoptr(GPtrArray) tasks = property_read(vsphere, &query, error);

    if (tasks == NULL)
        return FALSE;
    *ret_task = NULL;
    for (guint i = 0; i < tasks->len && *ret_task == NULL; i++) {
        const VimTask *task = tasks->pdata[i];

        if (task->info != NULL && is_snapshot_work(task->info))
            *ret_task = g_strdup(task->info->description_id);
    }
    return TRUE;
}

gboolean vsphere_wait_idle(Vsphere *vsphere, const char *vm, guint timeout_seconds, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + timeout_seconds * G_USEC_PER_SEC;

    for (;;) {
        g_autofree char *task = NULL;

        if (!find_snapshot_work(vsphere, vm, &task, error))
            return FALSE;
        if (task == NULL)
            return TRUE;
        if (g_get_monotonic_time() >= deadline)
            return vf_fail(error, VF_ERROR_CONFLICT, "%s: %s still runs on %s after %u s",
                           vsphere_server(vsphere), task, vm, timeout_seconds);
        if (!vsphere_pause(vsphere, IDLE_POLL_MS, error))
            return FALSE;
    }
}
