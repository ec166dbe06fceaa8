#include "lab/device.h"

#include <string.h>

static Value *new_device(const char *type, gint32 key, const char *label, const char *summary)
{
    Value *device = value_new(type);
    value_set_int(device, "key", key);
    Value *info = value_new("Description");
    value_set_text(info, "label", label);
    value_set_text(info, "summary", summary);
    value_set(device, "deviceInfo", info);
    return device;
}

/* --- controllers --- */

static const struct {
    const char *kind, *type, *label, *summary;
    gboolean scsi;
} CONTROLLERS[] = {
    {"ide", "VirtualIDEController", "IDE", "IDE", FALSE},
    {"pvscsi", "ParaVirtualSCSIController", "SCSI controller", "VMware paravirtual SCSI", TRUE},
    {"lsilogic", "VirtualLsiLogicController", "SCSI controller", "LSI Logic", TRUE},
    {"lsisas", "VirtualLsiLogicSASController", "SCSI controller", "LSI Logic SAS", TRUE},
    {"buslogic", "VirtualBusLogicController", "SCSI controller", "BusLogic", TRUE},
    {"ahci", "VirtualAHCIController", "SATA controller", "AHCI", FALSE},
    {"nvme", "VirtualNVMEController", "NVME controller", "NVME controller", FALSE},
};

static Value *controller_value(const LabController *controller, GPtrArray *disks)
{
    guint row = 0;
    while (!g_str_equal(CONTROLLERS[row].kind, controller->kind))
        row++;
    g_autofree char *label = g_strdup_printf("%s %d", CONTROLLERS[row].label, controller->bus);
    Value *device = new_device(CONTROLLERS[row].type, controller->key, label, CONTROLLERS[row].summary);
    value_set_int(device, "busNumber", controller->bus);
    for (guint i = 0; i < disks->len; i++) {
        LabDisk *disk = g_ptr_array_index(disks, i);
        g_autofree char *key = g_strdup_printf("%d", disk->key);
        if (disk->controller == controller)
            value_append(device, "device", value_text("int", key));
    }
    if (CONTROLLERS[row].scsi) {
        value_set_int(device, "controllerKey", 100);
        value_set_int(device, "unitNumber", 3 + controller->bus);
        value_set_bool(device, "hotAddRemove", TRUE);
        value_set_text(device, "sharedBus", "noSharing");
        value_set_int(device, "scsiCtlrUnitNumber", 7);
    }
    return device;
}

/* --- disks --- */

char *lab_datastore_path(const LabDatastore *datastore, const LabVm *vm, const char *file)
{
    return g_strdup_printf("[%s] %s/%s", datastore->object.name, vm->home, file);
}

static void set_file(Value *backing, const LabVm *vm, const LabDisk *disk, const char *file)
{
    g_autofree char *path = lab_datastore_path(disk->datastore, vm, file);
    value_set_text(backing, "fileName", path);
    value_set_ref(backing, "datastore", "Datastore", disk->datastore->object.moref);
    value_set_text(backing, "diskMode", disk->mode);
    value_set_text(backing, "uuid", disk->uuid);
    value_set_text(backing, "contentId", "fffffffe");
}

static Value *crypto_key(void)
{
    Value *key = value_new("CryptoKeyId");
    value_set_text(key, "keyId", "lab-key");
    return key;
}

/* The links below, each the parent of the one above it. */
static Value *parent_backing(const LabVm *vm, const LabDisk *disk, char **files)
{
    if (files == NULL || files[0] == NULL)
        return NULL;
    Value *backing = value_new("VirtualDiskFlatVer2BackingInfo");
    set_file(backing, vm, disk, files[0]);
    value_set_bool(backing, "thinProvisioned", TRUE);
    value_set(backing, "parent", parent_backing(vm, disk, files + 1));
    return backing;
}

static Value *flat_backing(const LabVm *vm, const LabDisk *disk)
{
    Value *backing = value_new("VirtualDiskFlatVer2BackingInfo");
    set_file(backing, vm, disk, disk->file);
    value_set_bool(backing, "split", FALSE);
    value_set_bool(backing, "writeThrough", FALSE);
    value_set_bool(backing, "thinProvisioned", TRUE);
    value_set_text(backing, "changeId", disk->change_id);
    value_set_text(backing, "sharing", disk->sharing != NULL ? disk->sharing : "sharingNone");
    if (vm->encrypted)
        value_set(backing, "keyId", crypto_key());
    value_set(backing, "parent", parent_backing(vm, disk, disk->parents));
    if (disk->parents != NULL)
        value_set_text(backing, "deltaDiskFormat", "redoLogFormat");
    return backing;
}

static Value *rdm_backing(const LabVm *vm, const LabDisk *disk)
{
    Value *backing = value_new("VirtualDiskRawDiskMappingVer1BackingInfo");
    set_file(backing, vm, disk, disk->file);
    value_set_text(backing, "lunUuid", "02000000006000000000000000000000");
    value_set_text(backing, "deviceName", "vml.02000000006000000000000000000000");
    value_set_text(backing, "compatibilityMode", disk->rdm);
    value_set_text(backing, "changeId", disk->change_id);
    value_set_text(backing, "sharing", disk->sharing != NULL ? disk->sharing : "sharingNone");
    return backing;
}

