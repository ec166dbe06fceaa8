/* The engine: one thread group per disk under one coordinator.
 *
 * The coordinator is the calling thread.  It starts disks as places become free, sleeps on a condition until
 * a disk has run out of work, an error has come up, or something is due, and does what must be done by one:
 * checkpoints, ticks, the end of a disk.  Workers know only their own disk's queue and the flag that stops
 * everybody.
 *
 * A checkpoint takes the set of what is done *first*, then syncs the sums and flushes the target, and only
 * then hands the set on: what finishes in between is in the next one.  A disk of which a checkpoint failed
 * gets no further one in this run: after a failed fsync the kernel may call the next one a success although
 * data are lost.
 *
 * While a disk is at work its file of sums is marked unsettled; a copy that ends in order, with an error too,
 * takes the mark away again, unless a write was torn.  After a kill it stays until a copy is complete, and as
 * long as it is there neither "fresh" nor "compare" is believed.
 */
#include "copy/copy.h"

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "base/size.h"
#include "copy/meter.h"
#include "copy/worker.h"

#define DEFAULT_DISKS         4u
#define DEFAULT_THREADS       8u
#define DEFAULT_CHUNK         ((guint32)MIB)
#define DEFAULT_RETRIES       6u
#define DEFAULT_CHECKPOINT_MS 5000u
#define MAX_THREADS           64u
#define MAX_CHUNK             ((guint32)(64 * MIB))
#define TICK_US               (G_USEC_PER_SEC / 2)

typedef enum { DISK_WAITING, DISK_AT_WORK, DISK_ENDED } DiskState;

typedef struct Engine Engine;

typedef struct {
    Engine *engine;
    const CopyJob *job;
    ChunkQueue *queue;
    WorkerShare share;
    GThread *threads[MAX_THREADS];
    guint n_threads;
    guint running; /* engine->lock: threads that have not ended */

    /* The coordinator's alone. */
    gboolean was_settled; /* its sums, before this run */
    DiskState state;
    gint64 checkpoint_due;
    guint64 committed; /* finished bytes at the last checkpoint */
    gboolean broken;   /* a checkpoint failed */
} DiskRun;

struct Engine {
    CopyOptions options; /* without defaults left open; constant */
    DiskRun *disks;
    guint n_disks;
    guint64 work; /* bytes to be handed out, all disks; constant */
    Cancel *stop; /* fired by the first error */
    gint first_write;
    gint64 tick_due; /* the coordinator's */

    GMutex lock;
    GCond changed;    /* a worker has ended */
    GError *error;    /* lock: the first one */
    guint64 finished; /* lock: of `work` */
};

/* --- errors --- */

/* Takes over `error`. */
static void engine_fail(Engine *engine, GError *error)
{
    g_mutex_lock(&engine->lock);
    if (engine->error == NULL)
        engine->error = error;
    else
        g_error_free(error);
    g_cond_signal(&engine->changed);
    g_mutex_unlock(&engine->lock);
    cancel_fire(engine->stop);
}

static void disk_run_fail(DiskRun *disk, GError *error)
{
    g_prefix_error(&error, "%s: ", disk_name(disk->job->source));
    engine_fail(disk->engine, error);
}

/* --- workers --- */

static void count_finished(Engine *engine, guint64 bytes)
{
    guint64 before, half = engine->work / 2;

    g_mutex_lock(&engine->lock);
    before = engine->finished;
    engine->finished += bytes;
    g_mutex_unlock(&engine->lock);
    if (before <= half && before + bytes > half)
        crash_point("copy.mid");
}

static gboolean work_on(DiskRun *disk, Worker *worker, GError **error)
{
    Engine *engine = disk->engine;
    Chunk chunk;

    while (chunk_queue_take(disk->queue, &chunk)) {
        if (!cancel_check(engine->stop, error) || !cancel_check(engine->options.cancel, error) ||
            !worker_copy(worker, &chunk, error))
            return FALSE;
        chunk_queue_finish(disk->queue, &chunk);
        count_finished(engine, chunk.length);
    }
    return TRUE;
}

static gpointer worker_main(gpointer data)
{
    DiskRun *disk = data;
    Engine *engine = disk->engine;
    g_autoptr(Worker) worker = worker_new(&disk->share);
    GError *error = NULL;

    if (!work_on(disk, worker, &error))
        disk_run_fail(disk, error);
    g_mutex_lock(&engine->lock);
    disk->running--;
    g_cond_signal(&engine->changed);
    g_mutex_unlock(&engine->lock);
    return NULL;
}

/* --- checkpoints --- */

