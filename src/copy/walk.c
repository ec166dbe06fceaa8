/* Threads take pieces by number.  Who has looked at piece n waits until all before it are merged, merges, and
 * lets n + 1 go on: with about equal pieces nobody waits long, and nothing needs to be kept. */
#include "copy/walk.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "copy/meter.h"
#include "copy/queue.h"
#include "copy/retry.h"

#define DEFAULT_THREADS 8u
#define MAX_THREADS     64u
#define RETRIES         6u
#define TICK_US         (G_USEC_PER_SEC / 2)

typedef struct {
    const WalkJob *job;
    ChunkQueue *queue;
    Cancel *stop; /* an error, or nothing more is wanted */

    GMutex lock;    /* guards all below */
    GCond changed;  /* a piece was merged, a thread has ended */
    guint64 taken;  /* pieces */
    guint64 merged; /* pieces */
    gboolean enough;
    guint running;
    GError *error; /* the first */
} Walk;

gboolean walk_read(const WalkJob *job, WalkPiece *piece, Disk *disk, guint64 offset, gsize length,
                   void *buffer, GError **error)
{
    const RetryPolicy retry = {RETRIES, job->cancel, job->meter};
    guint attempt = 0;

    if (!rate_limit_take(job->limit, length, job->cancel, error))
        return FALSE;
    while (!disk_pread(disk, buffer, length, offset, error))
        if (!retry_wait(&retry, &attempt, error))
            return FALSE;
    piece->progress.bytes_read += length;
    return TRUE;
}

/* Under one lock with its number: numbers are in the order of the disk. */
static gboolean take(Walk *walk, WalkPiece *piece, guint64 *ret_number)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&walk->lock);
    Chunk chunk;

    if (cancel_fired(walk->stop) || !chunk_queue_take(walk->queue, &chunk))
        return FALSE;
    piece->offset = chunk.offset;
    piece->length = (gsize)chunk.length;
    piece->progress = (CopyProgress){0};
    *ret_number = walk->taken++;
    return TRUE;
}

/* Takes over `error`. */
static void fail(Walk *walk, GError *error)
{
    g_mutex_lock(&walk->lock);
    if (walk->error == NULL)
        walk->error = error;
    else
        g_error_free(error);
    g_cond_broadcast(&walk->changed);
    g_mutex_unlock(&walk->lock);
    cancel_fire(walk->stop);
}

/* Merges when it is this piece's turn, unless somebody failed or has seen enough. */
static gboolean merge(Walk *walk, WalkPiece *piece, guint64 number, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&walk->lock);
    gboolean ok;

    while (walk->merged != number && walk->error == NULL && !walk->enough)
        g_cond_wait(&walk->changed, &walk->lock);
    if (walk->error != NULL || walk->enough)
        return TRUE;
    ok = walk->job->merge(piece, walk->job->data, &walk->enough, error);
    walk->merged++;
    if (walk->enough)
        cancel_fire(walk->stop);
    g_cond_broadcast(&walk->changed);
    return ok;
}

static gboolean work(Walk *walk, WalkPiece *piece, GError **error)
{
    const WalkJob *job = walk->job;
    guint64 number;

    while (take(walk, piece, &number)) {
        if (!cancel_check(job->cancel, error) || !job->look(piece, job->data, error) ||
            !merge(walk, piece, number, error))
            return FALSE;
        piece->progress.done = piece->length;
        copy_meter_add(job->meter, &piece->progress, clock_monotonic());
    }
    return TRUE;
}

static gpointer walk_thread(gpointer data)
{
    Walk *walk = data;
    WalkPiece piece = {.buffers = {disk_buffer_new(WALK_PIECE), disk_buffer_new(WALK_PIECE)}};
    GError *error = NULL;

    if (!work(walk, &piece, &error))
        fail(walk, error);
    disk_buffer_free(piece.buffers[0]);
    disk_buffer_free(piece.buffers[1]);
    g_mutex_lock(&walk->lock);
    walk->running--;
    g_cond_broadcast(&walk->changed);
    g_mutex_unlock(&walk->lock);
    return NULL;
}

/* FALSE once every thread has ended; TRUE when a tick is due. */
static gboolean wait_for_tick(Walk *walk)
{
    gint64 due = g_get_monotonic_time() + TICK_US;
    gboolean running;

    g_mutex_lock(&walk->lock);
    while ((running = walk->running > 0) && g_cond_wait_until(&walk->changed, &walk->lock, due))
        ;
    g_mutex_unlock(&walk->lock);
    return running;
}

static void watch(Walk *walk)
{
    const WalkJob *job = walk->job;

    while (wait_for_tick(walk)) {
        GError *error = NULL;

        if (job->tick != NULL && !cancel_fired(walk->stop) && !job->tick(job->tick_data, &error))
            fail(walk, error);
    }
}

static void run_threads(Walk *walk)
{
    guint64 pieces = chunk_queue_work(walk->queue) / WALK_PIECE + 1;
    guint wanted = walk->job->threads != 0 ? MIN(walk->job->threads, MAX_THREADS) : DEFAULT_THREADS;
    guint n = (guint)MIN(wanted, pieces);
    GThread *threads[MAX_THREADS];

    walk->running = n;
    for (guint i = 0; i < n; i++)
        threads[i] = g_thread_new("walk", walk_thread, walk);
    watch(walk);
    for (guint i = 0; i < n; i++)
        g_thread_join(threads[i]);
}

gboolean walk_run(const WalkJob *job, GError **error)
{
    g_autoptr(Extents) nothing = extents_new();
    const CopyPlan plan = {.read = (Extents *)job->where, .zero = nothing};
    Walk walk = {.job = job};

    if (!cancel_check(job->cancel, error))
        return FALSE;
    walk.queue = chunk_queue_new(&plan, NULL, WALK_PIECE, TRUE);
    walk.stop = cancel_new();
    g_mutex_init(&walk.lock);
    g_cond_init(&walk.changed);
    copy_meter_start(job->meter, chunk_queue_work(walk.queue), clock_monotonic());
    run_threads(&walk);
    copy_meter_stop(job->meter, clock_monotonic());
    chunk_queue_free(walk.queue);
    cancel_unref(walk.stop);
    g_cond_clear(&walk.changed);
    g_mutex_clear(&walk.lock);
    if (walk.error == NULL)
        return TRUE;
    g_propagate_error(error, walk.error);
    return FALSE;
}
