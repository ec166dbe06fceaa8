/* One chunk, straight through: read it, decide for each of its blocks of 64 KiB what the target needs, carry
 * that out in runs of equal decisions, and write down the checksums.
 */
#include "copy/worker.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/size.h"
#include "copy/meter.h"

/* Entries of sums that are looked at in one go. */
#define SUMS_BATCH 512u

typedef enum {
    NEED_WRITE,
    NEED_ZERO,
    NEED_NOTHING,
} Need;

struct Worker {
    WorkerShare *share;
    DiskBuffer *buffer;
    guint64 *sums;         /* of the blocks of the chunk in work */
    guint64 *known;        /* what the file of sums said before */
    guint8 *needs;         /* a Need per block */
    CopyProgress progress; /* of the chunk in work */
};

Worker *worker_new(WorkerShare *share)
{
    Worker *worker = g_new0(Worker, 1);
    guint blocks = share->chunk / SUMS_BLOCK_SIZE;

    worker->share = share;
    worker->buffer = disk_buffer_new(share->chunk);
    worker->sums = g_new(guint64, blocks);
    worker->known = g_new(guint64, blocks);
    worker->needs = g_new(guint8, blocks);
    return worker;
}

void worker_free(Worker *worker)
{
    if (worker == NULL)
        return;
    disk_buffer_free(worker->buffer);
    g_free(worker->sums);
    g_free(worker->known);
    g_free(worker->needs);
    g_free(worker);
}

static gsize block_length(const Chunk *chunk, guint block)
{
    return (gsize)MIN(SUMS_BLOCK_SIZE, chunk->length - (guint64)block * SUMS_BLOCK_SIZE);
}

static guint block_count(const Chunk *chunk)
{
    return (guint)div_round_up(chunk->length, SUMS_BLOCK_SIZE);
}

static const guint8 *block_data(const Worker *worker, guint block)
{
    return (const guint8 *)worker->buffer + (gsize)block * SUMS_BLOCK_SIZE;
}

static gboolean read_source(Worker *worker, const Chunk *chunk, GError **error)
{
    const WorkerShare *share = worker->share;
    guint attempt = 0;

    if (!rate_limit_take(share->limit, chunk->length, share->retry.stop, error))
        return FALSE;
    while (!disk_pread(share->job->source, worker->buffer, (gsize)chunk->length, chunk->offset, error))
        if (!retry_wait(&share->retry, &attempt, error))
            return FALSE;
    worker->progress.bytes_read += chunk->length;
    return TRUE;
}

/* Where nothing is compared and no sums are kept, nothing is summed. */
static Need examine_block(Worker *worker, const Chunk *chunk, guint block)
{
    const WorkerShare *share = worker->share;
    gsize length = block_length(chunk, block);
    gboolean zero = buffer_is_zero(block_data(worker, block), length);

    if (share->job->sums != NULL)
        worker->sums[block] = zero ? sums_of_zero(length) : sums_of(block_data(worker, block), length);
    if (zero)
        worker->progress.bytes_zero += length;
    if (share->compare && worker->known[block] == worker->sums[block]) {
        worker->progress.bytes_same += length;
        return NEED_NOTHING;
    }
    if (!zero)
        return NEED_WRITE;
    return share->zero_is_done ? NEED_NOTHING : NEED_ZERO;
}

/* Where whole granules are compressed, one of which some blocks are written is written whole, as far as it
 * lies in the chunk. */
static void widen(Worker *worker, const Chunk *chunk)
{
    const Disk *target = worker->share->job->target;
    guint64 per_granule = disk_granularity(target) / SUMS_BLOCK_SIZE;
    guint64 base = chunk->offset / SUMS_BLOCK_SIZE;
    guint count = block_count(chunk), end;

    if (!disk_compresses(target) || per_granule < 2)
        return;
    for (guint first = 0; first < count; first = end) {
        end = (guint)MIN(round_up(base + first + 1, per_granule) - base, count);
        if (memchr(worker->needs + first, NEED_WRITE, end - first) != NULL)
            memset(worker->needs + first, NEED_WRITE, end - first);
    }
}

static gboolean examine(Worker *worker, const Chunk *chunk, GError **error)
{
    const WorkerShare *share = worker->share;
    guint count = block_count(chunk);

    if (share->compare &&
        !sums_get(share->job->sums, chunk->offset / SUMS_BLOCK_SIZE, worker->known, count, error))
        return FALSE;
    for (guint block = 0; block < count; block++)
        worker->needs[block] = (guint8)examine_block(worker, chunk, block);
    widen(worker, chunk);
    return TRUE;
}

