/* store/test-help.h: a store in a folder of its own per test.
 */
#pragma once

#include "store/store.h"

#include <glib/gstdio.h>

typedef struct {
    char *directory;
    Store *store;
} Fixture;

static inline Store *open_store(const char *directory)
{
    g_autoptr(GError) error = NULL;
    Store *store = store_open(directory, &error);

    g_assert_no_error(error);
    return store;
}

static inline void setup(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *above = g_dir_make_tmp("vmferry-store-XXXXXX", &error);

    g_assert_no_error(error);
    fixture->directory = g_build_filename(above, "control", NULL);
    fixture->store = open_store(fixture->directory);
}

static inline void teardown(Fixture *fixture, gconstpointer data)
{
    static const char *const files[] = {"vmferry.db", "vmferry.db-wal", "vmferry.db-shm"};
    g_autofree char *above = g_path_get_dirname(fixture->directory);

    store_free(fixture->store);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(fixture->directory, files[i], NULL);

        g_remove(path);
    }
    g_assert_cmpint(g_rmdir(fixture->directory), ==, 0);
    g_rmdir(above);
    g_free(fixture->directory);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, setup, function, teardown)

static inline gint64 make_vm(Store *store, const char *moref)
{
    const StoreVm vm = {
        .name = (char *)"web",
        .server = (char *)"vc:443",
        .instance_uuid = (char *)"uuid",
        .moref = (char *)moref,
        .stage = (char *)"init",
        .spec = (char *)"{}",
    };
    g_autoptr(GError) error = NULL;
    gint64 id = 0;

    store_vm_create(store, &vm, &id, &error);
    g_assert_no_error(error);
    return id;
}

static inline gint64 make_round(Store *store, gint64 vm)
{
    const StoreRound round = {.kind = (char *)"base", .state = ROUND_FROZEN};
    g_autoptr(GError) error = NULL;
    gint64 id = 0;

    g_assert_true(store_round_create(store, vm, &round, &id, &error));
    g_assert_no_error(error);
    return id;
}
