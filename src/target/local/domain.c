/* From a Machine to a libvirt domain.
 *
 * The guest moves from VMware's virtual hardware to KVM's, so the devices change and their meaning stays:
 * disks in the order of the source on the bus that the operator chose, the boot disk with boot order 1, NICs
 * with their MAC, the firmware of the same kind.  Paths of firmware images and of the emulator are left to
 * libvirt, which knows its host.
 *
 * A guest without virtio drivers boots from "sata" and then gets an e1000e NIC as well; virtio and scsi take
 * virtio for both.
 */
#include "target/local/domain.h"

#include "base/size.h"
#include "base/xml.h"
#include "target/local/local.h"

#include <string.h>

/* Every virtio-blk disk takes a PCI slot of its own; libvirt's q35 has room for about this many beside the
 * rest. */
#define VIRTIO_BLK_MAX 20u

char *domain_name(const Machine *machine)
{
    return local_safe_name(machine->name);
}

const char *domain_uuid(const Machine *machine)
{
    return machine->bios_uuid != NULL ? machine->bios_uuid : machine->instance_uuid;
}

char *domain_device_name(const char *prefix, guint index)
{
    GString *letters = g_string_new(NULL);

    for (guint left = index + 1; left > 0; left = (left - 1) / 26)
        g_string_prepend_c(letters, (char)('a' + (left - 1) % 26));
    g_string_prepend(letters, prefix);
    return g_string_free(letters, FALSE);
}

const char *domain_nic_network(const TargetSpec *spec, const MachineNic *nic)
{
    const char *mapped = spec->networks != NULL && nic->network != NULL
                             ? g_hash_table_lookup(spec->networks, nic->network)
                             : NULL;

    return mapped != NULL ? mapped : spec->network;
}

static void put_empty(XmlWriter *xml, const char *name)
{
    xml_open(xml, name);
    xml_close(xml);
}

static void put_one(XmlWriter *xml, const char *name, const char *attribute, const char *value)
{
    xml_open(xml, name);
    xml_set(xml, attribute, value);
    xml_close(xml);
}

static void put_firmware(XmlWriter *xml, const Machine *machine)
{
    gboolean uefi = machine->firmware == MACHINE_FIRMWARE_UEFI;

    xml_open(xml, "os");
    if (uefi)
        xml_set(xml, "firmware", "efi");
    xml_open(xml, "type");
    xml_set(xml, "arch", "x86_64");
    xml_set(xml, "machine", "q35");
    xml_put_text(xml, "hvm");
    xml_close(xml);
    if (uefi) {
        xml_open(xml, "firmware");
        xml_open(xml, "feature");
        xml_set(xml, "enabled", machine->secure_boot ? "yes" : "no");
        xml_set(xml, "name", "secure-boot");
        xml_close(xml);
        xml_close(xml);
    }
    xml_close(xml);
}

static void put_features(XmlWriter *xml, const Machine *machine)
{
    xml_open(xml, "features");
    put_empty(xml, "acpi");
    put_empty(xml, "apic");
    if (machine->firmware == MACHINE_FIRMWARE_UEFI && machine->secure_boot)
        put_one(xml, "smm", "state", "on");
    if (machine->family == MACHINE_FAMILY_WINDOWS) {
        xml_open(xml, "hyperv");
        put_one(xml, "relaxed", "state", "on");
        put_one(xml, "vapic", "state", "on");
        xml_open(xml, "spinlocks");
        xml_set(xml, "state", "on");
        xml_set(xml, "retries", "8191");
        xml_close(xml);
        xml_close(xml);
    }
    xml_close(xml);
}

static void put_memory(XmlWriter *xml, const Machine *machine)
{
    g_autofree char *kib = g_strdup_printf("%" G_GUINT64_FORMAT, machine->memory / KIB);

    xml_open(xml, "memory");
    xml_set(xml, "unit", "KiB");
    xml_put_text(xml, kib);
    xml_close(xml);
}

static void put_cpu(XmlWriter *xml, const TargetSpec *spec, const Machine *machine)
{
    guint cpus = MAX(machine->cpus, 1);
    guint cores = machine->cores_per_socket > 0 && cpus % machine->cores_per_socket == 0
                      ? machine->cores_per_socket
                      : 1;

    xml_elementf(xml, "vcpu", "%u", cpus);
    xml_open(xml, "cpu");
    xml_set(xml, "mode", g_strcmp0(spec->domain_type, "qemu") == 0 ? "maximum" : "host-model");
    xml_open(xml, "topology");
    xml_setf(xml, "sockets", "%u", cpus / cores);
    xml_setf(xml, "cores", "%u", cores);
    xml_set(xml, "threads", "1");
    xml_close(xml);
    xml_close(xml);
}

static void put_clock(XmlWriter *xml, const Machine *machine)
{
    gboolean windows = machine->family == MACHINE_FAMILY_WINDOWS;

    put_one(xml, "clock", "offset", windows ? "localtime" : "utc");
    xml_element(xml, "on_poweroff", "destroy");
    xml_element(xml, "on_reboot", "restart");
    xml_element(xml, "on_crash", "destroy");
}

