/* migration/downtime.h: how long the machine was away, in its parts, from the moments that the store
 * remembers.
 *
 * A crash in between costs downtime and not the knowledge of it.
 */
#pragma once

#include "base/json.h"
#include "store/store.h"

/* {shutdown, settle, final_round, verify, convert, import, start, total} in seconds; parts that are not over
 * yet are missing.  NULL without error before a shutdown was asked for. */
Json *downtime_to_json(Store *store, gint64 vm, GError **error);

/* Begins a new attempt: forgets the moments of an earlier one. */
gboolean downtime_forget(Store *store, gint64 vm, GError **error);
