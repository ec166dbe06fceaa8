#include "base/error.h"
#include "migration/preflight.h"
#include "migration/source.h"

/* A VM of which nothing has to be said, on or off. */
static VsphereVm *make_vm(const char *power_state)
{
    VsphereVm *vm = g_new0(VsphereVm, 1);

    vm->machine = machine_new();
    vm->machine->name = g_strdup("web");
    vm->moref = g_strdup("vm-100");
    vm->power_state = g_strdup(power_state);
    vm->connection_state = g_strdup("connected");
    vm->tools_running = g_strdup("guestToolsRunning");
    vm->hardware_version = g_strdup("vmx-19");
    vm->cbt_supported = TRUE;
    vm->disks = g_ptr_array_new();
    vm->snapshots = g_ptr_array_new();
    vm->busy_tasks = g_ptr_array_new_with_free_func(g_free);
    vm->disabled_methods = g_ptr_array_new_with_free_func(g_free);
    return vm;
}

static void free_vm(VsphereVm *vm)
{
    machine_free(vm->machine);
    g_free(vm->moref);
    g_free(vm->power_state);
    g_free(vm->connection_state);
    g_free(vm->tools_running);
    g_free(vm->hardware_version);
    g_ptr_array_unref(vm->disks);
    g_ptr_array_unref(vm->snapshots);
    g_ptr_array_unref(vm->busy_tasks);
    g_ptr_array_unref(vm->disabled_methods);
    g_free(vm);
}

static VsphereDisk good_disk(void)
{
    return (VsphereDisk){.key = 2000,
                         .path = (char *)"[ds1] web/web.vmdk",
                         .backing = (char *)"FlatVer2",
                         .mode = (char *)"persistent",
                         .sharing = (char *)"sharingNone",
                         .uuid = (char *)"6000C29a",
                         .size = 1 << 20};
}

static const VmSpec plain = {.shutdown_mode = SHUTDOWN_AUTO};

static void assert_finding(const VmSpec *spec, const VsphereVm *vm, const char *code,
                           FindingSeverity severity)
{
    g_autoptr(Findings) findings = findings_new();
    const Finding *finding;

    preflight_check_vm(spec, vm, findings);
    preflight_check_disks(spec, vm, findings);
    finding = findings_find(findings, code);
    if (finding == NULL)
        g_error("%s was not found", code);
    g_assert_cmpint(finding->severity, ==, severity);
    g_assert_cmpstr(finding->message, !=, "");
    g_assert_cmpstr(finding->advice, !=, "");
}

static void test_nothing_to_say(void)
{
    VsphereVm *vm = make_vm("poweredOn");
    VsphereDisk disk = good_disk();
    g_autoptr(Findings) findings = findings_new();

    g_ptr_array_add(vm->disks, &disk);
    preflight_check_vm(&plain, vm, findings);
    preflight_check_disks(&plain, vm, findings);
    g_assert_cmpuint(findings_length(findings), ==, 0);
    free_vm(vm);
}

static void test_flags(void)
{
    static const struct {
        gsize offset;
        const char *code;
        FindingSeverity severity;
    } rows[] = {
        {G_STRUCT_OFFSET(VsphereVm, template), "template", FINDING_BLOCKER},
        {G_STRUCT_OFFSET(VsphereVm, consolidation_needed), "consolidation-needed", FINDING_WARNING},
        {G_STRUCT_OFFSET(VsphereVm, encrypted), "vm-encrypted", FINDING_BLOCKER},
        {G_STRUCT_OFFSET(VsphereVm, fault_tolerant), "fault-tolerance", FINDING_BLOCKER},
        {G_STRUCT_OFFSET(VsphereVm, has_usb), "usb-passthrough", FINDING_WARNING},
        {G_STRUCT_OFFSET(VsphereVm, has_pci_passthrough), "pci-passthrough", FINDING_WARNING},
        {G_STRUCT_OFFSET(VsphereVm, question_pending), "question-pending", FINDING_BLOCKER},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        VsphereVm *vm = make_vm("poweredOn");

        G_STRUCT_MEMBER(gboolean, vm, rows[i].offset) = TRUE;
        assert_finding(&plain, vm, rows[i].code, rows[i].severity);
        free_vm(vm);
    }
}

