/* migration/round.h: one round: the target becomes what the source was at one instant.
 *
 *   record the intent -> snapshot -> change ids -> areas -> record the plan -> copy -> commit -> remove the
 * snapshot -> close
 *
 * The base copy is a round, and so is the last one, which needs no snapshot because the VM is off.  Whatever
 * was recorded when a run ended is taken up by the next (resume.h).  A failure that may pass is waited out
 * and the round goes on inside its disks.
 *
 * Thread rule: the engine's thread.
 */
#pragma once

#include "migration/engine.h"

#define ROUND_KIND_BASE      "base"
#define ROUND_KIND_DELTA     "delta"
#define ROUND_KIND_LAST_WARM "last-warm"
#define ROUND_KIND_FINAL     "final"

/* A whole round of that kind; one that is open is finished first, and is enough when it is of the same kind.
 * `off`: the source is off and is read as it lies, without a snapshot; VF_ERROR_CONFLICT when it is not off,
 * or does not stay off. */
gboolean round_run(Engine *engine, const char *kind, gboolean off, GError **error);

/* Finishes or abandons what an earlier run left open. */
gboolean round_finish_open(Engine *engine, GError **error);

/* Gives up an open round; its snapshot is removed when that is possible. */
gboolean round_abandon_open(Engine *engine, GError **error);

/* TRUE when every disk has a complete base copy. */
gboolean round_all_based(Engine *engine, gboolean *ret, GError **error);

/* Fills in engine->activity.rounds and engine->deltas; *ret_since is how long ago the newest was frozen by
 * the wall clock (a huge number when there is none). */
gboolean round_count(Engine *engine, double *ret_since, GError **error);
