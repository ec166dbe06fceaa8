#include "disk/vmdk-write-sparse.h"

#include <string.h>

#include "base/size.h"
#include "disk/format.h"
#include "disk/test-trace.h"
#include "disk/test-vmdk-fixture.h"

#define GRAIN     ((guint64)64 * KIB)
#define SIZE      (100 * MIB + 5 * SECTOR_SIZE)
#define N_THREADS 4u

static Disk *create(const VmdkFixture *fixture, guint64 size)
{
    g_autofree char *path = fixture_path(fixture, "out.vmdk");
    GError *error = NULL;
    Disk *disk = vmdk_create(path, size, NULL, &error);

    g_assert_no_error(error);
    return disk;
}

/* The file is an image, of `contents`, for us and for QEMU. */
static void check_file(const VmdkFixture *fixture, const guint8 *contents, guint64 size)
{
    g_autofree char *path = fixture_path(fixture, "out.vmdk");
    g_autofree char *raw = fixture_path(fixture, "in.raw");
    g_autoptr(Disk) disk = NULL;
    GError *error = NULL;

    disk = format_open(path, NULL, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, size);
    fixture_check(disk, contents, size);
    if (fixture_no_qemu())
        return;
    g_assert_true(g_file_set_contents(raw, (const char *)contents, (gssize)size, &error));
    fixture_run(fixture, "qemu-img check -q -f vmdk out.vmdk");
    fixture_run(fixture, "qemu-img compare -q -f vmdk -F raw out.vmdk in.raw");
}

/* --- random writes against a model --- */

static void change(Disk *disk, guint8 *model, GRand *random)
{
    guint64 sectors = disk_size(disk) / SECTOR_SIZE;
    guint64 first = (guint64)(g_rand_double(random) * (double)sectors);
    guint64 wanted = 1 + g_rand_int(random) % 500;
    guint64 n = MIN(wanted, sectors - first);
    guint8 *at = model + first * SECTOR_SIZE;
    GError *error = NULL;

    if (g_rand_int(random) % 4 == 0) {
        memset(at, 0, n * SECTOR_SIZE);
        g_assert_true(disk_zero(disk, first * SECTOR_SIZE, n * SECTOR_SIZE, &error));
        return;
    }
    memset(at, (int)(1 + g_rand_int(random) % 255), n * SECTOR_SIZE);
    g_assert_true(disk_pwrite(disk, at, n * SECTOR_SIZE, first * SECTOR_SIZE, &error));
}

static void test_random(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree guint8 *model = g_malloc0(SIZE);
    g_autofree guint8 *seen = g_malloc(SIZE);
    Disk *disk = create(fixture, SIZE);
    GRand *random = g_rand_new_with_seed(11);
    GError *error = NULL;

    g_assert_true(disk_starts_zero(disk));
    g_assert_cmpuint(disk_granularity(disk), ==, GRAIN);
    for (guint i = 0; i < 300; i++)
        change(disk, model, random);
    g_rand_free(random);
    g_assert_true(disk_pread(disk, seen, SIZE, 0, &error));
    g_assert_cmpmem(seen, SIZE, model, SIZE);
    fixture_check(disk, model, SIZE);
    g_assert_true(disk_close(disk, &error));
    check_file(fixture, model, SIZE);
}

/* A file that nobody closed is an image too. */
static void test_not_closed(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree guint8 *model = g_malloc0(40 * MIB);
    g_autofree char *path = fixture_path(fixture, "out.vmdk");
    g_autofree char *file = NULL;
    Disk *disk = create(fixture, 40 * MIB);
    GError *error = NULL;

    memset(model + 33 * MIB, 5, 3 * GRAIN);
    g_assert_true(disk_pwrite(disk, model + 33 * MIB, 3 * GRAIN, 33 * MIB, &error));
    disk_free(disk);
    check_file(fixture, model, 40 * MIB);
    g_assert_true(g_file_get_contents(path, &file, NULL, &error));
    g_assert_cmpint(file[72], ==, 1);
}

/* Both directories and both sets of tables say the same, for two different places. */
static void test_redundant(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    GError *error = NULL;
    Disk *disk = vmdk_sparse_create(trace_bytes(trace), 3 * GIB, "# Disk DescriptorFile\n", &error);
    GRand *random = g_rand_new_with_seed(1);
    g_autoptr(GByteArray) file = NULL;
    guint8 sector[SECTOR_SIZE] = {1};
    const guint32 *words;
    guint32 redundant, directory;

    for (guint i = 0; i < 96; i++)
        g_assert_true(disk_pwrite(disk, sector, sizeof sector, i * 32 * MIB + i * GRAIN, &error));
    g_assert_true(disk_close(disk, &error));
    file = trace_cut(trace, trace_length(trace), random);
    g_rand_free(random);
    g_assert_cmpint(file->data[72], ==, 0);
    words = (const guint32 *)(gconstpointer)file->data;
    redundant = GUINT32_FROM_LE(words[48 / 4]);
    directory = GUINT32_FROM_LE(words[56 / 4]);
    g_assert_cmpuint(redundant, ==, 21);
    for (guint i = 0; i < 96; i++) {
        guint32 a = words[redundant * 128 + i], b = words[directory * 128 + i];

        g_assert_cmpuint(a, !=, b);
        g_assert_cmpmem(words + a * 128, 2048, words + b * 128, 2048);
        g_assert_cmpuint(words[b * 128 + i], !=, 0);
    }
}

/* --- many threads in the same grains --- */

typedef struct {
    Disk *disk;
    guint8 *model;
    guint which;
} Part;

/* Every N_THREADS-th sector, backwards. */
static gpointer write_part(gpointer data)
{
    const Part *part = data;
    guint64 sectors = 4 * MIB / SECTOR_SIZE;
    GError *error = NULL;

    for (guint64 i = sectors; i-- > 0;) {
        guint8 *at = part->model + i * SECTOR_SIZE;

        if (i % N_THREADS != part->which)
            continue;
        memset(at, (int)(i % 251 + 1), SECTOR_SIZE);
        g_assert_true(disk_pwrite(part->disk, at, SECTOR_SIZE, i * SECTOR_SIZE, &error));
    }
    return NULL;
}

static void test_threads(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree guint8 *model = g_malloc0(4 * MIB);
    Disk *disk = create(fixture, 4 * MIB);
    Part parts[N_THREADS];
    GThread *threads[N_THREADS];
    GError *error = NULL;

    for (guint i = 0; i < N_THREADS; i++) {
        parts[i] = (Part){.disk = disk, .model = model, .which = i};
        threads[i] = g_thread_new("writer", write_part, &parts[i]);
    }
    for (guint i = 0; i < N_THREADS; i++)
        g_thread_join(threads[i]);
    g_assert_true(disk_close(disk, &error));
    check_file(fixture, model, 4 * MIB);
}

#define ADD(name, test)                                                                                      \
    g_test_add("/vmdk-sparse/" name, VmdkFixture, NULL, fixture_set_up, test, fixture_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("random", test_random);
    ADD("not-closed", test_not_closed);
    ADD("threads", test_threads);
    g_test_add_func("/vmdk-sparse/redundant", test_redundant);
    return g_test_run();
}
