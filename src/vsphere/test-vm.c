/* Whole answers, as a vCenter gives them: the same files that the fuzzer starts from (G_TEST_SRCDIR). */
#include "base/error.h"
#include "base/size.h"
#include "vsphere/property.h"
#include "vsphere/vm.h"

#include <string.h>

static const VimType *const wanted[] = {
    &vim_vm_type,
    &vim_folder_type,
    &vim_datacenter_type,
    &vim_virtual_app_type,
    &vim_host_system_type,
    &vim_portgroup_type,
    &vim_opaque_network_type,
    &vim_task_type,
    NULL,
};

static char *read_file(const char *name)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* `from` is replaced by `to` once, and must be there; NULL: the file as it is. */
static GPtrArray *read_objects(const char *name, const char *from, const char *to, char **ret_token)
{
    g_autofree char *text = read_file(name);
    GPtrArray *objects = g_ptr_array_new_with_free_func(vim_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(SoapReply) reply = NULL;

    if (from != NULL) {
        g_auto(GStrv) parts = g_strsplit(text, from, 2);

        g_assert_nonnull(parts[1]);
        g_free(text);
        text = g_strjoinv(to, parts);
    }
    reply = soap_reply_parse("RetrievePropertiesEx", text, strlen(text), &error);
    g_assert_no_error(error);
    property_decode(soap_reply_value(reply), wanted, objects, ret_token, &error);
    g_assert_no_error(error);
    return objects;
}

static VsphereVm *read_vm(const char *from, const char *to, GError **error)
{
    g_autofree char *token = NULL;
    g_autoptr(GPtrArray) objects = read_objects("vm.xml", from, to, &token);
    g_autoptr(Folders) folders = folders_new(objects);

    g_assert_null(token);
    return vm_from_properties(objects->pdata[0], folders, "group-d1", error);
}

static void test_machine(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = read_vm(NULL, NULL, &error);
    const Machine *machine;

    g_assert_no_error(error);
    machine = vm->machine;
    g_assert_cmpstr(machine->name, ==, "web/front 100%");
    g_assert_cmpstr(machine->id, ==, "vm-42");
    g_assert_cmpstr(machine->instance_uuid, ==, "502f0001-aaaa-bbbb-cccc-0123456789ab");
    g_assert_cmpstr(machine->bios_uuid, ==, "422f0001-aaaa-bbbb-cccc-0123456789ab");
    g_assert_cmpstr(machine->annotation, ==, "two <lines>\nof text");
    g_assert_cmpint(machine->family, ==, MACHINE_FAMILY_WINDOWS);
    g_assert_cmpint(machine->firmware, ==, MACHINE_FIRMWARE_UEFI);
    g_assert_true(machine->secure_boot && machine->tpm);
    g_assert_cmpuint(machine->cpus, ==, 4);
    g_assert_cmpuint(machine->cores_per_socket, ==, 2);
    g_assert_cmpuint(machine->memory, ==, 8 * GIB);
}

static void assert_disk(const MachineDisk *disk, const char *key, const char *controller, int bus, int unit,
                        guint64 size)
{
    g_assert_cmpstr(disk->key, ==, key);
    g_assert_cmpstr(disk->controller, ==, controller);
    g_assert_cmpint(disk->bus, ==, bus);
    g_assert_cmpint(disk->unit, ==, unit);
    g_assert_cmpuint(disk->size, ==, size);
}

static void test_disks(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = read_vm(NULL, NULL, &error);
    MachineDisk **disks = (MachineDisk **)vm->machine->disks->pdata;

    g_assert_cmpuint(vm->machine->disks->len, ==, 4);
    assert_disk(disks[0], "2001", "pvscsi", 0, 1, MIB); /* the VM's boot order says so */
    assert_disk(disks[1], "2000", "pvscsi", 0, 0, 40 * GIB);
    assert_disk(disks[2], "2016", "lsisas", 1, 0, 2 * MIB);
    assert_disk(disks[3], "31100", "nvme", 0, 0, 4 * MIB);
    g_assert_true(disks[0]->boot && !disks[1]->boot && !disks[2]->boot && !disks[3]->boot);
    g_assert_cmpuint(disks[1]->allocated, ==, GIB + 600 + 400);
    g_assert_cmpuint(disks[0]->allocated, ==, 0);
    g_assert_cmpstr(disks[1]->label, ==, "Hard disk 1");
    g_assert_cmpuint(vm->disks->len, ==, 4);
    for (guint i = 0; i < 4; i++) {
        g_autofree char *key = g_strdup_printf("%d", ((VsphereDisk *)vm->disks->pdata[i])->key);

        g_assert_cmpstr(key, ==, disks[i]->key);
    }
}

static void test_backings(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = read_vm(NULL, NULL, &error);
    VsphereDisk **disks = (VsphereDisk **)vm->disks->pdata;

    g_assert_cmpstr(disks[1]->backing, ==, "FlatVer2");
    g_assert_cmpstr(disks[1]->path, ==, "[ds1] web/web-000001.vmdk");
    g_assert_cmpstr(disks[1]->change_id, ==, "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81");
    g_assert_cmpstr(disks[1]->uuid, ==, "6000C29a-0000-1111-2222-333344445555");
    g_assert_cmpstr(disks[1]->disk_object_id, ==, "42-2000");
    g_assert_true(disks[1]->has_parent && disks[1]->encrypted && !disks[1]->shared_bus);
    g_assert_cmpstr(disks[0]->mode, ==, "independent_persistent");
    g_assert_true(!disks[0]->has_parent && disks[0]->change_id == NULL && !disks[0]->encrypted);
    g_assert_cmpstr(disks[2]->backing, ==, "RawDiskMappingVer1");
    g_assert_cmpstr(disks[2]->rdm_mode, ==, "physicalMode");
    g_assert_true(disks[2]->shared_bus);
    g_assert_cmpstr(disks[3]->backing, ==, "HoloVer9");
    g_assert_null(disks[3]->path);
}

static void test_boot_order_unset(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) none = read_vm("<deviceKey>2001</deviceKey>", "<deviceKey>9999</deviceKey>", &error);
    MachineDisk *first = none->machine->disks->pdata[0];

    g_assert_no_error(error);
    g_assert_cmpstr(first->key, ==, "2000");
    g_assert_true(first->boot);
}

