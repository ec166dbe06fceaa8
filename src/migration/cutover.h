/* migration/cutover.h: from a source that runs to a target that runs.  The stages final_sync to
 * import_data_disk.
 *
 * Nothing is handed over unless the last changes were read after the source was seen to be off.  Each
 * function is a stage: it does the stage's work, whatever an earlier run left of it, and moves on.
 *
 * Thread rule: the engine's thread.
 */
#pragma once

#include "migration/engine.h"

gboolean cutover_final_sync(Engine *engine, GError **error);
gboolean cutover_convert(Engine *engine, GError **error);
gboolean cutover_import_root(Engine *engine, GError **error);
gboolean cutover_import_data(Engine *engine, GError **error);

/* The target was started: what it writes is its own, and nothing may be undone that nobody asked for. */
gboolean cutover_has_taken_over(Engine *engine, gboolean *ret, GError **error);

/* The source has not run since the last round.  For a worker that enters after it. */
gboolean cutover_check_source(Engine *engine, GError **error);
