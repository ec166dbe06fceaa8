#include "lab/property.h"

#include "base/clock.h"
#include "base/size.h"
#include "lab/device.h"

#include <string.h>
#include <sys/stat.h>

static const LabVm *vm_of(const LabReader *reader)
{
    return (const LabVm *)reader->object;
}

static gboolean tools_run(const LabVm *vm)
{
    return vm->on && vm->has_tools;
}

/* --- config --- */

static void add_option(Value *config, const char *key, const char *text)
{
    Value *option = value_new("OptionValue");
    value_set_text(option, "key", key);
    value_set(option, "value", value_text("string", text));
    value_append(config, "extraConfig", option);
}

static Value *hardware(const LabVm *vm, GPtrArray *disks)
{
    Value *value = value_new("VirtualHardware");
    value_set_int(value, "numCPU", vm->cpus);
    value_set_int(value, "numCoresPerSocket", 1);
    value_set_int(value, "memoryMB", vm->memory_mib);
    value_set(value, "device", lab_devices_value(vm, disks));
    return value;
}

static Value *files(const LabVm *vm)
{
    Value *value = value_new("VirtualMachineFileInfo");
    value_setf(value, "vmPathName", "[%s] %s/%s.vmx", vm->datastore->object.name, vm->home, vm->home);
    value_setf(value, "snapshotDirectory", "[%s] %s/", vm->datastore->object.name, vm->home);
    value_setf(value, "suspendDirectory", "[%s] %s/", vm->datastore->object.name, vm->home);
    value_setf(value, "logDirectory", "[%s] %s/", vm->datastore->object.name, vm->home);
    return value;
}

static Value *boot_options(const LabVm *vm)
{
    Value *value = value_new("VirtualMachineBootOptions");
    value_set_int(value, "bootDelay", 0);
    value_set_bool(value, "enterBIOSSetup", FALSE);
    value_set_bool(value, "efiSecureBootEnabled", vm->secure_boot);
    value_set_bool(value, "bootRetryEnabled", FALSE);
    return value;
}

static void set_identity(Value *config, const LabVm *vm)
{
    value_set_time(config, "modified", 0);
    value_set_text(config, "changeVersion", "1");
    value_set_text(config, "name", vm->object.name);
    value_set_text(config, "guestFullName", vm->guest_id);
    value_setf(config, "version", "vmx-%02u", vm->hardware_version);
    value_set_text(config, "uuid", vm->uuid);
    value_set_text(config, "instanceUuid", vm->instance_uuid);
    value_set_bool(config, "template", vm->is_template);
    value_set_text(config, "guestId", vm->guest_id);
    value_set_text(config, "annotation", vm->annotation);
}

static Value *fault_tolerance(void)
{
    Value *value = value_new("FaultToleranceConfigInfo");
    value_set_int(value, "role", 1);
    return value;
}

static Value *make_config(const LabVm *vm, GPtrArray *disks)
{
    Value *config = value_new("VirtualMachineConfigInfo");
    set_identity(config, vm);
    value_set(config, "files", files(vm));
    value_set(config, "hardware", hardware(vm, disks));
    value_set(config, "bootOptions", boot_options(vm));
    value_set_bool(config, "memoryHotAddEnabled", FALSE);
    value_set_bool(config, "cpuHotAddEnabled", FALSE);
    value_set_bool(config, "nestedHVEnabled", FALSE);
    value_set_bool(config, "changeTrackingEnabled", vm->cbt);
    value_set_text(config, "firmware", vm->firmware);
    if (vm->fault_tolerant)
        value_set(config, "ftInfo", fault_tolerance());
    if (vm->encrypted) {
        Value *key = value_new("CryptoKeyId");
        value_set_text(key, "keyId", "lab-key");
        value_set(config, "keyId", key);
    }
    add_option(config, "nvram", "lab.nvram");
    if (vm->cbt)
        add_option(config, "ctkEnabled", "TRUE");
    return config;
}

static Value *vm_config(const LabReader *reader)
{
    return make_config(vm_of(reader), vm_of(reader)->disks);
}

