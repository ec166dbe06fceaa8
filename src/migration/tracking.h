/* migration/tracking.h: changed block tracking at the source: switched on, made effective, and checked per
 * disk.
 *
 * The flag of the VM says only that tracking is wanted.  It takes effect when the disks are opened anew: a
 * snapshot made and removed does that to a running VM.  Tracking works for a disk when the disk itself shows
 * a change id.
 */
#pragma once

#include "migration/engine.h"

/* Takes a VM that runs through all of that, as far as it is needed.  A disk without a change id afterwards is
 * an error unless the operator allows its full re-reading (allow_full_reread). */
gboolean tracking_ensure(Engine *engine, GError **error);

/* Switches it off again when vmferry switched it on.  Best effort: a failure is an event. */
void tracking_restore(Engine *engine);
