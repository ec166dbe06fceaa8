/* copy/queue.h: what is left to do of one plan, handed out in chunks, and what is done of it.
 *
 * Chunks are handed out in ascending order, known zeros first: they cost little, and what remains then is the
 * work.
 *
 * Thread rule: any thread.
 */
#pragma once

#include "copy/plan.h"

typedef struct {
    guint64 offset;
    guint64 length;
    gboolean zero; /* known to be zero: not read */
} Chunk;

typedef struct ChunkQueue ChunkQueue;

/* `done` (may be NULL) is left out.  `zero_is_done`: the zero parts are done as they are.  Chunks to be read
 * are at most `chunk` bytes and do not cross a multiple of it.  Everything is copied. */
ChunkQueue *chunk_queue_new(const CopyPlan *plan, const Extents *done, guint32 chunk, gboolean zero_is_done);
void chunk_queue_free(ChunkQueue *queue); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChunkQueue, chunk_queue_free)

guint64
chunk_queue_planned(const ChunkQueue *queue);      /* bytes that were not done at the start, zeros included */
guint64 chunk_queue_work(const ChunkQueue *queue); /* of those, bytes that are handed out */

/* FALSE when all have been handed out. */
gboolean chunk_queue_take(ChunkQueue *queue, Chunk *ret_chunk);
/* Returns the bytes handed out that are finished by now. */
guint64 chunk_queue_finish(ChunkQueue *queue, const Chunk *chunk);
guint64 chunk_queue_finished(ChunkQueue *queue);

/* A copy of what is done, earlier runs included. */
Extents *chunk_queue_done(ChunkQueue *queue);