static void note_first_write(const WorkerShare *share)
{
    if (!g_atomic_int_get(share->first_write) &&
        g_atomic_int_compare_and_exchange(share->first_write, FALSE, TRUE))
        crash_point("copy.first-write");
}

static gboolean zero_range(const WorkerShare *share, guint64 offset, guint64 length, GError **error)
{
    guint attempt = 0;

    while (!disk_zero(share->job->target, offset, length, error))
        if (!retry_wait(&share->retry, &attempt, error))
            return FALSE;
    note_first_write(share);
    return TRUE;
}

static gboolean write_range(Worker *worker, const void *data, guint64 offset, gsize length, GError **error)
{
    const WorkerShare *share = worker->share;
    guint attempt = 0;

    while (!disk_pwrite(share->job->target, data, length, offset, error))
        if (!retry_wait(&share->retry, &attempt, error))
            return FALSE;
    worker->progress.bytes_written += length;
    note_first_write(share);
    return TRUE;
}

static gboolean carry_out(Worker *worker, const Chunk *chunk, guint first, guint end, GError **error)
{
    guint64 start = (guint64)first * SUMS_BLOCK_SIZE;
    guint64 length = MIN((guint64)end * SUMS_BLOCK_SIZE, chunk->length) - start;

    switch ((Need)worker->needs[first]) {
    case NEED_WRITE:
        return write_range(worker, block_data(worker, first), chunk->offset + start, (gsize)length, error);
    case NEED_ZERO:
        return zero_range(worker->share, chunk->offset + start, length, error);
    case NEED_NOTHING:
        break;
    }
    return TRUE;
}

static gboolean write_target(Worker *worker, const Chunk *chunk, GError **error)
{
    guint count = block_count(chunk), end;

    for (guint first = 0; first < count; first = end) {
        for (end = first + 1; end < count && worker->needs[end] == worker->needs[first]; end++)
            ;
        if (!carry_out(worker, chunk, first, end, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean copy_data(Worker *worker, const Chunk *chunk, GError **error)
{
    WorkerShare *share = worker->share;
    Sums *sums = share->job->sums;

    if (!read_source(worker, chunk, error) || !examine(worker, chunk, error))
        return FALSE;
    if (!write_target(worker, chunk, error) ||
        (sums != NULL &&
         !sums_set(sums, chunk->offset / SUMS_BLOCK_SIZE, worker->sums, block_count(chunk), error))) {
        g_atomic_int_set(&share->torn, TRUE);
        return FALSE;
    }
    return TRUE;
}

/* What was never summed stays so: "must read as zero" is true of it. */
static gboolean renew_sums(const WorkerShare *share, guint64 first, guint count, GError **error)
{
    Sums *sums = share->job->sums;
    guint64 values[SUMS_BATCH];
    gboolean any = FALSE;

    if (!sums_get(sums, first, values, count, error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        guint64 offset = (first + i) * SUMS_BLOCK_SIZE;

        if (values[i] == 0)
            continue;
        values[i] = sums_of_zero((gsize)MIN(SUMS_BLOCK_SIZE, sums_size(sums) - offset));
        any = TRUE;
    }
    return !any || sums_set(sums, first, values, count, error);
}

static gboolean renew_sums_of_zero(const WorkerShare *share, const Chunk *chunk, GError **error)
{
    guint64 block = chunk->offset / SUMS_BLOCK_SIZE;
    guint64 last = block + block_count(chunk);

    while (share->job->sums != NULL && block < last) {
        guint64 first, end;

        if (!sums_next(share->job->sums, block, &first, &end, error))
            return FALSE;
        end = MIN(end, last);
        for (block = first; block < end; block += MIN(SUMS_BATCH, end - block))
            if (!renew_sums(share, block, (guint)MIN(SUMS_BATCH, end - block), error))
                return FALSE;
    }
    return TRUE;
}

static gboolean copy_zero(Worker *worker, const Chunk *chunk, GError **error)
{
    WorkerShare *share = worker->share;

    if (!zero_range(share, chunk->offset, chunk->length, error) || !renew_sums_of_zero(share, chunk, error)) {
        g_atomic_int_set(&share->torn, TRUE);
        return FALSE;
    }
    worker->progress.bytes_zero += chunk->length;
    return TRUE;
}

gboolean worker_copy(Worker *worker, const Chunk *chunk, GError **error)
{
    worker->progress = (CopyProgress){0};
    if (!(chunk->zero ? copy_zero : copy_data)(worker, chunk, error))
        return FALSE;
    worker->progress.done = chunk->length;
    copy_meter_add(worker->share->job->meter, &worker->progress, clock_monotonic());
    return TRUE;
}
