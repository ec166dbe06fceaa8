#include "copy/copy.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "copy/testing.h"
#include "disk/memory.h"

#define BLOCK ((guint64)SUMS_BLOCK_SIZE)
#define ODD   (9 * MIB + 3 * BLOCK + 512)

/* One disk on its way, with all that is held against it. */
typedef struct {
    Disk *source, *target;
    Disk *reference; /* what `source` contains, always readable; `source` itself unless it fails; borrowed */
    CopyPlan *plan;
    Sums *sums;
    CopyMeter *meter;
    Extents *committed; /* what the last checkpoint said */
    guint commits;
    guint refuse_from; /* this commit and all later ones fail; 0: none */
    gboolean check_durable;
} Trip;

/* Both disks are taken over. */
static void trip_init(Trip *trip, Disk *source, Disk *target)
{
    g_autoptr(GError) error = NULL;

    *trip = (Trip){.source = source, .target = target, .reference = source};
    trip->plan = copy_plan_full(source, NULL, &error);
    g_assert_no_error(error);
    trip->sums = testing_sums(disk_size(source));
    trip->meter = copy_meter_new();
    trip->committed = extents_new();
}

static void trip_clear(Trip *trip)
{
    disk_free(trip->source);
    disk_free(trip->target);
    copy_plan_free(trip->plan);
    sums_free(trip->sums);
    copy_meter_free(trip->meter);
    extents_free(trip->committed);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Trip, trip_clear)

static gboolean commit(const Extents *done, gpointer data, GError **error)
{
    Trip *trip = data;

    if (++trip->commits == trip->refuse_from || (trip->refuse_from != 0 && trip->commits > trip->refuse_from))
        return vf_fail(error, VF_ERROR_CONFLICT, "the store does not want it");
    if (trip->check_durable)
        assert_same_contents(trip->reference, durable_disk_view(trip->target), done);
    extents_free(trip->committed);
    trip->committed = extents_copy(done);
    return TRUE;
}

static CopyJob trip_job(Trip *trip)
{
    return (CopyJob){
        .source = trip->source,
        .target = trip->target,
        .plan = trip->plan,
        .sums = trip->sums,
        .fresh_target = TRUE,
        .checkpoint = commit,
        .data = trip,
        .meter = trip->meter,
    };
}

static void assert_sums_are_right(Trip *trip)
{
    g_autofree guint8 *block = g_malloc(BLOCK);
    g_autoptr(GError) error = NULL;

    for (guint64 i = 0; i < sums_blocks(trip->sums); i++) {
        gsize length = (gsize)MIN(BLOCK, disk_size(trip->source) - i * BLOCK);
        guint64 sum;

        g_assert_true(sums_get(trip->sums, i, &sum, 1, &error));
        g_assert_true(disk_pread(trip->source, block, length, i * BLOCK, &error));
        if (sum == 0)
            g_assert_true(buffer_is_zero(block, length));
        else
            g_assert_cmpuint(sum, ==, sums_of(block, length));
    }
}

static void assert_arrived(Trip *trip)
{
    assert_same_contents(trip->source, trip->target, NULL);
    assert_sums_are_right(trip);
    g_assert_true(sums_settled(trip->sums));
    g_assert_true(extents_contains(trip->committed, 0, disk_size(trip->source)));
}

/* --- what must work --- */

static void test_many_disks(void)
{
    enum { N = 7 };
    Trip trips[N];
    CopyJob jobs[N];
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < N; i++) {
        trip_init(&trips[i], pattern_disk_new("source", ODD + i * MIB, i, 60),
                  memory_disk_new("target", ODD + i * MIB));
        jobs[i] = trip_job(&trips[i]);
    }
    copy_run(jobs, N, &(CopyOptions){.parallel_disks = 3, .threads = 3, .chunk = 4 * SUMS_BLOCK_SIZE},
             &error);
    g_assert_no_error(error);
    for (guint i = 0; i < N; i++) {
        CopyProgress progress = copy_meter_read(trips[i].meter);

        assert_arrived(&trips[i]);
        g_assert_cmpuint(progress.planned, ==, disk_size(trips[i].source));
        g_assert_cmpuint(progress.done, ==, progress.planned);
        g_assert_cmpuint(progress.bytes_written + progress.bytes_zero, ==, progress.planned);
        g_assert_cmpuint(trips[i].commits, ==, 1);
        g_assert_cmpuint(disk_counters(trips[i].target).flushes, ==, 1);
        trip_clear(&trips[i]);
    }
}

