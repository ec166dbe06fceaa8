#include <string.h>

#include "base/size.h"
#include "base/xml.h"
#include "disk/ovf.h"

#define STREAM_FORMAT "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

/* What vSphere calls a controller. */
typedef struct {
    const char *controller; /* of a Machine */
    guint type;             /* of the Item */
    const char *subtype;
    const char *label;
} Kind;

static const Kind kinds[] = {
    {"pvscsi", 6, "VirtualSCSI", "SCSI controller"},
    {"lsilogic", 6, "lsilogic", "SCSI controller"},
    {"lsisas", 6, "lsilogicsas", "SCSI controller"},
    {"buslogic", 6, "buslogic", "SCSI controller"},
    {"ahci", 20, "vmware.sata.ahci", "SATA controller"},
    {"nvme", 20, "vmware.nvme.controller", "NVME controller"},
    {"ide", 5, NULL, "IDE"},
};

/* Anything else, virtio above all, becomes the first one. */
static const Kind *kind_of(const MachineDisk *disk)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_strcmp0(disk->controller, kinds[i].controller) == 0)
            return &kinds[i];
    return &kinds[0];
}

static const MachineDisk *disk_at(const Machine *machine, guint index)
{
    return g_ptr_array_index(machine->disks, index);
}

static const MachineNic *nic_at(const Machine *machine, guint index)
{
    return g_ptr_array_index(machine->nics, index);
}

/* --- sections before the hardware --- */

static void write_references(XmlWriter *xml, const Machine *machine, const OvfDisk *files)
{
    xml_open(xml, "References");
    for (guint i = 0; i < machine->disks->len; i++) {
        xml_open(xml, "File");
        xml_setf(xml, "ovf:id", "file%u", i + 1);
        xml_set(xml, "ovf:href", files[i].file);
        xml_setf(xml, "ovf:size", "%" G_GUINT64_FORMAT, files[i].size);
        xml_close(xml);
    }
    xml_close(xml);
}

static void write_disks(XmlWriter *xml, const Machine *machine)
{
    xml_open(xml, "DiskSection");
    xml_element(xml, "Info", "Virtual disks");
    for (guint i = 0; i < machine->disks->len; i++) {
        xml_open(xml, "Disk");
        xml_setf(xml, "ovf:capacity", "%" G_GUINT64_FORMAT, disk_at(machine, i)->size);
        xml_set(xml, "ovf:capacityAllocationUnits", "byte");
        xml_setf(xml, "ovf:diskId", "vmdisk%u", i + 1);
        xml_setf(xml, "ovf:fileRef", "file%u", i + 1);
        xml_set(xml, "ovf:format", STREAM_FORMAT);
        xml_close(xml);
    }
    xml_close(xml);
}

static const char *network_of(const MachineNic *nic)
{
    return nic->network != NULL && nic->network[0] != '\0' ? nic->network : "VM Network";
}

/* Each network once. */
static void write_networks(XmlWriter *xml, const Machine *machine)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    xml_open(xml, "NetworkSection");
    xml_element(xml, "Info", "Networks");
    for (guint i = 0; i < machine->nics->len; i++) {
        const char *network = network_of(nic_at(machine, i));

        if (!g_hash_table_add(seen, (gpointer)network))
            continue;
        xml_open(xml, "Network");
        xml_set(xml, "ovf:name", network);
        xml_element(xml, "Description", network);
        xml_close(xml);
    }
    xml_close(xml);
}

/* 1 and 101 are CIM's "other" and "64-bit Linux"; vSphere looks at osType first. */
static void write_system(XmlWriter *xml, const Machine *machine)
{
    xml_open(xml, "OperatingSystemSection");
    xml_set(xml, "ovf:id", machine->family == MACHINE_FAMILY_LINUX ? "101" : "1");
    if (machine->guest_id != NULL)
        xml_set(xml, "vmw:osType", machine->guest_id);
    xml_element(xml, "Info", "Guest operating system");
    xml_element(xml, "Description", machine->guest_id);
    xml_close(xml);
    if (machine->annotation == NULL)
        return;
    xml_open(xml, "AnnotationSection");
    xml_element(xml, "Info", "Notes");
    xml_element(xml, "Annotation", machine->annotation);
    xml_close(xml);
}

