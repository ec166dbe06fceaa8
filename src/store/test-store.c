#include "store/store.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "store/test-help.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static void test_vm(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autoptr(StoreVm) vm = store_vm_get(store, id, &error);
    g_autoptr(StoreVm) back = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(vm->name, ==, "web");
    g_assert_cmpstr(vm->server, ==, "vc:443");
    g_assert_cmpstr(vm->moref, ==, "vm-1");
    g_assert_cmpstr(vm->stage, ==, "init");
    g_assert_null(vm->error);
    g_assert_null(vm->progress);
    g_assert_cmpint(ABS(vm->created - clock_now()), <, 60 * G_USEC_PER_SEC);

    g_free(vm->stage);
    vm->stage = g_strdup("failed");
    vm->failed_stage = g_strdup("delta");
    vm->error = g_strdup("no \"space\" left; it's full");
    vm->error_class = g_strdup("target-io");
    vm->machine = g_strdup("{}");
    vm->progress = g_strdup("{\"percent\":3}");
    vm->was_running = vm->stopped_by_us = vm->cbt_by_us = TRUE;
    g_assert_true(store_vm_update(store, vm, &error));
    g_assert_no_error(error);
    back = store_vm_get(store, id, &error);
    g_assert_cmpstr(back->failed_stage, ==, "delta");
    g_assert_cmpstr(back->error, ==, vm->error);
    g_assert_cmpstr(back->progress, ==, "{\"percent\":3}");
    g_assert_true(back->was_running && back->stopped_by_us && back->cbt_by_us);
    g_assert_cmpint(back->created, ==, vm->created);
    g_assert_cmpint(back->updated, >=, vm->updated);
}

