#include "copy/verify.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "copy/testing.h"
#include "disk/memory.h"

#define BLOCK ((guint64)SUMS_BLOCK_SIZE)
#define SIZE  (40 * MIB + 512)

typedef struct {
    Disk *source, *target;
    Sums *sums;
    VerifyJob job;
} Fixture;

/* Data at [0, 3 MiB), at [35 MiB, 36 MiB) and in the short last block, copied. */
static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CopyPlan) plan = NULL;
    CopyJob job;

    fixture->source = memory_disk_new("source", SIZE);
    fixture->target = memory_disk_new("target", SIZE);
    fixture->sums = testing_sums(SIZE);
    fill_disk(fixture->source, 0, 3 * MIB, 1);
    fill_disk(fixture->source, 35 * MIB, 36 * MIB, 2);
    fill_disk(fixture->source, SIZE - 512, SIZE, 3);
    plan = copy_plan_full(fixture->source, NULL, &error);
    job = (CopyJob){.source = fixture->source,
                    .target = fixture->target,
                    .plan = plan,
                    .sums = fixture->sums,
                    .fresh_target = TRUE};
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);
    fixture->job = (VerifyJob){.target = fixture->target, .sums = fixture->sums};
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    disk_free(fixture->source);
    disk_free(fixture->target);
    sums_free(fixture->sums);
}

static void flip(Disk *disk, guint64 offset)
{
    guint8 sector[512];
    guint64 start = offset - offset % 512;
    g_autoptr(GError) error = NULL;

    disk_pread(disk, sector, sizeof sector, start, &error);
    sector[offset % 512] ^= 0x10;
    disk_pwrite(disk, sector, sizeof sector, start, &error);
    g_assert_no_error(error);
}

static void test_good(Fixture *fixture, gconstpointer data)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(CopyMeter) meter = copy_meter_new();
    g_autoptr(GError) error = NULL;
    guint64 before = disk_counters(fixture->target).bytes_read;

    fixture->job.meter = meter;
    verify_run(&fixture->job, &report, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(report.blocks, ==, 65);
    g_assert_cmpuint(report.unread, ==, sums_blocks(fixture->sums) - 65);
    g_assert_cmpuint(report.mismatches, ==, 0);
    g_assert_false(report.deep);
    g_assert_cmpuint(disk_counters(fixture->target).bytes_read - before, ==, 4 * MIB + 512);
    g_assert_cmpuint(copy_meter_read(meter).done, ==, copy_meter_read(meter).planned);
    g_assert_cmpuint(copy_meter_read(meter).bytes_read, ==, 4 * MIB + 512);
}

