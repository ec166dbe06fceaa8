/* Changed block tracking.
 *
 * vSphere answers a question about a disk piecewise, some two thousand areas at a time: {startOffset, length}
 * says which part of the disk the answer speaks of, and the next question starts at its end, never at or
 * beyond the end of the disk, which is a fault.  An answer without areas that does not reach the end is no
 * end either.  What an answer leaves out is never copied again, so whatever cannot be true is refused, and
 * the disk is then read again in full:
 *
 *   a piece that starts elsewhere than asked, has no length, or speaks of a larger disk (it was extended);
 *   an area before its piece, behind it, out of order, overlapping the one before, or without length.
 *
 * Tracking works in blocks of 64 KiB and more: the last one may hang over the end of a disk, and an area may
 * go on into the next piece.
 */
#include "vsphere/areas.h"

#include "base/error.h"
#include "base/size.h"

#define OVERHANG_MAX MIB

/* [start, start + length) as non-negative numbers whose end is not far behind `size`. */
static gboolean checked_range(gint64 start, gint64 length, guint64 size, Extent *ret, GError **error)
{
    if (start < 0 || length <= 0 || (guint64)start >= size ||
        (guint64)length > size - (guint64)start + OVERHANG_MAX)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%" G_GINT64_FORMAT "+%" G_GINT64_FORMAT " is no part of a disk of %" G_GUINT64_FORMAT
                       " bytes",
                       start, length, size);
    *ret = (Extent){.start = (guint64)start, .end = MIN((guint64)start + (guint64)length, size)};
    return TRUE;
}

static gboolean add_area(const VimDiskChangeExtent *area, guint64 size, const Extent *piece, guint64 *floor,
                         Extents *areas, GError **error)
{
    Extent extent = {0};

    if (!checked_range(area->start, area->length, size, &extent, error))
        return FALSE;
    if (extent.start < *floor || extent.start >= piece->end)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "area %" G_GUINT64_FORMAT "..%" G_GUINT64_FORMAT
                       " is out of order in the answer about %" G_GUINT64_FORMAT "..%" G_GUINT64_FORMAT,
                       extent.start, extent.end, piece->start, piece->end);
    *floor = extent.end;
    extents_add(areas, round_down(extent.start, SECTOR_SIZE), MIN(round_up(extent.end, SECTOR_SIZE), size));
    return TRUE;
}

gboolean areas_add(const VimDiskChangeInfo *answer, guint64 size, guint64 *position, Extents *areas,
                   GError **error)
{
    guint64 floor = *position;
    Extent piece = {0};

    if (!checked_range(answer->start_offset, answer->length, size, &piece, error))
        return FALSE;
    if (piece.start != *position)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "asked from %" G_GUINT64_FORMAT ", answered from %" G_GUINT64_FORMAT, *position,
                       piece.start);
    for (guint i = 0; i < answer->changed_area->len; i++)
        if (!add_area(answer->changed_area->pdata[i], size, &piece, &floor, areas, error))
            return FALSE;
    *position = piece.end;
    return TRUE;
}