static Value *disk_value(const LabVm *vm, const LabDisk *disk, guint number)
{
    g_autofree char *label = g_strdup_printf("Hard disk %u", number);
    g_autofree char *summary = g_strdup_printf("%" G_GUINT64_FORMAT " KB", disk->size / 1024);
    Value *device = new_device("VirtualDisk", disk->key, label, summary);
    value_set(device, "backing", disk->rdm != NULL ? rdm_backing(vm, disk) : flat_backing(vm, disk));
    value_set_int(device, "controllerKey", disk->controller->key);
    value_set_int(device, "unitNumber", disk->unit);
    value_set_int(device, "capacityInKB", (gint64)(disk->size / 1024));
    value_set_int(device, "capacityInBytes", (gint64)disk->size);
    const char *digits = strpbrk(vm->object.moref, "0123456789");
    value_setf(device, "diskObjectId", "%s-%d", digits != NULL ? digits : "0", disk->key);
    return device;
}

/* --- network cards and the rest --- */

static const char *nic_type(const char *kind)
{
    static const struct {
        const char *kind, *type;
    } TYPES[] = {{"vmxnet3", "VirtualVmxnet3"},
                 {"e1000", "VirtualE1000"},
                 {"e1000e", "VirtualE1000e"},
                 {"pcnet32", "VirtualPCNet32"}};
    for (guint i = 0; i < G_N_ELEMENTS(TYPES); i++)
        if (g_str_equal(TYPES[i].kind, kind))
            return TYPES[i].type;
    return "VirtualVmxnet3";
}

static Value *nic_value(const LabVm *vm, const LabNic *nic, guint number)
{
    g_autofree char *label = g_strdup_printf("Network adapter %u", number);
    Value *device = new_device(nic_type(nic->kind), nic->key, label, nic->network->name);
    Value *backing = value_new("VirtualEthernetCardNetworkBackingInfo");
    value_set_text(backing, "deviceName", nic->network->name);
    value_set_ref(backing, "network", "Network", nic->network->moref);
    value_set(device, "backing", backing);
    Value *connectable = value_new("VirtualDeviceConnectInfo");
    value_set_bool(connectable, "startConnected", TRUE);
    value_set_bool(connectable, "allowGuestControl", TRUE);
    value_set_bool(connectable, "connected", vm->on);
    value_set(device, "connectable", connectable);
    value_set_int(device, "controllerKey", 100);
    value_set_int(device, "unitNumber", 7 + (gint64)number);
    value_set_text(device, "addressType", "assigned");
    value_set_text(device, "macAddress", nic->mac);
    value_set_bool(device, "wakeOnLanEnabled", TRUE);
    return device;
}

static const struct {
    const char *name, *type, *label;
    gint32 key;
} EXTRAS[] = {
    {"usb-controller", "VirtualUSBController", "USB controller", 7000},
    {"usb", "VirtualUSB", "USB 1", 7001},
    {"pci-passthrough", "VirtualPCIPassthrough", "PCI device 0", 13000},
    {"tpm", "VirtualTPM", "Virtual TPM", 11000},
    {"cdrom", "VirtualCdrom", "CD/DVD drive 1", 3002},
    {"floppy", "VirtualFloppy", "Floppy drive 1", 8000},
    {"serial", "VirtualSerialPort", "Serial port 1", 9000},
    {"sound", "VirtualSoundCard", "Sound card", 5000},
};

static void add_extras(const LabVm *vm, Value *devices)
{
    for (guint i = 0; i < G_N_ELEMENTS(EXTRAS); i++) {
        if (vm->extras == NULL || !g_strv_contains((const char *const *)vm->extras, EXTRAS[i].name))
            continue;
        Value *device = new_device(EXTRAS[i].type, EXTRAS[i].key, EXTRAS[i].label, EXTRAS[i].label);
        if (g_str_equal(EXTRAS[i].name, "usb-controller"))
            value_set_int(device, "busNumber", 0);
        if (g_str_equal(EXTRAS[i].name, "usb"))
            value_set_bool(device, "connected", TRUE);
        if (g_str_equal(EXTRAS[i].name, "serial"))
            value_set_bool(device, "yieldOnPoll", TRUE);
        value_add(devices, device);
    }
}

Value *lab_devices_value(const LabVm *vm, GPtrArray *disks)
{
    Value *devices = value_array("VirtualDevice");
    Value *pci = new_device("VirtualPCIController", 100, "PCI controller 0", "PCI controller 0");
    value_set_int(pci, "busNumber", 0);
    value_add(devices, pci);
    for (guint i = 0; i < vm->controllers->len; i++)
        value_add(devices, controller_value(g_ptr_array_index(vm->controllers, i), disks));
    for (guint i = 0; i < disks->len; i++)
        value_add(devices, disk_value(vm, g_ptr_array_index(disks, i), i + 1));
    for (guint i = 0; i < vm->nics->len; i++)
        value_add(devices, nic_value(vm, g_ptr_array_index(vm->nics, i), i + 1));
    add_extras(vm, devices);
    return devices;
}