static Value *vm_capability(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    Value *value = value_new("VirtualMachineCapability");
    value_set_bool(value, "snapshotOperationsSupported", TRUE);
    value_set_bool(value, "multipleSnapshotsSupported", TRUE);
    value_set_bool(value, "quiescedSnapshotsSupported", TRUE);
    value_set_bool(value, "poweredOffSnapshotsSupported", TRUE);
    value_set_bool(value, "changeTrackingSupported", vm->cbt_support == LAB_CBT_SUPPORTED);
    value_set_bool(value, "secureBootSupported", vm->hardware_version >= 13);
    value_set_bool(value, "diskOnlySnapshotOnSuspendedVMSupported", TRUE);
    return value;
}

/* --- runtime and guest --- */

static const char *power_state(gboolean on)
{
    return on ? "poweredOn" : "poweredOff";
}

static Value *vm_runtime(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    Value *runtime = value_new("VirtualMachineRuntimeInfo");
    value_set(runtime, "host", lab_ref(vm->host));
    value_set_text(runtime, "connectionState", vm->connection_state);
    value_set_text(runtime, "powerState", power_state(vm->on));
    value_set_text(runtime, "faultToleranceState", vm->fault_tolerant ? "running" : "notConfigured");
    value_set_bool(runtime, "toolsInstallerMounted", FALSE);
    value_set_int(runtime, "numMksConnections", 0);
    value_set_bool(runtime, "consolidationNeeded", vm->consolidation_needed);
    if (vm->question != NULL) {
        Value *question = value_new("VirtualMachineQuestionInfo");
        value_set_text(question, "id", "1");
        value_set_text(question, "text", vm->question);
        value_set(runtime, "question", question);
    }
    return runtime;
}

static Value *guest_nics(const LabVm *vm)
{
    Value *nics = value_array("GuestNicInfo");
    for (guint i = 0; i < vm->nics->len; i++) {
        const LabNic *nic = g_ptr_array_index(vm->nics, i);
        Value *value = value_new("GuestNicInfo");
        value_set_text(value, "network", nic->network->name);
        value_set_text(value, "macAddress", nic->mac);
        value_set_bool(value, "connected", TRUE);
        value_set_int(value, "deviceConfigId", nic->key);
        value_add(nics, value);
    }
    return nics;
}

static Value *vm_guest(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    gboolean runs = tools_run(vm);
    Value *guest = value_new("GuestInfo");
    value_set_text(guest, "toolsStatus",
                   runs            ? "toolsOk"
                   : vm->has_tools ? "toolsNotRunning"
                                   : "toolsNotInstalled");
    value_set_text(guest, "toolsVersionStatus2",
                   vm->has_tools ? "guestToolsUnmanaged" : "guestToolsNotInstalled");
    value_set_text(guest, "toolsRunningStatus", runs ? "guestToolsRunning" : "guestToolsNotRunning");
    value_set_text(guest, "guestState", runs ? "running" : "notRunning");
    value_set_bool(guest, "guestStateChangeSupported", runs);
    if (runs) {
        value_set_text(guest, "toolsVersion", "12352");
        value_set_text(guest, "guestId", vm->guest_id);
        value_set_text(guest, "guestFamily",
                       g_str_has_prefix(vm->guest_id, "win") ? "windowsGuest" : "linuxGuest");
        value_set_text(guest, "hostName", vm->object.name);
        value_set(guest, "net", guest_nics(vm));
    }
    return guest;
}

static Value *vm_heartbeat(const LabReader *reader)
{
    return value_text("ManagedEntityStatus", tools_run(vm_of(reader)) ? "green" : "gray");
}

/* --- summary --- */

static guint64 provisioned(const LabVm *vm)
{
    guint64 sum = 0;
    for (guint i = 0; i < vm->disks->len; i++)
        sum += ((LabDisk *)g_ptr_array_index(vm->disks, i))->size;
    return sum;
}

static Value *summary_config(const LabVm *vm)
{
    Value *value = value_new("VirtualMachineConfigSummary");
    value_set_text(value, "name", vm->object.name);
    value_set_bool(value, "template", vm->is_template);
    value_setf(value, "vmPathName", "[%s] %s/%s.vmx", vm->datastore->object.name, vm->home, vm->home);
    value_set_int(value, "memorySizeMB", vm->memory_mib);
    value_set_int(value, "numCpu", vm->cpus);
    value_set_int(value, "numEthernetCards", vm->nics->len);
    value_set_int(value, "numVirtualDisks", vm->disks->len);
    value_set_text(value, "uuid", vm->uuid);
    value_set_text(value, "instanceUuid", vm->instance_uuid);
    value_set_text(value, "guestId", vm->guest_id);
    value_set_text(value, "guestFullName", vm->guest_id);
    value_set_text(value, "annotation", vm->annotation);
    return value;
}

