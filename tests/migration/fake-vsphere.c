#include "fake-vsphere.h"

#include "base/error.h"
#include "base/io.h"
#include "base/proc.h"
#include "disk/vmdk.h"
#include "vsphere/datastore.h"

#include <stdlib.h>
#include <string.h>

FakeVsphere *fake_vsphere;

struct Vsphere {
    int nothing;
};

FakeVsphere *fake_vsphere_new(const LabDiskConfig *disks, guint n_disks, const LabWriterConfig *writer)
{
    FakeVsphere *fake = g_new0(FakeVsphere, 1);
    g_autoptr(GError) error = NULL;

    fake->directory = g_dir_make_tmp("fake-vsphere-XXXXXX", NULL);
    fake->backing = lab_backing_open(fake->directory, disks, n_disks, writer, &error);
    g_assert_no_error(error);
    memcpy(fake->disks, disks, n_disks * sizeof *disks);
    fake->n_disks = n_disks;
    fake->name = "web";
    fake->tools = TRUE;
    fake->snapshots = g_ptr_array_new_with_free_func(g_free);
    fake->calls = g_ptr_array_new_with_free_func(g_free);
    fake_vsphere = fake;
    return fake;
}

void fake_vsphere_free(FakeVsphere *fake)
{
    const char *const remove[] = {"rm", "-r", fake->directory, NULL};
    g_autoptr(GError) error = NULL;

    lab_backing_free(fake->backing);
    g_assert_true(proc_run(remove, NULL, NULL, NULL, &error));
    g_ptr_array_unref(fake->snapshots);
    g_ptr_array_unref(fake->calls);
    g_free(fake->directory);
    g_free(fake);
    fake_vsphere = NULL;
}

guint fake_vsphere_count(const FakeVsphere *fake, const char *call)
{
    guint n = 0;

    for (guint i = 0; i < fake->calls->len; i++)
        n += strcmp(g_ptr_array_index(fake->calls, i), call) == 0;
    return n;
}

/* Logs, lets things happen, and fails when that is wanted. */
static gboolean call(const char *name, GError **error)
{
    FakeVsphere *fake = fake_vsphere;

    g_ptr_array_add(fake->calls, g_strdup(name));
    if (fake->on_call != NULL)
        fake->on_call(name, fake->data);
    if (fake->fail_times == 0 || g_strcmp0(fake->fail_call, name) != 0)
        return TRUE;
    fake->fail_times--;
    return vf_fail(error, (VfErrorClass)fake->fail_class, "%s was made to fail", name);
}

/* --- session --- */

Vsphere *vsphere_open(const VsphereOptions *options, GError **error)
{
    return call("open", error) ? g_new0(Vsphere, 1) : NULL;
}

void vsphere_free(Vsphere *vsphere)
{
    g_free(vsphere);
}

const char *vsphere_server(const Vsphere *vsphere)
{
    return "fake:443";
}

gboolean vsphere_keepalive(Vsphere *vsphere, GError **error)
{
    return TRUE;
}

/* --- inventory --- */

static void snapshot_free(gpointer data)
{
    VsphereSnapshot *snapshot = data;

    g_free(snapshot->name);
    g_free(snapshot);
}

static void disk_free_one(gpointer data)
{
    VsphereDisk *disk = data;

    g_free(disk->path);
    g_free(disk->change_id);
    g_free(disk);
}

void vsphere_vm_free(VsphereVm *vm)
{
    if (vm == NULL)
        return;
    machine_free(vm->machine);
    g_free(vm->power_state);
    g_ptr_array_unref(vm->disks);
    g_ptr_array_unref(vm->snapshots);
    g_free(vm);
}

static VsphereDisk *describe_disk(const LabDiskConfig *config, const char *snapshot)
{
    FakeVsphere *fake = fake_vsphere;
    VsphereDisk *disk = g_new0(VsphereDisk, 1);
    g_autofree char *file = lab_backing_file(fake->backing, config->key, snapshot);

    disk->key = config->key;
    disk->path = g_strdup_printf("[ds1] web/%s", file);
    disk->backing = (char *)"FlatVer2";
    disk->mode = (char *)"persistent";
    disk->size = lab_backing_size(fake->backing, config->key);
    if (fake->cbt_enabled && config->key != fake->untracked_key)
        disk->change_id = lab_backing_change_id(fake->backing, config->key, snapshot);
    return disk;
}

static GPtrArray *describe_disks(const char *snapshot)
{
    GPtrArray *disks = g_ptr_array_new_with_free_func(disk_free_one);

    for (guint i = 0; i < fake_vsphere->n_disks; i++)
        g_ptr_array_add(disks, describe_disk(&fake_vsphere->disks[i], snapshot));
    return disks;
}

