/* migration/converge.h: how long the cutover will take, how short it can become, and whether that will ever
 * fit.
 *
 * A model is fitted per disk from the rounds that were copied: the dirty rate (bytes changed per second
 * between two snapshots, which saturates: hot blocks are written again and again, so changed(t) = W * (1 -
 * exp(-t / tau)) with a straight line as the special case), the throughput of a delta, and the fixed cost of
 * a round (snapshot, query, open, flush, removal). To that come the measured or assumed costs of shutdown,
 * settling, conversion, import and start.
 *
 * Prediction: downtime = shutdown + settle + final round of what is dirtied since the last warm round right
 * before the shutdown + conversion + import + start.  The floor is the same with an interval between rounds
 * of zero: what no number of rounds can go below.
 *
 * Thread rule: belongs to one thread.  Pure arithmetic: no clock, no store.
 */
#pragma once

#include "base/json.h"

#include <glib.h>

typedef struct Convergence Convergence;

Convergence *convergence_new(void);
void convergence_free(Convergence *convergence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Convergence, convergence_free)

/* One round of one disk. */
typedef struct {
    double interval; /* seconds since the snapshot of the round before */
    guint64 changed; /* bytes in its areas */
    double seconds;  /* copying them, flush included */
} RoundSample;
void convergence_add_round(Convergence *convergence, const char *disk, const RoundSample *sample);

/* Fixed costs, seconds: those of a whole round without its copying, and of the steps of a cutover.  Negative:
 * not measured yet; the default is used. */
typedef struct {
    double round_fixed;
    double shutdown, settle, convert, import, start;
} CutoverCosts;
void convergence_set_costs(Convergence *convergence, const CutoverCosts *costs);

typedef struct {
    gboolean known;    /* at least one delta round was seen */
    double dirty_rate; /* bytes/s over all disks, now */
    double throughput; /* bytes/s of delta copying */
    double next_round; /* seconds a round would take if it started now */
    double downtime;   /* seconds, if the cutover started now, with a last warm round before it */
    double at_most;    /* the same from what was measured only, without trust in the fitted curve */
    double floor;      /* seconds: the best that more rounds can reach */
    double fixed;      /* seconds of it that do not depend on data */
} Prediction;
/* `since_last` = seconds since the snapshot of the last round. */
Prediction convergence_predict(const Convergence *convergence, double since_last);

typedef enum {
    CONVERGE_WAIT,     /* not yet; a later round may be cheaper */
    CONVERGE_PROBE,    /* it should fit: one more round right now will prove it */
    CONVERGE_CUT_OVER, /* it fits, by what was measured */
    CONVERGE_NEVER,    /* it cannot fit */
} ConvergeVerdict;
/* Against max_downtime; the reason is given for each.  CONVERGE_NEVER says what dominates and what would
 * help; it needs two delta rounds. */
ConvergeVerdict convergence_verdict(const Convergence *convergence, double since_last, double max_downtime,
                                    char **ret_reason);

/* Kept with the migration, so that a restart does not forget. */
Json *convergence_to_json(const Convergence *convergence);
Convergence *convergence_from_json(const Json *json, GError **error);
