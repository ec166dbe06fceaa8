#include "vsphere/vm.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

static void disk_free(gpointer data)
{
    VsphereDisk *disk = data;

    g_free(disk->path);
    g_free(disk->backing);
    g_free(disk->mode);
    g_free(disk->sharing);
    g_free(disk->rdm_mode);
    g_free(disk->uuid);
    g_free(disk->change_id);
    g_free(disk->disk_object_id);
    g_free(disk);
}

static void snapshot_free(gpointer data)
{
    VsphereSnapshot *snapshot = data;

    g_free(snapshot->moref);
    g_free(snapshot->name);
    g_free(snapshot->parent);
    g_free(snapshot->description);
    g_free(snapshot);
}

void vsphere_vm_free(VsphereVm *vm)
{
    if (vm == NULL)
        return;
    machine_free(vm->machine);
    g_free(vm->moref);
    g_free(vm->path);
    g_free(vm->datacenter_path);
    g_free(vm->host);
    g_free(vm->power_state);
    g_free(vm->connection_state);
    g_free(vm->tools_running);
    g_free(vm->hardware_version);
    g_free(vm->vmx_path);
    g_clear_pointer(&vm->disks, g_ptr_array_unref);
    g_clear_pointer(&vm->snapshots, g_ptr_array_unref);
    g_clear_pointer(&vm->busy_tasks, g_ptr_array_unref);
    g_clear_pointer(&vm->disabled_methods, g_ptr_array_unref);
    g_free(vm);
}

/* --- disks --- */

const VimVirtualDevice *vm_device(const GPtrArray *devices, gint32 key)
{
    for (guint i = 0; i < devices->len; i++) {
        const VimVirtualDevice *device = devices->pdata[i];

        if (device->key == key)
            return device;
    }
    return NULL;
}

/* "VirtualDiskFlatVer2BackingInfo" -> "FlatVer2" */
static char *short_backing(gconstpointer backing)
{
    const char *name = vim_type_name(backing);
    gsize length = strlen(name);

    if (g_str_has_prefix(name, "VirtualDisk"))
        name += strlen("VirtualDisk"), length -= strlen("VirtualDisk");
    if (g_str_has_suffix(name, "BackingInfo"))
        length -= strlen("BackingInfo");
    return g_strndup(name, length);
}

static gboolean disk_size(const VimVirtualDisk *device, guint64 *ret, GError **error)
{
    gint64 kilobytes = device->capacity_in_kb;

    *ret = device->capacity_in_bytes > 0 ? (guint64)device->capacity_in_bytes : (guint64)kilobytes * KIB;
    if (kilobytes >= 0 && kilobytes <= G_MAXINT64 / (gint64)KIB && device->capacity_in_bytes >= 0 &&
        *ret % SECTOR_SIZE == 0)
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID, "disk %d has an impossible size: %" G_GINT64_FORMAT " KiB",
                   device->base.key, kilobytes);
}

static gboolean shares_bus(const GPtrArray *devices, const VimVirtualDevice *device)
{
    const VimVirtualDevice *controller =
        device->has_controller_key ? vm_device(devices, device->controller_key) : NULL;
    const char *sharing = vim_get_string(controller, "sharedBus");

    return sharing != NULL && strcmp(sharing, "noSharing") != 0;
}

/* RDMs as devices have no fileName but the descriptor's. */
static void fill_backing(VsphereDisk *disk, gconstpointer backing)
{
    const char *file = vim_get_string(backing, "fileName");

    if (backing == NULL)
        return;
    disk->path = g_strdup(file != NULL ? file : vim_get_string(backing, "descriptorFileName"));
    disk->backing = short_backing(backing);
    disk->mode = g_strdup(vim_get_string(backing, "diskMode"));
    disk->sharing = g_strdup(vim_get_string(backing, "sharing"));
    disk->rdm_mode = g_strdup(vim_get_string(backing, "compatibilityMode"));
    disk->uuid = g_strdup(vim_get_string(backing, "uuid"));
    disk->change_id = g_strdup(vim_get_string(backing, "changeId"));
    disk->has_parent = vim_get_object(backing, "parent") != NULL;
    disk->encrypted = vim_get_object(backing, "keyId") != NULL;
}

static gboolean add_disk(GPtrArray *disks, const GPtrArray *devices, const VimVirtualDisk *device,
                         GError **error)
{
    VsphereDisk *disk = g_new0(VsphereDisk, 1);

    g_ptr_array_add(disks, disk);
    disk->key = device->base.key;
    disk->disk_object_id = g_strdup(device->disk_object_id);
    disk->shared_bus = shares_bus(devices, &device->base);
    fill_backing(disk, device->base.backing);
    if (vm_device(devices, disk->key) != &device->base)
        return vf_fail(error, VF_ERROR_INVALID, "two devices have the key %d", disk->key);
    return disk_size(device, &disk->size, error);
}

static int compare_keys(gconstpointer a, gconstpointer b)
{
    const VsphereDisk *const *left = a;
    const VsphereDisk *const *right = b;

    return ((*left)->key > (*right)->key) - ((*left)->key < (*right)->key);
}

GPtrArray *vm_disks(const GPtrArray *devices, GError **error)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(disk_free);

    for (guint i = 0; i < devices->len; i++) {
        const VimVirtualDisk *disk = vim_cast(devices->pdata[i], &vim_virtual_disk_type);

        if (disk != NULL && !add_disk(disks, devices, disk, error))
            return NULL;
    }
    g_ptr_array_sort(disks, compare_keys);
    return g_steal_pointer(&disks);
}

