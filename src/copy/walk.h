/* copy/walk.h: several threads over parts of a disk, and their results in the order of the disk.
 *
 * Pieces of at most 1 MiB are handed out in ascending order.  look() is called on many threads at once, and
 * says what is found in a piece; then merge() is called for each piece, in the order of the disk, one at a
 * time.  Memory: a piece per thread and disk.
 */
#pragma once

#include "copy/copy.h"

#define WALK_PIECE ((guint32)1 << 20)

typedef struct {
    guint64 offset;
    gsize length;
    DiskBuffer
        *buffers[2];       /* WALK_PIECE bytes each: this thread's own; what is in them stays until merge() */
    CopyProgress progress; /* look() counts bytes_read here */
} WalkPiece;

typedef struct {
    const Extents *where;
    guint threads;                                   /* 0: 8 */
    RateLimit *limit;                                /* may be NULL */
    CopyMeter *meter;                                /* may be NULL */
    const Cancel *cancel;                            /* may be NULL */
    gboolean (*tick)(gpointer data, GError **error); /* as in copy.h; may be NULL */
    gpointer tick_data;
    gboolean (*look)(WalkPiece *piece, gpointer data, GError **error);
    /* *ret_stop: no further piece is wanted, which is no error. */
    gboolean (*merge)(WalkPiece *piece, gpointer data, gboolean *ret_stop, GError **error);
    gpointer data;
} WalkJob;

/* Reads with the retries that a copy has, and counts. */
gboolean walk_read(const WalkJob *job, WalkPiece *piece, Disk *disk, guint64 offset, gsize length,
                   void *buffer, GError **error);

gboolean walk_run(const WalkJob *job, GError **error);
