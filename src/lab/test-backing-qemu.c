/* A guest of a kernel and a shell: it writes random blocks to both its disks as fast as it can, and goes off
 * when its power button is pressed.
 */
#include "lab/backing.h"

#include "base/cancel.h"
#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "lab/backing-check.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BUSYBOX "/bin/busybox"

static const char init_script[] =
    "#!/bin/busybox sh\n"
    "/bin/busybox --install -s /bin\n"
    "mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev\n"
    "for m in scsi_common scsi_mod sd_mod vmw_pvscsi button evdev vmxnet3; do insmod /$m.ko; done\n"
    "while [ ! -b /dev/sda -o ! -b /dev/sdb ]; do usleep 20000; done\n"
    "echo guest is up\n"
    "for e in /dev/input/event*; do (dd if=$e of=/dev/null bs=24 count=1; touch /stop) & done\n"
    "i=0\n"
    "while [ ! -e /stop ]; do\n"
    "  i=$((i + 1))\n"
    "  dd if=/dev/urandom of=/dev/sda bs=4096 count=3 seek=$((i * 7919 % 4000)) conv=notrunc\n"
    "  dd if=/dev/urandom of=/dev/sdb bs=512 count=5 seek=$((i * 104729 % 4000)) conv=notrunc\n"
    "  [ $((i % 8)) = 0 ] && sync\n"
    "done 2>/dev/null\n"
    "dd if=/dev/urandom of=/dev/sda bs=4096 count=1 seek=4095 conv=notrunc\n"
    "sync; poweroff -f\n";

static const LabDiskConfig disks[] = {
    {.key = 2000, .name = "guest", .size = 16 * MIB, .fill_percent = 30},
    {.key = 2001, .name = "guest_1", .size = 4 * MIB},
};

typedef struct {
    char *directory, *kernel, *initrd;
    LabBacking *backing;
} Fixture;

/* --- the guest --- */