/* --- the hardware: elements of an Item come in the order of the alphabet --- */

static void write_cpus_and_memory(XmlWriter *xml, const Machine *machine)
{
    xml_open(xml, "Item");
    xml_element(xml, "rasd:AllocationUnits", "hertz * 10^6");
    xml_element(xml, "rasd:Description", "Number of virtual CPUs");
    xml_elementf(xml, "rasd:ElementName", "%u virtual CPU(s)", machine->cpus);
    xml_element(xml, "rasd:InstanceID", "1");
    xml_element(xml, "rasd:ResourceType", "3");
    xml_elementf(xml, "rasd:VirtualQuantity", "%u", machine->cpus);
    if (machine->cores_per_socket > 1) {
        g_autofree char *cores = g_strdup_printf("%u", MIN(machine->cores_per_socket, machine->cpus));

        xml_open(xml, "vmw:CoresPerSocket");
        xml_set(xml, "ovf:required", "false");
        xml_put_text(xml, cores);
        xml_close(xml);
    }
    xml_close(xml);
    xml_open(xml, "Item");
    xml_element(xml, "rasd:AllocationUnits", "byte * 2^20");
    xml_element(xml, "rasd:Description", "Memory Size");
    xml_elementf(xml, "rasd:ElementName", "%" G_GUINT64_FORMAT "MB of memory", machine->memory / MIB);
    xml_element(xml, "rasd:InstanceID", "2");
    xml_element(xml, "rasd:ResourceType", "4");
    xml_elementf(xml, "rasd:VirtualQuantity", "%" G_GUINT64_FORMAT, machine->memory / MIB);
    xml_close(xml);
}

/* The first disk on the same controller: its index makes the number of the Item. */
static guint first_on_controller(const Machine *machine, guint index)
{
    const MachineDisk *disk = disk_at(machine, index);

    for (guint i = 0; i < index; i++)
        if (kind_of(disk_at(machine, i)) == kind_of(disk) && disk_at(machine, i)->bus == disk->bus)
            return i;
    return index;
}

static void write_controller(XmlWriter *xml, const MachineDisk *disk, guint instance)
{
    const Kind *kind = kind_of(disk);

    xml_open(xml, "Item");
    xml_elementf(xml, "rasd:Address", "%d", disk->bus);
    xml_element(xml, "rasd:Description", kind->label);
    xml_elementf(xml, "rasd:ElementName", "%s %d", kind->label, disk->bus);
    xml_elementf(xml, "rasd:InstanceID", "%u", instance);
    xml_element(xml, "rasd:ResourceSubType", kind->subtype);
    xml_elementf(xml, "rasd:ResourceType", "%u", kind->type);
    xml_close(xml);
}

static void write_disk(XmlWriter *xml, const Machine *machine, guint index, guint controllers, guint instance)
{
    const MachineDisk *disk = disk_at(machine, index);

    xml_open(xml, "Item");
    xml_elementf(xml, "rasd:AddressOnParent", "%d", disk->unit);
    xml_elementf(xml, "rasd:ElementName", "Hard disk %u", index + 1);
    xml_elementf(xml, "rasd:HostResource", "ovf:/disk/vmdisk%u", index + 1);
    xml_elementf(xml, "rasd:InstanceID", "%u", instance);
    xml_elementf(xml, "rasd:Parent", "%u", controllers + first_on_controller(machine, index));
    xml_element(xml, "rasd:ResourceType", "17");
    xml_close(xml);
}

static const char *nic_subtype(const MachineNic *nic)
{
    static const char *const names[][2] = {{"e1000", "E1000"}, {"e1000e", "E1000e"}, {"pcnet32", "PCNet32"}};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_strcmp0(nic->model, names[i][0]) == 0)
            return names[i][1];
    return "VmxNet3";
}

