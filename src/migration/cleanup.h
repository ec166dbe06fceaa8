/* migration/cleanup.h: what is undone when a migration fails, is cancelled, or is taken back.
 *
 * In this order, always: the target lets go, then the source runs again; snapshots go; files only when that
 * is asked for.
 *
 * Thread rule: the engine's thread.
 */
#pragma once

#include "migration/engine.h"

/* Records the failure; undoes as far as it can be done, and says what could not.  `failed` is not changed. */
void cleanup_after_failure(Engine *engine, const GError *failed);

/* Undoes everything and moves to cancelled.  An error leaves the stage: it can be asked again. */
gboolean cleanup_cancel(Engine *engine, gboolean delete_files, GError **error);