static void test_vm_identity(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 first = make_vm(store, "vm-1");
    gint64 other = make_vm(store, "vm-2");
    const StoreVm again = {.name = (char *)"web",
                           .server = (char *)"vc:443",
                           .instance_uuid = (char *)"uuid",
                           .moref = (char *)"vm-1",
                           .stage = (char *)"init",
                           .spec = (char *)"{}"};
    g_autoptr(GError) error = NULL;
    gint64 second = -7;

    g_assert_cmpint(first, !=, other);
    g_assert_false(store_vm_create(store, &again, &second, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_cmpint(second, ==, -7);
    g_clear_error(&error);

    g_assert_true(store_vm_set_stage(store, first, "init", "cancelled", &error));
    g_assert_true(store_vm_create(store, &again, &second, &error));
    g_assert_no_error(error);

    g_autoptr(StoreVm) found = store_vm_find(store, "vc:443", "uuid", "vm-1", &error);
    g_assert_cmpint(found->id, ==, second);
    g_assert_null(store_vm_find(store, "vc:443", "uuid", "vm-9", &error));
    g_assert_null(store_vm_find(store, "vc:443", NULL, "vm-1", &error));
    g_assert_no_error(error);

    g_autoptr(GPtrArray) all = store_vm_list(store, &error);
    g_assert_cmpuint(all->len, ==, 3);
    g_assert_cmpint(((StoreVm *)all->pdata[0])->id, ==, second);
    g_assert_cmpint(((StoreVm *)all->pdata[2])->id, ==, first);
}

static void test_vm_missing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(store_vm_get(fixture->store, 77, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(store_vm_delete(fixture->store, 77, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(store_vm_set_stage(fixture->store, 77, "init", "delta", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(store_vm_set_progress(fixture->store, 77, "{}", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(store_event_add(fixture->store, 77, "info", "stage", "x", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_stage(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) events = NULL;

    g_assert_true(store_vm_set_stage(store, id, "init", "base_copy", &error));
    g_assert_false(store_vm_set_stage(store, id, "init", "delta", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "base_copy"));
    g_clear_error(&error);
    events = store_event_list(store, id, 0, 100, &error);
    g_assert_cmpuint(events->len, ==, 1);
    g_assert_cmpstr(((StoreEvent *)events->pdata[0])->kind, ==, "stage");
    g_assert_cmpstr(((StoreEvent *)events->pdata[0])->text, ==, "init -> base_copy");
}

static void test_progress(Fixture *fixture, gconstpointer data)
{
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("{\"n\":%u}", i);
        g_autoptr(StoreVm) vm = NULL;

        g_assert_true(store_vm_set_progress(fixture->store, id, text, &error));
        vm = store_vm_get(fixture->store, id, &error);
        g_assert_cmpstr(vm->progress, ==, text);
    }
    g_assert_no_error(error);
}

static void test_disk(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    StoreDisk disk = {.key = (char *)"2001", .size = 62 * TIB, .target_path = (char *)"/t/b"};
    g_autoptr(GError) error = NULL;
    g_autoptr(StoreDisk) back = NULL;
    g_autoptr(GPtrArray) all = NULL;

    g_assert_true(store_disk_put(store, id, &disk, &error));
    disk.key = (char *)"2000";
    g_assert_true(store_disk_put(store, id, &disk, &error));
    disk.uuid = (char *)"6000C29";
    disk.change_id = (char *)"52 de/3";
    disk.target_created = TRUE;
    g_assert_true(store_disk_put(store, id, &disk, &error));
    g_assert_no_error(error);
    back = store_disk_get(store, id, "2000", &error);
    g_assert_cmpstr(back->uuid, ==, "6000C29");
    g_assert_cmpstr(back->change_id, ==, "52 de/3");
    g_assert_cmpuint(back->size, ==, 62 * TIB);
    g_assert_true(back->target_created);
    g_assert_false(back->verified);
    all = store_disk_list(store, id, &error);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(((StoreDisk *)all->pdata[0])->key, ==, "2000");

    g_assert_null(store_disk_get(store, id, "9", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(store_disk_put(store, id + 1, &disk, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    disk.size = G_MAXUINT64;
    g_assert_false(store_disk_put(store, id, &disk, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_round(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    StoreRound round = {
        .number = 0, .kind = (char *)"base", .state = ROUND_INTENT, .snapshot_name = (char *)"s0"};
    g_autoptr(GError) error = NULL;
    g_autoptr(StoreRound) last = store_round_last(store, id, &error);
    g_autoptr(GPtrArray) all = NULL;

    g_assert_null(last);
    g_assert_no_error(error);
    g_assert_true(store_round_create(store, id, &round, &round.id, &error));
    round.state = ROUND_CLOSED;
    round.snapshot = (char *)"snapshot-5";
    round.started = 5;
    round.ended = 9;
    round.stats = (char *)"{}";
    g_assert_true(store_round_update(store, &round, &error));
    round.number = 1;
    round.kind = (char *)"delta";
    round.state = ROUND_FROZEN;
    g_assert_true(store_round_create(store, id, &round, &round.id, &error));
    last = store_round_last(store, id, &error);
    g_assert_cmpuint(last->number, ==, 1);
    g_assert_cmpint(last->state, ==, ROUND_FROZEN);
    all = store_round_list(store, id, &error);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpint(((StoreRound *)all->pdata[0])->state, ==, ROUND_CLOSED);
    g_assert_cmpstr(((StoreRound *)all->pdata[0])->snapshot, ==, "snapshot-5");
    g_assert_cmpint(((StoreRound *)all->pdata[0])->ended, ==, 9);
    g_assert_no_error(error);
    round.id = 99;
    g_assert_false(store_round_update(store, &round, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_round_disk(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    gint64 round = make_round(store, id);
    g_autoptr(GBytes) areas = g_bytes_new_static("\0\1\2", 3);
    g_autoptr(GBytes) none = g_bytes_new_static("", 0);
    g_autoptr(GBytes) done = g_bytes_new_static("abc", 3);
    StoreRoundDisk disk = {.round = round,
                           .key = (char *)"2000",
                           .mode = ROUND_MODE_CHANGED,
                           .size = GIB,
                           .source_path = (char *)"[ds] a.vmdk",
                           .change_id = (char *)"52/2",
                           .read = areas,
                           .zero = none};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) all = NULL;
    const StoreRoundDisk *back = NULL;

    g_assert_true(store_round_disk_put(store, &disk, &error));
    g_assert_no_error(error);
    all = store_round_disk_list(store, round, &error);
    back = all->pdata[0];
    g_assert_cmpint(back->mode, ==, ROUND_MODE_CHANGED);
    g_assert_true(g_bytes_equal(back->read, areas));
    g_assert_cmpuint(g_bytes_get_size(back->zero), ==, 0);
    g_assert_null(back->done);
    g_assert_false(back->complete);

    g_assert_true(store_round_disk_done(store, round, "2000", areas, &error));
    g_assert_true(store_round_disk_done(store, round, "2000", done, &error));
    g_clear_pointer(&all, g_ptr_array_unref);
    all = store_round_disk_list(store, round, &error);
    back = all->pdata[0];
    g_assert_true(g_bytes_equal(back->done, done));

    /* A plan that is recorded again starts from nothing. */
    g_assert_true(store_round_disk_put(store, &disk, &error));
    g_clear_pointer(&all, g_ptr_array_unref);
    all = store_round_disk_list(store, round, &error);
    g_assert_null(((StoreRoundDisk *)all->pdata[0])->done);
    g_assert_no_error(error);

    g_assert_false(store_round_disk_done(store, round, "2001", done, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_complete(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    gint64 round = make_round(store, id);
    StoreDisk disk = {.key = (char *)"2000", .size = GIB, .change_id = (char *)"52/1"};
    StoreRoundDisk part = {
        .round = round, .key = (char *)"2000", .size = 2 * GIB, .change_id = (char *)"52/2"};
    g_autoptr(GError) error = NULL;
    g_autoptr(StoreDisk) back = NULL;
    g_autoptr(GPtrArray) parts = NULL;

    /* Without the disk's own row nothing may move: not the mark either. */
    g_assert_true(store_round_disk_put(store, &part, &error));
    g_assert_false(store_round_disk_complete(store, id, round, "2000", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    parts = store_round_disk_list(store, round, &error);
    g_assert_false(((StoreRoundDisk *)parts->pdata[0])->complete);

    g_assert_true(store_disk_put(store, id, &disk, &error));
    g_assert_false(store_round_disk_complete(store, id + 1, round, "2000", &error));
    g_clear_error(&error);
    g_assert_true(store_round_disk_complete(store, id, round, "2000", &error));
    g_assert_no_error(error);
    back = store_disk_get(store, id, "2000", &error);
    g_assert_cmpstr(back->change_id, ==, "52/2");
    g_assert_cmpuint(back->size, ==, 2 * GIB);
    g_clear_pointer(&parts, g_ptr_array_unref);
    parts = store_round_disk_list(store, round, &error);
    g_assert_true(((StoreRoundDisk *)parts->pdata[0])->complete);
}

static void test_snapshots(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) open = NULL;
    g_autoptr(GPtrArray) all = NULL;
    gint64 first = 0;
    gint64 second = 0;

    g_assert_true(store_snapshot_intend(store, id, "vmferry-1", &first, &error));
    g_assert_true(store_snapshot_intend(store, id, "vmferry-2", &second, &error));
    g_assert_true(store_snapshot_made(store, second, "snapshot-8", &error));
    g_assert_true(store_snapshot_gone(store, first, &error));
    open = store_snapshot_list(store, id, FALSE, &error);
    g_assert_cmpuint(open->len, ==, 1);
    g_assert_cmpstr(((StoreSnapshot *)open->pdata[0])->moref, ==, "snapshot-8");
    all = store_snapshot_list(store, id, TRUE, &error);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_true(((StoreSnapshot *)all->pdata[0])->removed);
    g_assert_null(((StoreSnapshot *)all->pdata[0])->moref);
    g_assert_no_error(error);
}

static void test_requests(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) open = NULL;
    gboolean already = TRUE;

    g_assert_true(store_request_add(store, id, "finalize", NULL, &already, &error));
    g_assert_false(already);
    g_assert_true(store_request_add(store, id, "finalize", "{}", &already, &error));
    g_assert_true(already);
    g_assert_true(store_request_add(store, id, "cancel", "{\"a\":1}", &already, &error));
    g_assert_false(already);
    open = store_request_open(store, id, &error);
    g_assert_cmpuint(open->len, ==, 2);
    g_assert_cmpstr(((StoreRequest *)open->pdata[0])->kind, ==, "finalize");
    g_assert_null(((StoreRequest *)open->pdata[0])->arguments);
    g_assert_cmpstr(((StoreRequest *)open->pdata[1])->arguments, ==, "{\"a\":1}");

    g_assert_true(store_request_close(store, ((StoreRequest *)open->pdata[0])->id, "served", &error));
    g_assert_no_error(error);
    g_assert_false(store_request_close(store, ((StoreRequest *)open->pdata[0])->id, "served", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_true(store_request_add(store, id, "finalize", NULL, &already, &error));
    g_assert_false(already);
    g_assert_true(store_request_close_all(store, id, "over", &error));
    g_clear_pointer(&open, g_ptr_array_unref);
    open = store_request_open(store, id, &error);
    g_assert_cmpuint(open->len, ==, 0);
    g_assert_false(store_request_add(store, id + 1, "finalize", NULL, &already, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_events(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) page = NULL;
    gint64 after = 0;

    for (guint i = 0; i < 5; i++) {
        g_autofree char *text = g_strdup_printf("event %u", i);

        g_assert_true(store_event_add(store, id, "warning", "finding", text, &error));
    }
    page = store_event_list(store, id, 0, 3, &error);
    g_assert_cmpuint(page->len, ==, 3);
    after = ((StoreEvent *)page->pdata[2])->id;
    g_clear_pointer(&page, g_ptr_array_unref);
    page = store_event_list(store, id, after, 3, &error);
    g_assert_cmpuint(page->len, ==, 2);
    g_assert_cmpstr(((StoreEvent *)page->pdata[0])->text, ==, "event 3");
    g_assert_cmpstr(((StoreEvent *)page->pdata[0])->level, ==, "warning");
    g_assert_no_error(error);
}

static void test_facts(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autofree char *value = NULL;
    g_autoptr(GHashTable) all = NULL;

    g_assert_null(store_fact_get(store, id, "a", &error));
    g_assert_no_error(error);
    g_assert_true(store_fact_set(store, id, "a", "1", &error));
    g_assert_true(store_fact_set(store, id, "a", "2", &error));
    g_assert_true(store_fact_set(store, id, "b", "3", &error));
    value = store_fact_get(store, id, "a", &error);
    g_assert_cmpstr(value, ==, "2");
    g_assert_true(store_fact_set(store, id, "b", NULL, &error));
    all = store_fact_list(store, id, &error);
    g_assert_cmpuint(g_hash_table_size(all), ==, 1);
    g_assert_cmpstr(g_hash_table_lookup(all, "a"), ==, "2");
    g_assert_no_error(error);
}

static void test_delete(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    gint64 round = make_round(store, id);
    StoreRoundDisk part = {.round = round, .key = (char *)"2000"};
    g_autoptr(GBytes) done = g_bytes_new_static("abc", 3);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) parts = NULL;
    g_autoptr(GPtrArray) events = NULL;

    g_assert_true(store_round_disk_put(store, &part, &error));
    g_assert_true(store_round_disk_done(store, round, "2000", done, &error));
    g_assert_true(store_event_add(store, id, "info", "x", "y", &error));
    g_assert_true(store_lease_take(store, id, 60, &error));
    g_assert_true(store_vm_delete(store, id, &error));
    g_assert_no_error(error);
    parts = store_round_disk_list(store, round, &error);
    events = store_event_list(store, id, 0, 10, &error);
    g_assert_cmpuint(parts->len, ==, 0);
    g_assert_cmpuint(events->len, ==, 0);
    /* An id is never used again, so that a script that kept one cannot meet another VM. */
    g_assert_cmpint(make_vm(store, "vm-1"), >, id);
}

static void test_transaction(Fixture *fixture, gconstpointer data)
{
    Store *store = fixture->store;
    gint64 id = make_vm(store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autofree char *value = NULL;

    g_assert_true(store_begin(store, &error));
    g_assert_false(store_begin(store, &error));
    g_clear_error(&error);
    g_assert_true(store_fact_set(store, id, "a", "1", &error));
    store_rollback(store);
    store_rollback(store);
    g_assert_null(store_fact_get(store, id, "a", &error));

    /* What fails inside undoes itself and nothing else. */
    g_assert_true(store_begin(store, &error));
    g_assert_true(store_fact_set(store, id, "a", "1", &error));
    g_assert_false(store_vm_set_stage(store, id, "delta", "done", &error));
    g_clear_error(&error);
    g_assert_true(store_vm_set_stage(store, id, "init", "delta", &error));
    g_assert_true(store_vm_set_progress(store, id, "{}", &error));
    g_assert_true(store_commit(store, &error));
    value = store_fact_get(store, id, "a", &error);
    g_assert_cmpstr(value, ==, "1");
    g_assert_no_error(error);
    g_assert_false(store_commit(store, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
}

static void test_private(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = g_build_filename(fixture->directory, "vmferry.db", NULL);
    struct stat status;

    make_vm(fixture->store, "vm-1");
    g_assert_cmpint(g_stat(fixture->directory, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0700);
    g_assert_cmpint(g_stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_assert_cmpstr(store_directory(fixture->store), ==, fixture->directory);
}

static void test_missing_texts(Fixture *fixture, gconstpointer data)
{
    const StoreVm vm = {.moref = (char *)"vm-1"};
    g_autoptr(GError) error = NULL;
    gint64 id = 0;

    g_assert_false(store_vm_create(fixture->store, &vm, &id, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(store_event_add(fixture->store, 1, "info", "x", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/store/vm", test_vm);
    ADD("/store/vm-identity", test_vm_identity);
    ADD("/store/vm-missing", test_vm_missing);
    ADD("/store/stage", test_stage);
    ADD("/store/progress", test_progress);
    ADD("/store/disk", test_disk);
    ADD("/store/round", test_round);
    ADD("/store/round-disk", test_round_disk);
    ADD("/store/complete", test_complete);
    ADD("/store/snapshots", test_snapshots);
    ADD("/store/requests", test_requests);
    ADD("/store/events", test_events);
    ADD("/store/facts", test_facts);
    ADD("/store/delete", test_delete);
    ADD("/store/transaction", test_transaction);
    ADD("/store/private", test_private);
    ADD("/store/missing-texts", test_missing_texts);
    return g_test_run();
}
