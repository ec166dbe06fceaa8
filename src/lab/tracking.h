/* lab/tracking.h: what changed on one disk since when: the lab's half of QueryChangedDiskAreas.
 *
 * Time is cut into epochs, one cut per snapshot.  A change id names a cut: "<generation>/<sequence>", the
 * generation in the notation of vSphere ("52 de c0 d9 ...-10 f0 ...").  Areas between two ids are the union
 * of the epochs between them, in blocks of 64 KiB.  A new generation forgets everything, and ids of an older
 * one are refused.
 *
 * Thread rule: guarded by its owner.
 */
#pragma once

#include "copy/extents.h"

#include <glib.h>

#define TRACKING_BLOCK 65536u

typedef struct Tracking Tracking;

/* A fresh generation of a disk of `size` bytes. */
Tracking *tracking_new(guint64 size);
void tracking_free(Tracking *tracking); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tracking, tracking_free)

/* The range was written, in the epoch that is open.  What lies beyond the disk is dropped. */
void tracking_mark(Tracking *tracking, guint64 offset, guint64 length);
void tracking_mark_all(Tracking *tracking, const Extents *areas);

/* Ends the open epoch and begins the next. */
void tracking_cut(Tracking *tracking);

/* The id of the last cut (or of the beginning). */
char *tracking_change_id(const Tracking *tracking);

/* Adds what changed between the ids `from` and `to` (NULL: until now).  VF_ERROR_INVALID for an id that is
 * unknown, of another generation, or later than `to`. */
gboolean tracking_changed(const Tracking *tracking, const char *from, const char *to, Extents *areas,
                          GError **error);
