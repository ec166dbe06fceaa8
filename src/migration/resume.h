/* migration/resume.h: what to do about what a crash, a failure or the last round left behind.  Pure
 * functions.
 *
 * A round is a promise about one frozen state of the source: the plan that was recorded lists what differs
 * between the target and that state.  While the state exists (its snapshot, or a VM that stayed off) the plan
 * may be worked off in any number of runs.  When it is gone, the plan of a delta is worthless, because the
 * next delta starts from the same committed change ids and covers it; the plan of an unfinished base copy is
 * worth what is done of it, as long as the changes since can be asked for.
 */
#pragma once

#include "store/store.h"

typedef enum {
    RESUME_NOTHING,  /* no round is open */
    RESUME_CONTINUE, /* the recorded plan, less what is done */
    RESUME_CLOSE,    /* all of it is committed: remove the snapshot, close */
    RESUME_ABANDON,  /* remove the snapshot, give the round up */
} ResumeAction;

/* `last` may be NULL.  `still_frozen`: the round's snapshot exists, or it had none and the VM did not run
 * since. */
ResumeAction resume_round(const StoreRound *last, gboolean still_frozen);

typedef enum {
    DISK_START_FULL,    /* a fresh image, all allocated areas */
    DISK_START_REST,    /* what an unfinished base copy left, and what changed since its snapshot */
    DISK_START_CHANGED, /* what changed since the committed change id */
    DISK_START_COMPARE, /* all of it again, against the checksums */
} DiskStart;

/* What is known of a disk when a new round is planned. */
typedef struct {
    gboolean has_base;        /* a base copy was completed once */
    const char *committed_id; /* NULL: none */
    guint64 committed_size;
    gboolean has_rest;   /* an unfinished base copy is at the target */
    const char *rest_id; /* NULL: none */
    guint64 rest_size;
    const char *now_id; /* as frozen now; NULL: not tracked */
    guint64 now_size;
    gboolean distrusted; /* the source refused to say what changed since the older id */
} DiskFacts;

DiskStart resume_disk(const DiskFacts *facts);
/* Why not less, for people; static.  NULL for CHANGED and REST, and for the first FULL. */
const char *resume_disk_reason(const DiskFacts *facts);
