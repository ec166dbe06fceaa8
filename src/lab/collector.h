/* lab/collector.h: property collectors: one per session, and those that a client makes for itself.
 *
 * A retrieval comes in pages of at most page_size objects and goes on by token.  Filters (updates.c) remember
 * what they have reported, so that the next answer says only what changed.
 *
 * Thread rule: with Lab.lock held.
 */
#pragma once

#include "lab/filter-spec.h"

#define LAB_DEFAULT_COLLECTOR "propertyCollector"

typedef struct {
    LabObject object;
    GHashTable *pending; /* token -> GPtrArray of FilterItem: pages still to come */
    GPtrArray *filters;  /* moref of filters: char * */
    guint64 version;     /* of the last answer to WaitForUpdates */
    gboolean cancelled;  /* CancelWaitForUpdates */
} LabCollector;

/* The session's own, made when it is first asked for. */
void lab_collector_ensure(LabSession *session);

/* <val>s of `item` as {obj, propSet...}, or NULL when the object has gone. */
Value *lab_object_content(Lab *lab, LabSession *session, const FilterItem *item);

/* updates.c */
gboolean lab_create_filter(LabCall *call);
gboolean lab_destroy_filter(LabCall *call);
gboolean lab_wait_for_updates(LabCall *call);
gboolean lab_wait_for_updates_ex(LabCall *call);
gboolean lab_cancel_wait(LabCall *call);