static void test_flipped_bit(Fixture *fixture, gconstpointer data)
{
    const guint64 places[] = {0, 3 * MIB - 1, 35 * MIB + 100000, SIZE - 1};

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_auto(VerifyReport) report = {0};
        g_autoptr(GError) error = NULL;
        guint64 start = places[i] - places[i] % BLOCK;
        g_autofree char *range = g_strdup_printf("bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, start,
                                                 MIN(start + BLOCK, SIZE));

        flip(fixture->target, places[i]);
        g_assert_false(verify_run(&fixture->job, &report, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        g_assert_nonnull(strstr(error->message, range));
        g_assert_cmpuint(report.mismatches, ==, 1);
        g_assert_cmpuint(extents_count(report.bad), ==, 1);
        g_assert_cmpuint(extents_get(report.bad, 0).start, ==, start);
        flip(fixture->target, places[i]);
    }
}

/* In blocks that were never read from the source, near to others that were and far from them. */
static void test_data_where_none_belongs(Fixture *fixture, gconstpointer data)
{
    const guint64 places[] = {3 * MIB, 20 * MIB + 5, 40 * MIB - 1};

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_auto(VerifyReport) report = {0};
        g_autoptr(GError) error = NULL;

        flip(fixture->target, places[i]);
        g_assert_false(verify_run(&fixture->job, &report, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        g_assert_cmpuint(extents_get(report.bad, 0).start, ==, places[i] - places[i] % BLOCK);
        /* Stored zeros are zeros. */
        flip(fixture->target, places[i]);
        g_clear_error(&error);
        verify_report_clear(&report);
        g_assert_true(verify_run(&fixture->job, &report, &error));
    }
}

static void test_areas(Fixture *fixture, gconstpointer data)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;

    flip(fixture->target, 10 * BLOCK);
    extents_add(areas, 11 * BLOCK, 12 * BLOCK + 1);
    extents_add(areas, SIZE - 1, SIZE + MIB);
    fixture->job.areas = areas;
    verify_run(&fixture->job, &report, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(report.blocks, ==, 3);
    g_assert_cmpuint(report.unread, ==, 0);

    extents_add(areas, 11 * BLOCK - 1, 11 * BLOCK);
    verify_report_clear(&report);
    g_assert_false(verify_run(&fixture->job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

static void test_deep(Fixture *fixture, gconstpointer data)
{
    const guint64 places[] = {MIB + 3, 30 * MIB};

    fixture->job.source = fixture->source;
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_auto(VerifyReport) report = {0};
        g_auto(VerifyReport) again = {0};
        g_autoptr(GError) error = NULL;

        verify_run(&fixture->job, &report, &error);
        g_assert_no_error(error);
        g_assert_true(report.deep);
        g_assert_cmpuint(report.blocks, ==, 65);
        /* The source is not what it was, where it was read and where it was said to be a hole. */
        flip(fixture->source, places[i]);
        g_assert_false(verify_run(&fixture->job, &again, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        g_assert_cmpuint(extents_get(again.bad, 0).start, ==, places[i] - places[i] % BLOCK);
        flip(fixture->source, places[i]);
    }
}

static void test_errors(Fixture *fixture, gconstpointer data)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(Disk) small = memory_disk_new("small", MIB);
    g_autoptr(GError) error = NULL;

    fixture->target = fault_disk_new(fixture->target);
    fixture->job.target = fixture->target;
    fault_disk_fail_read(fixture->target, 3, VF_ERROR_TARGET_IO);
    g_assert_false(verify_run(&fixture->job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_clear_error(&error);
    fault_disk_heal(fixture->target);

    cancel_fire(cancel);
    fixture->job.cancel = cancel;
    g_assert_false(verify_run(&fixture->job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_clear_error(&error);

    fixture->job = (VerifyJob){.target = small, .sums = fixture->sums};
    g_assert_false(verify_run(&fixture->job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

static gboolean cancel_at_2(HookEvent event, guint nth, gpointer data, GError **error)
{
    if (nth == 2)
        cancel_fire(data);
    return TRUE;
}

static void test_cancelled_halfway(Fixture *fixture, gconstpointer data)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;

    fixture->target = hook_disk_new(fixture->target, cancel_at_2, cancel);
    fixture->job.target = fixture->target;
    fixture->job.cancel = cancel;
    fixture->job.threads = 1;
    g_assert_false(verify_run(&fixture->job, &report, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_assert_cmpuint(disk_counters(fixture->target).reads, ==, 2);
}

/* A disk of 3 TiB with little in it costs little. */
static void test_huge(Fixture *fixture, gconstpointer data)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(Disk) target = memory_disk_new("huge", 3 * TIB / 16);
    g_autoptr(Sums) sums = testing_sums(disk_size(target));
    g_autofree guint8 *block = g_malloc(BLOCK);
    g_autoptr(GError) error = NULL;
    VerifyJob job = {.target = target, .sums = sums};
    const guint64 place = disk_size(target) / 3 * 2 / BLOCK;
    guint64 sum;

    fill_disk(target, place * BLOCK, (place + 1) * BLOCK, 5);
    g_assert_true(disk_pread(target, block, BLOCK, place * BLOCK, &error));
    sum = sums_of(block, BLOCK);
    g_assert_true(sums_set(sums, place, &sum, 1, &error));
    verify_run(&job, &report, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(report.blocks, ==, 1);
    g_assert_cmpuint(report.unread, ==, sums_blocks(sums) - 1);
    g_assert_cmpuint(disk_counters(target).bytes_read, ==, 2 * BLOCK);
}

static void test_empty(Fixture *fixture, gconstpointer data)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(Disk) target = memory_disk_new("nothing", 0);
    g_autoptr(Sums) sums = testing_sums(0);
    g_autoptr(GError) error = NULL;
    VerifyJob job = {.target = target, .sums = sums};

    g_assert_true(verify_run(&job, &report, &error));
    g_assert_cmpuint(report.blocks + report.unread, ==, 0);
}

#define ADD(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/verify/good", test_good);
    ADD("/verify/flipped-bit", test_flipped_bit);
    ADD("/verify/data-where-none-belongs", test_data_where_none_belongs);
    ADD("/verify/areas", test_areas);
    ADD("/verify/deep", test_deep);
    ADD("/verify/errors", test_errors);
    ADD("/verify/cancelled-halfway", test_cancelled_halfway);
    ADD("/verify/huge", test_huge);
    ADD("/verify/empty", test_empty);
    return g_test_run();
}
