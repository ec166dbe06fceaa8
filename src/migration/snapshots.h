/* migration/snapshots.h: the snapshots that vmferry makes: recorded before they are made, removed in every
 * end.
 *
 * Thread rule: the engine's thread.
 */
#pragma once

#include "migration/engine.h"

/* A name that no other snapshot has: "vmferry-7-base-3f2a9c1e". */
char *snapshot_name_new(const Engine *engine, const char *what);

/* Records the intent, waits until no other snapshot or consolidation task runs, makes it, records its moref.
 * With QUIESCE_AUTO a guest that cannot be quiesced is frozen as it is. */
gboolean snapshot_make(Engine *engine, const char *name, QuiesceMode quiesce, char **ret_moref,
                       GError **error);

/* Removes it, whether or not its moref is known (NULL) or it exists at all, and records that. */
gboolean snapshot_drop(Engine *engine, const char *name, const char *moref, GError **error);

/* Removes all that are recorded and not gone, but for `keep` (may be NULL).  All are tried; the first error
 * is returned. */
gboolean snapshots_clear(Engine *engine, const char *keep, GError **error);
