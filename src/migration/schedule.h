/* migration/schedule.h: between two rounds: wait, copy again, or cut over?  A pure function of what is known.
 *
 * The worker asks about twice a second while it waits, so that a request or a new finalize_at is seen at
 * once. Thread rule: pure functions.
 */
#pragma once

#include "migration/converge.h"
#include "spec/spec.h"

typedef enum { SCHEDULE_WAIT, SCHEDULE_ROUND, SCHEDULE_CUT_OVER } ScheduleAction;

typedef struct {
    gint64 now;        /* microseconds since 1970 */
    gint64 last_round; /* when the newest committed round was frozen */
    double since_last; /* seconds since then, monotonic where that is known */
    guint deltas;      /* delta rounds since the base copy */
    guint probes;      /* of them, those in a row that were made at once to measure */
    gboolean finalize, finalize_now;
    gboolean source_is_down; /* off since the start, or by us: whatever else, go on to the last round */
    ConvergeVerdict verdict; /* only looked at with max_downtime */
} ScheduleInput;

typedef struct {
    ScheduleAction action;
    double wait;        /* seconds until something is due; WAIT only */
    gboolean last_warm; /* CUT_OVER: with a warm round right before the shutdown */
    gboolean probe;     /* ROUND: made at once to measure */
    const char *reason; /* for people; static */
} ScheduleDecision;

ScheduleDecision schedule_decide(const VmSpec *spec, const ScheduleInput *input);
