/* lab/view.h: container views: lists of what lies below an object, always up to date.
 *
 * Thread rule: with Lab.lock held.
 */
#pragma once

#include "lab/session.h"

typedef struct {
    LabObject object;
    LabObject *container;
    char **types; /* NULL or empty: all */
    gboolean recursive;
} LabView;

LabView *lab_view_new(Lab *lab, LabSession *session, LabObject *container, char **types, gboolean recursive);
/* ManagedObjectReference[] of what it shows now. */
Value *lab_view_value(const Lab *lab, const LabView *view);
