/* The lab as our own layers see it: started in this process, logged into, migrated from in miniature. */
#include "lab/lab.h"

#include "base/error.h"
#include "base/io.h"
#include "base/json.h"
#include "base/size.h"
#include "vsphere/datastore.h"
#include "vsphere/vm-ops.h"

#include <glib/gstdio.h>
#include <string.h>

#define HEAD                                                                                                 \
    "task_time: 10\n"                                                                                        \
    "page_size: 1\n"                                                                                         \
    "areas_page: 3\n"                                                                                        \
    "datacenters:\n"                                                                                         \
    "  - name: DC1\n"                                                                                        \
    "    folder: Nord/Süd\n"                                                                                \
    "    datastores: [ds1]\n"                                                                                \
    "    vms:\n"

#define WEB                                                                                                  \
    "      - name: \"web 50%/ü\"\n"                                                                         \
    "        moref: vm-7\n"                                                                                  \
    "        power: on\n"                                                                                    \
    "        disks: [{size: 8M, fill_percent: 50}]\n"                                                        \
    "        writer: {rate: 8M, working_set: 6M, seed: 3}\n"

#define TWINS                                                                                                \
    "      - {name: twin, folder: a, disks: [{size: 1M}]}\n"                                                 \
    "      - {name: twin, folder: b, disks: [{size: 1M}]}\n"

typedef struct {
    char *directory;
    char *config;
} Ground;

static void ground_clear(Ground *ground)
{
    const char *argv[] = {"rm", "-rf", ground->directory, NULL};
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    g_free(ground->directory);
    g_free(ground->config);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Ground, ground_clear)

static Ground make_ground(const char *vms)
{
    Ground ground = {.directory = g_dir_make_tmp("vmferry-lab-XXXXXX", NULL)};
    g_autofree char *yaml = g_strdup_printf("directory: %s/state\n%s%s", ground.directory, HEAD, vms);
    ground.config = g_build_filename(ground.directory, "lab.yaml", NULL);
    g_assert_true(g_file_set_contents(ground.config, yaml, -1, NULL));
    return ground;
}

static Vsphere *log_in(const Lab *lab)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Secret) password = secret_new(lab_password(lab));
    VsphereOptions options = {.host = lab_url(lab) + strlen("https://"),
                              .user = lab_user(lab),
                              .password = password,
                              .trust = {.thumbprint = (char *)lab_thumbprint(lab)}};
    Vsphere *vsphere = vsphere_open(&options, &error);
    g_assert_no_error(error);
    return vsphere;
}

static void assert_refused(const char *vms, const char *why)
{
    g_auto(Ground) ground = make_ground(vms);
    g_autoptr(GError) error = NULL;
    g_autoptr(Lab) lab = lab_start(ground.config, NULL, &error);
    g_assert_null(lab);
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "lab.yaml:"));
    if (strstr(error->message, why) == NULL)
        g_error("\"%s\" does not say \"%s\"", error->message, why);
}

static void test_config(void)
{
    assert_refused("      - {name: a, memry: 1G}\n", "did you mean \"memory\"");
    assert_refused("      - {moref: vm-1}\n", "needs a name");
    assert_refused("      - {name: a}\n      - {name: a}\n", "taken");
    assert_refused("      - {name: a, disks: [{}]}\n", "needs a size or an image");
    assert_refused("      - {name: a, disks: [{size: 1M, unit: 7}]}\n", "unit 7");
    assert_refused("      - {name: a, disks: [{size: 1M, controller: 1}]}\n", "controller");
    assert_refused("      - {name: a, disks: [{size: 1M, datastore: ds9}]}\n", "no datastore \"ds9\"");
    assert_refused("      - {name: a, nics: [{network: no}]}\n", "no network \"no\"");
    assert_refused("      - {name: a, controllers: [{type: floppy}]}\n", "floppy");
    assert_refused("      - {name: a, template: true, power: on}\n", "template");
}

