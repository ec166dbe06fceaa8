#include "migration/preflight.h"

#include "base/error.h"
#include "disk/vmdk-descriptor.h"
#include "migration/engine.h"
#include "migration/source.h"
#include "vsphere/datastore.h"

#include <string.h>

static gboolean is_on(const VsphereVm *vm)
{
    return strcmp(vm->power_state, "poweredOn") == 0;
}

/* --- privileges --- */

static const char *const privileges_on[] = {
    "VirtualMachine.State.CreateSnapshot",
    "VirtualMachine.State.RemoveSnapshot",
    "VirtualMachine.Config.ChangeTracking",
    "VirtualMachine.Interact.PowerOff",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.Provisioning.DiskRandomRead",
    NULL,
};
static const char *const privileges_off[] = {"VirtualMachine.Provisioning.DiskRandomRead", NULL};
static const char *const privileges_datastore[] = {"Datastore.Browse", "Datastore.FileManagement", NULL};

static gboolean check_privileges(Vsphere *vsphere, const char *type, const char *entity, const char *name,
                                 const char *const *privileges, Findings *findings, GError **error)
{
    g_autoptr(GPtrArray) missing = vsphere_missing_privileges(vsphere, type, entity, privileges, error);

    if (missing == NULL)
        return FALSE;
    for (guint i = 0; i < missing->len; i++)
        findings_add(findings, FINDING_BLOCKER, "privilege-missing", name,
                     "give the role of this user that privilege there", "the privilege %s is missing",
                     (const char *)g_ptr_array_index(missing, i));
    return TRUE;
}

/* --- datastores --- */

static const VsphereDatastore *find_datastore(const GPtrArray *datastores, const VsphereVm *vm,
                                              const char *name)
{
    for (guint i = 0; i < datastores->len; i++) {
        const VsphereDatastore *datastore = g_ptr_array_index(datastores, i);

        if (strcmp(datastore->name, name) == 0 &&
            (vm->datacenter_path == NULL || g_strcmp0(datastore->datacenter_path, vm->datacenter_path) == 0))
            return datastore;
    }
    return NULL;
}

static gboolean check_datastore(Vsphere *vsphere, const VsphereVm *vm, const char *name,
                                const GPtrArray *datastores, Findings *findings, GError **error)
{
    const VsphereDatastore *datastore = find_datastore(datastores, vm, name);

    if (datastore == NULL || !datastore->accessible) {
        findings_add(findings, FINDING_BLOCKER, "datastore-inaccessible", name,
                     "bring it back, or check the user's privileges",
                     datastore == NULL ? "the datastore is not visible to this user"
                                       : "the datastore is not accessible");
        return TRUE;
    }
    return check_privileges(vsphere, "Datastore", datastore->moref, name, privileges_datastore, findings,
                            error);
}

static gboolean check_datastores(Vsphere *vsphere, const VsphereVm *vm, Findings *findings, GError **error)
{
    g_autoptr(GPtrArray) datastores = vsphere_list_datastores(vsphere, error);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (datastores == NULL)
        return FALSE;
    for (guint i = 0; i < vm->disks->len; i++) {
        const VsphereDisk *disk = g_ptr_array_index(vm->disks, i);
        g_autofree char *name = NULL, *file = NULL;
        g_autoptr(GError) bad_path = NULL;

        if (disk->path == NULL || !datastore_path_parse(disk->path, &name, &file, &bad_path))
            continue;
        if (g_hash_table_add(seen, g_strdup(name)) &&
            !check_datastore(vsphere, vm, name, datastores, findings, error))
            return FALSE;
    }
    return TRUE;
}

/* --- transport --- */

static const char transport_advice[] =
    "move it to a VMFS or NFS datastore as a flat disk, or migrate the VM switched off";

/* Off: the disk itself can be opened. */
static void probe_disk(Vsphere *vsphere, const VsphereVm *vm, const VsphereDisk *disk, Findings *findings)
{
    g_autoptr(GError) failed = NULL;
    g_autoptr(Disk) opened = datastore_open_disk(vsphere, vm->datacenter_path, disk->path, &failed);

    if (opened == NULL)
        findings_add(findings, FINDING_BLOCKER, "transport-not-usable", disk->path, transport_advice,
                     "the disk cannot be read over https: %s", failed->message);
}

