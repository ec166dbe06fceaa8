#include "copy/sums.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/size.h"

typedef struct {
    char *folder;
    char *path;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    fixture->folder = g_dir_make_tmp("vmferry-sums-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->folder, "disk.sums", NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    g_unlink(fixture->path);
    g_rmdir(fixture->folder);
    g_free(fixture->path);
    g_free(fixture->folder);
}

static void test_values(Fixture *fixture, gconstpointer data)
{
    g_autofree guint8 *block = g_malloc0(SUMS_BLOCK_SIZE);

    g_assert_cmpuint(sums_of_zero(SUMS_BLOCK_SIZE), ==, sums_of(block, SUMS_BLOCK_SIZE));
    g_assert_cmpuint(sums_of_zero(512), ==, sums_of(block, 512));
    g_assert_cmpuint(sums_of_zero(512), !=, sums_of_zero(SUMS_BLOCK_SIZE));
    block[SUMS_BLOCK_SIZE - 1] = 1;
    g_assert_cmpuint(sums_of_zero(SUMS_BLOCK_SIZE), !=, sums_of(block, SUMS_BLOCK_SIZE));
}

static void test_persistence(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint64 values[3] = {7, G_MAXUINT64, 9}, back[5];

    {
        g_autoptr(Sums) sums = sums_open(fixture->path, 10 * MIB + 512, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(sums_blocks(sums), ==, 161);
        g_assert_true(sums_set(sums, 158, values, 3, &error));
        g_assert_true(sums_sync(sums, &error));
    }
    g_autoptr(Sums) sums = sums_open(fixture->path, 10 * MIB + 512, &error);

    g_assert_no_error(error);
    g_assert_true(sums_get(sums, 156, back, 5, &error));
    g_assert_cmpuint(back[0], ==, 0);
    g_assert_cmpuint(back[1], ==, 0);
    g_assert_cmpmem(back + 2, sizeof values, values, sizeof values);

    g_assert_false(sums_set(sums, 159, values, 3, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_false(sums_get(sums, G_MAXUINT64, back, 2, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTERNAL);
}

static void test_large_batches(Fixture *fixture, gconstpointer data)
{
    enum { N = 2000 };
    g_autoptr(GError) error = NULL;
    g_autoptr(Sums) sums = sums_open(fixture->path, (guint64)N * SUMS_BLOCK_SIZE, &error);
    g_autofree guint64 *values = g_new(guint64, N);
    g_autofree guint64 *back = g_new(guint64, N);

    for (guint64 i = 0; i < N; i++)
        values[i] = i * 0x123456789 + 1;
    g_assert_true(sums_set(sums, 0, values, N, &error));
    g_assert_true(sums_get(sums, 0, back, N, &error));
    g_assert_cmpmem(values, N * sizeof *values, back, N * sizeof *back);
}

static void test_sparse(Fixture *fixture, gconstpointer data)
{
    const guint64 far = 2 * TIB / SUMS_BLOCK_SIZE;
    g_autoptr(GError) error = NULL;
    g_autoptr(Sums) sums = sums_open(fixture->path, 3 * TIB, &error);
    guint64 value = 5, first, end, distance = 0;
    struct stat status;

    g_assert_no_error(error);
    g_assert_true(sums_set(sums, far, &value, 1, &error));
    g_assert_true(sums_sync(sums, &error));
    g_assert_cmpint(stat(fixture->path, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, 4096 + 3 * (gint64)TIB / 65536 * 8);
    g_assert_cmpint(status.st_blocks * 512, <, 1 << 20);

    /* The entry is found, and little else. */
    g_assert_true(sums_next(sums, 0, &first, &end, &error));
    while (end <= far) {
        distance += end - first;
        g_assert_true(sums_next(sums, end, &first, &end, &error));
    }
    g_assert_cmpuint(first, <=, far);
    g_assert_cmpuint(distance + end - first, <, 100000);
    g_assert_true(sums_next(sums, end, &first, &end, &error));
    g_assert_cmpuint(first, ==, sums_blocks(sums));
    g_assert_cmpuint(end, ==, sums_blocks(sums));
}

static void assert_refused(const char *path, guint64 size)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(sums_open(path, size, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    gsize length;

    sums_free(sums_open(fixture->path, MIB, &error));
    g_assert_no_error(error);
    assert_refused(fixture->path, MIB + 512);

    g_assert_true(g_file_get_contents(fixture->path, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(fixture->path, bytes, (gssize)length - 1, NULL));
    assert_refused(fixture->path, MIB);
    for (guint i = 0; i < 40; i++) {
        bytes[i] ^= 1;
        g_assert_true(g_file_set_contents(fixture->path, bytes, (gssize)length, NULL));
        assert_refused(fixture->path, MIB);
        bytes[i] ^= 1;
    }
    g_assert_true(g_file_set_contents(fixture->path, "", 0, NULL));
    assert_refused(fixture->path, MIB);
}

/* Killed right after the header was renamed into place. */
static void test_just_made(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint64 value = 4;

    sums_free(sums_open(fixture->path, MIB, &error));
    g_assert_no_error(error);
    g_assert_cmpint(truncate(fixture->path, 4096), ==, 0);
    g_autoptr(Sums) sums = sums_open(fixture->path, MIB, &error);

    g_assert_no_error(error);
    g_assert_true(sums_get(sums, 15, &value, 1, &error));
    g_assert_cmpuint(value, ==, 0);
}

static void test_resize(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint64 values[2] = {1, 2}, back[4];
    Sums *sums = sums_open(fixture->path, SUMS_BLOCK_SIZE + 512, &error);

    g_assert_true(sums_set(sums, 0, values, 2, &error));
    g_assert_true(sums_resize(sums, 4 * SUMS_BLOCK_SIZE, &error));
    g_assert_cmpuint(sums_size(sums), ==, 4 * SUMS_BLOCK_SIZE);
    g_assert_false(sums_resize(sums, SUMS_BLOCK_SIZE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    sums_free(sums);

    sums = sums_open(fixture->path, 4 * SUMS_BLOCK_SIZE, &error);
    g_assert_no_error(error);
    g_assert_true(sums_get(sums, 0, back, 4, &error));
    g_assert_cmpuint(back[0], ==, 1);
    g_assert_cmpuint(back[1], ==, 0);
    g_assert_cmpuint(back[3], ==, 0);
    sums_free(sums);
}

static void test_settled(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    for (guint settle = 0; settle < 2; settle++) {
        Sums *sums = sums_open(fixture->path, MIB, &error);

        g_assert_no_error(error);
        g_assert_cmpint(sums_settled(sums), ==, settle == 0);
        g_assert_true(sums_unsettle(sums, &error));
        g_assert_false(sums_settled(sums));
        g_assert_true(settle == 0 || sums_settle(sums, &error));
        sums_free(sums);
    }
    g_autoptr(Sums) sums = sums_open(fixture->path, MIB, &error);

    g_assert_true(sums_settled(sums));
}

#define ADD(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/sums/values", test_values);
    ADD("/sums/persistence", test_persistence);
    ADD("/sums/large-batches", test_large_batches);
    ADD("/sums/sparse", test_sparse);
    ADD("/sums/refused", test_refused);
    ADD("/sums/just-made", test_just_made);
    ADD("/sums/resize", test_resize);
    ADD("/sums/settled", test_settled);
    return g_test_run();
}