static void set(char **member, const char *value)
{
    g_free(*member);
    *member = g_strdup(value);
}

static void test_states(void)
{
    VsphereVm *vm = make_vm("suspended");

    assert_finding(&plain, vm, "vm-suspended", FINDING_BLOCKER);
    assert_finding(&plain, vm, "no-disks", FINDING_BLOCKER);
    set(&vm->power_state, "poweredOff");
    assert_finding(&plain, vm, "vm-off", FINDING_INFO);
    set(&vm->connection_state, "inaccessible");
    assert_finding(&plain, vm, "disconnected", FINDING_BLOCKER);
    vm->machine->tpm = vm->machine->secure_boot = TRUE;
    assert_finding(&plain, vm, "tpm", FINDING_WARNING);
    assert_finding(&plain, vm, "secure-boot", FINDING_WARNING);
    g_ptr_array_add(vm->busy_tasks, g_strdup("VirtualMachine.clone"));
    assert_finding(&plain, vm, "busy", FINDING_INFO);
    free_vm(vm);
}

static void test_tracking(void)
{
    VsphereVm *vm = make_vm("poweredOn");
    VmSpec patient = plain;

    set(&vm->hardware_version, "vmx-04");
    assert_finding(&plain, vm, "cbt-unsupported", FINDING_BLOCKER);
    patient.allow_full_reread = TRUE;
    assert_finding(&patient, vm, "cbt-unsupported", FINDING_WARNING);
    set(&vm->hardware_version, "vmx-19");
    vm->cbt_supported = FALSE;
    assert_finding(&plain, vm, "cbt-unsupported", FINDING_BLOCKER);
    free_vm(vm);
}

static void test_snapshots(void)
{
    VsphereVm *vm = make_vm("poweredOn");
    VsphereSnapshot snapshot = {.name = (char *)"before the update"};
    VmSpec bold = plain;

    g_ptr_array_add(vm->snapshots, &snapshot);
    assert_finding(&plain, vm, "snapshot-exists", FINDING_BLOCKER);
    bold.allow_snapshots = TRUE;
    assert_finding(&bold, vm, "snapshot-exists", FINDING_WARNING);
    while (vm->snapshots->len < 28)
        g_ptr_array_add(vm->snapshots, &snapshot);
    assert_finding(&bold, vm, "snapshot-depth", FINDING_BLOCKER);
    free_vm(vm);
}

static void test_shutdown_and_methods(void)
{
    VsphereVm *vm = make_vm("poweredOn");
    VmSpec converting = plain;

    set(&vm->tools_running, "guestToolsNotRunning");
    assert_finding(&plain, vm, "tools-not-running", FINDING_WARNING);
    g_ptr_array_add(vm->disabled_methods, g_strdup("RemoveSnapshot_Task"));
    assert_finding(&plain, vm, "method-disabled", FINDING_BLOCKER);
    converting.run_virt_v2v = TRUE;
    assert_finding(&converting, vm, "conversion-unsupported", FINDING_BLOCKER);
    free_vm(vm);
}

static void assert_disk_finding(const VsphereDisk *disk, const char *code)
{
    VsphereVm *vm = make_vm("poweredOn");

    g_ptr_array_add(vm->disks, (gpointer)disk);
    assert_finding(&plain, vm, code, FINDING_BLOCKER);
    free_vm(vm);
}