static Value *vm_summary(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    Value *summary = value_new("VirtualMachineSummary");
    Value *storage = value_new("VirtualMachineStorageSummary");
    value_set_int(storage, "committed", (gint64)provisioned(vm));
    value_set_int(storage, "uncommitted", 0);
    value_set_int(storage, "unshared", (gint64)provisioned(vm));
    value_set_time(storage, "timestamp", clock_now());
    Value *guest = value_new("VirtualMachineGuestSummary");
    value_set_text(guest, "toolsRunningStatus", tools_run(vm) ? "guestToolsRunning" : "guestToolsNotRunning");
    value_set(summary, "vm", lab_ref(reader->object));
    value_set(summary, "runtime", vm_runtime(reader));
    value_set(summary, "guest", guest);
    value_set(summary, "config", summary_config(vm));
    value_set(summary, "storage", storage);
    value_set(summary, "quickStats", value_new("VirtualMachineQuickStats"));
    value_set_text(summary, "overallStatus", "green");
    return summary;
}

/* --- storage, networks --- */

static Value *vm_datastores(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    g_ptr_array_add(found, vm->datastore);
    for (guint i = 0; i < vm->disks->len; i++) {
        LabDatastore *datastore = ((LabDisk *)g_ptr_array_index(vm->disks, i))->datastore;
        if (!g_ptr_array_find(found, datastore, NULL))
            g_ptr_array_add(found, datastore);
    }
    return lab_refs(found);
}

static Value *vm_networks(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    for (guint i = 0; i < vm->nics->len; i++) {
        LabObject *network = ((LabNic *)g_ptr_array_index(vm->nics, i))->network;
        if (!g_ptr_array_find(found, network, NULL))
            g_ptr_array_add(found, network);
    }
    return lab_refs(found);
}

static Value *vm_pool(const LabReader *reader)
{
    return vm_of(reader)->is_template ? NULL : lab_ref(vm_of(reader)->datacenter->pool);
}

static gint64 add_file(Value *layout, gint64 key, const char *path, const char *type, guint64 size)
{
    Value *file = value_new("VirtualMachineFileLayoutExFileInfo");
    value_set_int(file, "key", key);
    value_set_text(file, "name", path);
    value_set_text(file, "type", type);
    value_set_int(file, "size", (gint64)size);
    value_set_bool(file, "accessible", TRUE);
    value_append(layout, "file", file);
    return key + 1;
}

/* What a thin disk takes of its datastore, which is what vSphere says of it. */
static guint64 stored_size(const LabVm *vm, const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *local = g_build_filename(vm->directory, name, NULL);
    struct stat status;
    return stat(local, &status) == 0 ? (guint64)status.st_blocks * SECTOR_SIZE : 0;
}

/* One link of a chain: its descriptor and its data. */
static gint64 add_link(Value *layout, Value *chain, gint64 key, const LabVm *vm, const LabDisk *disk,
                       const char *file)
{
    g_autofree char *base_file = g_strconcat(disk->name, ".vmdk", NULL);
    g_autofree char *descriptor = lab_datastore_path(disk->datastore, vm, file);
    g_autofree char *stem = g_strndup(descriptor, strlen(descriptor) - strlen(".vmdk"));
    g_autofree char *data =
        g_strconcat(stem, g_str_equal(file, base_file) ? "-flat.vmdk" : "-delta.vmdk", NULL);
    Value *unit = value_new("VirtualMachineFileLayoutExDiskUnit");
    for (gint64 i = 0; i < 2; i++) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, key + i);
        value_append(unit, "fileKey", value_text("int", text));
    }
    value_append(chain, "chain", unit);
    key = add_file(layout, key, descriptor, "diskDescriptor", 512);
    return add_file(layout, key, data, "diskExtent", stored_size(vm, data));
}

