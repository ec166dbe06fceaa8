#include "base/error.h"
#include "store/sqlite.h"
#include "store/test-help.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_child(void (*body)(const char *directory, gint64 id), const char *directory, gint64 id)
{
    pid_t child = fork();

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        body(directory, id);
        _exit(0);
    }
    return child;
}

static void die_inside_transaction(const char *directory, gint64 id)
{
    g_autoptr(GError) error = NULL;
    Store *store = store_open(directory, &error);

    store_fact_set(store, id, "before", "1", &error);
    store_begin(store, &error);
    store_fact_set(store, id, "inside", "1", &error);
    store_vm_set_stage(store, id, "init", "delta", &error);
    kill(getpid(), SIGKILL);
}

static void test_killed_inside_transaction(Fixture *fixture, gconstpointer data)
{
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL;
    int status = 0;

    waitpid(start_child(die_inside_transaction, fixture->directory, id), &status, 0);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    /* The handle that was open all the time, and a fresh one. */
    for (guint i = 0; i < 2; i++) {
        g_autoptr(StoreVm) vm = store_vm_get(fixture->store, id, &error);

        g_assert_cmpstr(vm->stage, ==, "init");
        g_assert_null(store_fact_get(fixture->store, id, "inside", &error));
        g_clear_pointer(&before, g_free);
        before = store_fact_get(fixture->store, id, "before", &error);
        g_assert_cmpstr(before, ==, "1");
        store_free(fixture->store);
        fixture->store = open_store(fixture->directory);
    }
    g_assert_no_error(error);
}

/* Moves two values that must always be equal, for ever. */
static void write_pairs(const char *directory, gint64 id)
{
    g_autoptr(GError) error = NULL;
    Store *store = store_open(directory, &error);

    for (guint i = 1; store != NULL && error == NULL; i++) {
        g_autofree char *value = g_strdup_printf("%u", i);

        store_begin(store, &error);
        store_fact_set(store, id, "left", value, &error);
        store_fact_set(store, id, "right", value, &error);
        store_commit(store, &error);
    }
    _exit(3);
}

static void test_killed_at_any_instant(Fixture *fixture, gconstpointer data)
{
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 8; i++) {
        g_autofree char *left = NULL;
        g_autofree char *right = NULL;
        int status = 0;
        pid_t child = start_child(write_pairs, fixture->directory, id);

        g_usleep(20000 + 7919 * i);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        g_assert_true(WIFSIGNALED(status));
        left = store_fact_get(fixture->store, id, "left", &error);
        right = store_fact_get(fixture->store, id, "right", &error);
        g_assert_no_error(error);
        g_assert_cmpstr(left, ==, right);
    }
}

/* What was there before is still readable, the error says what to do, and with space it goes on. */
static void assert_survives_full_disk(Store *store, gint64 id, void (*make_full)(Store *),
                                      void (*make_space)(Store *))
{
    g_autofree char *large = g_strnfill(4 << 20, 'x');
    g_autofree char *value = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(store_fact_set(store, id, "a", "before", &error));
    make_full(store);
    g_assert_true(store_begin(store, &error));
    store_fact_set(store, id, "a", "inside", &error);
    g_assert_false(store_fact_set(store, id, "b", large, &error) && store_commit(store, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_test_message("%s", error->message);
    g_clear_error(&error);
    store_rollback(store);
    make_space(store);

    value = store_fact_get(store, id, "a", &error);
    g_assert_cmpstr(value, ==, "before");
    g_assert_null(store_fact_get(store, id, "b", &error));
    g_assert_true(store_fact_set(store, id, "b", large, &error));
    g_assert_no_error(error);
}

static void limit_pages(Store *store)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(sqlite_execute((SqliteStore *)store, "PRAGMA max_page_count = 100", &error));
}

static void lift_page_limit(Store *store)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(sqlite_execute((SqliteStore *)store, "PRAGMA max_page_count = 1000000", &error));
}

static void test_database_full(Fixture *fixture, gconstpointer data)
{
    assert_survives_full_disk(fixture->store, make_vm(fixture->store, "vm-1"), limit_pages, lift_page_limit);
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = bytes;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

static void limit_files(Store *store)
{
    signal(SIGXFSZ, SIG_IGN);
    set_file_limit(1 << 20);
}

static void lift_file_limit(Store *store)
{
    set_file_limit(RLIM_INFINITY);
}

/* A write that the kernel refuses, as a full file system does. */
static void test_write_refused(Fixture *fixture, gconstpointer data)
{
    assert_survives_full_disk(fixture->store, make_vm(fixture->store, "vm-1"), limit_files, lift_file_limit);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/crash/inside-transaction", test_killed_inside_transaction);
    ADD("/crash/any-instant", test_killed_at_any_instant);
    ADD("/crash/database-full", test_database_full);
    ADD("/crash/write-refused", test_write_refused);
    return g_test_run();
}
