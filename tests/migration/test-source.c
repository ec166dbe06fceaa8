/* A source that is not what it was: the worker notices, and does not guess. */
#include "site.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"

#include <string.h>

/* --- a source that is not what it was --- */

/* The first snapshot is for tracking, the second for the base copy: the third is the first delta's. */
#define FIRST_DELTA 3

static void reset_tracking(const char *call, gpointer data)
{
    Site *site = data;
    g_autoptr(GError) error = NULL;

    if (is_time(call))
        g_assert_true(lab_backing_reset_tracking(site->fake->backing, 2000, &error));
}

static void test_reset(void)
{
    Site *site = warm_site("");

    on_call_at(site, "create_snapshot", FIRST_DELTA, reset_tracking);
    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_mode(site, "2000", ROUND_MODE_COMPARE), ==, 1);
    g_assert_cmpuint(count_mode(site, "2016", ROUND_MODE_COMPARE), ==, 0);
    site_free(site);
}

static void grow(const char *call, gpointer data)
{
    Site *site = data;
    g_autoptr(GError) error = NULL;

    if (is_time(call))
        g_assert_true(lab_backing_resize(site->fake->backing, 2000, 14 * MIB, &error));
}

static void test_resized(void)
{
    Site *site = warm_site("");

    on_call_at(site, "create_snapshot", FIRST_DELTA, grow);
    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_mode(site, "2000", ROUND_MODE_COMPARE), ==, 1);
    site_free(site);
}

static void lie(const char *call, gpointer data)
{
    Site *site = data;

    if (is_time(call))
        site->fake->lies = TRUE;
}

/* vSphere says that nothing changed, always: the blocks that are looked at say otherwise. */
static void test_lies(void)
{
    static const LabWriterConfig everywhere = {.write_rate = 24 * MIB, .block = 65536, .seed = 3};
    Site *site = site_new(two_disks, 1, &everywhere, TRUE, "");

    site->ask_after = 2;
    site->ask = "finalize";
    on_call_at(site, "create_snapshot", FIRST_DELTA, lie);
    prepare(site);
    run_to_end(site);
    prove(site);
    /* Caught once, it is not believed again: not in the last round either, where few blocks are looked at. */
    g_assert_cmpuint(count_mode(site, "2000", ROUND_MODE_CHANGED), ==, 0);
    g_assert_cmpuint(count_mode(site, "2000", ROUND_MODE_COMPARE), >=, 3);
    site_free(site);
}

/* The disk set of the source changes: nobody is switched off, and nothing is lost in silence. */
static void add_disk(const char *call, gpointer data)
{
    static const LabDiskConfig more = {.key = 2001, .name = "late", .size = MIB};
    Site *site = data;
    g_autoptr(GError) error = NULL;

    if (!is_time(call))
        return;
    g_assert_true(lab_backing_add_disk(site->fake->backing, &more, &error));
    site->fake->disks[site->fake->n_disks++] = more;
}

static void test_disk_added(void)
{
    Site *site = warm_site("");

    on_call_at(site, "create_snapshot", FIRST_DELTA, add_disk);
    prepare(site);
    run_to_error(site, VF_ERROR_CONFLICT, "disk 2001");
    assert_stage(site, "failed");
    g_assert_true(lab_backing_is_on(site->fake->backing));
    assert_no_snapshot(site);
    site_free(site);
}

static void test_untracked(void)
{
    Site *site = warm_site("");

    site->fake->untracked_key = 2016;
    prepare(site);
    run_to_error(site, VF_ERROR_UNSUPPORTED, "disk 2016");
    assert_no_snapshot(site);
    write_spec(site, ", allow_full_reread: true");
    prepare(site);
    retry(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_mode(site, "2016", ROUND_MODE_COMPARE), >=, 2);
    g_assert_cmpuint(count_mode(site, "2000", ROUND_MODE_COMPARE), ==, 0);
    site_free(site);
}

static void test_consolidation_and_quiesce(void)
{
    Site *site = warm_site("");

    site->fake->consolidation_needed = TRUE;
    site->fake->cannot_quiesce = TRUE;
    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "consolidate"), ==, 1);
    site_free(site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker/reset", test_reset);
    g_test_add_func("/worker/resized", test_resized);
    g_test_add_func("/worker/lies", test_lies);
    g_test_add_func("/worker/disk-added", test_disk_added);
    g_test_add_func("/worker/untracked", test_untracked);
    g_test_add_func("/worker/consolidation-and-quiesce", test_consolidation_and_quiesce);
    return g_test_run();
}