static void test_sparse(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    Disk *source = memory_disk_new("source", 2 * GIB);
    guint8 *zeros = g_malloc0(MIB);
    CopyJob job;

    /* Two islands; in the second, half is zero though it is stored. */
    fill_disk(source, 100 * MIB, 101 * MIB, 1);
    fill_disk(source, GIB, GIB + 512 * KIB, 2);
    g_assert_true(disk_pwrite(source, zeros, 512 * KIB, GIB + 512 * KIB, &error));
    trip_init(&trip, source, memory_disk_new("target", 2 * GIB));
    job = trip_job(&trip);
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_counters(trip.source).bytes_read, ==, 2 * MIB);
    g_assert_cmpuint(disk_counters(trip.target).bytes_written, ==, MIB + 512 * KIB);
    g_assert_cmpuint(disk_counters(trip.target).zeroes, ==, 0);
    assert_same_contents(trip.source, trip.target, trip.plan->read);
    g_assert_true(extents_contains(trip.committed, 0, 2 * GIB));
    g_free(zeros);
}

static void test_empty(void)
{
    const guint64 sizes[] = {0, 512, 64 * GIB};

    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_auto(Trip) trip;
        g_autoptr(GError) error = NULL;
        CopyJob job;

        trip_init(&trip, memory_disk_new("source", sizes[i]), memory_disk_new("target", sizes[i]));
        job = trip_job(&trip);
        copy_run(&job, 1, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(extents_total(trip.committed), ==, sizes[i]);
        g_assert_cmpuint(disk_counters(trip.source).reads, ==, 0);
        g_assert_cmpuint(disk_counters(trip.target).writes, ==, 0);
    }
    g_assert_true(copy_run(NULL, 0, NULL, NULL));
}

static void test_not_fresh(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    CopyJob job;

    trip_init(&trip, pattern_disk_new("source", ODD, 3, 40), memory_disk_new("target", ODD));
    fill_disk(trip.target, 0, ODD, 99);
    job = trip_job(&trip);
    job.fresh_target = FALSE;
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);
    assert_arrived(&trip);
}

/* Blocks that were data turn into known zeros, into zeros that are found, and into other data. */
static void test_delta(void)
{
    g_auto(Trip) trip;
    g_autoptr(Extents) changed = extents_new();
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *zeros = g_malloc0(BLOCK);
    CopyJob job;
    guint64 sum;

    trip_init(&trip, memory_disk_new("source", ODD), memory_disk_new("target", ODD));
    fill_disk(trip.source, 0, ODD, 4);
    copy_plan_free(trip.plan);
    trip.plan = copy_plan_full(trip.source, NULL, &error);
    job = trip_job(&trip);
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);

    disk_zero(trip.source, MIB, 40 * BLOCK, &error);
    disk_pwrite(trip.source, zeros, BLOCK, 100 * BLOCK, &error);
    fill_disk(trip.source, 120 * BLOCK + 512, 120 * BLOCK + 1024, 5);
    fill_disk(trip.source, ODD - 512, ODD, 6);
    g_assert_no_error(error);
    extents_add(changed, MIB, MIB + 40 * BLOCK);
    extents_add(changed, 100 * BLOCK, 101 * BLOCK);
    extents_add(changed, 120 * BLOCK + 512, 120 * BLOCK + 1024);
    extents_add(changed, ODD - 512, ODD);
    copy_plan_free(trip.plan);
    trip.plan = copy_plan_changed(trip.source, changed, &error);
    job.plan = trip.plan;
    job.fresh_target = FALSE;
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);
    assert_same_contents(trip.source, trip.target, NULL);
    assert_sums_are_right(&trip);
    g_assert_true(sums_get(trip.sums, MIB / BLOCK + 39, &sum, 1, &error));
    g_assert_cmpuint(sum, ==, sums_of_zero(BLOCK));
    /* The target is a memory disk in pieces of a block: zeroed ones are not stored. */
    g_assert_cmpuint(disk_counters(trip.target).bytes_zeroed, ==, 41 * BLOCK);
}

static void write_blocks(Disk *disk, guint first, guint count, guint32 seed)
{
    fill_disk(disk, first * BLOCK, (first + count) * BLOCK, seed);
}