static void test_nics(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = read_vm(NULL, NULL, &error);
    MachineNic **nics = (MachineNic **)vm->machine->nics->pdata;

    g_assert_cmpuint(vm->machine->nics->len, ==, 3);
    g_assert_cmpstr(nics[0]->key, ==, "4000");
    g_assert_cmpstr(nics[0]->model, ==, "e1000e");
    g_assert_cmpstr(nics[0]->mac, ==, "00:50:56:ae:00:01");
    g_assert_cmpstr(nics[0]->network, ==, "VM Network");
    g_assert_true(nics[0]->connected && !nics[1]->connected && nics[2]->connected);
    g_assert_cmpstr(nics[1]->network, ==, "PG/33");
    g_assert_cmpstr(nics[1]->model, ==, "vmxnet3");
    g_assert_cmpstr(nics[2]->network, ==, "segment-a");
}

static void test_state(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = read_vm(NULL, NULL, &error);
    VsphereSnapshot **snapshots = (VsphereSnapshot **)vm->snapshots->pdata;

    g_assert_cmpstr(vm->path, ==, "/Europe/DC1/vm/Prod/web%2ffront 100%25");
    g_assert_cmpstr(vm->datacenter_path, ==, "Europe/DC1");
    g_assert_cmpstr(vm->host, ==, "esx1.example.com");
    g_assert_cmpstr(vm->power_state, ==, "poweredOn");
    g_assert_cmpstr(vm->hardware_version, ==, "vmx-19");
    g_assert_cmpstr(vm->vmx_path, ==, "[ds1] web/web.vmx");
    g_assert_true(vm->cbt_enabled && vm->cbt_supported && vm->consolidation_needed && vm->encrypted);
    g_assert_true(vm->has_usb && !vm->has_pci_passthrough && !vm->fault_tolerant && !vm->question_pending);
    g_assert_cmpuint(vm->snapshots->len, ==, 2);
    g_assert_cmpstr(snapshots[0]->name, ==, "before 50%");
    g_assert_null(snapshots[0]->parent);
    g_assert_true(snapshots[0]->quiesced && !snapshots[0]->current);
    g_assert_cmpstr(snapshots[1]->parent, ==, "snapshot-7");
    g_assert_true(snapshots[1]->current);
    g_assert_cmpuint(vm->busy_tasks->len, ==, 1);
    g_assert_cmpstr(vm->busy_tasks->pdata[0], ==, "VirtualMachine.createSnapshot");
    g_assert_cmpuint(vm->disabled_methods->len, ==, 2);
}

static void test_families(void)
{
    static const struct {
        const char *id;
        MachineFamily family;
    } cases[] = {
        {"darwin19_64Guest", MACHINE_FAMILY_OTHER},     {"winNetEnterpriseGuest", MACHINE_FAMILY_WINDOWS},
        {"debian11_64Guest", MACHINE_FAMILY_LINUX},     {"other5xLinux64Guest", MACHINE_FAMILY_LINUX},
        {"amazonlinux2_64Guest", MACHINE_FAMILY_LINUX}, {"rhel9_64Guest", MACHINE_FAMILY_LINUX},
        {"freebsd13_64Guest", MACHINE_FAMILY_OTHER},    {"solaris11_64Guest", MACHINE_FAMILY_OTHER},
        {"vmwarePhoton64Guest", MACHINE_FAMILY_LINUX},  {"", MACHINE_FAMILY_OTHER},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VsphereVm) vm = read_vm("windows2019srv_64Guest", cases[i].id, &error);

        g_assert_cmpint(vm->machine->family, ==, cases[i].family);
    }
}

