#include "target/local/domain.h"

#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "base/xml.h"
#include "target/local/local.h"

#include <string.h>

static Machine *machine_sample(void)
{
    Machine *machine = machine_new();
    MachineDisk *disk;
    MachineNic *nic;

    machine->name = g_strdup("Büro Server");
    machine->id = g_strdup("vm-12");
    machine->instance_uuid = g_strdup("500f1a2b-0000-4000-8000-000000000001");
    machine->bios_uuid = g_strdup("420f1a2b-0000-4000-8000-000000000001");
    machine->cpus = 4;
    machine->cores_per_socket = 2;
    machine->memory = 2 * GIB;
    for (guint i = 0; i < 2; i++) {
        disk = machine_add_disk(machine);
        disk->key = g_strdup_printf("%u", 2000 + 16 * i);
        disk->label = g_strdup_printf("Hard disk %u", i + 1);
        disk->size = GIB;
    }
    nic = machine_add_nic(machine);
    nic->key = g_strdup("4000");
    nic->label = g_strdup("Network adapter 1");
    nic->mac = g_strdup("00:50:56:01:02:03");
    nic->network = g_strdup("VM Network");
    nic->connected = TRUE;
    return machine;
}

static TargetSpec spec_sample(void)
{
    return (TargetSpec){.kind = (char *)"local",
                        .directory = (char *)"/images",
                        .format = (char *)"qcow2",
                        .bus = (char *)"virtio",
                        .network = (char *)"default",
                        .domain_type = (char *)"kvm",
                        .libvirt_uri = (char *)"test:///default"};
}

static const char *const paths[] = {"/images/a & b.qcow2", "/images/b.qcow2", NULL};

static XmlDocument *build(const TargetSpec *spec, const Machine *machine)
{
    g_autofree char *text = domain_xml(spec, machine, paths);
    g_autoptr(GError) error = NULL;
    XmlDocument *document = xml_parse(text, strlen(text), MIB, &error);

    g_assert_no_error(error);
    return document;
}

static void test_keeps_what_the_guest_sees(void)
{
    g_autoptr(Machine) machine = machine_sample();
    TargetSpec spec = spec_sample();
    g_autoptr(XmlDocument) document = build(&spec, machine);
    XmlNode *domain = xml_root(document);
    XmlNode *topology = xml_child(xml_child(domain, "cpu"), "topology");
    XmlNode *nic = xml_child(xml_child(domain, "devices"), "interface");

    g_assert_cmpstr(xml_child_text(domain, "name"), ==, "Büro Server");
    g_assert_cmpstr(xml_child_text(domain, "uuid"), ==, machine->bios_uuid);
    g_assert_cmpstr(xml_child_text(domain, "memory"), ==, "2097152");
    g_assert_cmpstr(xml_child_text(domain, "vcpu"), ==, "4");
    g_assert_cmpstr(xml_attribute(topology, "sockets"), ==, "2");
    g_assert_cmpstr(xml_attribute(topology, "cores"), ==, "2");
    g_assert_cmpstr(xml_attribute(xml_child(nic, "mac"), "address"), ==, "00:50:56:01:02:03");
    g_assert_null(xml_child(nic, "link"));
}

static void test_disks_in_order(void)
{
    g_autoptr(Machine) machine = machine_sample();
    TargetSpec spec = spec_sample();
    g_autoptr(XmlDocument) document = build(&spec, machine);
    XmlNode *first = xml_child(xml_child(xml_root(document), "devices"), "disk");
    XmlNode *second = xml_next(first, "disk");

    g_assert_cmpstr(xml_attribute(xml_child(first, "source"), "file"), ==, paths[0]);
    g_assert_cmpstr(xml_attribute(xml_child(first, "target"), "dev"), ==, "vda");
    g_assert_nonnull(xml_child(first, "boot"));
    g_assert_cmpstr(xml_attribute(xml_child(second, "target"), "dev"), ==, "vdb");
    g_assert_null(xml_child(second, "boot"));
    g_assert_null(xml_next(second, "disk"));
}

static void test_firmware(void)
{
    g_autoptr(Machine) machine = machine_sample();
    TargetSpec spec = spec_sample();
    g_autoptr(XmlDocument) bios = build(&spec, machine);
    g_autoptr(XmlDocument) uefi = NULL;
    XmlNode *os;

    g_assert_null(xml_attribute(xml_child(xml_root(bios), "os"), "firmware"));
    machine->firmware = MACHINE_FIRMWARE_UEFI;
    machine->secure_boot = TRUE;
    uefi = build(&spec, machine);
    os = xml_child(xml_root(uefi), "os");
    g_assert_cmpstr(xml_attribute(os, "firmware"), ==, "efi");
    g_assert_cmpstr(xml_attribute(xml_child(xml_child(os, "firmware"), "feature"), "enabled"), ==, "yes");
    g_assert_nonnull(xml_child(xml_child(xml_root(uefi), "features"), "smm"));
}