static void test_compare(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    DiskCounters before, after;
    CopyJob job;

    trip_init(&trip, memory_disk_new("source", ODD), memory_disk_new("target", ODD));
    write_blocks(trip.source, 0, 100, 7);
    copy_plan_free(trip.plan);
    trip.plan = copy_plan_full(trip.source, NULL, &error);
    job = trip_job(&trip);
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);

    write_blocks(trip.source, 10, 2, 8);
    write_blocks(trip.source, 50, 1, 9);
    job.compare = TRUE;
    job.fresh_target = FALSE;
    before = disk_counters(trip.target);
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);
    after = disk_counters(trip.target);
    g_assert_cmpuint(after.writes - before.writes, ==, 2);
    g_assert_cmpuint(after.bytes_written - before.bytes_written, ==, 3 * BLOCK);
    g_assert_cmpuint(copy_meter_read(trip.meter).bytes_same, ==, 97 * BLOCK);
    assert_arrived(&trip);

    /* After a kill the sums prove nothing: everything is written. */
    g_assert_true(sums_unsettle(trip.sums, &error));
    before = after;
    copy_run(&job, 1, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_counters(trip.target).bytes_written - before.bytes_written, ==, 100 * BLOCK);
    assert_arrived(&trip);
}

/* --- interruption --- */

static void test_resume(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) reference = pattern_disk_new("reference", ODD, 10, 80);
    Disk *source = fault_disk_new(pattern_disk_new("the-source", ODD, 10, 80));
    CopyOptions options = {.chunk = 2 * SUMS_BLOCK_SIZE, .checkpoint_ms = 1};
    g_autoptr(Extents) before = NULL;
    g_autoptr(Extents) missing = NULL;
    CopyJob job;
    guint64 read;

    trip_init(&trip, source, durable_disk_new("target", ODD));
    trip.reference = reference;
    trip.check_durable = TRUE;
    job = trip_job(&trip);
    fault_disk_fail_read(source, 30, VF_ERROR_SOURCE_IO);
    g_assert_false(copy_run(&job, 1, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_SOURCE_IO);
    g_assert_true(g_str_has_prefix(error->message, "the-source: "));
    g_clear_error(&error);

    /* All 29 chunks that were read are committed, by the last checkpoint if by no other. */
    before = extents_copy(trip.committed);
    missing = extents_subtract(trip.plan->read, before);
    g_assert_cmpuint(extents_total(trip.plan->read) - extents_total(missing), ==, 29 * options.chunk);
    g_assert_true(sums_settled(trip.sums));

    fault_disk_heal(source);
    read = disk_counters(source).bytes_read;
    job.done = before;
    copy_run(&job, 1, &options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_counters(source).bytes_read - read, ==, extents_total(missing));
    assert_arrived(&trip);
}

static gboolean fire_at_20(HookEvent event, guint nth, gpointer data, GError **error)
{
    if (event == HOOK_WRITE && nth == 20)
        cancel_fire(data);
    return TRUE;
}

