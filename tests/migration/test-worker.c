/* The worker from the first byte to the last, undisturbed and interrupted. */
#include "site.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"

#include <string.h>

/* --- the straight way --- */

static void test_warm(void)
{
    Site *site = warm_site("");
    g_autoptr(StoreVm) row = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) open = NULL;

    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_rounds(site, "base", ROUND_CLOSED), ==, 1);
    g_assert_cmpuint(count_rounds(site, "delta", ROUND_CLOSED), >=, 1);
    g_assert_cmpuint(count_rounds(site, "last-warm", ROUND_CLOSED), ==, 1);
    g_assert_cmpuint(count_rounds(site, "final", ROUND_CLOSED), ==, 1);
    /* No snapshot of the final round: one for tracking, and one per warm round. */
    g_assert_cmpuint(fake_vsphere_count(site->fake, "create_snapshot"), ==,
                     fake_vsphere_count(site->fake, "remove_snapshot"));
    g_assert_cmpuint(fake_vsphere_count(site->fake, "power_off"), ==, 0);
    row = row_of(site);
    g_assert_true(row->was_running && row->stopped_by_us && row->cbt_by_us);
    g_assert_nonnull(strstr(row->progress, "\"final_round\":"));
    open = store_request_open(site->desk, site->id, &error);
    g_assert_cmpuint(open->len, ==, 0);
    /* Once more is nothing more. */
    run_to_end(site);
    site_free(site);
}

static void test_cold(void)
{
    Site *site = site_new(two_disks, G_N_ELEMENTS(two_disks), &busy, FALSE, "");

    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "create_snapshot"), ==, 0);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "tracking_on"), ==, 0);
    g_assert_cmpuint(rounds_of(site)->len, ==, 1);
    site_free(site);
}

/* Asked for in the base copy: a delta apart, the last warm round, the final one. */
static void test_finalize_at_once(void)
{
    Site *site = warm_site("");

    prepare(site);
    site->ask = NULL;
    ask(site, "finalize");
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_rounds(site, "delta", ROUND_CLOSED), ==, 1);
    site_free(site);
}

static void test_finalize_now_ends_a_wait(void)
{
    Site *site = warm_site(", delta_interval: 600");
    double begun = clock_monotonic();

    site->ask_after = 1;
    site->ask = "finalize-now";
    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpfloat(clock_monotonic() - begun, <, 60);
    site_free(site);
}

static void test_max_downtime(void)
{
    Site *site = warm_site(", max_downtime: 3600");

    site->ask = NULL;
    prepare(site);
    run_to_end(site);
    prove(site);
    site_free(site);
}

/* --- interrupted --- */

static Site *slow_site(void)
{
    Site *site = warm_site(", bandwidth: 3M, readers: 1");

    site->interrupt_at = 4 * MIB;
    prepare(site);
    run_to_error(site, VF_ERROR_CANCELLED, NULL);
    assert_stage(site, "base_copy");
    renew_cancel(site);
    write_spec(site, "");
    prepare(site);
    return site;
}

/* The snapshot is still there: the base copy goes on inside its disks. */
static void test_interrupted(void)
{
    Site *site = slow_site();

    g_assert_cmpuint(site->fake->snapshots->len, ==, 1);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_rounds(site, "base", ROUND_CLOSED), ==, 1);
    g_assert_cmpuint(count_rounds(site, "base", ROUND_ABANDONED), ==, 0);
    site_free(site);
}

/* The snapshot is gone: the rest, and what changed since, from a new one. */
static void test_interrupted_and_cleaned(void)
{
    Site *site = slow_site();
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup(g_ptr_array_index(site->fake->snapshots, 0));

    g_assert_true(vsphere_remove_snapshot(NULL, name, &error));
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_rounds(site, "base", ROUND_CLOSED), ==, 1);
    g_assert_cmpuint(count_rounds(site, "base", ROUND_ABANDONED), ==, 1);
    g_assert_cmpuint(count_mode(site, "2000", ROUND_MODE_FULL), ==, 1);
    site_free(site);
}

/* The snapshot is gone and tracking was reset: what was copied cannot be trusted. */
static void test_interrupted_and_reset(void)
{
    Site *site = slow_site();
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup(g_ptr_array_index(site->fake->snapshots, 0));

    g_assert_true(vsphere_remove_snapshot(NULL, name, &error));
    g_assert_true(lab_backing_reset_tracking(site->fake->backing, 2000, &error));
    run_to_end(site);
    prove(site);
    g_assert_true(was_said(site, "disk 2000 is copied anew: its change tracking was started anew"));
    g_assert_false(was_said(site, "disk 2016 is copied anew"));
    site_free(site);
}

static void start_and_stop(Site *site)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(lab_backing_power_on(site->fake->backing, &error));
    g_usleep(300000);
    g_assert_true(lab_backing_power_off(site->fake->backing, &error));
}

/* A VM that is off was on while nobody looked: nothing that was read before counts. */
static void test_cold_interrupted_and_run(void)
{
    Site *site = site_new(two_disks, G_N_ELEMENTS(two_disks), &busy, FALSE, ", bandwidth: 3M, readers: 1");

    site->interrupt_at = 4 * MIB;
    prepare(site);
    run_to_error(site, VF_ERROR_CANCELLED, NULL);
    renew_cancel(site);
    start_and_stop(site);
    write_spec(site, "");
    prepare(site);
    run_to_end(site);
    prove(site);
    site_free(site);
}

static void test_renamed(void)
{
    Site *site = slow_site();
    g_autoptr(StoreVm) row = NULL;

    site->fake->name = "web / new";
    run_to_end(site);
    prove(site);
    row = row_of(site);
    g_assert_cmpstr(row->name, ==, "web / new");
    site_free(site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker/warm", test_warm);
    g_test_add_func("/worker/cold", test_cold);
    g_test_add_func("/worker/finalize-at-once", test_finalize_at_once);
    g_test_add_func("/worker/finalize-now-ends-a-wait", test_finalize_now_ends_a_wait);
    g_test_add_func("/worker/max-downtime", test_max_downtime);
    g_test_add_func("/worker/interrupted", test_interrupted);
    g_test_add_func("/worker/interrupted-and-cleaned", test_interrupted_and_cleaned);
    g_test_add_func("/worker/interrupted-and-reset", test_interrupted_and_reset);
    g_test_add_func("/worker/cold-interrupted-and-run", test_cold_interrupted_and_run);
    g_test_add_func("/worker/renamed", test_renamed);
    return g_test_run();
}
