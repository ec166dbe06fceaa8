/* What of a VM the other side can use.
 *
 * The boot disk is the first disk of the VM's own boot order.  Where none was set the firmware takes the
 * first controller it finds: SCSI of any kind (their buses are numbered together), then SATA, IDE, NVMe; on
 * it the lowest bus and unit.
 */
#include "base/size.h"
#include "vsphere/vm.h"

#include <string.h>

static const struct {
    const VimType *type;
    const char *name;
    int rank;
} controllers[] = {
    {&vim_para_virtual_scsi_controller_type, "pvscsi", 0},
    {&vim_virtual_lsi_logic_sas_controller_type, "lsisas", 0},
    {&vim_virtual_lsi_logic_controller_type, "lsilogic", 0},
    {&vim_virtual_bus_logic_controller_type, "buslogic", 0},
    {&vim_virtual_sata_controller_type, "ahci", 1},
    {&vim_virtual_ide_controller_type, "ide", 2},
    {&vim_virtual_nvme_controller_type, "nvme", 3},
};

static const struct {
    const VimType *type;
    const char *model;
} cards[] = {
    {&vim_virtual_vmxnet3_type, "vmxnet3"},
    {&vim_virtual_e1000e_type, "e1000e"},
    {&vim_virtual_e1000_type, "e1000"},
    {&vim_virtual_pc_net32_type, "pcnet32"},
};

/* Beside every id that holds "linux". */
static const char *const linux_ids[] = {
    "almalinux", "asianux",  "centos", "coreos",   "crx",    "debian",       "fedora",
    "mandrake",  "mandriva", "nld",    "oes",      "rhel",   "redhat",       "rocky",
    "sjds",      "sles",     "suse",   "opensuse", "ubuntu", "vmwarephoton", NULL,
};

/* "winNetEnterpriseGuest", "windows2019srv_64Guest"; "darwin" only ends that way. */
static MachineFamily family_of(const char *guest_id)
{
    g_autofree char *lower = g_ascii_strdown(guest_id != NULL ? guest_id : "", -1);

    if (g_str_has_prefix(lower, "win"))
        return MACHINE_FAMILY_WINDOWS;
    if (strstr(lower, "linux") != NULL)
        return MACHINE_FAMILY_LINUX;
    for (const char *const *id = linux_ids; *id != NULL; id++)
        if (g_str_has_prefix(lower, *id))
            return MACHINE_FAMILY_LINUX;
    return MACHINE_FAMILY_OTHER;
}

/* --- disks --- */

static int controller_rank(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(controllers); i++)
        if (strcmp(controllers[i].name, name) == 0)
            return controllers[i].rank;
    return G_MAXINT;
}

static void place_disk(MachineDisk *disk, const GPtrArray *devices, const VimVirtualDevice *device)
{
    const VimVirtualController *controller =
        device->has_controller_key
            ? vim_cast(vm_device(devices, device->controller_key), &vim_virtual_controller_type)
            : NULL;
    const char *name = "other";

    for (guint i = 0; i < G_N_ELEMENTS(controllers); i++)
        if (vim_cast(controller, controllers[i].type) != NULL)
            name = controllers[i].name;
    disk->controller = g_strdup(name);
    disk->bus = controller != NULL ? controller->bus_number : 0;
    disk->unit = device->unit_number;
}

static const VimVirtualMachineFileLayoutExFileInfo *layout_file(const VimVirtualMachineFileLayoutEx *layout,
                                                                gint32 key)
{
    for (guint i = 0; i < layout->file->len; i++) {
        const VimVirtualMachineFileLayoutExFileInfo *file = layout->file->pdata[i];

        if (file->key == key)
            return file;
    }
    return NULL;
}