static void test_disks(void)
{
    VsphereDisk disk = good_disk();

    disk.mode = (char *)"independent_persistent";
    assert_disk_finding(&disk, "disk-independent");
    disk = good_disk();
    disk.sharing = (char *)"sharingMultiWriter";
    assert_disk_finding(&disk, "disk-shared");
    disk = good_disk();
    disk.shared_bus = TRUE;
    assert_disk_finding(&disk, "disk-shared");
    disk = good_disk();
    disk.rdm_mode = (char *)"physicalMode";
    assert_disk_finding(&disk, "disk-rdm");
    disk = good_disk();
    disk.encrypted = TRUE;
    assert_disk_finding(&disk, "disk-encrypted");
    disk = good_disk();
    disk.has_parent = TRUE;
    assert_disk_finding(&disk, "disk-delta");
    disk = good_disk();
    disk.path = NULL;
    assert_disk_finding(&disk, "disk-no-file");
    disk = good_disk();
    disk.size = 0;
    assert_disk_finding(&disk, "disk-empty");
}

static void test_independent_off(void)
{
    VsphereVm *vm = make_vm("poweredOff");
    VsphereDisk disk = good_disk();

    disk.mode = (char *)"independent_nonpersistent";
    g_ptr_array_add(vm->disks, &disk);
    assert_finding(&plain, vm, "disk-independent", FINDING_INFO);
    free_vm(vm);
}

static void test_duplicates(void)
{
    VsphereVm *vm = make_vm("poweredOn");
    VsphereDisk one = good_disk(), two = good_disk();

    two.key = 2001;
    g_ptr_array_add(vm->disks, &one);
    g_ptr_array_add(vm->disks, &two);
    assert_finding(&plain, vm, "duplicate-disk", FINDING_BLOCKER);
    free_vm(vm);
}

/* --- the disks that there must be --- */

static Machine *machine_of_two(void)
{
    Machine *machine = machine_new();
    MachineDisk *one = machine_add_disk(machine), *two = machine_add_disk(machine);

    one->key = g_strdup("2000");
    one->uuid = g_strdup("uuid-a");
    one->label = g_strdup("Hard disk 1");
    two->key = g_strdup("2016");
    two->label = g_strdup("Hard disk 2");
    return machine;
}

static void check_set(const Machine *machine, const VsphereDisk *disks, guint n, const char *complaint)
{
    g_autoptr(GPtrArray) set_of_disks = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(set_of_disks, (gpointer)&disks[i]);
    g_assert_cmpint(source_check_disks(machine, set_of_disks, &error), ==, complaint == NULL);
    if (complaint != NULL) {
        g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
        g_assert_nonnull(g_strstr_len(error->message, -1, complaint));
    }
}

static void test_disk_set(void)
{
    g_autoptr(Machine) machine = machine_of_two();
    VsphereDisk disks[] = {{.key = 2016, .uuid = (char *)"whatever"},
                           {.key = 2000, .uuid = (char *)"uuid-a"},
                           {.key = 2001, .path = (char *)"[ds2] web/new.vmdk"}};

    /* The order says nothing; a uuid is only compared where it was known. */
    check_set(machine, disks, 2, NULL);
    check_set(machine, disks, 3, "disk 2001 ([ds2] web/new.vmdk) was added");
    check_set(machine, disks, 1, "disk 2000 (Hard disk 1) was removed");
    disks[1].uuid = (char *)"uuid-b";
    check_set(machine, disks, 2, "disk 2000 (Hard disk 1) is another one");
}

static void test_transports(void)
{
    static const char *const good[] = {NULL, "auto", "https"};

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(source_check_transport(good[i], &error));
    }
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(source_check_transport(i == 0 ? "vddk" : "nbd", &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/preflight/nothing-to-say", test_nothing_to_say);
    g_test_add_func("/preflight/flags", test_flags);
    g_test_add_func("/preflight/states", test_states);
    g_test_add_func("/preflight/tracking", test_tracking);
    g_test_add_func("/preflight/snapshots", test_snapshots);
    g_test_add_func("/preflight/shutdown-and-methods", test_shutdown_and_methods);
    g_test_add_func("/preflight/disks", test_disks);
    g_test_add_func("/preflight/independent-off", test_independent_off);
    g_test_add_func("/preflight/duplicates", test_duplicates);
    g_test_add_func("/source/disk-set", test_disk_set);
    g_test_add_func("/source/transports", test_transports);
    return g_test_run();
}
