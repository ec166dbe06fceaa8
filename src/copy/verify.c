/* Verification: the disk in pieces that threads take one after the other.
 *
 * Where the file of sums has entries, a piece is small, its blocks are read back and summed.  Where it is a
 * hole, which its file system knows, nothing was ever read from the source and all must be zero: a piece is
 * large, and the target's own map says what of it need not even be read.  So the cost grows with the data,
 * not with the disk.  In the words of queue.h the former are the chunks to be read and the latter the known
 * zeros.
 */
#include "copy/verify.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "copy/meter.h"
#include "copy/queue.h"
#include "copy/retry.h"

#define DEFAULT_THREADS 4u
#define MAX_THREADS     64u
#define RETRIES         6u
#define READ_SIZE       ((guint32)MIB)
/* Blocks that are held against their sums at once. */
#define PIECE_BLOCKS 512u
#define TICK_US      (G_USEC_PER_SEC / 2)

typedef struct {
    const VerifyJob *job;
    guint64 size; /* bytes */
    ChunkQueue *queue;
    Cancel *stop;
    RetryPolicy retry;

    GMutex lock;   /* guards all below */
    GCond changed; /* a thread has ended */
    guint running;
    VerifyReport *report;
    GError *error; /* the first */
} Verifier;

/* --- looking --- */

typedef struct {
    Verifier *verifier;
    DiskBuffer *buffer; /* READ_SIZE */
    guint64 bytes_read;
} Looker;

static gboolean look_read(Looker *looker, Disk *disk, guint64 offset, gsize length, GError **error)
{
    const Verifier *verifier = looker->verifier;
    guint attempt = 0;

    if (!cancel_check(verifier->stop, error) || !cancel_check(verifier->job->cancel, error))
        return FALSE;
    while (!disk_pread(disk, looker->buffer, length, offset, error))
        if (!retry_wait(&verifier->retry, &attempt, error))
            return FALSE;
    looker->bytes_read += length;
    return TRUE;
}

static void found_bad(Verifier *verifier, guint64 block)
{
    guint64 start = block * SUMS_BLOCK_SIZE, end = MIN(start + SUMS_BLOCK_SIZE, verifier->size);

    g_mutex_lock(&verifier->lock);
    if (!extents_contains(verifier->report->bad, start, end)) {
        extents_add(verifier->report->bad, start, end);
        verifier->report->mismatches++;
    }
    g_mutex_unlock(&verifier->lock);
}

/* Holds `count` blocks of the buffer from `block` on against `sums`, or against zero where that is NULL. */
static void judge(Looker *looker, guint64 block, guint64 length, const guint64 *sums)
{
    const guint8 *data = (const guint8 *)looker->buffer;

    for (guint i = 0; length > 0; i++) {
        gsize step = (gsize)MIN(length, SUMS_BLOCK_SIZE);
        gboolean good = sums != NULL ? sums_of(data, step) == sums[i] : buffer_is_zero(data, step);

        if (!good)
            found_bad(looker->verifier, block + i);
        data += step;
        length -= step;
    }
}

static gboolean look_at(Looker *looker, Disk *disk, guint64 start, guint64 end, const guint64 *sums,
                        GError **error)
{
    for (guint64 offset = start; offset < end; offset += READ_SIZE) {
        gsize length = (gsize)MIN(READ_SIZE, end - offset);

        if (!look_read(looker, disk, offset, length, error))
            return FALSE;
        judge(looker, offset / SUMS_BLOCK_SIZE, length,
              sums != NULL ? sums + (offset - start) / SUMS_BLOCK_SIZE : NULL);
    }
    return TRUE;
}

/* All of [start, end) must read as zero; its holes need not be read. */
static gboolean look_for_data(Looker *looker, Disk *disk, guint64 start, guint64 end, GError **error)
{
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(Extents) data = extents_new();

    if (!disk_extents(disk, start, end - start, map, error))
        return FALSE;
    for (guint i = 0; i < map->len; i++) {
        const DiskExtent *extent = &g_array_index(map, DiskExtent, i);

        if (extent->kind == DISK_EXTENT_DATA)
            extents_add(data, extent->offset, extent->offset + extent->length);
    }
    extents_align(data, SUMS_BLOCK_SIZE, end);
    for (guint i = 0; i < extents_count(data); i++)
        if (!look_at(looker, disk, extents_get(data, i).start, extents_get(data, i).end, NULL, error))
            return FALSE;
    return TRUE;
}

