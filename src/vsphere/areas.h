/* vsphere/areas.h: what one answer to QueryChangedDiskAreas means.
 *
 * Thread rule: pure functions of what they are given.
 */
#pragma once

#include "copy/extents.h"
#include "vsphere/vim25.h"

/* Adds the areas of the answer to a question from *position on a disk of `size` bytes, widened to sectors and
 * clipped to the disk, and moves *position to where the next question starts; `size` is the end.
 * VF_ERROR_INTEGRITY when the answer cannot be about this disk. */
gboolean areas_add(const VimDiskChangeInfo *answer, guint64 size, guint64 *position, Extents *areas,
                   GError **error);