/* On: its file is locked until there is a snapshot; its descriptor says what it is. */
static void probe_descriptor(Vsphere *vsphere, const VsphereVm *vm, const VsphereDisk *disk,
                             Findings *findings)
{
    g_autoptr(GError) failed = NULL;
    gsize length = 0;
    g_autofree char *text =
        datastore_read_file(vsphere, vm->datacenter_path, disk->path, VMDK_DESCRIPTOR_MAX, &length, &failed);
    g_autoptr(VmdkDescriptor) descriptor = NULL;

    if (text != NULL)
        descriptor = vmdk_descriptor_parse(text, length, disk->path, &failed);
    if (failed != NULL) {
        gboolean final = vf_error_is(failed, VF_ERROR_AUTH) || vf_error_is(failed, VF_ERROR_NOT_FOUND);

        findings_add(findings, final ? FINDING_BLOCKER : FINDING_WARNING, "transport-not-usable", disk->path,
                     transport_advice, "its descriptor cannot be read: %s", failed->message);
        return;
    }
    if (!g_str_has_prefix(descriptor->create_type, "vmfs") &&
        !g_str_has_suffix(descriptor->create_type, "Flat"))
        findings_add(findings, FINDING_BLOCKER, "transport-not-usable", disk->path, transport_advice,
                     "a disk of type %s cannot be read over https", descriptor->create_type);
}

static void check_transport(Vsphere *vsphere, const VmSpec *spec, const VsphereVm *vm, Findings *findings)
{
    g_autoptr(GError) failed = NULL;

    if (!source_check_transport(spec->transport, &failed)) {
        findings_add(findings, FINDING_BLOCKER, "transport-not-usable", spec->transport, transport_advice,
                     "%s", failed->message);
        return;
    }
    for (guint i = 0; i < vm->disks->len; i++) {
        const VsphereDisk *disk = g_ptr_array_index(vm->disks, i);

        if (disk->path == NULL || disk->has_parent)
            continue;
        if (is_on(vm))
            probe_descriptor(vsphere, vm, disk, findings);
        else
            probe_disk(vsphere, vm, disk, findings);
    }
}

/* --- all of it --- */

static void check_start(const VmSpec *spec, Target *target, const VsphereVm *vm, Findings *findings)
{
    if (spec->start_vm_after_import && !target_wants_start(target))
        findings_add(findings, FINDING_WARNING, "start-not-possible", vm->machine->name,
                     "let the target define and start it (target.define, target.start)",
                     "start_vm_after_import is set, and target %s does not start VMs as it is set",
                     target_name(target));
}

gboolean preflight_run(Vsphere *vsphere, Target *target, const VmSpec *spec, const VsphereVm *vm,
                       gboolean existing, Findings *findings, GError **error)
{
    preflight_check_vm(spec, vm, findings);
    preflight_check_disks(spec, vm, findings);
    check_start(spec, target, vm, findings);
    if (!check_privileges(vsphere, "VirtualMachine", vm->moref, vm->machine->name,
                          is_on(vm) ? privileges_on : privileges_off, findings, error) ||
        !check_datastores(vsphere, vm, findings, error))
        return FALSE;
    check_transport(vsphere, spec, vm, findings);
    return target_preflight(target, vm->machine, existing, findings, error);
}

gboolean migration_preflight(const MigrationContext *context, const VmSpec *spec, Findings **ret_findings,
                             VsphereVm **ret_vm, GError **error)
{
    g_autoptr(Vsphere) vsphere = engine_open_vsphere(context, NULL, NULL, error);
    g_autoptr(VsphereVm) vm = vsphere != NULL ? vsphere_find_vm(vsphere, spec->ref, error) : NULL;
    g_autoptr(Target) target = vm != NULL ? target_open(&spec->target, context->cancel, error) : NULL;
    g_autoptr(Findings) findings = findings_new();

    if (target == NULL || !preflight_run(vsphere, target, spec, vm, FALSE, findings, error))
        return FALSE;
    *ret_findings = g_steal_pointer(&findings);
    *ret_vm = g_steal_pointer(&vm);
    return TRUE;
}
