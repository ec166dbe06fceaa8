/* Shutting down, failing, cancelling, taking back. */
#include "site.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- shutting down --- */

static void force_when_asked(Json *json, gpointer data)
{
    Site *site = data;

    if (g_strcmp0(json_get_string(json, "required_action"), "shutdown_choice") != 0)
        return;
    g_assert_true(lab_backing_is_on(site->fake->backing));
    g_assert_nonnull(json_get_string(json, "shutdown_reason"));
    site->on_progress = NULL;
    ask(site, "shutdown-force");
}

static void test_guest_does_not_stop(void)
{
    Site *site = warm_site(", shutdown_timeout: 1");

    site->fake->ignores_shutdown = TRUE;
    site->on_progress = force_when_asked;
    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_true(site->awaited);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "shutdown_guest"), ==, 1);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "power_off"), ==, 1);
    site_free(site);
}

static void interrupt_when_asked(Json *json, gpointer data)
{
    Site *site = data;

    if (json_get_string(json, "required_action") != NULL)
        cancel_fire(site->cancel);
}

/* The worker ends while an operator is waited for; the next one goes on waiting. */
static void test_awaiting_again(void)
{
    Site *site = warm_site("");
    g_autoptr(GError) error = NULL;

    site->fake->tools = FALSE;
    site->on_progress = interrupt_when_asked;
    prepare(site);
    run_to_error(site, VF_ERROR_CANCELLED, NULL);
    assert_stage(site, "awaiting_shutdown_action");
    g_assert_true(lab_backing_is_on(site->fake->backing));
    renew_cancel(site);
    site->on_progress = NULL;
    site->awaited = FALSE;
    g_assert_true(lab_backing_power_off(site->fake->backing, &error));
    run_to_end(site);
    prove(site);
    g_assert_true(site->awaited);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "power_off"), ==, 0);
    site_free(site);
}

static void test_force(void)
{
    Site *site = warm_site(", shutdown_mode: force");

    prepare(site);
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "shutdown_guest"), ==, 0);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "power_off"), ==, 1);
    site_free(site);
}

/* --- failures --- */

static void fail_final_round(const char *call, gpointer data)
{
    Site *site = data;

    if (strcmp(call, "changed_areas") == 0 && !lab_backing_is_on(site->fake->backing) && at_call > 0) {
        at_call = 0;
        site->fake->fail_times = 1;
    }
}

/* The final round fails: the source runs again, and a retry goes back to replication and asks again before it
 * cuts over. */
static void test_failed_cutover(void)
{
    Site *site = warm_site("");
    g_autoptr(StoreVm) row = NULL;

    on_call_at(site, "changed_areas", 1, fail_final_round);
    site->fake->fail_call = "changed_areas";
    site->fake->fail_class = VF_ERROR_AUTH;
    prepare(site);
    run_to_error(site, VF_ERROR_AUTH, "was made to fail");
    assert_stage(site, "failed");
    g_assert_true(lab_backing_is_on(site->fake->backing));
    row = row_of(site);
    g_assert_cmpstr(row->failed_stage, ==, "final_sync");
    g_assert_cmpstr(row->error_class, ==, "auth");
    g_assert_false(row->stopped_by_us);
    assert_no_snapshot(site);
    retry(site);
    assert_stage(site, "delta");
    site->ask_after = 0;
    site->ask = "finalize";
    run_to_end(site);
    prove(site);
    site_free(site);
}

static char *description_path(Site *site)
{
    return g_build_filename(site->images, "web_vm-100.xml", NULL);
}

/* Where the domain's description is to be written, something is in the way. */
static void block_import(const char *call, gpointer data)
{
    Site *site = data;
    g_autofree char *path = description_path(site);

    if (strcmp(call, "get_vm") == 0 && at_call > 0 && count_rounds(site, "final", ROUND_CLOSED) > 0) {
        at_call = 0;
        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    }
}