static void test_cancel(void)
{
    g_auto(Trip) trip;
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(Extents) before = NULL;
    CopyOptions options = {.threads = 4, .chunk = SUMS_BLOCK_SIZE, .checkpoint_ms = 1, .cancel = cancel};
    Disk *source = hook_disk_new(pattern_disk_new("source", ODD, 11, 100), fire_at_20, cancel);
    Disk *target = hook_disk_new(memory_disk_new("target", ODD), fire_at_20, cancel);
    CopyJob job;

    trip_init(&trip, source, target);
    job = trip_job(&trip);
    g_assert_false(copy_run(&job, 1, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_cmpuint(extents_total(trip.committed), >=, 19 * BLOCK);
    g_assert_cmpuint(extents_total(trip.committed), <=, 24 * BLOCK);
    g_assert_cmpuint(extents_total(trip.committed), ==, disk_counters(target).bytes_written);
    assert_same_contents(trip.source, trip.target, trip.committed);

    /* Cancelled before it started is cancelled too. */
    before = extents_copy(trip.committed);
    job.done = before;
    g_assert_false(copy_run(&job, 1, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_clear_error(&error);

    options.cancel = NULL;
    copy_run(&job, 1, &options, &error);
    g_assert_no_error(error);
    assert_arrived(&trip);
}

/* --- errors --- */

typedef struct {
    HookEvent event;
    guint first, last; /* fail from the first to the last */
    VfErrorClass class;
} Trouble;

static gboolean make_trouble(HookEvent event, guint nth, gpointer data, GError **error)
{
    const Trouble *trouble = data;

    if (event == trouble->event && nth >= trouble->first && nth <= trouble->last)
        return vf_fail(error, trouble->class, "trouble");
    return TRUE;
}

/* The target is read by the tests alone. */
static gboolean make_trouble_at_target(HookEvent event, guint nth, gpointer data, GError **error)
{
    return event == HOOK_READ || make_trouble(event, nth, data, error);
}

static gboolean run_with_trouble(Trip *trip, const Trouble *trouble, const CopyOptions *options,
                                 GError **error)
{
    CopyJob job;

    trip_init(trip, hook_disk_new(pattern_disk_new("source", ODD, 12, 100), make_trouble, (gpointer)trouble),
              hook_disk_new(memory_disk_new("target", ODD), make_trouble_at_target, (gpointer)trouble));
    job = trip_job(trip);
    return copy_run(&job, 1, options, error);
}

static void test_transient(void)
{
    const HookEvent events[] = {HOOK_READ, HOOK_WRITE};

    for (guint i = 0; i < G_N_ELEMENTS(events); i++) {
        g_auto(Trip) trip;
        g_autoptr(GError) error = NULL;
        Trouble trouble = {events[i], 5, 7, VF_ERROR_TRANSIENT};

        run_with_trouble(&trip, &trouble, &(CopyOptions){.threads = 3}, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(copy_meter_read(trip.meter).retries, ==, 3);
        assert_arrived(&trip);
    }
}

static void test_transient_for_too_long(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    Trouble trouble = {HOOK_READ, 1, G_MAXUINT, VF_ERROR_TRANSIENT};

    g_assert_false(run_with_trouble(&trip, &trouble, &(CopyOptions){.threads = 1, .retries = 2}, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpuint(disk_counters(trip.source).reads, ==, 3);
}

static void test_permanent(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    Trouble trouble = {HOOK_WRITE, 3, 3, VF_ERROR_TARGET_IO};

    g_assert_false(run_with_trouble(&trip, &trouble, &(CopyOptions){.threads = 1}, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_assert_cmpuint(disk_counters(trip.target).writes, ==, 3);
    g_assert_cmpuint(copy_meter_read(trip.meter).retries, ==, 0);
    g_assert_cmpuint(extents_total(trip.committed), ==, 2 * MIB);
    /* The third chunk may be half there. */
    g_assert_false(sums_settled(trip.sums));
}

/* nbdcopy once called a copy with a failed read a success (CVE-2022-0485): here no single one may be missed.
 */
static void test_every_failure_counts(void)
{
    const HookEvent events[] = {HOOK_READ, HOOK_WRITE, HOOK_FLUSH};
    const guint counts[] = {10, 10, 1};

    for (guint i = 0; i < G_N_ELEMENTS(events); i++)
        for (guint nth = 1; nth <= counts[i]; nth++) {
            g_auto(Trip) trip;
            g_autoptr(GError) error = NULL;
            Trouble trouble = {events[i], nth, nth, VF_ERROR_INTERNAL};

            g_assert_false(run_with_trouble(&trip, &trouble, NULL, &error));
            g_assert_error(error, VF_ERROR, VF_ERROR_INTERNAL);
            assert_same_contents(trip.source, trip.target, trip.committed);
        }
}

/* A flush that failed may not be tried again and believed: what it lost stays lost. */
static void test_flush_fails_once(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    Trouble trouble = {HOOK_FLUSH, 1, 1, VF_ERROR_TARGET_IO};
    g_autoptr(RateLimit) limit = rate_limit_new(4 * MIB);
    CopyOptions options = {.chunk = SUMS_BLOCK_SIZE, .checkpoint_ms = 1, .limit = limit};

    g_assert_false(run_with_trouble(&trip, &trouble, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_assert_cmpuint(trip.commits, ==, 0);
    g_assert_cmpuint(disk_counters(trip.target).flushes, ==, 1);
}

static void test_commit_fails(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    g_autoptr(RateLimit) limit = rate_limit_new(3 * MIB);
    CopyOptions options = {.chunk = SUMS_BLOCK_SIZE, .checkpoint_ms = 100, .limit = limit};
    CopyJob job;

    trip_init(&trip, pattern_disk_new("source", ODD, 13, 100), durable_disk_new("target", ODD));
    trip.refuse_from = 2;
    trip.check_durable = TRUE;
    job = trip_job(&trip);
    g_assert_false(copy_run(&job, 1, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_cmpuint(trip.commits, ==, 2);
    g_assert_cmpuint(extents_total(trip.committed), <, ODD);
    g_assert_cmpuint(extents_total(trip.committed), >, 0);
}

/* One bad disk stops the good ones, and what those had is kept. */
static void test_one_stops_all(void)
{
    Trip trips[3];
    CopyJob jobs[3];
    g_autoptr(GError) error = NULL;
    /* Both have to wait long before either can be at its end. */
    g_autoptr(RateLimit) limit = rate_limit_new(16 * MIB);

    for (guint i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("disk-%u", i);

        trip_init(&trips[i], fault_disk_new(pattern_disk_new(name, 64 * MIB, 14, 100)),
                  memory_disk_new("target", 64 * MIB));
        jobs[i] = trip_job(&trips[i]);
    }
    fault_disk_fail_read(trips[1].source, 12, VF_ERROR_SOURCE_IO);
    g_assert_false(
        copy_run(jobs, 3, &(CopyOptions){.parallel_disks = 2, .threads = 2, .limit = limit}, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_SOURCE_IO);
    g_assert_true(g_str_has_prefix(error->message, "disk-1: "));
    g_assert_cmpuint(trips[0].commits, ==, 1);
    g_assert_cmpuint(extents_total(trips[0].committed), >, 0);
    g_assert_cmpuint(trips[1].commits, ==, 1);
    g_assert_cmpuint(trips[2].commits, ==, 0);
    g_assert_cmpuint(disk_counters(trips[2].source).reads, ==, 0);
    fault_disk_heal(trips[1].source);
    for (guint i = 0; i < 3; i++) {
        assert_same_contents(trips[i].source, trips[i].target, trips[i].committed);
        trip_clear(&trips[i]);
    }
}

static gboolean refuse_tick(gpointer data, GError **error)
{
    return ++*(guint *)data < 2 || vf_fail(error, VF_ERROR_AUTH, "the session is gone");
}

static void test_tick(void)
{
    g_auto(Trip) trip;
    g_autoptr(GError) error = NULL;
    g_autoptr(RateLimit) limit = rate_limit_new(2 * MIB);
    guint ticks = 0;
    CopyOptions options = {.limit = limit, .tick = refuse_tick, .tick_data = &ticks};
    CopyJob job;

    trip_init(&trip, pattern_disk_new("source", ODD, 15, 100), memory_disk_new("target", ODD));
    job = trip_job(&trip);
    g_assert_false(copy_run(&job, 1, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_AUTH);
    g_assert_cmpuint(ticks, ==, 2);
    g_assert_cmpuint(trip.commits, ==, 1);
}

static void assert_refused(const CopyJob *job, const CopyOptions *options, VfErrorClass class)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(copy_run(job, 1, options, &error));
    g_assert_error(error, VF_ERROR, (gint) class);
}

static void test_refused(void)
{
    g_auto(Trip) trip;
    g_autoptr(Disk) small = memory_disk_new("small", MIB);
    g_autoptr(Sums) other = testing_sums(MIB);
    CopyJob job, bad;

    trip_init(&trip, pattern_disk_new("source", ODD, 16, 100), memory_disk_new("target", ODD));
    job = bad = trip_job(&trip);
    bad.target = trip.source;
    assert_refused(&bad, NULL, VF_ERROR_INVALID);
    bad = job;
    bad.target = small;
    assert_refused(&bad, NULL, VF_ERROR_INVALID);
    bad = job;
    bad.sums = other;
    assert_refused(&bad, NULL, VF_ERROR_INVALID);
    bad = job;
    bad.compare = TRUE;
    bad.sums = NULL;
    assert_refused(&bad, NULL, VF_ERROR_INTERNAL);
    assert_refused(&job, &(CopyOptions){.chunk = 1000}, VF_ERROR_INVALID);
    assert_refused(&job, &(CopyOptions){.threads = 10000}, VF_ERROR_INVALID);
    extents_remove(trip.plan->read, 512, 1024);
    assert_refused(&job, NULL, VF_ERROR_INTERNAL);
    g_assert_cmpuint(disk_counters(trip.source).reads, ==, 0);
    g_assert_cmpuint(trip.commits, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/copy/many-disks", test_many_disks);
    g_test_add_func("/copy/sparse", test_sparse);
    g_test_add_func("/copy/empty", test_empty);
    g_test_add_func("/copy/not-fresh", test_not_fresh);
    g_test_add_func("/copy/delta", test_delta);
    g_test_add_func("/copy/compare", test_compare);
    g_test_add_func("/copy/resume", test_resume);
    g_test_add_func("/copy/cancel", test_cancel);
    g_test_add_func("/copy/transient", test_transient);
    g_test_add_func("/copy/transient-for-too-long", test_transient_for_too_long);
    g_test_add_func("/copy/permanent", test_permanent);
    g_test_add_func("/copy/every-failure-counts", test_every_failure_counts);
    g_test_add_func("/copy/flush-fails-once", test_flush_fails_once);
    g_test_add_func("/copy/commit-fails", test_commit_fails);
    g_test_add_func("/copy/one-stops-all", test_one_stops_all);
    g_test_add_func("/copy/tick", test_tick);
    g_test_add_func("/copy/refused", test_refused);
    return g_test_run();
}