static Machine *describe_machine(void)
{
    Machine *machine = machine_new();

    machine->name = g_strdup(fake_vsphere->name);
    machine->id = g_strdup("vm-100");
    machine->instance_uuid = g_strdup("501c0000-0000-0000-0000-000000000001");
    machine->bios_uuid = g_strdup("421c0000-0000-0000-0000-000000000001");
    machine->guest_id = g_strdup("debian12_64Guest");
    machine->family = MACHINE_FAMILY_LINUX;
    machine->cpus = machine->cores_per_socket = 1;
    machine->memory = 1u << 29;
    for (guint i = 0; i < fake_vsphere->n_disks; i++) {
        MachineDisk *disk = machine_add_disk(machine);

        disk->key = g_strdup_printf("%d", fake_vsphere->disks[i].key);
        disk->label = g_strdup_printf("Hard disk %u", i + 1);
        disk->controller = g_strdup("pvscsi");
        disk->unit = (gint)i;
        disk->size = lab_backing_size(fake_vsphere->backing, fake_vsphere->disks[i].key);
        disk->boot = i == 0;
    }
    return machine;
}

static const char *power_state(void)
{
    return fake_vsphere->suspended                    ? "suspended"
           : lab_backing_is_on(fake_vsphere->backing) ? "poweredOn"
                                                      : "poweredOff";
}

static VsphereVm *describe_vm(void)
{
    FakeVsphere *fake = fake_vsphere;
    VsphereVm *vm = g_new0(VsphereVm, 1);

    vm->machine = describe_machine();
    vm->moref = (char *)"vm-100";
    vm->path = (char *)"/DC1/vm/web";
    vm->datacenter_path = (char *)"DC1";
    vm->power_state = g_strdup(power_state());
    vm->connection_state = (char *)"connected";
    vm->tools_running = (char *)(fake->tools ? "guestToolsRunning" : "guestToolsNotRunning");
    vm->hardware_version = (char *)"vmx-19";
    vm->cbt_supported = TRUE;
    vm->cbt_enabled = fake->cbt_enabled;
    vm->consolidation_needed = fake->consolidation_needed;
    vm->disks = describe_disks(NULL);
    vm->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    for (guint i = 0; i < fake->snapshots->len; i++) {
        VsphereSnapshot *snapshot = g_new0(VsphereSnapshot, 1);

        snapshot->name = g_strdup(g_ptr_array_index(fake->snapshots, i));
        g_ptr_array_add(vm->snapshots, snapshot);
    }
    return vm;
}

VsphereVm *vsphere_find_vm(Vsphere *vsphere, const char *ref, GError **error)
{
    return call("find_vm", error) ? describe_vm() : NULL;
}

VsphereVm *vsphere_get_vm(Vsphere *vsphere, const char *moref, const char *instance_uuid, GError **error)
{
    return call("get_vm", error) ? describe_vm() : NULL;
}

static void datastore_free_one(gpointer data)
{
    g_free(data);
}

GPtrArray *vsphere_list_datastores(Vsphere *vsphere, GError **error)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(datastore_free_one);
    VsphereDatastore *datastore = g_new0(VsphereDatastore, 1);

    datastore->name = (char *)"ds1";
    datastore->moref = (char *)"datastore-1";
    datastore->datacenter_path = (char *)"DC1";
    datastore->accessible = TRUE;
    g_ptr_array_add(list, datastore);
    return list;
}

GPtrArray *vsphere_missing_privileges(Vsphere *vsphere, const char *type, const char *entity,
                                      const char *const *privileges, GError **error)
{
    return g_ptr_array_new();
}

/* --- snapshots --- */

gboolean vsphere_create_snapshot(Vsphere *vsphere, const char *vm, const char *name, const char *description,
                                 gboolean quiesce, char **ret_moref, GError **error)
{
    FakeVsphere *fake = fake_vsphere;

    if (!call("create_snapshot", error))
        return FALSE;
    if (quiesce && fake->cannot_quiesce)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "the guest cannot be quiesced");
    if (!lab_backing_snapshot(fake->backing, name, quiesce, error))
        return FALSE;
    g_ptr_array_add(fake->snapshots, g_strdup(name));
    *ret_moref = g_strdup(name);
    return TRUE;
}

gboolean vsphere_remove_snapshot(Vsphere *vsphere, const char *snapshot, GError **error)
{
    FakeVsphere *fake = fake_vsphere;

    if (!call("remove_snapshot", error))
        return FALSE;
    for (guint i = 0; i < fake->snapshots->len; i++) {
        if (strcmp(g_ptr_array_index(fake->snapshots, i), snapshot) == 0) {
            if (!lab_backing_remove_snapshot(fake->backing, snapshot, error))
                return FALSE;
            g_ptr_array_remove_index(fake->snapshots, i);
            return TRUE;
        }
    }
    return TRUE;
}

