/* copy/worker.h: what happens to one chunk.
 *
 * Thread rule: a Worker belongs to one thread; a WorkerShare is shared by all workers of one disk.
 */
#pragma once

#include "copy/copy.h"
#include "copy/queue.h"
#include "copy/retry.h"

typedef struct {
    /* Constant. */
    const CopyJob *job;
    gboolean zero_is_done; /* zero blocks need no write */
    gboolean compare;      /* sums may be trusted to say what the target has */
    guint32 chunk;
    RetryPolicy retry;
    RateLimit *limit;

    gint *first_write; /* atomic; of the whole copy: TRUE after the first write */
    gint torn;         /* atomic: a write or a sum failed half way, so sums and target may differ */
} WorkerShare;

typedef struct Worker Worker;

Worker *worker_new(WorkerShare *share);
void worker_free(Worker *worker); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Worker, worker_free)

/* Reads, looks, writes, sums.  When it returns TRUE the target has the chunk, though not durably. */
gboolean worker_copy(Worker *worker, const Chunk *chunk, GError **error);