/* The import fails after the last round: the source runs again, so what was copied is out of date. */
static void test_failed_import(void)
{
    Site *site = warm_site("");
    g_autofree char *path = description_path(site);

    on_call_at(site, "get_vm", 1, block_import);
    prepare(site);
    run_to_error(site, VF_ERROR_TARGET_IO, "web_vm-100.xml");
    assert_stage(site, "failed");
    g_assert_true(lab_backing_is_on(site->fake->backing));
    g_assert_cmpint(g_rmdir(path), ==, 0);
    retry(site);
    assert_stage(site, "delta");
    site->ask_after = 0;
    site->ask = "finalize";
    run_to_end(site);
    prove(site);
    g_assert_cmpuint(count_rounds(site, "final", ROUND_CLOSED), ==, 2);
    site_free(site);
}

/* Passing errors are waited out inside the round. */
static void test_patience(void)
{
    Site *site = warm_site("");

    site->fake->fail_call = "open_disk";
    site->fake->fail_times = 2;
    site->fake->fail_class = VF_ERROR_TRANSIENT;
    prepare(site);
    run_to_end(site);
    prove(site);
    site_free(site);
}

static void fail_removal(const char *call, gpointer data)
{
    Site *site = data;

    if (is_time(call))
        site->fake->fail_times = 1;
}

/* A snapshot that resists is tried again, and gone in the end. */
static void test_stubborn_snapshot(void)
{
    Site *site = warm_site("");

    /* Not the one for tracking, without which nothing may go on. */
    on_call_at(site, "remove_snapshot", 2, fail_removal);
    site->fake->fail_call = "remove_snapshot";
    site->fake->fail_class = VF_ERROR_INTERNAL;
    prepare(site);
    run_to_end(site);
    prove(site);
    site_free(site);
}

static void test_cancelled(void)
{
    Site *site = warm_site(", bandwidth: 3M");
    g_autoptr(GError) error = NULL;
    gboolean already = FALSE;

    prepare(site);
    g_assert_true(
        store_request_add(site->desk, site->id, "cancel", "{\"delete_files\":true}", &already, &error));
    run_to_error(site, VF_ERROR_CANCELLED, "on request");
    assert_stage(site, "cancelled");
    assert_no_snapshot(site);
    g_assert_true(lab_backing_is_on(site->fake->backing));
    site_free(site);
}

static void cancel_in_copy(Json *json, gpointer data)
{
    Site *site = data;
    g_autoptr(GError) error = NULL;
    gboolean already = FALSE;

    if (json_get_integer(json, "bytes_done") < (gint64)MIB)
        return;
    site->on_progress = NULL;
    g_assert_true(
        store_request_add(site->desk, site->id, "cancel", "{\"delete_files\":true}", &already, &error));
}

static void test_cancelled_in_copy(void)
{
    Site *site = warm_site(", bandwidth: 3M");
    g_autoptr(GDir) images = NULL;
    const char *name;

    site->on_progress = cancel_in_copy;
    prepare(site);
    run_to_error(site, VF_ERROR_CANCELLED, "on request");
    assert_stage(site, "cancelled");
    assert_no_snapshot(site);
    g_assert_true(lab_backing_is_on(site->fake->backing));
    g_assert_false(site->fake->cbt_enabled);
    images = g_dir_open(site->images, 0, NULL);
    while (images != NULL && (name = g_dir_read_name(images)) != NULL)
        g_assert_false(g_str_has_suffix(name, ".qcow2"));
    site_free(site);
}

static void cancel_while_going_down(Json *json, gpointer data)
{
    Site *site = data;

    if (fake_vsphere_count(site->fake, "shutdown_guest") == 0)
        return;
    site->on_progress = NULL;
    ask(site, "cancel");
}

static void go_off_late(const char *call, gpointer data)
{
    Site *site = data;
    g_autoptr(GError) error = NULL;

    if (fake_vsphere_count(site->fake, "shutdown_guest") > 0 && strcmp(call, "power_state") == 0 &&
        at_call > 0 && --at_call == 0)
        g_assert_true(lab_backing_power_off(site->fake->backing, &error));
}

