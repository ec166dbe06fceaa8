#include "copy/compare.h"

#include "base/error.h"
#include "base/size.h"
#include "copy/content-hash.h"
#include "copy/testing.h"
#include "disk/memory.h"

#define SIZE (40 * MIB + 512)

static CompareReport compare(Disk *a, Disk *b, gboolean strict)
{
    const CompareJob job = {.a = a, .b = b, .strict = strict};
    CompareReport report = {0};
    GError *error = NULL;

    compare_run(&job, &report, &error);
    g_assert_no_error(error);
    return report;
}

/* A disk in memory with the contents of a pattern. */
static Disk *copy_of_pattern(guint64 size)
{
    g_autoptr(Disk) pattern = pattern_disk_new("pattern", SIZE, 3, 50);
    Disk *disk = memory_disk_new("memory", size);
    guint8 *buffer = g_malloc(SIZE);
    GError *error = NULL;

    g_assert_true(disk_pread(pattern, buffer, SIZE, 0, &error));
    g_assert_true(disk_pwrite(disk, buffer, SIZE, 0, &error));
    g_free(buffer);
    return disk;
}

static void flip(Disk *disk, guint64 at)
{
    guint8 sector[SECTOR_SIZE];
    GError *error = NULL;

    g_assert_true(disk_pread(disk, sector, sizeof sector, round_down(at, SECTOR_SIZE), &error));
    sector[at % SECTOR_SIZE] ^= 1;
    g_assert_true(disk_pwrite(disk, sector, sizeof sector, round_down(at, SECTOR_SIZE), &error));
}

static void test_same(void)
{
    g_autoptr(Disk) a = pattern_disk_new("pattern", SIZE, 3, 50);
    g_autoptr(Disk) b = copy_of_pattern(SIZE);
    g_autoptr(Disk) longer = copy_of_pattern(SIZE + 5 * MIB);

    g_assert_cmpint(compare(a, b, FALSE).outcome, ==, COMPARE_SAME);
    g_assert_cmpint(compare(a, longer, FALSE).outcome, ==, COMPARE_SAME);
    g_assert_cmpint(compare(longer, a, FALSE).outcome, ==, COMPARE_SAME);
    g_assert_cmpint(compare(a, longer, TRUE).outcome, ==, COMPARE_SIZES);
}

/* The first of several differences, whichever thread finds which. */
static void test_first_difference(void)
{
    const guint64 places[] = {0, 1, 65536, MIB - 1, 17 * MIB + 77, SIZE - 1};
    g_autoptr(Disk) a = pattern_disk_new("pattern", SIZE, 3, 50);
    g_autoptr(Disk) b = copy_of_pattern(SIZE);

    for (guint i = G_N_ELEMENTS(places); i-- > 0;) {
        CompareReport report;

        flip(b, places[i]);
        report = compare(a, b, FALSE);
        g_assert_cmpint(report.outcome, ==, COMPARE_CONTENTS);
        g_assert_cmpuint(report.offset, ==, places[i]);
    }
}

static void test_behind_the_end(void)
{
    g_autoptr(Disk) a = pattern_disk_new("pattern", SIZE, 3, 50);
    g_autoptr(Disk) longer = copy_of_pattern(SIZE + 5 * MIB);
    CompareReport report;

    flip(longer, SIZE + 4 * MIB + 3);
    report = compare(a, longer, FALSE);
    g_assert_cmpint(report.outcome, ==, COMPARE_CONTENTS);
    g_assert_cmpuint(report.offset, ==, SIZE + 4 * MIB + 3);
}

static void test_strict_status(void)
{
    g_autoptr(Disk) a = memory_disk_new("a", 8 * MIB);
    g_autoptr(Disk) b = memory_disk_new("b", 8 * MIB);
    g_autofree guint8 *zeros = g_malloc0(64 * KIB);
    GError *error = NULL;
    CompareReport report;

    g_assert_true(disk_pwrite(b, zeros, 64 * KIB, 5 * MIB, &error));
    g_assert_cmpint(compare(a, b, FALSE).outcome, ==, COMPARE_SAME);
    report = compare(a, b, TRUE);
    g_assert_cmpint(report.outcome, ==, COMPARE_STATUS);
    g_assert_cmpuint(report.offset, ==, 5 * MIB);
}