static void test_contradictions(void)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"<key>2001</key>", "<key>2000</key>"},
        {"<capacityInKB>1024</capacityInKB>", "<capacityInKB>-1</capacityInKB>"},
        {"<capacityInKB>1024</capacityInKB>", "<capacityInKB>9223372036854775807</capacityInKB>"},
        {"<capacityInBytes>42949672960", "<capacityInBytes>42949672961"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(read_vm(cases[i].from, cases[i].to, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    }
}

/* Folders whose parents run in a circle must not hang. */
static void test_circle(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = read_vm(">group-v3</val>", ">group-v9</val>", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(vm->datacenter_path, ==, "");
}

static void test_missing(void)
{
    g_autofree char *token = NULL;
    g_autoptr(GPtrArray) objects = read_objects("missing-set.xml", NULL, NULL, &token);
    const VimManaged *vm = objects->pdata[0];

    g_assert_cmpstr(token, ==, "t-1");
    g_assert_error(vm->missing, VF_ERROR, VF_ERROR_AUTH);
    g_assert_nonnull(strstr(vm->missing->message, "config.hardware.device of vm-3"));
    g_assert_nonnull(strstr(vm->missing->message, "privilege System.Read"));
    g_assert_cmpstr(((const VimVm *)vm)->name, ==, "hidden");
}

static void test_names(void)
{
    g_autofree char *plain = folders_unescape("a%2Fb%5cc%25d%20%2");

    g_assert_cmpstr(plain, ==, "a/b\\c%d%20%2");
}

static void assert_fault(const char *file, VfErrorClass class, const char *name, const char *base,
                         const char *says)
{
    g_autofree char *text = read_file(file);
    g_autoptr(GError) error = NULL;
    g_autofree char *fault = NULL;

    g_assert_null(soap_reply_parse("Anything", text, strlen(text), &error));
    g_assert_error(error, VF_ERROR, (int)class);
    g_prefix_error(&error, "context: ");
    fault = vsphere_fault(error);
    g_assert_cmpstr(fault, ==, name);
    g_assert_true(vsphere_fault_is(error, base));
    g_assert_false(vsphere_fault_is(error, "TaskInProgress"));
    g_assert_nonnull(strstr(error->message, says));
}

static void test_faults(void)
{
    g_autoptr(GError) other = NULL;

    assert_fault("fault-no-permission.xml", VF_ERROR_AUTH, "NoPermission", "SecurityError",
                 "privilege VirtualMachine.State.CreateSnapshot");
    assert_fault("fault-file.xml", VF_ERROR_INTERNAL, "FileFault", "VimFault",
                 "/vmfs/volumes/5f/web/web.vmdk");
    assert_fault("fault-bare.xml", VF_ERROR_UNSUPPORTED, "without a type", "without a type", "QueryFoo");
    vf_fail(&other, VF_ERROR_INTERNAL, "a word (in parentheses)");
    g_assert_null(vsphere_fault(other));
    g_assert_false(vsphere_fault_is(other, "NoPermission"));
}

static void test_versions(void)
{
    g_autofree char *text = read_file("versions.xml");
    static const char old[] =
        "<namespaces><namespace><name>urn:vim25</name><version>7.0.3.1</version>"
        "<priorVersions><version>6.7.3</version></priorVersions></namespace></namespaces>";

    g_assert_cmpstr(soap_choose_version(text, strlen(text)), ==, "9.0.0.0");
    g_assert_cmpstr(soap_choose_version(old, strlen(old)), ==, "6.7.3");
    g_assert_cmpstr(soap_choose_version("<html>", 6), ==, "6.0");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/machine", test_machine);
    g_test_add_func("/vm/disks", test_disks);
    g_test_add_func("/vm/backings", test_backings);
    g_test_add_func("/vm/boot-order-unset", test_boot_order_unset);
    g_test_add_func("/vm/nics", test_nics);
    g_test_add_func("/vm/state", test_state);
    g_test_add_func("/vm/families", test_families);
    g_test_add_func("/vm/contradictions", test_contradictions);
    g_test_add_func("/vm/circle", test_circle);
    g_test_add_func("/vm/missing", test_missing);
    g_test_add_func("/vm/names", test_names);
    g_test_add_func("/vm/faults", test_faults);
    g_test_add_func("/vm/versions", test_versions);
    return g_test_run();
}