/* Cancelled while the guest is on its way down: it is waited for and started again, or it would be off in the
 * end. */
static void test_cancelled_while_going_down(void)
{
    Site *site = warm_site("");

    site->fake->ignores_shutdown = TRUE;
    site->on_progress = cancel_while_going_down;
    on_call_at(site, "power_state", 4, go_off_late);
    prepare(site);
    run_to_error(site, VF_ERROR_CANCELLED, "on request");
    assert_stage(site, "cancelled");
    g_assert_cmpuint(at_call, ==, 0);
    g_assert_true(lab_backing_is_on(site->fake->backing));
    assert_no_snapshot(site);
    site_free(site);
}

static void test_rolled_back(void)
{
    Site *site = warm_site("");
    MigrationContext context;
    g_autoptr(GError) error = NULL;

    prepare(site);
    run_to_end(site);
    prove(site);
    context = context_of(site);
    g_assert_true(migration_rollback(&context, site->id, &error));
    assert_stage(site, "rolled_back");
    g_assert_true(lab_backing_is_on(site->fake->backing));
    /* It is over: a new one may begin. */
    prepare(site);
    g_assert_cmpint(site->id, ==, 2);
    site_free(site);
}

/* The source is started behind the worker's back before the import: what it holds is out of date. */
static void start_source(const char *call, gpointer data)
{
    Site *site = data;
    g_autoptr(GError) error = NULL;

    if (strcmp(call, "get_vm") == 0 && at_call > 0 && count_rounds(site, "final", ROUND_CLOSED) > 0) {
        at_call = 0;
        g_assert_true(lab_backing_power_on(site->fake->backing, &error));
    }
}

static void test_source_started_again(void)
{
    Site *site = warm_site("");

    on_call_at(site, "get_vm", 1, start_source);
    prepare(site);
    run_to_error(site, VF_ERROR_CONFLICT, "retry goes back to replication");
    assert_stage(site, "failed");
    retry(site);
    assert_stage(site, "delta");
    site->ask_after = 0;
    site->ask = "finalize";
    run_to_end(site);
    prove(site);
    site_free(site);
}

static void test_verify(void)
{
    Site *site = warm_site("");
    MigrationContext context;
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) report = NULL, deep = NULL;

    prepare(site);
    run_to_end(site);
    prove(site);
    context = context_of(site);
    g_assert_true(migration_verify(&context, site->id, FALSE, &report, &error));
    g_assert_true(json_get_boolean(report, "ok"));
    g_assert_true(migration_verify(&context, site->id, TRUE, &deep, &error));
    g_assert_true(json_get_boolean(deep, "ok"));
    g_assert_no_error(error);
    site_free(site);
}

static void test_blockers(void)
{
    Site *site = warm_site("");

    site->fake->suspended = TRUE;
    prepare(site);
    run_to_error(site, VF_ERROR_CONFLICT, NULL);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "create_snapshot"), ==, 0);
    g_assert_cmpuint(fake_vsphere_count(site->fake, "tracking_on"), ==, 0);
    site_free(site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker/guest-does-not-stop", test_guest_does_not_stop);
    g_test_add_func("/worker/awaiting-again", test_awaiting_again);
    g_test_add_func("/worker/force", test_force);
    g_test_add_func("/worker/failed-cutover", test_failed_cutover);
    g_test_add_func("/worker/failed-import", test_failed_import);
    g_test_add_func("/worker/patience", test_patience);
    g_test_add_func("/worker/stubborn-snapshot", test_stubborn_snapshot);
    g_test_add_func("/worker/cancelled", test_cancelled);
    g_test_add_func("/worker/cancelled-in-copy", test_cancelled_in_copy);
    g_test_add_func("/worker/cancelled-while-going-down", test_cancelled_while_going_down);
    g_test_add_func("/worker/rolled-back", test_rolled_back);
    g_test_add_func("/worker/source-started-again", test_source_started_again);
    g_test_add_func("/worker/verify", test_verify);
    g_test_add_func("/worker/blockers", test_blockers);
    return g_test_run();
}