/* Blocks [first, end), all with a sum (`sums`) or all without (NULL). */
static gboolean look_at_run(Looker *looker, guint64 first, guint64 end, const guint64 *sums, GError **error)
{
    Verifier *verifier = looker->verifier;
    Disk *disks[] = {verifier->job->target, verifier->job->source};
    guint64 start = first * SUMS_BLOCK_SIZE, stop = MIN(end * SUMS_BLOCK_SIZE, verifier->size);

    for (guint i = 0; i < G_N_ELEMENTS(disks) && disks[i] != NULL; i++)
        if (!(sums != NULL ? look_at(looker, disks[i], start, stop, sums, error)
                           : look_for_data(looker, disks[i], start, stop, error)))
            return FALSE;
    g_mutex_lock(&verifier->lock);
    *(sums != NULL ? &verifier->report->blocks : &verifier->report->unread) += end - first;
    g_mutex_unlock(&verifier->lock);
    return TRUE;
}

/* At most PIECE_BLOCKS blocks of which some have sums. */
static gboolean look_at_summed(Looker *looker, guint64 block, guint count, GError **error)
{
    guint64 sums[PIECE_BLOCKS];
    guint end;

    if (!sums_get(looker->verifier->job->sums, block, sums, count, error))
        return FALSE;
    for (guint first = 0; first < count; first = end) {
        gboolean summed = sums[first] != 0;

        for (end = first + 1; end < count && (sums[end] != 0) == summed; end++)
            ;
        if (!look_at_run(looker, block + first, block + end, summed ? sums + first : NULL, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean look_at_piece(Looker *looker, const Chunk *piece, GError **error)
{
    guint64 block = piece->offset / SUMS_BLOCK_SIZE;
    guint64 count = div_round_up(piece->length, SUMS_BLOCK_SIZE);
    CopyProgress progress = {.done = piece->zero ? 0 : piece->length};

    looker->bytes_read = 0;
    if (!(piece->zero ? look_at_run(looker, block, block + count, NULL, error)
                      : look_at_summed(looker, block, (guint)count, error)))
        return FALSE;
    progress.bytes_read = looker->bytes_read;
    copy_meter_add(looker->verifier->job->meter, &progress, clock_monotonic());
    return TRUE;
}

/* --- threads --- */

/* Takes over `error`. */
static void verifier_fail(Verifier *verifier, GError *error)
{
    g_mutex_lock(&verifier->lock);
    if (verifier->error == NULL)
        verifier->error = error;
    else
        g_error_free(error);
    g_mutex_unlock(&verifier->lock);
    cancel_fire(verifier->stop);
}

static gboolean look_at_all(Looker *looker, GError **error)
{
    Chunk piece;

    while (chunk_queue_take(looker->verifier->queue, &piece))
        if (!look_at_piece(looker, &piece, error))
            return FALSE;
    return TRUE;
}

static gpointer verifier_thread(gpointer data)
{
    Verifier *verifier = data;
    Looker looker = {.verifier = verifier, .buffer = disk_buffer_new(READ_SIZE)};
    GError *error = NULL;

    if (!look_at_all(&looker, &error))
        verifier_fail(verifier, error);
    disk_buffer_free(looker.buffer);
    g_mutex_lock(&verifier->lock);
    verifier->running--;
    g_cond_signal(&verifier->changed);
    g_mutex_unlock(&verifier->lock);
    return NULL;
}

/* FALSE once every thread has ended; TRUE when a tick is due. */
static gboolean wait_for_tick(Verifier *verifier)
{
    gint64 due = g_get_monotonic_time() + TICK_US;
    gboolean running;

    g_mutex_lock(&verifier->lock);
    while ((running = verifier->running > 0) && g_cond_wait_until(&verifier->changed, &verifier->lock, due))
        ;
    g_mutex_unlock(&verifier->lock);
    return running;
}

static void watch(Verifier *verifier)
{
    const VerifyJob *job = verifier->job;

    while (wait_for_tick(verifier)) {
        GError *error = NULL;

        if (cancel_fired(verifier->stop))
            continue;
        if (!cancel_check(job->cancel, &error) || (job->tick != NULL && !job->tick(job->tick_data, &error)))
            verifier_fail(verifier, error);
    }
}

static void run_threads(Verifier *verifier)
{
    GThread *threads[MAX_THREADS];
    guint n = verifier->job->threads != 0 ? MIN(verifier->job->threads, MAX_THREADS) : DEFAULT_THREADS;

    verifier->running = n;
    for (guint i = 0; i < n; i++)
        threads[i] = g_thread_new("verify", verifier_thread, verifier);
    watch(verifier);
    for (guint i = 0; i < n; i++)
        g_thread_join(threads[i]);
}

/* --- the whole --- */

void verify_report_clear(VerifyReport *report)
{
    g_clear_pointer(&report->bad, extents_free);
}

static Extents *areas_of(const VerifyJob *job)
{
    Extents *areas = job->areas != NULL ? extents_copy(job->areas) : extents_new();

    if (job->areas == NULL)
        extents_add(areas, 0, sums_size(job->sums));
    extents_align(areas, SUMS_BLOCK_SIZE, sums_size(job->sums));
    return areas;
}

/* Where the file of sums is no hole. */
static Extents *summed_parts(Sums *sums, GError **error)
{
    g_autoptr(Extents) parts = extents_new();

    for (guint64 first, end = 0; end < sums_blocks(sums);) {
        if (!sums_next(sums, end, &first, &end, error))
            return NULL;
        extents_add(parts, first * SUMS_BLOCK_SIZE, MIN(end * SUMS_BLOCK_SIZE, sums_size(sums)));
    }
    return g_steal_pointer(&parts);
}

static CopyPlan *plan_of(const VerifyJob *job, GError **error)
{
    g_autoptr(Extents) areas = areas_of(job);
    g_autoptr(Extents) summed = summed_parts(job->sums, error);
    CopyPlan *plan;

    if (summed == NULL)
        return NULL;
    plan = g_new(CopyPlan, 1);
    plan->read = extents_intersect(areas, summed);
    plan->zero = extents_subtract(areas, summed);
    return plan;
}

static void verifier_init(Verifier *verifier, const VerifyJob *job, const CopyPlan *plan,
                          VerifyReport *report)
{
    *verifier = (Verifier){.job = job, .size = sums_size(job->sums), .report = report};
    verifier->queue = chunk_queue_new(plan, NULL, PIECE_BLOCKS * SUMS_BLOCK_SIZE, FALSE);
    verifier->stop = cancel_new();
    verifier->retry = (RetryPolicy){RETRIES, verifier->stop, job->meter};
    g_mutex_init(&verifier->lock);
    g_cond_init(&verifier->changed);
    copy_meter_start(job->meter, extents_total(plan->read), clock_monotonic());
}

static void verifier_fini(Verifier *verifier)
{
    copy_meter_stop(verifier->job->meter, clock_monotonic());
    chunk_queue_free(verifier->queue);
    cancel_unref(verifier->stop);
    g_cond_clear(&verifier->changed);
    g_mutex_clear(&verifier->lock);
}

static gboolean check_disk(Disk *disk, const VerifyJob *job, GError **error)
{
    if (disk != NULL && disk_size(disk) < sums_size(job->sums))
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s has %" G_GUINT64_FORMAT " bytes, its checksums are of %" G_GUINT64_FORMAT,
                       disk_name(disk), disk_size(disk), sums_size(job->sums));
    return TRUE;
}

static gboolean judge_report(const VerifyJob *job, const VerifyReport *report, GError **error)
{
    Extent first;

    if (report->mismatches == 0)
        return TRUE;
    first = extents_get(report->bad, 0);
    return vf_fail(error, VF_ERROR_INTEGRITY,
                   "%s is not what was read from the source: %" G_GUINT64_FORMAT
                   " blocks of 64 KiB differ, first at "
                   "bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT "; copy the disk again",
                   disk_name(job->target), report->mismatches, first.start, first.end);
}

gboolean verify_run(const VerifyJob *job, VerifyReport *ret_report, GError **error)
{
    g_auto(VerifyReport) report = {.bad = extents_new(), .deep = job->source != NULL};
    g_autoptr(CopyPlan) plan = NULL;
    Verifier verifier;
    gboolean ok;

    if (!check_disk(job->target, job, error) || !check_disk(job->source, job, error) ||
        !cancel_check(job->cancel, error))
        return FALSE;
    plan = plan_of(job, error);
    if (plan == NULL)
        return FALSE;
    verifier_init(&verifier, job, plan, &report);
    run_threads(&verifier);
    verifier_fini(&verifier);
    if (verifier.error != NULL) {
        g_propagate_error(error, verifier.error);
        return FALSE;
    }
    ok = judge_report(job, &report, error);
    *ret_report = report;
    report = (VerifyReport){0};
    return ok;
}
