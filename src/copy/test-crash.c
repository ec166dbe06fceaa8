/* The copy is killed at each of its crash points and run again from what was committed: the result must be
 * right, and verified, whatever a kill has left behind.
 */
#include "copy/copy.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"
#include "copy/testing.h"
#include "copy/verify.h"
#include "disk/memory.h"
#include "disk/qcow2.h"

#define SIZE (24 * MIB + 512)

typedef struct {
    char *folder;
    char *target, *sums, *done; /* paths */
} Place;

static Place place_at(const char *folder)
{
    return (Place){
        .folder = g_strdup(folder),
        .target = g_build_filename(folder, "disk.qcow2", NULL),
        .sums = g_build_filename(folder, "disk.sums", NULL),
        .done = g_build_filename(folder, "done", NULL),
    };
}

static void place_clear(Place *place)
{
    g_free(place->folder);
    g_free(place->target);
    g_free(place->sums);
    g_free(place->done);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static gboolean commit(const Extents *done, gpointer data, GError **error)
{
    g_autoptr(GBytes) bytes = extents_to_bytes(done);
    gsize length;
    const void *contents = g_bytes_get_data(bytes, &length);

    return io_write_file(((Place *)data)->done, contents, length, 0600, error);
}

static Extents *committed(const Place *place)
{
    g_autofree char *bytes = NULL;
    g_autoptr(GError) error = NULL;
    Extents *done;
    gsize length;

    if (!g_file_get_contents(place->done, &bytes, &length, NULL))
        return NULL;
    done = extents_from_bytes(bytes, length, &error);
    g_assert_no_error(error);
    return done;
}

static Disk *open_target(const Place *place)
{
    gboolean made = g_file_test(place->target, G_FILE_TEST_EXISTS);
    g_autoptr(GError) error = NULL;
    Bytes *bytes = bytes_open_file(place->target, made ? BYTES_WRITE : BYTES_WRITE | BYTES_CREATE, &error);
    Disk *disk;

    g_assert_no_error(error);
    disk = made ? qcow2_open(bytes, &error) : qcow2_create(bytes, SIZE, NULL, &error);
    g_assert_no_error(error);
    return disk;
}

/* Copies a source that is made of `seed`, from where an earlier run has stopped, at `rate` bytes per second.
 */
static void copy_here(Place *place, guint32 seed, gboolean compare, guint64 rate)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) source = pattern_disk_new("source", SIZE, seed, 70);
    g_autoptr(Sums) sums = sums_open(place->sums, SIZE, &error);
    g_autoptr(CopyPlan) plan = copy_plan_full(source, NULL, &error);
    g_autoptr(Extents) done = committed(place);
    g_autoptr(RateLimit) limit = rate_limit_new(rate);
    CopyOptions options = {.threads = 2, .chunk = 4 * SUMS_BLOCK_SIZE, .checkpoint_ms = 20, .limit = limit};
    g_auto(VerifyReport) report = {0};
    Disk *target = open_target(place);
    CopyJob job = {.source = source,
                   .target = target,
                   .plan = plan,
                   .done = done,
                   .sums = sums,
                   .fresh_target = !compare,
                   .compare = compare,
                   .checkpoint = commit,
                   .data = place};
    VerifyJob check = {.target = target, .sums = sums, .source = source};

    g_assert_no_error(error);
    copy_run(&job, 1, &options, &error);
    g_assert_no_error(error);
    g_assert_true(sums_settled(sums));
    assert_same_contents(source, target, NULL);
    verify_run(&check, &report, &error);
    g_assert_no_error(error);
    g_assert_true(disk_close(target, &error));
}

static void run_in_child(const char *folder, const char *point, guint32 seed, gboolean compare)
{
    g_autofree char *seed_text = g_strdup_printf("%u", seed);

    g_setenv("VMFERRY_TEST_FOLDER", folder, TRUE);
    g_setenv("VMFERRY_TEST_SEED", seed_text, TRUE);
    g_setenv("VMFERRY_TEST_COMPARE", compare ? "1" : "0", TRUE);
    g_setenv("VMFERRY_CRASH_AT", point, TRUE);
    g_test_trap_subprocess("/crash/child", 0, G_TEST_SUBPROCESS_DEFAULT);
    g_unsetenv("VMFERRY_CRASH_AT");
    g_assert_false(g_test_trap_has_passed());
}

static void test_child(void)
{
    const char *folder = g_getenv("VMFERRY_TEST_FOLDER");
    g_auto(Place) place = {0};

    if (!g_test_subprocess())
        return;
    place = place_at(folder);
    /* Slow enough to meet the fourth checkpoint, also where a sync takes half a second. */
    copy_here(&place, (guint32)g_ascii_strtoull(g_getenv("VMFERRY_TEST_SEED"), NULL, 10),
              strcmp(g_getenv("VMFERRY_TEST_COMPARE"), "1") == 0, 4 * MIB);
}

/* A base copy is killed and resumed; then another state of the source is copied by comparing, killed, and the
 * source goes back to its first state before it is resumed: no sum of the killed run may be believed. */
static void test_killed_at(gconstpointer data)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-crash-XXXXXX", NULL);
    g_auto(Place) place = place_at(folder);

    run_in_child(folder, data, 1, FALSE);
    copy_here(&place, 1, FALSE, 0);

    g_unlink(place.done);
    run_in_child(folder, data, 2, TRUE);
    g_unlink(place.done);
    copy_here(&place, 1, TRUE, 0);

    g_unlink(place.done);
    g_unlink(place.sums);
    g_unlink(place.target);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    static const char *const points[] = {
        "copy.first-write", "copy.mid",           "copy.before-flush",         "copy.sums-synced",
        "copy.flushed",     "copy.sums-synced:3", "copy.checkpoint-committed", "copy.checkpoint-committed:4"};

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crash/child", test_child);
    for (guint i = 0; i < G_N_ELEMENTS(points); i++) {
        g_autofree char *name = g_strdup_printf("/crash/%s", points[i]);

        g_test_add_data_func(name, points[i], test_killed_at);
    }
    return g_test_run();
}