static void test_ready_file(void)
{
    g_auto(Ground) ground = make_ground("      - name: a\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(Lab) lab = lab_start(ground.config, &(LabOverrides){.port = 0}, &error);
    g_assert_no_error(error);
    g_autofree char *path = g_build_filename(ground.directory, "ready.json", NULL);
    gsize length;
    g_assert_true(lab_write_ready_file(lab, path, &error));
    g_autofree char *text = io_read_file(path, 4096, &length, &error);
    g_autoptr(Json) ready = json_parse(text, length, 4096, path, &error);
    g_assert_cmpstr(json_get_string(ready, "url"), ==, lab_url(lab));
    g_assert_cmpstr(json_get_string(ready, "thumbprint"), ==, lab_thumbprint(lab));
    g_assert_cmpint(json_get_integer(ready, "pid"), ==, getpid());
}

static void test_inventory(void)
{
    g_auto(Ground) ground = make_ground(WEB TWINS);
    g_autoptr(GError) error = NULL;
    g_autoptr(Lab) lab = lab_start(ground.config, &(LabOverrides){.port = 0}, &error);
    g_assert_no_error(error);
    g_autoptr(Vsphere) vsphere = log_in(lab);
    g_autoptr(GPtrArray) vms = vsphere_list_vms(vsphere, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vms->len, ==, 3);
    g_autoptr(VsphereVm) web = vsphere_find_vm(vsphere, "web 50%/ü", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(web->moref, ==, "vm-7");
    g_assert_cmpstr(web->datacenter_path, ==, "Nord/Süd/DC1");
    g_assert_cmpstr(web->power_state, ==, "poweredOn");
    g_autoptr(VsphereVm) twin = vsphere_find_vm(vsphere, "twin", &error);
    g_assert_null(twin);
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
}

/* --- a warm migration in miniature --- */

static void run_disk(Vsphere *vsphere, const VsphereVm *vm, const VsphereDisk *disk, const Extents *areas,
                     char *image)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) source = datastore_open_disk(vsphere, vm->datacenter_path, disk->path, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < extents_count(areas); i++) {
        Extent extent = extents_get(areas, i);
        disk_pread(source, image + extent.start, extent.end - extent.start, extent.start, &error);
        g_assert_no_error(error);
    }
}

/* Snapshot, what changed since `*change_id`, copy it, remember the new id; the snapshot stays. */
static char *run_round(Vsphere *vsphere, const VsphereVm *vm, char **change_id, char *image)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Extents) areas = extents_new();
    char *snapshot = NULL;
    vsphere_create_snapshot(vsphere, vm->moref, "round", "", FALSE, &snapshot, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) disks = vsphere_snapshot_disks(vsphere, snapshot, &error);
    g_assert_no_error(error);
    const VsphereDisk *disk = g_ptr_array_index(disks, 0);
    if (disk->change_id != NULL) {
        vsphere_changed_areas(vsphere, vm->moref, snapshot, disk->key, disk->size, *change_id, areas, &error);
        g_assert_no_error(error);
        run_disk(vsphere, vm, disk, areas, image);
        g_free(*change_id);
        *change_id = g_strdup(disk->change_id);
    }
    return snapshot;
}

static void remove_snapshot(Vsphere *vsphere, const char *snapshot)
{
    g_autoptr(GError) error = NULL;
    vsphere_remove_snapshot(vsphere, snapshot, &error);
    g_assert_no_error(error);
}

/* The truth, read behind the lab's back. */
static void assert_same(const Ground *ground, const char *image, gsize size)
{
    g_autofree char *flat = g_build_filename(ground->directory, "state", "Nord%2FSüd%2FDC1", "ds1",
                                             "web 50%25%2fü", "web 50%25%2fü-flat.vmdk", NULL);
    g_autofree char *truth = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(flat, &truth, &length, NULL));
    g_assert_cmpmem(image, size, truth, length);
}

