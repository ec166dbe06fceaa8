#include "copy/compare.h"

#include <string.h>

#include "base/size.h"
#include "copy/walk.h"

/* Maps are asked for and held against each other in pieces, so that they stay small. */
#define MAP_PIECE (64 * GIB)

typedef struct {
    WalkJob walk;
    const CompareJob *job;
    CompareReport report;
} Compare;

/* --- contents --- */

/* What lies behind a disk's end is zero. */
static gboolean read_side(const WalkJob *walk, WalkPiece *piece, Disk *disk, guint8 *buffer, GError **error)
{
    guint64 size = disk_size(disk);
    gsize stored = piece->offset < size ? (gsize)MIN(piece->length, size - piece->offset) : 0;

    memset(buffer + stored, 0, piece->length - stored);
    return stored == 0 || walk_read(walk, piece, disk, piece->offset, stored, buffer, error);
}

static gboolean look(WalkPiece *piece, gpointer data, GError **error)
{
    const Compare *compare = data;
    const CompareJob *job = compare->job;

    return read_side(&compare->walk, piece, job->a, piece->buffers[0], error) &&
           read_side(&compare->walk, piece, job->b, piece->buffers[1], error);
}

static gboolean merge(WalkPiece *piece, gpointer data, gboolean *ret_stop, GError **error)
{
    Compare *compare = data;
    const guint8 *a = piece->buffers[0], *b = piece->buffers[1];
    gsize at = 0;

    if (memcmp(a, b, piece->length) == 0)
        return TRUE;
    while (a[at] == b[at])
        at++;
    compare->report = (CompareReport){COMPARE_CONTENTS, piece->offset + at};
    *ret_stop = TRUE;
    return TRUE;
}

static Extents *data_of_either(const CompareJob *job, GError **error)
{
    g_autoptr(CopyPlan) a = copy_plan_full(job->a, NULL, error);
    g_autoptr(CopyPlan) b = a != NULL ? copy_plan_full(job->b, NULL, error) : NULL;

    return b != NULL ? extents_union(a->read, b->read) : NULL;
}

static gboolean compare_contents(Compare *compare, GError **error)
{
    const CompareJob *job = compare->job;
    g_autoptr(Extents) where = data_of_either(job, error);

    compare->walk = (WalkJob){.where = where,
                              .threads = job->threads,
                              .meter = job->meter,
                              .cancel = job->cancel,
                              .tick = job->tick,
                              .tick_data = job->tick_data,
                              .look = look,
                              .merge = merge,
                              .data = compare};
    return where != NULL && walk_run(&compare->walk, error);
}

/* --- what is allocated --- */

/* Where the maps of [offset, offset + length) begin to differ; the end when they do not. */
static gboolean first_other_status(const CompareJob *job, guint64 offset, guint64 length, guint64 *ret_offset,
                                   GError **error)
{
    g_autoptr(GArray) a = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GArray) b = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    guint64 end = offset + length;

    if (!disk_extents(job->a, offset, length, a, error) || !disk_extents(job->b, offset, length, b, error))
        return FALSE;
    for (guint i = 0, j = 0; offset < end;) {
        const DiskExtent *x = &g_array_index(a, DiskExtent, i), *y = &g_array_index(b, DiskExtent, j);
        guint64 x_end = x->offset + x->length, y_end = y->offset + y->length;

        if (x->kind != y->kind)
            break;
        offset = MIN(x_end, y_end);
        i += x_end == offset;
        j += y_end == offset;
    }
    *ret_offset = offset;
    return TRUE;
}

/* For disks of one size. */
static gboolean compare_status(Compare *compare, GError **error)
{
    guint64 size = disk_size(compare->job->a), other = 0;

    for (guint64 offset = 0; offset < size; offset += MAP_PIECE) {
        guint64 length = MIN(MAP_PIECE, size - offset);

        if (!first_other_status(compare->job, offset, length, &other, error))
            return FALSE;
        if (other == offset + length)
            continue;
        if (compare->report.outcome == COMPARE_SAME || other < compare->report.offset)
            compare->report = (CompareReport){COMPARE_STATUS, other};
        return TRUE;
    }
    return TRUE;
}

gboolean compare_run(const CompareJob *job, CompareReport *ret_report, GError **error)
{
    Compare compare = {.job = job};

    if (job->strict && disk_size(job->a) != disk_size(job->b)) {
        compare.report = (CompareReport){COMPARE_SIZES, MIN(disk_size(job->a), disk_size(job->b))};
    } else if (!compare_contents(&compare, error) || (job->strict && !compare_status(&compare, error))) {
        return FALSE;
    }
    *ret_report = compare.report;
    return TRUE;
}
