#include "copy/queue.h"

#include "base/size.h"

/* Zeroing costs the target some of its tables and nothing else. */
#define ZERO_CHUNK GIB

/* Hands out the bytes of a set in order. */
typedef struct {
    Extents *set;
    guint index;
    guint64 position; /* within set[index]; what lies before it is handed out */
    guint64 unit;
} Cursor;

struct ChunkQueue {
    guint64 planned, work; /* constant */
    Extents *everything;   /* constant: what is done when all is finished */
    GMutex lock;           /* guards all below */
    Cursor zero, read;
    Extents *done;
    guint64 finished;
};

/* `done` must never say more than the truth, and a set that is full would: then less is said, until the end.
 */
static void add_done(Extents *done, guint64 start, guint64 end)
{
    if (extents_count(done) < EXTENTS_MAX)
        extents_add(done, start, end);
}

static void add_all_done(Extents *done, const Extents *more)
{
    for (guint i = 0; i < extents_count(more); i++)
        add_done(done, extents_get(more, i).start, extents_get(more, i).end);
}

static Extents *union_of_three(const Extents *a, const Extents *b, const Extents *c)
{
    g_autoptr(Extents) first = extents_union(a, b);

    return extents_union(first, c);
}

ChunkQueue *chunk_queue_new(const CopyPlan *plan, const Extents *done, guint32 chunk, gboolean zero_is_done)
{
    ChunkQueue *queue = g_new0(ChunkQueue, 1);
    g_autoptr(Extents) zero = NULL;

    g_mutex_init(&queue->lock);
    queue->done = done != NULL ? extents_copy(done) : extents_new();
    queue->everything = union_of_three(queue->done, plan->read, plan->zero);
    queue->read = (Cursor){.set = extents_subtract(plan->read, queue->done), .unit = chunk};
    zero = extents_subtract(plan->zero, queue->done);
    /* A set that was full when it was made may say too much: a byte belongs to one of both. */
    queue->zero = (Cursor){.set = extents_subtract(zero, queue->read.set), .unit = ZERO_CHUNK};
    queue->planned = extents_total(queue->read.set) + extents_total(queue->zero.set);
    if (zero_is_done) {
        add_all_done(queue->done, queue->zero.set);
        extents_clear(queue->zero.set);
    }
    queue->work = extents_total(queue->read.set) + extents_total(queue->zero.set);
    return queue;
}

void chunk_queue_free(ChunkQueue *queue)
{
    if (queue == NULL)
        return;
    extents_free(queue->everything);
    extents_free(queue->zero.set);
    extents_free(queue->read.set);
    extents_free(queue->done);
    g_mutex_clear(&queue->lock);
    g_free(queue);
}

guint64 chunk_queue_planned(const ChunkQueue *queue)
{
    return queue->planned;
}

guint64 chunk_queue_work(const ChunkQueue *queue)
{
    return queue->work;
}

static gboolean cursor_next(Cursor *cursor, guint64 *ret_start, guint64 *ret_end)
{
    Extent extent;

    if (cursor->index == extents_count(cursor->set))
        return FALSE;
    extent = extents_get(cursor->set, cursor->index);
    *ret_start = MAX(extent.start, cursor->position);
    *ret_end = extent.end - *ret_start > cursor->unit - *ret_start % cursor->unit
                   ? *ret_start + cursor->unit - *ret_start % cursor->unit
                   : extent.end;
    cursor->position = *ret_end;
    cursor->index += *ret_end == extent.end;
    return TRUE;
}

gboolean chunk_queue_take(ChunkQueue *queue, Chunk *ret_chunk)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&queue->lock);
    guint64 start, end;
    gboolean zero = cursor_next(&queue->zero, &start, &end);

    if (!zero && !cursor_next(&queue->read, &start, &end))
        return FALSE;
    *ret_chunk = (Chunk){.offset = start, .length = end - start, .zero = zero};
    return TRUE;
}

guint64 chunk_queue_finish(ChunkQueue *queue, const Chunk *chunk)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&queue->lock);

    add_done(queue->done, chunk->offset, chunk->offset + chunk->length);
    return queue->finished += chunk->length;
}

guint64 chunk_queue_finished(ChunkQueue *queue)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&queue->lock);

    return queue->finished;
}

Extents *chunk_queue_done(ChunkQueue *queue)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&queue->lock);

    return extents_copy(queue->finished == queue->work ? queue->everything : queue->done);
}