static void test_rounds(void)
{
    g_auto(Ground) ground = make_ground(WEB);
    g_autoptr(GError) error = NULL;
    g_autoptr(Lab) lab = lab_start(ground.config, &(LabOverrides){.port = 0}, &error);
    g_assert_no_error(error);
    g_autoptr(Vsphere) vsphere = log_in(lab);
    g_autoptr(VsphereVm) vm = vsphere_find_vm(vsphere, "vm-7", &error);
    g_assert_no_error(error);
    g_autofree char *image = g_malloc0(8 * MIB), *change_id = g_strdup("*");
    vsphere_set_change_tracking(vsphere, "vm-7", TRUE, &error);
    g_assert_no_error(error);
    for (guint round = 0; round < 4; round++) {
        g_autofree char *snapshot = run_round(vsphere, vm, &change_id, image);
        g_assert_true((round == 0) == g_str_equal(change_id, "*"));
        if (round > 0)
            assert_same(&ground, image, 8 * MIB);
        remove_snapshot(vsphere, snapshot);
        g_usleep(50000);
    }

    g_autoptr(Extents) last = extents_new();
    g_assert_true(vsphere_power_off(vsphere, "vm-7", &error));
    vsphere_changed_areas(vsphere, "vm-7", NULL, 2000, 8 * MIB, change_id, last, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(extents_total(last), >, 0);
    run_disk(vsphere, vm, g_ptr_array_index(vm->disks, 0), last, image);
    assert_same(&ground, image, 8 * MIB);
}

/* Old servers decode twice; the client finds out and encodes twice. */
static void test_decode_twice(void)
{
    g_auto(Ground) ground = make_ground(WEB);
    g_autofree char *yaml = g_strdup_printf("directory: %s/state\n"
                                            "decode_twice: true\n"
                                            "datacenters:\n"
                                            "  - name: DC 100%%\n"
                                            "    datastores: [\"ds %%20\"]\n"
                                            "    vms: [{name: a, disks: [{size: 1M, fill_percent: 100}]}]\n",
                                            ground.directory);
    g_assert_true(g_file_set_contents(ground.config, yaml, -1, NULL));
    g_autoptr(GError) error = NULL;
    g_autoptr(Lab) lab = lab_start(ground.config, &(LabOverrides){.port = 0}, &error);
    g_assert_no_error(error);
    g_autoptr(Vsphere) vsphere = log_in(lab);
    g_autoptr(VsphereVm) vm = vsphere_find_vm(vsphere, "a", &error);
    g_assert_no_error(error);
    const VsphereDisk *disk = g_ptr_array_index(vm->disks, 0);
    g_assert_cmpstr(disk->path, ==, "[ds %2520] a/a.vmdk");
    g_autoptr(Disk) source = datastore_open_disk(vsphere, vm->datacenter_path, disk->path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(source), ==, MIB);
}

/* What was so when the lab was killed is so when it comes back. */
static void test_second_life(void)
{
    g_auto(Ground) ground = make_ground(WEB);
    g_autoptr(GError) error = NULL;
    for (guint life = 0; life < 2; life++) {
        g_autoptr(Lab) lab = lab_start(ground.config, &(LabOverrides){.port = 0}, &error);
        g_assert_no_error(error);
        g_autoptr(Vsphere) vsphere = log_in(lab);
        g_autofree char *power = vsphere_power_state(vsphere, "vm-7", &error);
        g_assert_cmpstr(power, ==, life == 0 ? "poweredOn" : "poweredOff");
        g_assert_true(vsphere_power_off(vsphere, "vm-7", &error));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lab/config", test_config);
    g_test_add_func("/lab/ready-file", test_ready_file);
    g_test_add_func("/lab/inventory", test_inventory);
    g_test_add_func("/lab/rounds", test_rounds);
    g_test_add_func("/lab/decode-twice", test_decode_twice);
    g_test_add_func("/lab/second-life", test_second_life);
    return g_test_run();
}