/* Into the order of the machine's disks, which are the same ones. */
static GPtrArray *in_machine_order(GPtrArray *disks, const Machine *machine)
{
    GPtrArray *ordered = g_ptr_array_new_with_free_func(disk_free);

    g_ptr_array_set_free_func(disks, NULL);
    for (guint i = 0; i < machine->disks->len; i++) {
        const MachineDisk *wanted = machine->disks->pdata[i];

        for (guint j = 0; j < disks->len; j++) {
            VsphereDisk *disk = disks->pdata[j];
            g_autofree char *key = g_strdup_printf("%d", disk->key);

            if (strcmp(key, wanted->key) == 0)
                g_ptr_array_add(ordered, disk);
        }
    }
    g_ptr_array_unref(disks);
    return ordered;
}

/* --- the rest --- */

static void add_snapshots(GPtrArray *snapshots, const GPtrArray *trees, const char *parent,
                          const char *current)
{
    for (guint i = 0; i < trees->len; i++) {
        const VimVirtualMachineSnapshotTree *tree = trees->pdata[i];
        VsphereSnapshot *snapshot = g_new0(VsphereSnapshot, 1);

        *snapshot = (VsphereSnapshot){
            .moref = g_strdup(tree->snapshot),
            .name = folders_unescape(tree->name),
            .parent = g_strdup(parent),
            .description = g_strdup(tree->description),
            .quiesced = tree->quiesced,
            .current = g_strcmp0(tree->snapshot, current) == 0,
        };
        g_ptr_array_add(snapshots, snapshot);
        add_snapshots(snapshots, tree->child_snapshot_list, tree->snapshot, current);
    }
}

static GPtrArray *flat_snapshots(const VimVirtualMachineSnapshotInfo *info)
{
    GPtrArray *snapshots = g_ptr_array_new_with_free_func(snapshot_free);

    if (info != NULL)
        add_snapshots(snapshots, info->root_snapshot_list, NULL, info->current_snapshot);
    return snapshots;
}

/* A fault tolerant VM has states beside "notConfigured"; a server without the feature says nothing. */
static gboolean is_fault_tolerant(const VimVm *properties)
{
    const char *state = properties->fault_tolerance_state;

    return state != NULL && strcmp(state, "notConfigured") != 0;
}

static gboolean has_device(const VimVm *properties, const VimType *type)
{
    for (guint i = 0; i < properties->device->len; i++)
        if (vim_cast(properties->device->pdata[i], type) != NULL)
            return TRUE;
    return FALSE;
}

/* Of tasks on this VM among all that was read with it. */
static GPtrArray *busy_tasks(const VimVm *properties, Folders *folders)
{
    GPtrArray *busy = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iterator;
    gpointer object;

    g_hash_table_iter_init(&iterator, folders);
    while (g_hash_table_iter_next(&iterator, NULL, &object)) {
        const VimTask *task = vim_cast(object, &vim_task_type);

        if (task == NULL || task->info == NULL ||
            g_strcmp0(task->info->entity, properties->managed.moref) != 0)
            continue;
        if (task->info->state == VIM_TASK_INFO_STATE_RUNNING ||
            task->info->state == VIM_TASK_INFO_STATE_QUEUED)
            g_ptr_array_add(busy, g_strdup(task->info->description_id));
    }
    return busy;
}

static GPtrArray *copy_strings(const GPtrArray *strings)
{
    GPtrArray *copy = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < strings->len; i++)
        g_ptr_array_add(copy, g_strdup(strings->pdata[i]));
    return copy;
}

static void fill_state(VsphereVm *vm, const VimVm *properties)
{
    vm->power_state = g_strdup(properties->power_state);
    vm->connection_state = g_strdup(properties->connection_state);
    vm->tools_running = g_strdup(properties->tools_running_status);
    vm->hardware_version = g_strdup(properties->version);
    vm->vmx_path = g_strdup(properties->vm_path_name);
    vm->template = properties->template;
    vm->cbt_supported = properties->change_tracking_supported;
    vm->cbt_enabled = properties->change_tracking_enabled;
    vm->consolidation_needed = properties->consolidation_needed;
    vm->encrypted = properties->key_id != NULL;
    vm->fault_tolerant = is_fault_tolerant(properties);
    vm->has_usb = has_device(properties, &vim_virtual_usb_type);
    vm->has_pci_passthrough = has_device(properties, &vim_virtual_pci_passthrough_type) ||
                              has_device(properties, &vim_virtual_sriov_ethernet_card_type);
    vm->question_pending = properties->question != NULL;
    vm->snapshots = flat_snapshots(properties->snapshot);
    vm->disabled_methods = copy_strings(properties->disabled_method);
}

VsphereVm *vm_from_properties(const VimVm *properties, Folders *folders, const char *root, GError **error)
{
    g_autoptr(GPtrArray) disks = vm_disks(properties->device, error);
    VsphereVm *vm;

    if (disks == NULL) {
        g_prefix_error(error, "VM %s: ", properties->managed.moref);
        return NULL;
    }
    vm = g_new0(VsphereVm, 1);
    vm->moref = g_strdup(properties->managed.moref);
    vm->path = folders_path(folders, &properties->managed, root);
    vm->datacenter_path = folders_datacenter_path(folders, &properties->managed, root);
    vm->host = folders_name(folders, properties->host);
    vm->machine = vm_machine(properties, disks, folders);
    vm->disks = in_machine_order(g_steal_pointer(&disks), vm->machine);
    vm->busy_tasks = busy_tasks(properties, folders);
    fill_state(vm, properties);
    return vm;
}
