/* migration/verification.h: the target is read back and held against the checksums taken when the source was
 * read.
 *
 * All of it once, after the base copy, while the source still runs; after that only what later rounds wrote,
 * so that little of it falls into the downtime.  A fact of the store says up to which round that was done.
 *
 * Thread rule: the engine's thread.
 */
#pragma once

#include "migration/engine.h"

/* Whatever rounds wrote since the last verification; everything, when there was none.  Does nothing when the
 * spec says no. */
gboolean verification_catch_up(Engine *engine, GError **error);