static void test_errors(void)
{
    g_autoptr(Disk) a = fault_disk_new(pattern_disk_new("pattern", SIZE, 3, 100));
    g_autoptr(Disk) b = pattern_disk_new("pattern", SIZE, 3, 100);
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;
    CompareReport report = {.offset = 7};
    CompareJob job = {.a = a, .b = b};

    fault_disk_fail_read(a, 9, VF_ERROR_SOURCE_IO);
    g_assert_false(compare_run(&job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_SOURCE_IO);
    g_clear_error(&error);
    fault_disk_heal(a);
    cancel_fire(cancel);
    job.cancel = cancel;
    g_assert_false(compare_run(&job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_assert_cmpuint(report.offset, ==, 7);
}

/* ---- checksums ---- */

static void hash(Disk *disk, guint threads, char text[CONTENT_HASH_TEXT])
{
    const ContentHashJob job = {.disk = disk, .threads = threads};
    GError *error = NULL;

    content_hash_run(&job, text, &error);
    g_assert_no_error(error);
}

static void test_hash(void)
{
    g_autoptr(Disk) a = pattern_disk_new("pattern", SIZE, 3, 50);
    g_autoptr(Disk) b = copy_of_pattern(SIZE);
    g_autoptr(Disk) longer = copy_of_pattern(SIZE + 512);
    char one[CONTENT_HASH_TEXT], other[CONTENT_HASH_TEXT];

    hash(a, 1, one);
    for (guint threads = 1; threads < 9; threads++) {
        hash(b, threads, other);
        g_assert_cmpstr(one, ==, other);
    }
    hash(longer, 3, other);
    g_assert_cmpstr(one, !=, other);
    flip(b, SIZE - 1);
    hash(b, 3, other);
    g_assert_cmpstr(one, !=, other);
}

/* The definition is a promise: sums that were written down must be the same for ever. */
static void test_hash_is_fixed(void)
{
    g_autoptr(Disk) empty = pattern_disk_new("empty", (guint64)16 * TIB, 1, 0);
    g_autoptr(Disk) some = memory_disk_new("some", 3 * MIB);
    char text[CONTENT_HASH_TEXT];

    hash(empty, 1, text);
    g_assert_cmpstr(text, ==, "848cc591aca9f36196208fedad33aac4");
    flip(some, 2 * MIB + 1);
    hash(some, 1, text);
    g_assert_cmpstr(text, ==, "81a711782b4780fe62d6f77ed5905feb");
    g_assert_cmpuint(disk_counters(empty).reads, ==, 0);
}

/* What a copy knows without reading anything again. */
static void test_hash_of_copy(void)
{
    g_autoptr(Disk) source = copy_of_pattern(SIZE);
    g_autoptr(Disk) target = memory_disk_new("target", SIZE);
    g_autoptr(GError) error = NULL;
    g_autoptr(CopyPlan) plan = copy_plan_full(source, NULL, &error);
    g_autoptr(Sums) sums = testing_sums(SIZE);
    const CopyJob job = {.source = source, .target = target, .plan = plan, .sums = sums};
    char one[CONTENT_HASH_TEXT], other[CONTENT_HASH_TEXT];

    g_assert_true(copy_run(&job, 1, NULL, &error));
    g_assert_true(content_hash_of_sums(sums, one, &error));
    hash(target, 2, other);
    g_assert_cmpstr(one, ==, other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compare/same", test_same);
    g_test_add_func("/compare/first-difference", test_first_difference);
    g_test_add_func("/compare/behind-the-end", test_behind_the_end);
    g_test_add_func("/compare/strict-status", test_strict_status);
    g_test_add_func("/compare/errors", test_errors);
    g_test_add_func("/content-hash/same", test_hash);
    g_test_add_func("/content-hash/fixed", test_hash_is_fixed);
    g_test_add_func("/content-hash/of-a-copy", test_hash_of_copy);
    return g_test_run();
}
