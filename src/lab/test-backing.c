#include "lab/backing.h"

#include "base/cancel.h"
#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "lab/backing-check.h"
#include "lab/delta.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const LabDiskConfig two_disks[] = {
    {.key = 2000, .name = "web", .size = 8 * MIB, .fill_percent = 50},
    {.key = 2001, .name = "web_1", .size = 3 * MIB + 512},
};

static const LabWriterConfig busy = {.write_rate = 20 * MIB, .seed = 7};

typedef struct {
    char *directory;
    LabBacking *backing;
} Fixture;

static LabBacking *open_backing(const char *directory, const LabWriterConfig *writer)
{
    g_autoptr(GError) error = NULL;
    LabBacking *backing = lab_backing_open(directory, two_disks, G_N_ELEMENTS(two_disks), writer, &error);

    g_assert_no_error(error);
    return backing;
}

static void set_up(Fixture *fixture, gconstpointer writer)
{
    fixture->directory = g_dir_make_tmp("backing-XXXXXX", NULL);
    fixture->backing = open_backing(fixture->directory, writer);
}

static void tear_down(Fixture *fixture, gconstpointer writer)
{
    const char *const remove[] = {"rm", "-r", fixture->directory, NULL};
    g_autoptr(GError) error = NULL;

    lab_backing_free(fixture->backing);
    g_assert_true(proc_run(remove, NULL, NULL, NULL, &error));
    g_free(fixture->directory);
}

static void do_ok(gboolean ok, GError **error)
{
    g_assert_no_error(*error);
    g_assert_true(ok);
}

static void power_on(LabBacking *backing)
{
    g_autoptr(GError) error = NULL;

    do_ok(lab_backing_power_on(backing, &error), &error);
}

static void power_off(LabBacking *backing)
{
    g_autoptr(GError) error = NULL;

    do_ok(lab_backing_power_off(backing, &error), &error);
}

static void snapshot(LabBacking *backing, const char *id)
{
    g_autoptr(GError) error = NULL;

    do_ok(lab_backing_snapshot(backing, id, FALSE, &error), &error);
}

static void remove_snapshot(LabBacking *backing, const char *id)
{
    g_autoptr(GError) error = NULL;

    do_ok(lab_backing_remove_snapshot(backing, id, &error), &error);
}

static void assert_file(LabBacking *backing, const char *id, const char *expected)
{
    g_autofree char *file = lab_backing_file(backing, 2000, id);

    g_assert_cmpstr(file, ==, expected);
}