static guint64 unit_size(const VimVirtualMachineFileLayoutEx *layout,
                         const VimVirtualMachineFileLayoutExDiskUnit *unit)
{
    guint64 total = 0;

    for (guint i = 0; i < unit->file_key->len; i++) {
        const VimVirtualMachineFileLayoutExFileInfo *file =
            layout_file(layout, g_array_index(unit->file_key, gint32, i));

        if (file != NULL && file->size > 0 && !size_add(total, (guint64)file->size, &total))
            return 0;
    }
    return total;
}

/* The sum of the files of every link of its chain; 0 when the layout was not read. */
static guint64 allocated_size(const VimVirtualMachineFileLayoutEx *layout, gint32 key)
{
    guint64 total = 0;

    for (guint i = 0; layout != NULL && i < layout->disk->len; i++) {
        const VimVirtualMachineFileLayoutExDiskLayout *disk = layout->disk->pdata[i];

        for (guint j = 0; disk->key == key && j < disk->chain->len; j++)
            if (!size_add(total, unit_size(layout, disk->chain->pdata[j]), &total))
                return 0;
    }
    return total;
}

static void add_disk(Machine *machine, const VimVm *properties, const VsphereDisk *source)
{
    const VimVirtualDevice *device = vm_device(properties->device, source->key);
    MachineDisk *disk = machine_add_disk(machine);

    disk->key = g_strdup_printf("%d", source->key);
    disk->uuid = g_strdup(source->uuid);
    disk->label = g_strdup(device->device_info != NULL ? device->device_info->label : disk->key);
    disk->size = source->size;
    disk->allocated = allocated_size(properties->layout_ex, source->key);
    place_disk(disk, properties->device, device);
}

static int compare_disks(gconstpointer a, gconstpointer b)
{
    const MachineDisk *left = *(const MachineDisk *const *)a;
    const MachineDisk *right = *(const MachineDisk *const *)b;
    int left_rank = controller_rank(left->controller), right_rank = controller_rank(right->controller);

    if (left->boot != right->boot)
        return left->boot ? -1 : 1;
    if (left_rank != right_rank)
        return left_rank < right_rank ? -1 : 1;
    if (left->bus != right->bus)
        return left->bus < right->bus ? -1 : 1;
    return (left->unit > right->unit) - (left->unit < right->unit);
}

static void mark_boot_disk(Machine *machine, const VimVirtualMachineBootOptions *options)
{
    for (guint i = 0; options != NULL && i < options->boot_order->len; i++) {
        const VimVirtualMachineBootOptionsBootableDiskDevice *entry = vim_cast(
            options->boot_order->pdata[i], &vim_virtual_machine_boot_options_bootable_disk_device_type);
        g_autofree char *key = entry != NULL ? g_strdup_printf("%d", entry->device_key) : NULL;

        for (guint j = 0; key != NULL && j < machine->disks->len; j++) {
            MachineDisk *disk = machine->disks->pdata[j];

            disk->boot = strcmp(disk->key, key) == 0;
            if (disk->boot)
                return;
        }
    }
}

static void add_disks(Machine *machine, const VimVm *properties, const GPtrArray *disks)
{
    for (guint i = 0; i < disks->len; i++)
        add_disk(machine, properties, disks->pdata[i]);
    mark_boot_disk(machine, properties->boot_options);
    g_ptr_array_sort(machine->disks, compare_disks);
    if (disks->len > 0)
        ((MachineDisk *)machine->disks->pdata[0])->boot = TRUE;
}

/* --- network cards --- */

/* A distributed port group and an opaque network are named by their own keys, which only their objects
 * translate. */
static char *network_by_key(Folders *folders, const char *key)
{
    GHashTableIter iterator;
    gpointer object;

    g_hash_table_iter_init(&iterator, folders);
    while (g_hash_table_iter_next(&iterator, NULL, &object)) {
        const char *own = vim_get_string(object, "key");

        if (own == NULL)
            own = vim_get_string(vim_get_object(object, "summary"), "opaqueNetworkId");
        if (g_strcmp0(own, key) == 0 && vim_get_string(object, "name") != NULL)
            return folders_unescape(vim_get_string(object, "name"));
    }
    return g_strdup(key);
}