static gboolean make_durable(DiskRun *disk, gboolean settle, GError **error)
{
    const CopyJob *job = disk->job;

    crash_point("copy.before-flush");
    if (job->sums != NULL && !sums_sync(job->sums, error))
        return FALSE;
    crash_point("copy.sums-synced");
    if (!disk_flush(job->target, error))
        return FALSE;
    crash_point("copy.flushed");
    return !settle || job->sums == NULL || sums_settle(job->sums, error);
}

static gboolean checkpoint(DiskRun *disk, gboolean settle, GError **error)
{
    const CopyJob *job = disk->job;
    guint64 finished = chunk_queue_finished(disk->queue);
    g_autoptr(Extents) done = chunk_queue_done(disk->queue);

    if (!make_durable(disk, settle, error) ||
        (job->checkpoint != NULL && !job->checkpoint(done, job->data, error))) {
        disk->broken = TRUE;
        return FALSE;
    }
    crash_point("copy.checkpoint-committed");
    disk->committed = finished;
    copy_meter_add(job->meter, &(CopyProgress){.checkpoints = 1}, clock_monotonic());
    return TRUE;
}

static void checkpoint_if_due(DiskRun *disk)
{
    GError *error = NULL;

    if (disk->state != DISK_AT_WORK || disk->broken || g_get_monotonic_time() < disk->checkpoint_due)
        return;
    if (disk->committed != chunk_queue_finished(disk->queue) && !checkpoint(disk, FALSE, &error))
        disk_run_fail(disk, error);
    disk->checkpoint_due = g_get_monotonic_time() + (gint64)disk->engine->options.checkpoint_ms * 1000;
}

/* --- one disk from start to end --- */

static void start_threads(DiskRun *disk)
{
    const Engine *engine = disk->engine;
    guint64 chunks = chunk_queue_work(disk->queue) / SUMS_BLOCK_SIZE + 1;
    guint wanted = (guint)MIN(engine->options.threads, chunks);

    for (guint i = 0; i < wanted; i++) {
        GError *error = NULL;
        GThread *thread;

        g_mutex_lock(&disk->engine->lock);
        disk->running++;
        g_mutex_unlock(&disk->engine->lock);
        thread = g_thread_try_new("copy", worker_main, disk, &error);
        if (thread != NULL) {
            disk->threads[disk->n_threads++] = thread;
            continue;
        }
        g_mutex_lock(&disk->engine->lock);
        disk->running--;
        g_mutex_unlock(&disk->engine->lock);
        disk_run_fail(disk, error);
        return;
    }
}

static void disk_run_start(DiskRun *disk)
{
    GError *error = NULL;

    disk->state = DISK_AT_WORK;
    disk->checkpoint_due = g_get_monotonic_time() + (gint64)disk->engine->options.checkpoint_ms * 1000;
    if (disk->share.zero_is_done) {
        guint64 zeros = chunk_queue_planned(disk->queue) - chunk_queue_work(disk->queue);

        copy_meter_add(disk->job->meter, &(CopyProgress){.done = zeros, .bytes_zero = zeros},
                       clock_monotonic());
    }
    if (chunk_queue_work(disk->queue) == 0)
        return;
    if (disk->job->sums != NULL && !sums_unsettle(disk->job->sums, &error)) {
        disk_run_fail(disk, error);
        return;
    }
    start_threads(disk);
}

static gboolean disk_run_is_idle(DiskRun *disk)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&disk->engine->lock);

    return disk->state == DISK_AT_WORK && disk->running == 0;
}

/* Its workers have ended, by running out of chunks or by an error: the last checkpoint keeps what there is.
 */
static void disk_run_end(DiskRun *disk)
{
    gboolean complete, settle;
    GError *error = NULL;

    for (guint i = 0; i < disk->n_threads; i++)
        g_thread_join(disk->threads[i]);
    disk->state = DISK_ENDED;
    complete = chunk_queue_finished(disk->queue) == chunk_queue_work(disk->queue);
    g_assert(complete || cancel_fired(disk->engine->stop));
    settle = !g_atomic_int_get(&disk->share.torn) && (complete || disk->was_settled);
    if (!disk->broken && !checkpoint(disk, settle, &error))
        disk_run_fail(disk, error);
}

/* --- the coordinator --- */

static gboolean stopping(const Engine *engine)
{
    return cancel_fired(engine->stop);
}

static guint count_disks(const Engine *engine, DiskState state)
{
    guint count = 0;

    for (guint i = 0; i < engine->n_disks; i++)
        count += engine->disks[i].state == state;
    return count;
}

