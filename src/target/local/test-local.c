/* The directory target against libvirt's own test driver (test:///default), which keeps its domains for as
 * long as somebody is connected: the fixture is. */
#include "target/local/libvirt.h"
#include "target/local/local.h"

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"

#include <glib/gstdio.h>
#include <libvirt/libvirt.h>
#include <string.h>

typedef struct {
    char *directory;
    TargetSpec spec;
    Machine *machine;
    Target *target;
    virConnectPtr keeper;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    MachineDisk *disk;

    fixture->directory = g_dir_make_tmp("vmferry-local-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->keeper = virConnectOpen("test:///default");
    g_assert_nonnull(fixture->keeper);
    fixture->spec = (TargetSpec){.kind = (char *)"local",
                                 .directory = fixture->directory,
                                 .format = (char *)"qcow2",
                                 .bus = (char *)"virtio",
                                 .define = TRUE,
                                 .start = TRUE,
                                 .libvirt_uri = (char *)"test:///default",
                                 .network = (char *)"default",
                                 .domain_type = (char *)"test"};
    fixture->machine = machine_new();
    fixture->machine->name = g_strdup("web / eins");
    fixture->machine->id = g_strdup("vm-7");
    fixture->machine->bios_uuid = g_strdup("420f1a2b-0000-4000-8000-000000000007");
    fixture->machine->instance_uuid = g_strdup("500f1a2b-0000-4000-8000-000000000007");
    fixture->machine->memory = 64 * MIB;
    fixture->machine->cpus = 1;
    disk = machine_add_disk(fixture->machine);
    disk->key = g_strdup("2000");
    disk->label = g_strdup("Hard disk 1");
    disk->size = 8 * MIB;
    fixture->target = target_open(&fixture->spec, NULL, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(fixture->directory, 0, &error);
    const char *name;

    libvirt_remove("test:///default", fixture->machine->bios_uuid, &error);
    g_assert_no_error(error);
    virConnectClose(fixture->keeper);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(fixture->directory, name, NULL);

        g_unlink(path);
    }
    g_rmdir(fixture->directory);
    target_free(fixture->target);
    machine_free(fixture->machine);
    g_free(fixture->directory);
}

static char *make_image(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    const MachineDisk *description = g_ptr_array_index(fixture->machine->disks, 0);
    char *path = target_disk_path(fixture->target, fixture->machine, description);
    Disk *disk = target_create_disk(fixture->target, path, description->size, &error);

    g_assert_no_error(error);
    disk_close(disk, &error);
    g_assert_no_error(error);
    return path;
}

static void test_import_start_remove(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = make_image(fixture);
    const char *paths[] = {path, NULL};
    g_autofree char *id = NULL;
    LibvirtDomain domain;

    for (guint again = 0; again < 2; again++) {
        g_clear_pointer(&id, g_free);
        target_import(fixture->target, fixture->machine, paths, &id, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(id, ==, "web _ eins");
        target_start(fixture->target, id, &error);
        g_assert_no_error(error);
    }
    g_assert_true(libvirt_look("test:///default", id, fixture->machine->bios_uuid, &domain, &error));
    g_assert_true(domain.uuid_known && domain.running && !domain.name_taken);
    for (guint again = 0; again < 2; again++) {
        target_remove(fixture->target, fixture->machine, id, &error);
        g_assert_no_error(error);
    }
    g_assert_true(libvirt_look("test:///default", id, fixture->machine->bios_uuid, &domain, &error));
    g_assert_false(domain.uuid_known);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_lost_disk_is_refused(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    const char *paths[] = {NULL};
    g_autofree char *id = NULL;

    g_assert_false(target_import(fixture->target, fixture->machine, paths, &id, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

static void test_conflicts(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = make_image(fixture);
    g_autoptr(Findings) fresh = findings_new();
    g_autoptr(Findings) retry = findings_new();

    g_assert_true(target_preflight(fixture->target, fixture->machine, FALSE, fresh, &error));
    g_assert_nonnull(findings_find(fresh, "target-file-exists"));
    g_assert_true(target_preflight(fixture->target, fixture->machine, TRUE, retry, &error));
    g_assert_cmpuint(findings_count(retry, FINDING_BLOCKER), ==, 0);
}

static void test_name_taken(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Findings) findings = findings_new();

    g_free(fixture->machine->name);
    fixture->machine->name = g_strdup("test"); /* the domain that the test driver always has */
    g_assert_true(target_preflight(fixture->target, fixture->machine, FALSE, findings, &error));
    g_assert_nonnull(findings_find(findings, "target-name-taken"));
}

static void test_no_space(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Findings) thick = findings_new();
    g_autoptr(Findings) retry = findings_new();
    g_autoptr(Findings) thin = findings_new();
    MachineDisk *disk = g_ptr_array_index(fixture->machine->disks, 0);

    disk->size = disk->allocated = 4096 * TIB;
    g_assert_true(target_preflight(fixture->target, fixture->machine, FALSE, thick, &error));
    g_assert_nonnull(findings_find(thick, "target-space"));
    g_assert_cmpuint(findings_count(thick, FINDING_BLOCKER), ==, 1);
    g_assert_true(target_preflight(fixture->target, fixture->machine, TRUE, retry, &error));
    g_assert_cmpuint(findings_count(retry, FINDING_BLOCKER), ==, 0);
    disk->allocated = MIB;
    g_assert_true(target_preflight(fixture->target, fixture->machine, FALSE, thin, &error));
    g_assert_null(findings_find(thin, "target-space"));
    g_assert_nonnull(findings_find(thin, "target-space-thin"));
}

static void test_unknown_network_and_libvirt(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Findings) network = findings_new();
    g_autoptr(Findings) libvirt = findings_new();
    MachineNic *nic = machine_add_nic(fixture->machine);

    nic->label = g_strdup("Network adapter 1");
    fixture->spec.network = (char *)"nowhere";
    g_assert_true(target_preflight(fixture->target, fixture->machine, FALSE, network, &error));
    g_assert_nonnull(findings_find(network, "target-network"));
    fixture->spec.libvirt_uri = (char *)"qemu+unix:///system?socket=/nonexistent";
    g_assert_true(target_preflight(fixture->target, fixture->machine, FALSE, libvirt, &error));
    g_assert_nonnull(findings_find(libvirt, "target-libvirt"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/local/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("import-start-remove", test_import_start_remove);
    ADD("lost-disk", test_lost_disk_is_refused);
    ADD("conflicts", test_conflicts);
    ADD("name-taken", test_name_taken);
    ADD("space", test_no_space);
    ADD("network", test_unknown_network_and_libvirt);
#undef ADD
    return g_test_run();
}