static void write_nic(XmlWriter *xml, const MachineNic *nic, guint index, guint instance)
{
    xml_open(xml, "Item");
    xml_element(xml, "rasd:Address", nic->mac);
    xml_elementf(xml, "rasd:AddressOnParent", "%u", 7 + index);
    xml_element(xml, "rasd:AutomaticAllocation", nic->connected ? "true" : "false");
    xml_element(xml, "rasd:Connection", network_of(nic));
    xml_elementf(xml, "rasd:ElementName", "Network adapter %u", index + 1);
    xml_elementf(xml, "rasd:InstanceID", "%u", instance);
    xml_element(xml, "rasd:ResourceSubType", nic_subtype(nic));
    xml_element(xml, "rasd:ResourceType", "10");
    xml_close(xml);
}

static void write_config(XmlWriter *xml, const char *key, const char *value)
{
    xml_open(xml, "vmw:Config");
    xml_set(xml, "ovf:required", "false");
    xml_set(xml, "vmw:key", key);
    xml_set(xml, "vmw:value", value);
    xml_close(xml);
}

static void write_items(XmlWriter *xml, const Machine *machine)
{
    guint n = machine->disks->len;
    guint controllers = 3, disks = controllers + n, nics = disks + n;

    write_cpus_and_memory(xml, machine);
    for (guint i = 0; i < n; i++)
        if (first_on_controller(machine, i) == i)
            write_controller(xml, disk_at(machine, i), controllers + i);
    for (guint i = 0; i < n; i++)
        write_disk(xml, machine, i, controllers, disks + i);
    for (guint i = 0; i < machine->nics->len; i++)
        write_nic(xml, nic_at(machine, i), i, nics + i);
}

static void write_hardware(XmlWriter *xml, const Machine *machine, guint hw_version)
{
    xml_open(xml, "VirtualHardwareSection");
    xml_element(xml, "Info", "Virtual hardware");
    xml_open(xml, "System");
    xml_element(xml, "vssd:ElementName", "Virtual Hardware Family");
    xml_element(xml, "vssd:InstanceID", "0");
    xml_element(xml, "vssd:VirtualSystemIdentifier", machine->name);
    xml_elementf(xml, "vssd:VirtualSystemType", "vmx-%02u", hw_version);
    xml_close(xml);
    write_items(xml, machine);
    write_config(xml, "firmware", machine->firmware == MACHINE_FIRMWARE_UEFI ? "efi" : "bios");
    if (machine->secure_boot)
        write_config(xml, "bootOptions.efiSecureBootEnabled", "true");
    xml_close(xml);
}

/* --- the envelope --- */

static void open_envelope(XmlWriter *xml)
{
    static const char cim[] = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_";

    xml_open(xml, "Envelope");
    xml_set(xml, "xmlns", "http://schemas.dmtf.org/ovf/envelope/1");
    xml_set(xml, "xmlns:ovf", "http://schemas.dmtf.org/ovf/envelope/1");
    xml_setf(xml, "xmlns:rasd", "%sResourceAllocationSettingData", cim);
    xml_setf(xml, "xmlns:vssd", "%sVirtualSystemSettingData", cim);
    xml_set(xml, "xmlns:vmw", "http://www.vmware.com/schema/ovf");
}

char *ovf_write(const Machine *machine, guint hw_version, const OvfDisk *files)
{
    XmlWriter *xml = xml_writer_new(2, TRUE);

    open_envelope(xml);
    write_references(xml, machine, files);
    write_disks(xml, machine);
    write_networks(xml, machine);
    xml_open(xml, "VirtualSystem");
    xml_set(xml, "ovf:id", machine->name);
    xml_element(xml, "Info", "A virtual machine");
    xml_element(xml, "Name", machine->name);
    write_system(xml, machine);
    write_hardware(xml, machine, hw_version);
    xml_close(xml);
    xml_close(xml);
    return xml_writer_finish(xml);
}
