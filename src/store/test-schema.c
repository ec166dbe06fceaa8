#include "base/error.h"
#include "base/io.h"
#include "store/sqlite.h"
#include "store/test-help.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static SqliteStore *sqlite_of(Fixture *fixture)
{
    return (SqliteStore *)fixture->store;
}

static gint64 number(Fixture *fixture, const char *sql)
{
    g_auto(Query) query = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(query_start(&query, fixture->store, &error, sql, ""));
    g_assert_cmpint(query_next(&query, &error), ==, 1);
    return query_integer(&query, 0);
}

static gint64 known_version(void)
{
    return (gint64)g_strv_length((char **)sqlite_migrations);
}

static void test_settings(Fixture *fixture, gconstpointer data)
{
    g_auto(Query) query = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *mode = NULL;

    g_assert_true(query_start(&query, fixture->store, &error, "PRAGMA journal_mode", ""));
    g_assert_cmpint(query_next(&query, &error), ==, 1);
    mode = query_text(&query, 0);
    query_end(&query);
    g_assert_cmpstr(mode, ==, "wal");
    g_assert_cmpint(number(fixture, "PRAGMA synchronous"), ==, 2);
    g_assert_cmpint(number(fixture, "PRAGMA foreign_keys"), ==, 1);
    g_assert_cmpint(number(fixture, "PRAGMA user_version"), ==, known_version());

    /* A progress that need not be synced leaves nothing relaxed behind. */
    g_assert_true(store_vm_set_progress(fixture->store, make_vm(fixture->store, "vm-1"), "{}", &error));
    g_assert_cmpint(number(fixture, "PRAGMA synchronous"), ==, 2);
}

static void test_strict(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    make_vm(fixture->store, "vm-1");
    g_assert_false(sqlite_execute(sqlite_of(fixture), "UPDATE vm SET created = 'yesterday'", &error));
    g_assert_cmpint(number(fixture, "SELECT count(*) FROM pragma_foreign_key_check"), ==, 0);
}

static void test_upgrade(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) more = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    gint64 now = known_version();

    for (gint64 i = 0; i < now; i++)
        g_ptr_array_add(more, (gpointer)sqlite_migrations[i]);
    g_ptr_array_add(more, (gpointer) "ALTER TABLE vm ADD COLUMN colour TEXT; UPDATE vm SET colour = 'red'");
    g_ptr_array_add(more, (gpointer) "CREATE TABLE a (b TEXT) STRICT; INSERT INTO a SELECT colour FROM vm");
    g_ptr_array_add(more, NULL);
    make_vm(fixture->store, "vm-1");

    g_assert_true(sqlite_migrate(sqlite_of(fixture), (const char *const *)more->pdata, &error));
    g_assert_no_error(error);
    g_assert_cmpint(number(fixture, "PRAGMA user_version"), ==, now + 2);
    g_assert_cmpint(number(fixture, "SELECT count(*) FROM a WHERE b = 'red'"), ==, 1);
    g_assert_true(sqlite_migrate(sqlite_of(fixture), (const char *const *)more->pdata, &error));

    /* Now it is one that this program does not know. */
    g_assert_null(store_open(fixture->directory, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "newer"));
}

/* A step that fails half way leaves the version before it, whole. */
static void test_upgrade_fails(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) more = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    gint64 now = known_version();

    for (gint64 i = 0; i < now; i++)
        g_ptr_array_add(more, (gpointer)sqlite_migrations[i]);
    g_ptr_array_add(more, (gpointer) "CREATE TABLE half (a TEXT) STRICT; CREATE TABLE vm (a TEXT)");
    g_ptr_array_add(more, NULL);
    g_assert_false(sqlite_migrate(sqlite_of(fixture), (const char *const *)more->pdata, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(number(fixture, "PRAGMA user_version"), ==, now);
    g_assert_cmpint(number(fixture, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), ==, 0);
    make_vm(fixture->store, "vm-1");
}

/* Processes that open a store which is not there yet meet at its making. */
static void test_opened_at_once(Fixture *fixture, gconstpointer data)
{
    enum { N = 5 };
    pid_t children[N];
    g_autofree char *directory = g_strconcat(fixture->directory, "-2", NULL);
    g_autofree char *all = g_strdup_printf("%s/vmferry.db", directory);
    int gate[2];

    g_assert_cmpint(pipe(gate), ==, 0);
    for (guint i = 0; i < N; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            g_autoptr(GError) error = NULL;
            Store *store = NULL;
            char byte = 0;

            close(gate[1]);
            if (read(gate[0], &byte, 1) == 0)
                store = store_open(directory, &error);
            if (error != NULL)
                g_printerr("%s\n", error->message);
            store_free(store);
            _exit(store != NULL ? 0 : 1);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (guint i = 0; i < N; i++) {
        int status = 0;

        waitpid(children[i], &status, 0);
        g_assert_cmpint(status, ==, 0);
    }
    g_remove(all);
    g_assert_cmpint(g_rmdir(directory), ==, 0);
}

static void assert_not_opened(Fixture *fixture, const char *content, VfErrorClass class)
{
    g_autofree char *path = g_build_filename(fixture->directory, "vmferry.db", NULL);
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&fixture->store, store_free);
    g_assert_true(io_write_file(path, content, strlen(content), 0600, &error));
    g_assert_null(store_open(fixture->directory, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, VF_ERROR, (gint) class);
}

static void test_no_database(Fixture *fixture, gconstpointer data)
{
    g_autofree char *text = g_strnfill(8192, 'x');

    assert_not_opened(fixture, text, VF_ERROR_TARGET_IO);
}

static void test_other_owner(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(sqlite_execute(sqlite_of(fixture), "PRAGMA application_id = 7", &error));
    g_assert_null(store_open(fixture->directory, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_no_directory(Fixture *fixture, gconstpointer data)
{
    g_autofree char *file = g_build_filename(fixture->directory, "vmferry.db", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(store_open(file, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/schema/settings", test_settings);
    ADD("/schema/strict", test_strict);
    ADD("/schema/upgrade", test_upgrade);
    ADD("/schema/upgrade-fails", test_upgrade_fails);
    ADD("/schema/opened-at-once", test_opened_at_once);
    ADD("/schema/no-database", test_no_database);
    ADD("/schema/other-owner", test_other_owner);
    ADD("/schema/no-directory", test_no_directory);
    return g_test_run();
}