static void start_and_end_disks(Engine *engine)
{
    for (guint i = 0; i < engine->n_disks; i++)
        if (disk_run_is_idle(&engine->disks[i]))
            disk_run_end(&engine->disks[i]);
    for (guint i = 0; i < engine->n_disks && !stopping(engine); i++)
        if (engine->disks[i].state == DISK_WAITING &&
            count_disks(engine, DISK_AT_WORK) < engine->options.parallel_disks)
            disk_run_start(&engine->disks[i]);
}

static void tick_if_due(Engine *engine)
{
    gint64 now = g_get_monotonic_time();
    GError *error = NULL;

    if (now < engine->tick_due)
        return;
    engine->tick_due = now + TICK_US;
    if (stopping(engine))
        return;
    if (!cancel_check(engine->options.cancel, &error) ||
        (engine->options.tick != NULL && !engine->options.tick(engine->options.tick_data, &error)))
        engine_fail(engine, error);
}

static gint64 next_due(const Engine *engine)
{
    gint64 due = engine->tick_due;

    for (guint i = 0; i < engine->n_disks; i++)
        if (engine->disks[i].state == DISK_AT_WORK)
            due = MIN(due, engine->disks[i].checkpoint_due);
    return due;
}

/* Until a disk is idle or something is due. */
static void wait_for_work(Engine *engine)
{
    gint64 due = next_due(engine);

    g_mutex_lock(&engine->lock);
    for (;;) {
        gboolean idle = FALSE;

        for (guint i = 0; i < engine->n_disks; i++)
            idle |= engine->disks[i].state == DISK_AT_WORK && engine->disks[i].running == 0;
        if (idle || !g_cond_wait_until(&engine->changed, &engine->lock, due))
            break;
    }
    g_mutex_unlock(&engine->lock);
}

static gboolean at_end(const Engine *engine)
{
    return count_disks(engine, DISK_AT_WORK) == 0 &&
           (stopping(engine) || count_disks(engine, DISK_WAITING) == 0);
}

static void coordinate(Engine *engine)
{
    for (start_and_end_disks(engine); !at_end(engine); start_and_end_disks(engine)) {
        tick_if_due(engine);
        for (guint i = 0; i < engine->n_disks; i++)
            checkpoint_if_due(&engine->disks[i]);
        wait_for_work(engine);
    }
}

/* --- before the start --- */

static gboolean check_aligned(const Extents *set, const CopyJob *job, GError **error)
{
    guint64 size = disk_size(job->source);

    for (guint i = 0; i < extents_count(set); i++) {
        Extent extent = extents_get(set, i);

        if (extent.start % SUMS_BLOCK_SIZE != 0 || extent.end > size ||
            (extent.end % SUMS_BLOCK_SIZE != 0 && extent.end != size))
            return vf_fail(error, VF_ERROR_INTERNAL, "%s: the plan is not made of whole blocks of the disk",
                           disk_name(job->source));
    }
    return TRUE;
}

static gboolean check_job(const CopyJob *job, GError **error)
{
    const char *name = disk_name(job->source);
    guint64 size = disk_size(job->source);

    if (!disk_is_writable(job->target))
        return vf_fail(error, VF_ERROR_INVALID, "%s: the target %s is open for reading only", name,
                       disk_name(job->target));
    if (disk_size(job->target) < size)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: the target %s has %" G_GUINT64_FORMAT " bytes, the source %" G_GUINT64_FORMAT
                       "; resize the target first",
                       name, disk_name(job->target), disk_size(job->target), size);
    if (job->sums != NULL && sums_size(job->sums) != size)
        return vf_fail(error, VF_ERROR_INVALID, "%s: the checksums are of a disk of another size", name);
    if (job->compare && job->sums == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: nothing to compare with without checksums", name);
    return check_aligned(job->plan->read, job, error) && check_aligned(job->plan->zero, job, error);
}

static gboolean check_options(const CopyOptions *options, GError **error)
{
    if (options->threads > MAX_THREADS)
        return vf_fail(error, VF_ERROR_INVALID, "%u threads per disk are too many; at most %u",
                       options->threads, MAX_THREADS);
    if (options->chunk % SUMS_BLOCK_SIZE != 0 || options->chunk > MAX_CHUNK)
        return vf_fail(error, VF_ERROR_INVALID,
                       "a chunk of %u bytes is not possible; it must be a multiple of %u and at most %u",
                       options->chunk, SUMS_BLOCK_SIZE, MAX_CHUNK);
    return TRUE;
}

