#include "copy/plan.h"

#include "base/size.h"
#include "copy/sums.h"

/* The source is asked for its map in pieces, so that the answers stay small, and across gaps that are cheaper
 * to ask about than to ask again.  A small area is not worth a question, which is a round trip and at some
 * servers a walk over the whole file: it is taken for data, and reading it finds its zeros. */
#define MAP_PIECE (64 * GIB)
#define MAP_GAP   (16 * MIB)
#define MAP_WORTH MIB

void copy_plan_free(CopyPlan *plan)
{
    if (plan == NULL)
        return;
    extents_free(plan->read);
    extents_free(plan->zero);
    g_free(plan);
}

/* Adds to `data` what of [start, end) the source says is neither hole nor zero. */
static gboolean add_data(Disk *source, guint64 start, guint64 end, Extents *data, GError **error)
{
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(DiskExtent));

    for (guint64 offset = start; offset < end;) {
        guint64 length = MIN(MAP_PIECE, end - offset);

        g_array_set_size(map, 0);
        if (!disk_extents(source, offset, length, map, error))
            return FALSE;
        for (guint i = 0; i < map->len; i++) {
            const DiskExtent *extent = &g_array_index(map, DiskExtent, i);

            if (extent->kind == DISK_EXTENT_DATA)
                extents_add(data, extent->offset, extent->offset + extent->length);
        }
        offset += length;
    }
    return TRUE;
}

/* What of `where` is data; what is smaller than `worth` is not asked about. */
static Extents *data_within(Disk *source, const Extents *where, guint64 worth, GError **error)
{
    g_autoptr(Extents) questions = extents_new();
    g_autoptr(Extents) data = extents_new();

    for (guint i = 0; i < extents_count(where); i++) {
        Extent extent = extents_get(where, i);

        extents_add(extent.end - extent.start < worth ? data : questions, extent.start, extent.end);
    }
    extents_join(questions, MAP_GAP);
    for (guint i = 0; i < extents_count(questions); i++) {
        Extent question = extents_get(questions, i);

        if (!add_data(source, question.start, question.end, data, error))
            return NULL;
    }
    return g_steal_pointer(&data);
}

/* `where` is aligned.  Of it, what is data by the source and by `allocated` is read, and the rest is zero. */
static CopyPlan *plan_within(Disk *source, const Extents *where, guint64 worth, const Extents *allocated,
                             GError **error)
{
    g_autoptr(Extents) data = data_within(source, where, worth, error);
    g_autoptr(Extents) believed = NULL;
    CopyPlan *plan;

    if (data == NULL)
        return NULL;
    believed = allocated != NULL ? extents_intersect(data, allocated) : g_steal_pointer(&data);
    extents_align(believed, SUMS_BLOCK_SIZE, disk_size(source));
    plan = g_new(CopyPlan, 1);
    plan->read = extents_intersect(believed, where);
    plan->zero = extents_subtract(where, plan->read);
    return plan;
}

CopyPlan *copy_plan_full(Disk *source, const Extents *allocated, GError **error)
{
    g_autoptr(Extents) everything = extents_new();

    extents_add(everything, 0, disk_size(source));
    return plan_within(source, everything, 0, allocated, error);
}

CopyPlan *copy_plan_changed(Disk *source, const Extents *changed, GError **error)
{
    g_autoptr(Extents) where = extents_copy(changed);

    extents_align(where, SUMS_BLOCK_SIZE, disk_size(source));
    return plan_within(source, where, MAP_WORTH, NULL, error);
}
