/* The vSphere client against govmomi's simulator: names, types and order of what we send are checked by a
 * parser that is not ours, and so is the form of what we read. */
#include "base/clock.h"
#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "vsphere/inventory.h"
#include "vsphere/vm-ops.h"

#include <string.h>

#define USER     "mover"
#define PASSWORD "s3cret&<>"
#define START_MS 20000

static const char *program; /* set by main() */

typedef struct {
    char *folder, *log, *certificate;
    Proc *process;
    char *address, *thumbprint;
} Simulator;

/* --- the simulator --- */

/* What it prints ends with its certificate. */
static char *wait_until_ready(const Simulator *simulator)
{
    double deadline = clock_monotonic() + START_MS / 1000.0;

    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        if (g_file_get_contents(simulator->log, &text, NULL, NULL) && strstr(text, "END CERTIFICATE") != NULL)
            return g_steal_pointer(&text);
        g_assert_true(proc_running(simulator->process, NULL));
        g_assert_cmpfloat(clock_monotonic(), <, deadline);
        cancel_sleep(NULL, 20, &error);
    }
}

static void simulator_start(Simulator *simulator, gconstpointer kind)
{
    const char *const argv[] = {program, kind, NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *said = NULL;
    g_auto(GStrv) lines = NULL, environment = NULL;
    ProcOptions options = {0};
    char *space;

    simulator->folder = g_dir_make_tmp("vmferry-vcsim-XXXXXX", &error);
    g_assert_no_error(error);
    /* Its datastores lie in TMPDIR. */
    environment = g_environ_setenv(g_get_environ(), "TMPDIR", simulator->folder, TRUE);
    simulator->log = g_build_filename(simulator->folder, "log", NULL);
    simulator->certificate = g_build_filename(simulator->folder, "certificate", NULL);
    options.environment = (const char *const *)environment;
    simulator->process = proc_spawn(argv, &options, NULL, simulator->log, &error);
    g_assert_no_error(error);
    said = wait_until_ready(simulator);
    lines = g_strsplit(said, "\n", 2);
    space = strchr(lines[0], ' ');
    g_assert_nonnull(space);
    simulator->address = g_strndup(lines[0], (gsize)(space - lines[0]));
    simulator->thumbprint = g_strdup(space + 1);
    g_file_set_contents(simulator->certificate, lines[1], -1, &error);
    g_assert_no_error(error);
}

static void simulator_stop(Simulator *simulator, gconstpointer kind)
{
    const char *const remove[] = {"rm", "-rf", simulator->folder, NULL};
    g_autoptr(GError) error = NULL;

    proc_stop(simulator->process, 2000);
    proc_free(simulator->process);
    proc_run(remove, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    g_free(simulator->folder);
    g_free(simulator->log);
    g_free(simulator->certificate);
    g_free(simulator->address);
    g_free(simulator->thumbprint);
}

static Vsphere *open_with(const Simulator *simulator, TlsTrust trust, const char *password, GError **error)
{
    g_autoptr(Secret) secret = secret_new(password);
    VsphereOptions options = {.host = simulator->address, .user = USER, .password = secret, .trust = trust};

    return vsphere_open(&options, error);
}

static Vsphere *open_session(const Simulator *simulator)
{
    g_autoptr(GError) error = NULL;
    Vsphere *vsphere =
        open_with(simulator, (TlsTrust){.thumbprint = simulator->thumbprint}, PASSWORD, &error);

    g_assert_no_error(error);
    return vsphere;
}

/* --- sessions --- */

static void test_trust(Simulator *simulator, gconstpointer kind)
{
    const TlsTrust good[] = {
        {.insecure = TRUE}, {.thumbprint = simulator->thumbprint}, {.ca_file = simulator->certificate}};
    char other[] = "00:11:22:33:44:55:66:77:88:99:00:11:22:33:44:55:66:77:88:99";
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(Vsphere) vsphere = open_with(simulator, good[i], PASSWORD, &error);

        g_assert_no_error(error);
        g_assert_true(vsphere_about(vsphere)->is_vcenter);
    }
    g_assert_null(open_with(simulator, (TlsTrust){0}, PASSWORD, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_AUTH);
    g_clear_error(&error);
    g_assert_null(open_with(simulator, (TlsTrust){.thumbprint = other}, PASSWORD, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_AUTH);
}

static void test_wrong_password(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(open_with(simulator, (TlsTrust){.insecure = TRUE}, "wrong", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_AUTH);
    g_assert_true(vsphere_fault_is(error, "InvalidLogin"));
}

/* A foreign cookie is a lost session. */
static void test_relogin(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) vms = NULL;

    http_client_set_cookie(vsphere_http(vsphere), "vmware_soap_session=gone");
    vms = vsphere_list_vms(vsphere, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vms->len, >, 0);
}

/* --- inventory --- */

static void test_list(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) vms = vsphere_list_vms(vsphere, TRUE, &error);
    g_autoptr(GPtrArray) datastores = vsphere_list_datastores(vsphere, &error);
    const VsphereVm *first;
    const VsphereDatastore *datastore;

    g_assert_no_error(error);
    g_assert_cmpuint(vms->len, ==, 6);
    first = vms->pdata[0];
    g_assert_cmpstr(first->path, ==, "/DC0/vm/DC0_C0_RP0_VM0");
    g_assert_cmpstr(first->datacenter_path, ==, "DC0");
    g_assert_cmpstr(first->power_state, ==, "poweredOn");
    g_assert_nonnull(first->host);
    g_assert_cmpuint(first->machine->disks->len, ==, 1);
    g_assert_cmpuint(first->machine->nics->len, ==, 1);
    g_assert_cmpstr(((MachineNic *)first->machine->nics->pdata[0])->network, ==, "DC0_DVPG0");
    g_assert_cmpuint(datastores->len, ==, 1);
    datastore = datastores->pdata[0];
    g_assert_cmpstr(datastore->name, ==, "LocalDS_0");
    g_assert_cmpstr(datastore->datacenter_path, ==, "DC0");
    g_assert_true(datastore->accessible && datastore->capacity > 0);
}

static void test_find(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) named = vsphere_find_vm(vsphere, "DC0_H0_VM1", &error);

    g_assert_no_error(error);
    {
        const char *const refs[] = {named->path, named->path + 1, named->moref,
                                    named->machine->instance_uuid};

        for (guint i = 0; i < G_N_ELEMENTS(refs); i++) {
            g_autoptr(VsphereVm) vm = vsphere_find_vm(vsphere, refs[i], &error);

            g_assert_no_error(error);
            g_assert_cmpstr(vm->moref, ==, named->moref);
        }
    }
    g_assert_null(vsphere_find_vm(vsphere, "DC0_H0_VM11", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "\"DC0_H0_VM1\""));
    g_clear_error(&error);
    g_assert_null(vsphere_get_vm(vsphere, "vm-99999", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_machine(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = vsphere_find_vm(vsphere, "DC0_H0_VM0", &error);
    const MachineDisk *disk;
    const VsphereDisk *source;

    g_assert_no_error(error);
    disk = vm->machine->disks->pdata[0];
    source = vm->disks->pdata[0];
    g_assert_cmpstr(disk->controller, ==, "pvscsi");
    g_assert_true(disk->boot);
    g_assert_cmpuint(disk->size, >, 0);
    g_assert_cmpstr(source->backing, ==, "FlatVer2");
    g_assert_true(g_str_has_prefix(source->path, "[LocalDS_0] DC0_H0_VM0/"));
    g_assert_cmpint(vm->machine->firmware, ==, MACHINE_FIRMWARE_BIOS);
    g_assert_cmpuint(vm->machine->memory, ==, 32 * MIB);
    g_assert_cmpstr(vm->machine->guest_id, ==, "otherGuest");
    g_assert_cmpstr(vm->host, ==, "DC0_H0");
}

/* --- operations --- */

static char *find_moref(Vsphere *vsphere, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = vsphere_find_vm(vsphere, name, &error);

    g_assert_no_error(error);
    return g_strdup(vm->moref);
}

static void assert_power(Vsphere *vsphere, const char *vm, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = vsphere_power_state(vsphere, vm, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(state, ==, expected);
}

static void test_power(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autofree char *vm = find_moref(vsphere, "DC0_H0_VM0");
    g_autoptr(GError) error = NULL;

    assert_power(vsphere, vm, "poweredOn");
    for (int twice = 0; twice < 2; twice++) {
        vsphere_power_off(vsphere, vm, &error);
        g_assert_no_error(error);
        assert_power(vsphere, vm, "poweredOff");
    }
    for (int twice = 0; twice < 2; twice++) {
        vsphere_power_on(vsphere, vm, &error);
        g_assert_no_error(error);
        assert_power(vsphere, vm, "poweredOn");
    }
    vsphere_shutdown_guest(vsphere, vm, &error);
    g_assert_no_error(error);
    assert_power(vsphere, vm, "poweredOff");
}

static void test_snapshots(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autofree char *vm = find_moref(vsphere, "DC0_H0_VM0");
    g_autofree char *made = NULL, *found = NULL, *gone = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = NULL;
    g_autoptr(VsphereVm) seen = NULL;

    vsphere_create_snapshot(vsphere, vm, "vmferry <1> & \"more\"", "made by a test", FALSE, &made, &error);
    g_assert_no_error(error);
    found = vsphere_find_snapshot(vsphere, vm, "vmferry <1> & \"more\"", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, made);
    seen = vsphere_get_vm(vsphere, vm, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(seen->snapshots->len, ==, 1);
    g_assert_true(((VsphereSnapshot *)seen->snapshots->pdata[0])->current);
    disks = vsphere_snapshot_disks(vsphere, made, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disks->len, ==, 1);
    vsphere_wait_idle(vsphere, vm, 5, &error);
    g_assert_no_error(error);
    for (int twice = 0; twice < 2; twice++) {
        vsphere_remove_snapshot(vsphere, made, &error);
        g_assert_no_error(error);
    }
    gone = vsphere_find_snapshot(vsphere, vm, "vmferry <1> & \"more\"", &error);
    g_assert_no_error(error);
    g_assert_null(gone);
    g_assert_false(vsphere_consolidate(vsphere, vm, &error)); /* not in this simulator */
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
}

static void test_change_tracking(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) before = vsphere_find_vm(vsphere, "DC0_H0_VM0", &error);
    g_autoptr(VsphereVm) after = NULL;
    g_autoptr(Extents) areas = extents_new();
    g_autofree char *snapshot = NULL;
    const VsphereDisk *disk = before->disks->pdata[0];

    g_assert_no_error(error);
    g_assert_false(before->cbt_enabled);
    vsphere_set_change_tracking(vsphere, before->moref, TRUE, &error);
    g_assert_no_error(error);
    after = vsphere_get_vm(vsphere, before->moref, before->machine->instance_uuid, &error);
    g_assert_no_error(error);
    g_assert_true(after->cbt_enabled);
    vsphere_create_snapshot(vsphere, before->moref, "s", "d", FALSE, &snapshot, &error);
    g_assert_no_error(error);
    vsphere_changed_areas(vsphere, before->moref, snapshot, disk->key, disk->size, "*", areas, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(extents_count(areas), ==, div_round_up(disk->size, 256 * KIB));
    g_assert_cmpuint(extents_total(areas), ==, 64 * KIB * div_round_up(disk->size, 256 * KIB));
    g_assert_false(vsphere_changed_areas(vsphere, before->moref, snapshot, disk->key, disk->size, "52/1",
                                         areas, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    g_assert_true(vsphere_fault_is(error, "FileFault"));
}

static void test_privileges(Simulator *simulator, gconstpointer kind)
{
    static const char *const wanted[] = {"VirtualMachine.State.CreateSnapshot", "Nobody.Knows.This", NULL};
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autofree char *vm = find_moref(vsphere, "DC0_H0_VM0");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) missing = vsphere_missing_privileges(vsphere, "VirtualMachine", vm, wanted, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(missing->len, ==, 0);
}

/* --- an ESXi host --- */

static void test_host(Simulator *simulator, gconstpointer kind)
{
    g_autoptr(Vsphere) vsphere = open_session(simulator);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) vms = vsphere_list_vms(vsphere, FALSE, &error);
    g_autoptr(VsphereVm) by_moref = NULL;
    const VsphereVm *first;

    g_assert_no_error(error);
    g_assert_false(vsphere_about(vsphere)->is_vcenter);
    g_assert_cmpuint(vms->len, ==, 3);
    first = vms->pdata[0];
    g_assert_cmpstr(first->path, ==, "/ha-datacenter/vm/ha-host_VM0");
    g_assert_cmpstr(first->datacenter_path, ==, "ha-datacenter");
    g_assert_cmpstr(((MachineNic *)first->machine->nics->pdata[0])->network, ==, "VM Network");
    by_moref = vsphere_find_vm(vsphere, first->moref, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(by_moref->path, ==, first->path);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path, *kind;
        void (*run)(Simulator *simulator, gconstpointer kind);
    } tests[] = {
        {"/vcsim/trust", NULL, test_trust},
        {"/vcsim/wrong-password", NULL, test_wrong_password},
        {"/vcsim/relogin", NULL, test_relogin},
        {"/vcsim/list", NULL, test_list},
        {"/vcsim/find", NULL, test_find},
        {"/vcsim/machine", NULL, test_machine},
        {"/vcsim/power", NULL, test_power},
        {"/vcsim/snapshots", NULL, test_snapshots},
        {"/vcsim/change-tracking", NULL, test_change_tracking},
        {"/vcsim/privileges", NULL, test_privileges},
        {"/vcsim/host", "host", test_host},
    };

    g_test_init(&argc, &argv, NULL);
    if (argc < 2) {
        g_print("1..0 # SKIP needs go and golang-github-vmware-govmomi-dev to build a simulator\n");
        return 0;
    }
    program = argv[1];
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Simulator, tests[i].kind, simulator_start, tests[i].run, simulator_stop);
    return g_test_run();
}