static gboolean exists(const Fixture *fixture, const char *file)
{
    g_autofree char *path = g_build_filename(fixture->directory, file, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Until the writer has written `bytes` more. */
static void wait_written(LabBacking *backing, guint64 bytes)
{
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;
    guint64 goal = lab_backing_written(backing) + bytes;

    while (lab_backing_written(backing) < goal)
        cancel_sleep(never, 2, &error);
}

/* --- a whole migration --- */

static void warm_rounds(Fixture *fixture, BackingCheck *checks)
{
    for (guint round = 0; round < 6; round++) {
        g_autofree char *id = g_strdup_printf("snapshot-%u", round);

        wait_written(fixture->backing, 200 * KIB);
        snapshot(fixture->backing, id);
        assert_file(fixture->backing, id, "web.vmdk");
        assert_file(fixture->backing, NULL, "web-000001.vmdk");
        wait_written(fixture->backing, 100 * KIB);
        backing_check_round(&checks[0], id);
        backing_check_round(&checks[1], id);
        remove_snapshot(fixture->backing, id);
        g_assert_false(exists(fixture, "web-000001.vmdk"));
        g_assert_false(exists(fixture, "web-000001-delta.vmdk"));
    }
}

static void test_migration(Fixture *fixture, gconstpointer writer)
{
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;
    BackingCheck checks[2];

    backing_check_init(&checks[0], fixture->backing, fixture->directory, 2000);
    backing_check_init(&checks[1], fixture->backing, fixture->directory, 2001);
    lab_backing_set_tracking(fixture->backing, TRUE);
    power_on(fixture->backing);
    warm_rounds(fixture, checks);

    do_ok(lab_backing_shutdown(fixture->backing, &error), &error);
    while (lab_backing_is_on(fixture->backing))
        cancel_sleep(never, 2, &error);
    for (guint i = 0; i < 2; i++) {
        backing_check_round(&checks[i], NULL);
        g_assert_cmpuint(checks[i].last_read, >, 0);
        backing_check_same(&checks[i]);
        backing_check_fini(&checks[i]);
    }
}

/* --- snapshots --- */

static void check_chain_files(LabBacking *backing)
{
    assert_file(backing, "a", "web.vmdk");
    assert_file(backing, "b", "web-000001.vmdk");
    assert_file(backing, NULL, "web-000002.vmdk");
    g_assert_false(lab_backing_locked(backing, "web-flat.vmdk"));
    g_assert_false(lab_backing_locked(backing, "web-000001-delta.vmdk"));
    g_assert_true(lab_backing_locked(backing, "web-000002-delta.vmdk"));
    g_assert_false(lab_backing_locked(backing, "web-000002.vmdk"));
}

/* Foreign snapshots around ours: whichever goes first, the leaf keeps what was written and ids stay good. */
static void test_chain(Fixture *fixture, gconstpointer writer)
{
    LabBacking *backing = fixture->backing;
    BackingCheck check;

    lab_backing_set_tracking(backing, TRUE);
    power_on(backing);
    backing_check_init(&check, backing, fixture->directory, 2000);
    snapshot(backing, "a");
    backing_check_round(&check, "a");
    wait_written(backing, 100 * KIB);
    snapshot(backing, "b");
    wait_written(backing, 100 * KIB);
    check_chain_files(backing);

    remove_snapshot(backing, "a");
    assert_file(backing, "b", "web.vmdk");
    assert_file(backing, NULL, "web-000002.vmdk");
    backing_check_round(&check, "b");
    snapshot(backing, "c");
    wait_written(backing, 100 * KIB);
    assert_file(backing, "c", "web-000002.vmdk");
    remove_snapshot(backing, "c");
    assert_file(backing, NULL, "web-000002.vmdk");
    remove_snapshot(backing, "b");
    assert_file(backing, NULL, "web.vmdk");
    g_assert_true(lab_backing_locked(backing, "web-flat.vmdk"));
    power_off(backing);
    g_assert_false(lab_backing_locked(backing, "web-flat.vmdk"));
    backing_check_round(&check, NULL);
    backing_check_same(&check);
    backing_check_fini(&check);
}

static void test_snapshot_off(Fixture *fixture, gconstpointer writer)
{
    LabBacking *backing = fixture->backing;
    BackingCheck check;

    lab_backing_set_tracking(backing, TRUE);
    power_on(backing);
    backing_check_init(&check, backing, fixture->directory, 2000);
    snapshot(backing, "a");
    backing_check_round(&check, "a");
    remove_snapshot(backing, "a");
    wait_written(backing, 100 * KIB);
    power_off(backing);
    snapshot(backing, "off");
    backing_check_round(&check, "off");
    g_assert_cmpuint(check.last_read, >, 0);
    power_on(backing);
    wait_written(backing, 100 * KIB);
    power_off(backing);
    remove_snapshot(backing, "off");
    backing_check_round(&check, NULL);
    backing_check_same(&check);
    backing_check_fini(&check);
}

static void test_refused(Fixture *fixture, gconstpointer writer)
{
    LabBacking *backing = fixture->backing;
    LabDiskConfig outside = {.key = 2002, .name = "../x", .size = MIB};
    g_autoptr(GError) error = NULL;

    g_assert_false(lab_backing_power_off(backing, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    snapshot(backing, "a");
    g_assert_false(lab_backing_snapshot(backing, "a", FALSE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(lab_backing_remove_snapshot(backing, "b", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(lab_backing_resize(backing, 2000, 16 * MIB, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(lab_backing_add_disk(backing, &outside, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

/* --- tracking --- */

static void test_tracking_cycle(Fixture *fixture, gconstpointer writer)
{
    LabBacking *backing = fixture->backing;
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;

    power_on(backing);
    lab_backing_set_tracking(backing, TRUE);
    g_assert_null(lab_backing_change_id(backing, 2000, NULL));
    snapshot(backing, "a");
    g_assert_null(lab_backing_change_id(backing, 2000, "a"));
    g_assert_false(lab_backing_changed(backing, 2000, "a", "*", areas, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    remove_snapshot(backing, "a");
    snapshot(backing, "b");
    g_autofree char *id = lab_backing_change_id(backing, 2000, "b");
    g_assert_nonnull(id);
    lab_backing_set_tracking(backing, FALSE);
    g_assert_null(lab_backing_change_id(backing, 2000, NULL));
}

static void assert_unknown(LabBacking *backing, const char *snapshot_id, const char *change_id)
{
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;

    g_assert_false(lab_backing_changed(backing, 2000, snapshot_id, change_id, areas, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_generations(Fixture *fixture, gconstpointer writer)
{
    LabBacking *backing = fixture->backing;
    g_autoptr(GError) error = NULL;

    lab_backing_set_tracking(backing, TRUE);
    power_on(backing);
    snapshot(backing, "a");
    g_autofree char *old = lab_backing_change_id(backing, 2000, "a");
    do_ok(lab_backing_reset_tracking(backing, 2000, &error), &error);
    snapshot(backing, "b");
    g_autofree char *new = lab_backing_change_id(backing, 2000, "b");
    g_assert_cmpstr(old, !=, new);
    assert_unknown(backing, "b", old);
    assert_unknown(backing, "a", new);
    assert_unknown(backing, "b", "rubbish");
    assert_unknown(backing, "b", "52 00/1");

    remove_snapshot(backing, "a");
    remove_snapshot(backing, "b");
    do_ok(lab_backing_resize(backing, 2000, 9 * MIB, &error), &error);
    g_assert_cmpuint(lab_backing_size(backing, 2000), ==, 9 * MIB);
    snapshot(backing, "c");
    assert_unknown(backing, "c", new);
}

/* --- disks --- */

static void test_hot_add(Fixture *fixture, gconstpointer writer)
{
    LabBacking *backing = fixture->backing;
    LabDiskConfig third = {.key = 2002, .name = "web_2", .size = MIB};
    g_autoptr(GError) error = NULL;

    power_on(backing);
    snapshot(backing, "a");
    do_ok(lab_backing_add_disk(backing, &third, &error), &error);
    g_assert_null(lab_backing_file(backing, 2002, "a"));
    wait_written(backing, 100 * KIB);
    snapshot(backing, "b");
    g_autofree char *file = lab_backing_file(backing, 2002, "b");
    g_assert_cmpstr(file, ==, "web_2.vmdk");
    remove_snapshot(backing, "a");
    remove_snapshot(backing, "b");
}

static char *flat_sum(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, "web-flat.vmdk", NULL);
    g_autofree char *contents = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &contents, &length, NULL));
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)contents, length);
}

/* The same seed makes the same disk, another seed another one. */
static void test_deterministic(Fixture *fixture, gconstpointer writer)
{
    LabWriterConfig other = busy;
    Fixture same, different;

    other.seed = 8;
    set_up(&same, &busy);
    set_up(&different, &other);
    g_autofree char *sum = flat_sum(fixture->directory);
    g_autofree char *same_sum = flat_sum(same.directory);
    g_autofree char *different_sum = flat_sum(different.directory);
    g_assert_cmpstr(sum, ==, same_sum);
    g_assert_cmpstr(sum, !=, different_sum);
    tear_down(&same, NULL);
    tear_down(&different, NULL);
}

static void test_image(void)
{
    Fixture fixture = {.directory = g_dir_make_tmp("backing-XXXXXX", NULL)};
    g_autofree char *image = g_build_filename(fixture.directory, "image", NULL);
    LabDiskConfig disk = {.key = 2000, .name = "x", .size = 2 * MIB, .image = image};
    g_autofree char *path = g_build_filename(fixture.directory, "x-flat.vmdk", NULL);
    g_autofree char *contents = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;

    g_assert_true(g_file_set_contents(image, "hello", 5, &error));
    fixture.backing = lab_backing_open(fixture.directory, &disk, 1, &busy, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(path, &contents, &length, &error));
    g_assert_cmpuint(length, ==, 2 * MIB);
    g_assert_cmpmem(contents, 6, "hello", 6);
    tear_down(&fixture, NULL);
}

/* --- the lab is killed --- */

/* What a chain means: the flat file under its deltas, the leaf last. */
static char *expected_contents(const char *directory, const char *const *deltas)
{
    g_autofree char *path = g_build_filename(directory, "web-flat.vmdk", NULL);
    char *contents;
    gsize length;

    g_assert_true(g_file_get_contents(path, &contents, &length, NULL));
    for (; *deltas != NULL; deltas++) {
        g_autofree char *delta_path = g_build_filename(directory, *deltas, NULL);
        g_autofree char *data = NULL;
        g_autoptr(Extents) areas = extents_new();
        g_autoptr(Delta) delta = delta_open(delta_path, NULL);

        g_assert_nonnull(delta);
        delta_allocated(delta, areas);
        g_assert_cmpuint(extents_total(areas), >, 0);
        g_assert_true(g_file_get_contents(delta_path, &data, &length, NULL));
        for (guint i = 0; i < extents_count(areas); i++) {
            Extent extent = extents_get(areas, i);

            memcpy(contents + extent.start, data + extent.start, extent.end - extent.start);
        }
    }
    return contents;
}

/* A child that is killed while it writes on the second delta of a chain. */
static void run_and_be_killed(const char *directory)
{
    LabBacking *backing = open_backing(directory, &busy);

    lab_backing_set_tracking(backing, TRUE);
    power_on(backing);
    snapshot(backing, "a");
    wait_written(backing, MIB);
    snapshot(backing, "b");
    wait_written(backing, MIB);
    kill(getpid(), SIGKILL);
}

static void test_killed(void)
{
    static const char *const deltas[] = {"web-000001-delta.vmdk", "web-000002-delta.vmdk", NULL};

    if (g_test_subprocess()) {
        run_and_be_killed(g_getenv("BACKING_DIRECTORY"));
        return;
    }
    Fixture fixture = {.directory = g_dir_make_tmp("backing-XXXXXX", NULL)};
    g_setenv("BACKING_DIRECTORY", fixture.directory, TRUE);
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_assert_false(g_test_trap_has_passed());

    g_autofree char *expected = expected_contents(fixture.directory, deltas);
    g_autofree char *path = g_build_filename(fixture.directory, "web-flat.vmdk", NULL);
    g_autofree char *contents = NULL;
    gsize length;

    fixture.backing = open_backing(fixture.directory, &busy);
    g_assert_true(g_file_get_contents(path, &contents, &length, NULL));
    g_assert_cmpint(memcmp(contents, expected, length), ==, 0);
    assert_file(fixture.backing, NULL, "web.vmdk");
    g_assert_false(exists(&fixture, "web-000001-delta.vmdk"));
    g_assert_false(exists(&fixture, "web-000002-delta.vmdk.map"));
    g_assert_false(exists(&fixture, "web-000002.vmdk"));
    tear_down(&fixture, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define WITH(path, function) g_test_add(path, Fixture, &busy, set_up, function, tear_down)
    WITH("/backing/migration", test_migration);
    WITH("/backing/chain", test_chain);
    WITH("/backing/snapshot-off", test_snapshot_off);
    WITH("/backing/refused", test_refused);
    WITH("/backing/tracking-cycle", test_tracking_cycle);
    WITH("/backing/generations", test_generations);
    WITH("/backing/hot-add", test_hot_add);
    WITH("/backing/deterministic", test_deterministic);
    g_test_add_func("/backing/image", test_image);
    g_test_add_func("/backing/killed", test_killed);
    return g_test_run();
}