static CopyOptions with_defaults(const CopyOptions *options)
{
    CopyOptions result = options != NULL ? *options : (CopyOptions){0};

    result.parallel_disks = result.parallel_disks != 0 ? result.parallel_disks : DEFAULT_DISKS;
    result.threads = result.threads != 0 ? result.threads : DEFAULT_THREADS;
    result.chunk = result.chunk != 0 ? result.chunk : DEFAULT_CHUNK;
    result.retries = result.retries != 0 ? result.retries : DEFAULT_RETRIES;
    result.checkpoint_ms = result.checkpoint_ms != 0 ? result.checkpoint_ms : DEFAULT_CHECKPOINT_MS;
    return result;
}

/* An earlier run may have written anything anywhere in the plan, unless it said that it ended in order and
 * did nothing. */
static gboolean is_untouched(const CopyJob *job)
{
    return (job->sums == NULL || sums_settled(job->sums)) &&
           (job->done == NULL || extents_count(job->done) == 0);
}

/* Whole clusters, where only those are compressed. */
static guint32 chunk_for(const CopyJob *job, guint32 chunk)
{
    guint32 unit = disk_granularity(job->target);

    return disk_compresses(job->target) && unit <= MAX_CHUNK / 2 ? (guint32)round_up(chunk, unit) : chunk;
}

/* The same for what is known to be zero beside what is read: it is read too. */
static ChunkQueue *new_queue(const CopyJob *job, guint32 chunk, gboolean zero_is_done)
{
    const CopyPlan *plan = job->plan;
    g_autoptr(Extents) wide = NULL;
    g_autoptr(Extents) all = NULL;
    g_autoptr(Extents) read = NULL;

    if (!disk_compresses(job->target) || disk_granularity(job->target) <= SUMS_BLOCK_SIZE)
        return chunk_queue_new(plan, job->done, chunk, zero_is_done);
    wide = extents_copy(plan->read);
    extents_align(wide, disk_granularity(job->target), disk_size(job->target));
    all = extents_union(plan->read, plan->zero);
    read = extents_intersect(wide, all);
    return chunk_queue_new(&(CopyPlan){.read = read, .zero = plan->zero}, job->done, chunk, zero_is_done);
}

static void disk_run_init(DiskRun *disk, Engine *engine, const CopyJob *job)
{
    gboolean zero_is_done = job->fresh_target && is_untouched(job);
    guint32 chunk = chunk_for(job, engine->options.chunk);

    disk->engine = engine;
    disk->job = job;
    disk->queue = new_queue(job, chunk, zero_is_done);
    disk->share = (WorkerShare){
        .job = job,
        .zero_is_done = zero_is_done,
        .compare = job->compare && sums_settled(job->sums),
        .chunk = chunk,
        .retry = {engine->options.retries, engine->stop, job->meter},
        .limit = engine->options.limit,
        .first_write = &engine->first_write,
    };
    disk->was_settled = job->sums == NULL || sums_settled(job->sums);
    engine->work += chunk_queue_work(disk->queue);
    copy_meter_start(job->meter, chunk_queue_planned(disk->queue), clock_monotonic());
}

static void engine_init(Engine *engine, const CopyJob *jobs, guint n_jobs, const CopyOptions *options)
{
    engine->options = *options;
    engine->stop = cancel_new();
    g_mutex_init(&engine->lock);
    g_cond_init(&engine->changed);
    engine->tick_due = g_get_monotonic_time() + TICK_US;
    engine->disks = g_new0(DiskRun, n_jobs);
    engine->n_disks = n_jobs;
    for (guint i = 0; i < n_jobs; i++)
        disk_run_init(&engine->disks[i], engine, &jobs[i]);
}

static void engine_fini(Engine *engine)
{
    for (guint i = 0; i < engine->n_disks; i++) {
        copy_meter_stop(engine->disks[i].job->meter, clock_monotonic());
        chunk_queue_free(engine->disks[i].queue);
    }
    g_free(engine->disks);
    g_cond_clear(&engine->changed);
    g_mutex_clear(&engine->lock);
    cancel_unref(engine->stop);
}

gboolean copy_run(const CopyJob *jobs, guint n_jobs, const CopyOptions *options, GError **error)
{
    CopyOptions complete = with_defaults(options);
    Engine engine = {0};
    GError *failure;

    if (!check_options(&complete, error) || !cancel_check(complete.cancel, error))
        return FALSE;
    for (guint i = 0; i < n_jobs; i++)
        if (!check_job(&jobs[i], error))
            return FALSE;
    engine_init(&engine, jobs, n_jobs, &complete);
    coordinate(&engine);
    failure = g_steal_pointer(&engine.error);
    engine_fini(&engine);
    if (failure == NULL)
        return TRUE;
    g_propagate_error(error, failure);
    return FALSE;
}