static const char *disk_bus(const TargetSpec *spec, const Machine *machine)
{
    const char *bus = spec->bus != NULL ? spec->bus : "virtio";

    return strcmp(bus, "virtio") == 0 && machine->disks->len > VIRTIO_BLK_MAX ? "scsi" : bus;
}

static void put_disk(XmlWriter *xml, const TargetSpec *spec, const MachineDisk *disk, const char *bus,
                     guint index, const char *path)
{
    g_autofree char *device = domain_device_name(strcmp(bus, "virtio") == 0 ? "vd" : "sd", index);

    xml_open(xml, "disk");
    xml_set(xml, "type", "file");
    xml_set(xml, "device", "disk");
    xml_open(xml, "driver");
    xml_set(xml, "name", "qemu");
    xml_set(xml, "type", spec->format);
    xml_set(xml, "cache", "none");
    xml_set(xml, "discard", "unmap");
    xml_close(xml);
    put_one(xml, "source", "file", path);
    xml_open(xml, "target");
    xml_set(xml, "dev", device);
    xml_set(xml, "bus", bus);
    xml_close(xml);
    xml_elementf(xml, "serial", "vmferry-%s", disk->key);
    if (index == 0)
        put_one(xml, "boot", "order", "1");
    xml_close(xml);
}

static void put_disks(XmlWriter *xml, const TargetSpec *spec, const Machine *machine,
                      const char *const *paths)
{
    const char *bus = disk_bus(spec, machine);

    if (strcmp(bus, "scsi") == 0) {
        xml_open(xml, "controller");
        xml_set(xml, "type", "scsi");
        xml_set(xml, "model", "virtio-scsi");
        xml_close(xml);
    }
    for (guint i = 0; i < machine->disks->len; i++)
        put_disk(xml, spec, g_ptr_array_index(machine->disks, i), bus, i, paths[i]);
}

static void put_nic(XmlWriter *xml, const TargetSpec *spec, const MachineNic *nic)
{
    const char *network = domain_nic_network(spec, nic);
    gboolean bridge = network != NULL && g_str_has_prefix(network, "bridge:");

    if (network == NULL || strcmp(network, "none") == 0)
        return;
    xml_open(xml, "interface");
    xml_set(xml, "type", bridge ? "bridge" : "network");
    if (nic->mac != NULL)
        put_one(xml, "mac", "address", nic->mac);
    put_one(xml, "source", bridge ? "bridge" : "network", bridge ? network + strlen("bridge:") : network);
    put_one(xml, "model", "type", g_strcmp0(spec->bus, "sata") == 0 ? "e1000e" : "virtio");
    if (!nic->connected)
        put_one(xml, "link", "state", "down");
    xml_close(xml);
}

static void put_tpm(XmlWriter *xml)
{
    xml_open(xml, "tpm");
    xml_set(xml, "model", "tpm-crb");
    xml_open(xml, "backend");
    xml_set(xml, "type", "emulator");
    xml_set(xml, "version", "2.0");
    xml_close(xml);
    xml_close(xml);
}

/* What an operator needs to reach the guest when its network does not come up. */
static void put_consoles(XmlWriter *xml)
{
    put_one(xml, "serial", "type", "pty");
    put_one(xml, "console", "type", "pty");
    xml_open(xml, "channel");
    xml_set(xml, "type", "unix");
    xml_open(xml, "target");
    xml_set(xml, "type", "virtio");
    xml_set(xml, "name", "org.qemu.guest_agent.0");
    xml_close(xml);
    xml_close(xml);
    xml_open(xml, "graphics");
    xml_set(xml, "type", "vnc");
    xml_set(xml, "autoport", "yes");
    xml_close(xml);
    xml_open(xml, "video");
    put_one(xml, "model", "type", "vga");
    xml_close(xml);
}

char *domain_xml(const TargetSpec *spec, const Machine *machine, const char *const *paths)
{
    g_autoptr(XmlWriter) xml = xml_writer_new(2, FALSE);
    g_autofree char *name = domain_name(machine);

    xml_open(xml, "domain");
    xml_set(xml, "type", spec->domain_type != NULL ? spec->domain_type : "kvm");
    xml_element(xml, "name", name);
    xml_element(xml, "uuid", domain_uuid(machine));
    xml_element(xml, "description", machine->annotation);
    put_memory(xml, machine);
    put_cpu(xml, spec, machine);
    put_firmware(xml, machine);
    put_features(xml, machine);
    put_clock(xml, machine);
    xml_open(xml, "devices");
    put_disks(xml, spec, machine, paths);
    for (guint i = 0; i < machine->nics->len; i++)
        put_nic(xml, spec, g_ptr_array_index(machine->nics, i));
    if (machine->tpm)
        put_tpm(xml);
    put_consoles(xml);
    xml_close(xml);
    xml_close(xml);
    return xml_writer_finish(g_steal_pointer(&xml));
}