static char *network_name(const VimVirtualEthernetCard *card, Folders *folders)
{
    gconstpointer backing = card->base.backing;
    const char *name = vim_get_string(backing, "deviceName");
    const char *key = vim_get_string(vim_get_object(backing, "port"), "portgroupKey");

    if (key == NULL)
        key = vim_get_string(backing, "opaqueNetworkId");
    if (name != NULL)
        return folders_unescape(name);
    return key != NULL ? network_by_key(folders, key) : NULL;
}

static const char *card_model(const VimVirtualEthernetCard *card)
{
    for (guint i = 0; i < G_N_ELEMENTS(cards); i++)
        if (vim_cast(card, cards[i].type) != NULL)
            return cards[i].model;
    return "other";
}

static void add_nic(Machine *machine, const VimVirtualEthernetCard *card, Folders *folders)
{
    const VimVirtualDevice *device = &card->base;
    MachineNic *nic = machine_add_nic(machine);

    nic->key = g_strdup_printf("%d", device->key);
    nic->label = g_strdup(device->device_info != NULL ? device->device_info->label : nic->key);
    nic->model = g_strdup(card_model(card));
    nic->mac = card->mac_address != NULL ? g_ascii_strdown(card->mac_address, -1) : NULL;
    nic->network = network_name(card, folders);
    nic->connected = device->connectable == NULL || device->connectable->start_connected;
}

static int compare_devices(gconstpointer a, gconstpointer b)
{
    const VimVirtualDevice *left = *(const VimVirtualDevice *const *)a;
    const VimVirtualDevice *right = *(const VimVirtualDevice *const *)b;

    return (left->key > right->key) - (left->key < right->key);
}

static void add_nics(Machine *machine, const GPtrArray *devices, Folders *folders)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();

    for (guint i = 0; i < devices->len; i++)
        if (vim_cast(devices->pdata[i], &vim_virtual_ethernet_card_type) != NULL)
            g_ptr_array_add(found, devices->pdata[i]);
    g_ptr_array_sort(found, compare_devices);
    for (guint i = 0; i < found->len; i++)
        add_nic(machine, found->pdata[i], folders);
}

/* --- the machine --- */

static gboolean has_tpm(const GPtrArray *devices)
{
    for (guint i = 0; i < devices->len; i++)
        if (vim_cast(devices->pdata[i], &vim_virtual_tpm_type) != NULL)
            return TRUE;
    return FALSE;
}

Machine *vm_machine(const VimVm *properties, const GPtrArray *disks, Folders *folders)
{
    const VimVirtualMachineBootOptions *options = properties->boot_options;
    gboolean annotated = properties->annotation != NULL && *properties->annotation != '\0';
    Machine *machine = machine_new();

    machine->name = folders_unescape(properties->name != NULL ? properties->name : properties->managed.moref);
    machine->id = g_strdup(properties->managed.moref);
    machine->instance_uuid = g_strdup(properties->instance_uuid);
    machine->bios_uuid = g_strdup(properties->uuid);
    machine->annotation = annotated ? g_strdup(properties->annotation) : NULL;
    machine->guest_id = g_strdup(properties->guest_id);
    machine->family = family_of(properties->guest_id);
    machine->firmware =
        g_strcmp0(properties->firmware, "efi") == 0 ? MACHINE_FIRMWARE_UEFI : MACHINE_FIRMWARE_BIOS;
    machine->secure_boot = options != NULL && options->efi_secure_boot_enabled;
    machine->tpm = has_tpm(properties->device);
    machine->cpus = (guint)MAX(properties->num_cpu, 0);
    machine->cores_per_socket = (guint)MAX(properties->num_cores_per_socket, 0);
    machine->memory = (guint64)MAX(properties->memory_mb, 0) * MIB;
    add_disks(machine, properties, disks);
    add_nics(machine, properties->device, folders);
    return machine;
}