char *vsphere_find_snapshot(Vsphere *vsphere, const char *vm, const char *name, GError **error)
{
    for (guint i = 0; i < fake_vsphere->snapshots->len; i++) {
        if (strcmp(g_ptr_array_index(fake_vsphere->snapshots, i), name) == 0)
            return g_strdup(name);
    }
    return NULL;
}

gboolean vsphere_consolidate(Vsphere *vsphere, const char *vm, GError **error)
{
    if (!call("consolidate", error))
        return FALSE;
    fake_vsphere->consolidation_needed = FALSE;
    return TRUE;
}

gboolean vsphere_wait_idle(Vsphere *vsphere, const char *vm, guint timeout_seconds, GError **error)
{
    return call("wait_idle", error);
}

GPtrArray *vsphere_snapshot_disks(Vsphere *vsphere, const char *snapshot, GError **error)
{
    return call("snapshot_disks", error) ? describe_disks(snapshot) : NULL;
}

/* --- tracking --- */

gboolean vsphere_set_change_tracking(Vsphere *vsphere, const char *vm, gboolean on, GError **error)
{
    if (!call(on ? "tracking_on" : "tracking_off", error))
        return FALSE;
    fake_vsphere->cbt_enabled = on;
    lab_backing_set_tracking(fake_vsphere->backing, on);
    return TRUE;
}

gboolean vsphere_changed_areas(Vsphere *vsphere, const char *vm, const char *snapshot, gint32 disk_key,
                               guint64 size, const char *change_id, Extents *areas, GError **error)
{
    g_autoptr(GError) failed = NULL;

    if (!call(strcmp(change_id, "*") == 0 ? "allocated_areas" : "changed_areas", error))
        return FALSE;
    if (fake_vsphere->lies)
        return TRUE;
    if (lab_backing_changed(fake_vsphere->backing, disk_key, snapshot, change_id, areas, &failed))
        return TRUE;
    return vf_fail(error, VF_ERROR_INTEGRITY, "%s", failed->message);
}

gboolean vsphere_change_id_follows(const char *then, const char *now)
{
    const char *a = strrchr(then, '/'), *b = strrchr(now, '/');

    return a != NULL && b != NULL && a - then == b - now && strncmp(then, now, (gsize)(a - then)) == 0 &&
           atoi(b + 1) >= atoi(a + 1);
}

/* --- power --- */

gboolean vsphere_shutdown_guest(Vsphere *vsphere, const char *vm, GError **error)
{
    if (!call("shutdown_guest", error))
        return FALSE;
    return fake_vsphere->ignores_shutdown || lab_backing_shutdown(fake_vsphere->backing, error);
}

gboolean vsphere_power_off(Vsphere *vsphere, const char *vm, GError **error)
{
    return call("power_off", error) &&
           (!lab_backing_is_on(fake_vsphere->backing) || lab_backing_power_off(fake_vsphere->backing, error));
}

gboolean vsphere_power_on(Vsphere *vsphere, const char *vm, GError **error)
{
    return call("power_on", error) &&
           (lab_backing_is_on(fake_vsphere->backing) || lab_backing_power_on(fake_vsphere->backing, error));
}

char *vsphere_power_state(Vsphere *vsphere, const char *vm, GError **error)
{
    return call("power_state", error) ? g_strdup(power_state()) : NULL;
}

/* --- datastore --- */

gboolean datastore_path_parse(const char *path, char **ret_datastore, char **ret_file, GError **error)
{
    if (!g_str_has_prefix(path, "[ds1] web/"))
        return vf_fail(error, VF_ERROR_INVALID, "%s is no path", path);
    *ret_datastore = g_strdup("ds1");
    *ret_file = g_strdup(path + strlen("[ds1] "));
    return TRUE;
}

static char *local_path(const char *path)
{
    return g_build_filename(fake_vsphere->directory, path + strlen("[ds1] web/"), NULL);
}

char *datastore_read_file(Vsphere *vsphere, const char *datacenter_path, const char *path, gsize max,
                          gsize *ret_length, GError **error)
{
    g_autofree char *file = local_path(path);

    return io_read_file(file, max, ret_length, error);
}

Disk *datastore_open_disk(Vsphere *vsphere, const char *datacenter_path, const char *path, GError **error)
{
    g_autofree char *file = local_path(path);
    g_autofree char *name = g_path_get_basename(file);

    if (!call("open_disk", error))
        return NULL;
    if (lab_backing_locked(fake_vsphere->backing, name)) {
        vf_fail(error, VF_ERROR_CONFLICT, "%s is locked", name);
        return NULL;
    }
    return vmdk_open(file, NULL, NULL, error);
}