static Value *vm_layout(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    Value *layout = value_new("VirtualMachineFileLayoutEx");
    g_autofree char *vmx = g_strdup_printf("[%s] %s/%s.vmx", vm->datastore->object.name, vm->home, vm->home);
    gint64 key = add_file(layout, 0, vmx, "config", 1024);
    for (guint i = 0; i < vm->disks->len; i++) {
        const LabDisk *disk = g_ptr_array_index(vm->disks, i);
        Value *chain = value_new("VirtualMachineFileLayoutExDiskLayout");
        value_set_int(chain, "key", disk->key);
        guint n_parents = disk->parents != NULL ? g_strv_length(disk->parents) : 0;
        for (guint link = n_parents; link > 0; link--)
            key = add_link(layout, chain, key, vm, disk, disk->parents[link - 1]);
        key = add_link(layout, chain, key, vm, disk, disk->file);
        value_append(layout, "disk", chain);
    }
    value_set_time(layout, "timestamp", clock_now());
    return layout;
}

/* --- snapshots --- */

static Value *snapshot_tree(const LabVm *vm, const LabSnapshot *snapshot)
{
    Value *tree = value_new("VirtualMachineSnapshotTree");
    value_set(tree, "snapshot", lab_ref(&snapshot->object));
    value_set(tree, "vm", lab_ref(&vm->object));
    value_set_text(tree, "name", snapshot->object.name);
    value_set_text(tree, "description", snapshot->description != NULL ? snapshot->description : "");
    value_set_int(tree, "id", snapshot->number);
    value_set_time(tree, "createTime", snapshot->created);
    value_set_text(tree, "state",
                   power_state(FALSE)); /* without memory a snapshot is always of a VM that is off */
    value_set_bool(tree, "quiesced", snapshot->quiesced);
    value_set_bool(tree, "replaySupported", FALSE);
    for (guint i = 0; i < vm->snapshots->len; i++) {
        const LabSnapshot *child = g_ptr_array_index(vm->snapshots, i);
        if (child->above == snapshot)
            value_append(tree, "childSnapshotList", snapshot_tree(vm, child));
    }
    return tree;
}

static Value *vm_snapshot(const LabReader *reader)
{
    const LabVm *vm = vm_of(reader);
    if (vm->snapshots->len == 0)
        return NULL;
    Value *info = value_new("VirtualMachineSnapshotInfo");
    value_set(info, "currentSnapshot", vm->current != NULL ? lab_ref(&vm->current->object) : NULL);
    for (guint i = 0; i < vm->snapshots->len; i++) {
        const LabSnapshot *snapshot = g_ptr_array_index(vm->snapshots, i);
        if (snapshot->above == NULL)
            value_append(info, "rootSnapshotList", snapshot_tree(vm, snapshot));
    }
    return info;
}

static Value *children_of(const LabVm *vm, const LabSnapshot *above)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    for (guint i = 0; i < vm->snapshots->len; i++) {
        LabSnapshot *snapshot = g_ptr_array_index(vm->snapshots, i);
        if (snapshot->above == above)
            g_ptr_array_add(found, snapshot);
    }
    return lab_refs(found);
}

static Value *vm_root_snapshots(const LabReader *reader)
{
    return children_of(vm_of(reader), NULL);
}

static const LabSnapshot *snapshot_of(const LabReader *reader)
{
    return (const LabSnapshot *)reader->object;
}

static Value *snapshot_children(const LabReader *reader)
{
    return children_of(snapshot_of(reader)->vm, snapshot_of(reader));
}

static Value *snapshot_config(const LabReader *reader)
{
    return make_config(snapshot_of(reader)->vm, snapshot_of(reader)->disks);
}

static Value *snapshot_vm(const LabReader *reader)
{
    return lab_ref(&snapshot_of(reader)->vm->object);
}

const LabPropertyRow LAB_VM_PROPERTIES[] = {
    {"VirtualMachine", "capability", vm_capability},
    {"VirtualMachine", "config", vm_config},
    {"VirtualMachine", "layoutEx", vm_layout},
    {"VirtualMachine", "resourcePool", vm_pool},
    {"VirtualMachine", "runtime", vm_runtime},
    {"VirtualMachine", "guest", vm_guest},
    {"VirtualMachine", "guestHeartbeatStatus", vm_heartbeat},
    {"VirtualMachine", "summary", vm_summary},
    {"VirtualMachine", "datastore", vm_datastores},
    {"VirtualMachine", "network", vm_networks},
    {"VirtualMachine", "snapshot", vm_snapshot},
    {"VirtualMachine", "rootSnapshot", vm_root_snapshots},
    {"VirtualMachineSnapshot", "childSnapshot", snapshot_children},
    {"VirtualMachineSnapshot", "config", snapshot_config},
    {"VirtualMachineSnapshot", "vm", snapshot_vm},
    {NULL, NULL, NULL},
};
