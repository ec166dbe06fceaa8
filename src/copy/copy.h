/* copy/copy.h: the data path: one chunk, one thread, straight through.
 *
 * A worker takes the next chunk of the plan, reads it, looks at it (zero? checksum), writes it and marks it
 * done. N workers per disk; no queue between a reader and a writer and no copy in between.  The calling
 * thread does no I/O but the checkpoints: every few seconds it takes the set of chunks that are done, syncs
 * the sums, flushes the target, and hands the set to `checkpoint`, which commits it.  So a kill -9 costs the
 * seconds since the last checkpoint, never correctness.
 *
 * Retries: a read or write that fails with a class that may be retried (base/error.h) is tried again with
 * back-off up to `retries` times; anything else stops the whole copy.  Cancelled is an error, whatever
 * stopped it.
 *
 * Chunks are at most `chunk` bytes and aligned to SUMS_BLOCK_SIZE; one of which some blocks are zero is
 * written as runs.  Where the target compresses, which it does in the thread that writes, chunks are whole
 * granules, and one that is written at all is written whole. Where the target is not known to start as zero,
 * zero blocks are written with disk_zero().
 *
 * Memory: threads * chunk, whatever the size of the disk, beside the two disks' own caches.
 */
#pragma once

#include "copy/plan.h"
#include "copy/rate.h"
#include "copy/sums.h"

/* Counters of one copy, readable at any time by copy_progress(). */
typedef struct {
    guint64 planned;       /* bytes this run has to look at: read + zero parts, less what was done before */
    guint64 done;          /* of those */
    guint64 bytes_read;    /* from the source */
    guint64 bytes_written; /* to the target, zeroes not counted */
    guint64 bytes_zero;    /* found or known to be zero */
    guint64 bytes_same;    /* compare mode: not written because they were there already */
    double rate;           /* bytes/s of `done`, known zeros apart, over the last ten seconds */
    double eta;            /* seconds; negative when not known */
    double elapsed;        /* seconds */
    guint retries;
    guint checkpoints;
} CopyProgress;

typedef struct CopyMeter CopyMeter; /* shared between a copy and whoever shows it; any thread */
CopyMeter *copy_meter_new(void);
void copy_meter_free(CopyMeter *meter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CopyMeter, copy_meter_free)
CopyProgress copy_meter_read(CopyMeter *meter);

/* Everything in `done` (earlier runs included) is durable at the target and in the sums: commit it. */
typedef gboolean (*CopyCheckpoint)(const Extents *done, gpointer data, GError **error);

typedef struct {
    Disk *source;
    Disk *target;
    const CopyPlan *plan;
    const Extents *done;   /* parts of the plan that an earlier run committed; NULL: none */
    Sums *sums;            /* NULL: none are kept */
    gboolean fresh_target; /* nothing was ever written there, so zeros need no write; believed only while
                              `done` is empty and the sums are settled */
    gboolean compare;      /* needs sums: a block whose sum is unchanged is not written (re-read after a lost
                              change id); believed only while the sums are settled */
    CopyCheckpoint checkpoint; /* may be NULL; called once more at the end, with everything */
    gpointer data;
    CopyMeter *meter; /* may be NULL */
} CopyJob;

typedef struct {
    guint parallel_disks; /* jobs at work at once; 0: 4 */
    guint threads;        /* per disk; 0: 8 */
    guint32 chunk;        /* bytes, a multiple of 64 KiB; 0: 1 MiB */
    guint retries;        /* of one request; 0: 6 */
    guint checkpoint_ms;  /* 0: 5000 */
    RateLimit *limit;     /* over all jobs; may be NULL */
    const Cancel *cancel; /* may be NULL */
    /* Called by the calling thread about twice a second: to keep a session alive, to look for requests, to
     * show progress.  FALSE stops the copy with its error.  May be NULL. */
    gboolean (*tick)(gpointer data, GError **error);
    gpointer tick_data;
} CopyOptions;

/* Copies all jobs (the disks of one VM).  The first error stops all of them and is returned, with the disk's
 * name in front; what was done until then is committed by a last checkpoint of each disk if that is possible.
 * TRUE only when every plan is at its target, flushed, and every last checkpoint was committed.  `options`
 * may be NULL. All callbacks are called on the calling thread. */
gboolean copy_run(const CopyJob *jobs, guint n_jobs, const CopyOptions *options, GError **error);