static void test_nic_mapping(void)
{
    g_autoptr(Machine) machine = machine_sample();
    MachineNic *nic = g_ptr_array_index(machine->nics, 0);
    g_autoptr(GHashTable) networks = g_hash_table_new(g_str_hash, g_str_equal);
    TargetSpec spec = spec_sample();
    g_autoptr(XmlDocument) bridged = NULL;
    g_autoptr(XmlDocument) without = NULL;
    XmlNode *interface;

    spec.networks = networks;
    nic->connected = FALSE;
    g_hash_table_insert(networks, (gpointer) "VM Network", (gpointer) "bridge:br0");
    bridged = build(&spec, machine);
    interface = xml_child(xml_child(xml_root(bridged), "devices"), "interface");
    g_assert_cmpstr(xml_attribute(xml_child(interface, "source"), "bridge"), ==, "br0");
    g_assert_cmpstr(xml_attribute(xml_child(interface, "link"), "state"), ==, "down");

    g_hash_table_insert(networks, (gpointer) "VM Network", (gpointer) "none");
    without = build(&spec, machine);
    g_assert_null(xml_child(xml_child(xml_root(without), "devices"), "interface"));
}

static void test_many_disks_go_to_scsi(void)
{
    g_autoptr(Machine) machine = machine_sample();
    TargetSpec spec = spec_sample();
    g_autoptr(GPtrArray) many = g_ptr_array_new();
    g_autofree char *text = NULL;

    while (machine->disks->len < 30) {
        MachineDisk *disk = machine_add_disk(machine);

        disk->key = g_strdup_printf("%u", 3000 + machine->disks->len);
        disk->label = g_strdup("more");
    }
    for (guint i = 0; i < 30; i++)
        g_ptr_array_add(many, (gpointer) "/images/x.qcow2");
    g_ptr_array_add(many, NULL);
    text = domain_xml(&spec, machine, (const char *const *)many->pdata);
    g_assert_nonnull(strstr(text, "virtio-scsi"));
    g_assert_nonnull(strstr(text, "dev=\"sdad\""));
    g_assert_null(strstr(text, "dev=\"vda\""));
}

static void test_libvirt_finds_it_valid(void)
{
    g_autofree char *program = proc_find("virt-xml-validate");
    g_autofree char *xmllint = proc_find("xmllint");
    g_autoptr(Machine) machine = machine_sample();
    TargetSpec spec = spec_sample();
    g_autoptr(GError) error = NULL;

    if (program == NULL || xmllint == NULL) {
        g_test_skip("virt-xml-validate (libvirt-clients) or its xmllint (libxml2-utils) is not installed");
        return;
    }
    for (guint variant = 0; variant < 8; variant++) {
        g_autofree char *text = NULL;
        const char *argv[] = {program, "-", "domain", NULL};
        ProcOptions options = {0};

        machine->firmware = variant & 1 ? MACHINE_FIRMWARE_UEFI : MACHINE_FIRMWARE_BIOS;
        machine->family = variant & 2 ? MACHINE_FAMILY_WINDOWS : MACHINE_FAMILY_LINUX;
        machine->tpm = (variant & 4) != 0;
        spec.bus = (char *)(variant & 2 ? "sata" : variant & 4 ? "scsi" : "virtio");
        text = domain_xml(&spec, machine, paths);
        options.input = text;
        options.input_length = strlen(text);
        proc_run(argv, &options, NULL, NULL, &error);
        g_assert_no_error(error);
    }
}

static void test_names(void)
{
    g_autofree char *slashes = local_safe_name("a/b\\c\nd");
    g_autofree char *dots = local_safe_name("../etc");
    g_autofree char *empty = local_safe_name("");
    g_autofree char *umlaut = local_safe_name("Grüße aus Köln");
    g_autofree char *long_name = g_strnfill(99, 'x');
    g_autofree char *with_umlaut = g_strconcat(long_name, "üü", NULL);
    g_autofree char *cut = local_safe_name(with_umlaut);
    g_autofree char *vdaa = domain_device_name("vd", 26);

    g_assert_cmpstr(slashes, ==, "a_b_c_d");
    g_assert_cmpstr(dots, ==, "_._etc");
    g_assert_cmpstr(empty, ==, "_");
    g_assert_cmpstr(umlaut, ==, "Grüße aus Köln");
    g_assert_cmpstr(cut, ==, long_name);
    g_assert_cmpstr(vdaa, ==, "vdaa");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain/guest-view", test_keeps_what_the_guest_sees);
    g_test_add_func("/domain/disk-order", test_disks_in_order);
    g_test_add_func("/domain/firmware", test_firmware);
    g_test_add_func("/domain/nic-mapping", test_nic_mapping);
    g_test_add_func("/domain/many-disks", test_many_disks_go_to_scsi);
    g_test_add_func("/domain/valid", test_libvirt_finds_it_valid);
    g_test_add_func("/domain/names", test_names);
    return g_test_run();
}