/* The newest kernel of the cloud flavour; NULL when there is none. */
static char *find_kernel(void)
{
    g_autoptr(GDir) dir = g_dir_open("/boot", 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        if (g_str_has_prefix(name, "vmlinuz-") && g_str_has_suffix(name, "-cloud-amd64"))
            return g_build_filename("/boot", name, NULL);
    return NULL;
}

static gboolean run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;

    proc_run(argv, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    return TRUE;
}

static void make_initrd(const Fixture *fixture)
{
    const char *release = strchr(fixture->kernel, '-') + 1;
    g_autofree char *root = g_build_filename(fixture->directory, "root", NULL);
    g_autofree char *init = g_build_filename(root, "init", NULL);
    g_autofree char *script =
        g_strdup_printf("set -e; mkdir -p '%s/bin' '%s/proc' '%s/sys' '%s/dev'; cp " BUSYBOX " '%s/bin/'; "
                        "for m in scsi_common scsi_mod sd_mod vmw_pvscsi button evdev vmxnet3; do "
                        "cp $(find /lib/modules/%s -name $m.ko) '%s/'; done; "
                        "cd '%s'; chmod 755 init; find . | " BUSYBOX " cpio -o -H newc > '%s'",
                        root, root, root, root, root, release, root, root, fixture->initrd);
    const char *const argv[] = {"sh", "-c", script, NULL};

    g_assert_cmpint(g_mkdir_with_parents(root, 0700), ==, 0);
    g_assert_true(g_file_set_contents(init, init_script, -1, NULL));
    run(argv);
}

static LabBacking *open_backing(const Fixture *fixture)
{
    const LabWriterConfig writer = {.guest = TRUE,
                                    .seed = 1,
                                    .kernel = fixture->kernel,
                                    .initrd = fixture->initrd,
                                    .append = "console=ttyS0 quiet panic=-1 tsc=reliable",
                                    .memory_mib = 128};
    g_autoptr(GError) error = NULL;
    LabBacking *backing = lab_backing_open(fixture->directory, disks, G_N_ELEMENTS(disks), &writer, &error);

    g_assert_no_error(error);
    return backing;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *qemu = proc_find("qemu-system-x86_64");

    fixture->kernel = find_kernel();
    if (fixture->kernel == NULL || qemu == NULL || !g_file_test(BUSYBOX, G_FILE_TEST_EXISTS)) {
        g_test_skip("QEMU, a cloud kernel or a static busybox is missing");
        return;
    }
    fixture->directory = g_dir_make_tmp("backing-qemu-XXXXXX", NULL);
    fixture->initrd = g_build_filename(fixture->directory, "initrd", NULL);
    make_initrd(fixture);
    fixture->backing = open_backing(fixture);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    const char *const remove[] = {"rm", "-r", fixture->directory, NULL};

    lab_backing_free(fixture->backing);
    if (fixture->directory != NULL)
        run(remove);
    g_free(fixture->directory);
    g_free(fixture->kernel);
    g_free(fixture->initrd);
}

/* --- what is done to it --- */

static void done(gboolean ok, GError **error)
{
    g_assert_no_error(*error);
    g_assert_true(ok);
}

static void snapshot(LabBacking *backing, const char *id)
{
    g_autoptr(GError) error = NULL;

    done(lab_backing_snapshot(backing, id, FALSE, &error), &error);
}

static void remove_snapshot(LabBacking *backing, const char *id)
{
    g_autoptr(GError) error = NULL;

    done(lab_backing_remove_snapshot(backing, id, &error), &error);
}

static void power_on(LabBacking *backing)
{
    g_autoptr(GError) error = NULL;

    done(lab_backing_power_on(backing, &error), &error);
}

/* Until the guest has written `bytes` more. */
static void wait_written(LabBacking *backing, guint64 bytes)
{
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;
    guint64 goal = lab_backing_written(backing) + bytes;

    while (lab_backing_written(backing) < goal) {
        g_assert_true(lab_backing_is_on(backing));
        cancel_sleep(never, 20, &error);
    }
}

static void wait_off(LabBacking *backing)
{
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;

    while (lab_backing_is_on(backing))
        cancel_sleep(never, 20, &error);
}

static void check_rounds(LabBacking *backing, BackingCheck *checks, const char *id)
{
    backing_check_round(&checks[0], id);
    backing_check_round(&checks[1], id);
    g_test_message("%s: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT " bytes", id != NULL ? id : "off",
                   checks[0].last_read, checks[1].last_read);
}

/* --- tests --- */

/* Rounds with snapshots of our own and a foreign one, a guest that shuts down, and what it wrote last. */
static void migrate(Fixture *fixture, BackingCheck *checks)
{
    LabBacking *backing = fixture->backing;
    g_autoptr(GError) error = NULL;

    for (guint round = 0; round < 4; round++) {
        g_autofree char *id = g_strdup_printf("round-%u", round);

        wait_written(backing, 100 * KIB);
        snapshot(backing, id);
        wait_written(backing, 50 * KIB);
        check_rounds(backing, checks, id);
        if (round == 2)
            snapshot(backing, "foreign");
        wait_written(backing, 50 * KIB);
        remove_snapshot(backing, id);
        if (round == 2)
            remove_snapshot(backing, "foreign");
    }
    done(lab_backing_shutdown(backing, &error), &error);
    wait_off(backing);
    check_rounds(backing, checks, NULL);
    g_assert_cmpuint(checks[0].last_read, >, 0);
    backing_check_same(&checks[0]);
    backing_check_same(&checks[1]);
}

static void test_migration(Fixture *fixture, gconstpointer data)
{
    BackingCheck checks[2];

    if (fixture->backing == NULL)
        return;
    backing_check_init(&checks[0], fixture->backing, fixture->directory, 2000);
    backing_check_init(&checks[1], fixture->backing, fixture->directory, 2001);
    lab_backing_set_tracking(fixture->backing, TRUE);
    power_on(fixture->backing);
    g_assert_true(lab_backing_locked(fixture->backing, "guest-flat.vmdk"));
    migrate(fixture, checks);

    /* Off: a snapshot, on again, on its overlay; a plug that is pulled. */
    g_autoptr(GError) error = NULL;
    snapshot(fixture->backing, "off");
    power_on(fixture->backing);
    wait_written(fixture->backing, 100 * KIB);
    check_rounds(fixture->backing, checks, "off");
    done(lab_backing_power_off(fixture->backing, &error), &error);
    remove_snapshot(fixture->backing, "off");
    check_rounds(fixture->backing, checks, NULL);
    backing_check_same(&checks[0]);
    backing_check_same(&checks[1]);
    backing_check_fini(&checks[0]);
    backing_check_fini(&checks[1]);
}

/* A chain that foreign snapshots made, its middle merged while the guest writes; growing and hot adding a
 * disk. */
static void test_chain(Fixture *fixture, gconstpointer data)
{
    LabBacking *backing = fixture->backing;
    const LabDiskConfig third = {.key = 2002, .name = "guest_2", .size = MIB};
    g_autoptr(GError) error = NULL;
    BackingCheck check;

    if (backing == NULL)
        return;
    lab_backing_set_tracking(backing, TRUE);
    power_on(backing);
    done(lab_backing_resize(backing, 2000, 17 * MIB, &error), &error);
    backing_check_init(&check, backing, fixture->directory, 2000);
    snapshot(backing, "a");
    backing_check_round(&check, "a");
    g_assert_false(lab_backing_snapshot(backing, "quiet", TRUE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    wait_written(backing, 50 * KIB);
    snapshot(backing, "b");
    wait_written(backing, 50 * KIB);
    done(lab_backing_add_disk(backing, &third, &error), &error);
    snapshot(backing, "c");
    remove_snapshot(backing, "a");
    backing_check_round(&check, "b");
    remove_snapshot(backing, "b");
    remove_snapshot(backing, "c");
    g_autofree char *file = lab_backing_file(backing, 2000, NULL);
    g_assert_cmpstr(file, ==, "guest.vmdk");
    done(lab_backing_power_off(backing, &error), &error);
    backing_check_round(&check, NULL);
    backing_check_same(&check);
    backing_check_fini(&check);
}

/* Both firmwares come up with the disks alone, and find nothing to start there. */
static void test_firmware(Fixture *fixture, gconstpointer data)
{
    for (guint uefi = 0; fixture->backing != NULL && uefi < 2; uefi++) {
        const LabWriterConfig writer = {.guest = TRUE, .uefi = uefi != 0, .memory_mib = 128, .cpus = 2};
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&fixture->backing, lab_backing_free);
        fixture->backing = lab_backing_open(fixture->directory, disks, G_N_ELEMENTS(disks), &writer, &error);
        g_assert_no_error(error);
        power_on(fixture->backing);
        g_assert_true(lab_backing_is_on(fixture->backing));
        g_assert_cmpuint(lab_backing_written(fixture->backing), ==, 0);
        done(lab_backing_power_off(fixture->backing, &error), &error);
        g_assert_false(lab_backing_is_on(fixture->backing));
    }
}

/* --- the lab is killed --- */

static void run_and_be_killed(void)
{
    Fixture fixture = {.directory = g_strdup(g_getenv("BACKING_DIRECTORY")),
                       .initrd = g_strdup(g_getenv("BACKING_INITRD")),
                       .kernel = find_kernel()};

    fixture.backing = open_backing(&fixture);
    power_on(fixture.backing);
    snapshot(fixture.backing, "a");
    wait_written(fixture.backing, 50 * KIB);
    snapshot(fixture.backing, "b");
    wait_written(fixture.backing, 50 * KIB);
    kill(getpid(), SIGKILL);
}

/* qemu-img refuses a file that a living QEMU has open, and a killed one needs a moment to die. */
static void run_when_unlocked(const char *const *argv)
{
    g_autoptr(Cancel) never = cancel_new();

    for (guint left = 100; left > 0; left--) {
        g_autoptr(GError) error = NULL;

        if (proc_run(argv, NULL, NULL, NULL, &error))
            return;
        g_assert_nonnull(strstr(error->message, "lock"));
        g_clear_error(&error);
        cancel_sleep(never, 50, &error);
    }
    g_assert_not_reached();
}

/* QEMU dies with the lab, and what it had in its overlays is in the flat file afterwards. */
static void test_killed(Fixture *fixture, gconstpointer data)
{
    g_autofree char *expected = g_build_filename(fixture->directory, "expected", NULL);
    g_autofree char *leaf = g_build_filename(fixture->directory, "guest-000002-delta.vmdk", NULL);
    g_autofree char *flat = g_build_filename(fixture->directory, "guest-flat.vmdk", NULL);
    const char *const convert[] = {"qemu-img", "convert", "-f", "qcow2", "-O", "raw", leaf, expected, NULL};
    const char *const compare[] = {"cmp", flat, expected, NULL};

    if (fixture->backing == NULL)
        return;
    g_clear_pointer(&fixture->backing, lab_backing_free);
    g_setenv("BACKING_DIRECTORY", fixture->directory, TRUE);
    g_setenv("BACKING_INITRD", fixture->initrd, TRUE);
    g_test_trap_subprocess("/backing-qemu/killed/subprocess/child", 0, G_TEST_SUBPROCESS_DEFAULT);
    g_assert_false(g_test_trap_has_passed());

    run_when_unlocked(convert);
    fixture->backing = open_backing(fixture);
    run(compare);
    g_assert_false(g_file_test(leaf, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/backing-qemu/migration", Fixture, NULL, set_up, test_migration, tear_down);
    g_test_add("/backing-qemu/chain", Fixture, NULL, set_up, test_chain, tear_down);
    g_test_add("/backing-qemu/firmware", Fixture, NULL, set_up, test_firmware, tear_down);
    g_test_add("/backing-qemu/killed", Fixture, NULL, set_up, test_killed, tear_down);
    g_test_add_func("/backing-qemu/killed/subprocess/child", run_and_be_killed);
    return g_test_run();
}
