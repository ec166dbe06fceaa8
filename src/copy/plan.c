#include "copy/plan.h"

#include "base/size.h"
#include "copy/sums.h"

/* The source is asked for its map in pieces, so that the answers stay small, and across gaps that are cheaper
 * to ask about than to ask again. */
#define MAP_PIECE (64 * GIB)
#define MAP_GAP   (16 * MIB)

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

static Extents *data_within(Disk *source, const Extents *where, GError **error)
{
    g_autoptr(Extents) questions = extents_copy(where);
    g_autoptr(Extents) data = extents_new();

    extents_join(questions, MAP_GAP);
    for (guint i = 0; i < extents_count(questions); i++) {
        Extent question = extents_get(questions, i);

        if (!add_data(source, question.start, question.end, data, error))
            return NULL;
    }
    return g_steal_pointer(&data);
}

/* `where` is aligned.  Of it, what is data by the source and by `allocated` is read, and the rest is zero. */
static CopyPlan *plan_within(Disk *source, const Extents *where, const Extents *allocated, GError **error)
{
    g_autoptr(Extents) data = data_within(source, where, error);
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
    return plan_within(source, everything, allocated, error);
}

CopyPlan *copy_plan_changed(Disk *source, const Extents *changed, GError **error)
{
    g_autoptr(Extents) where = extents_copy(changed);

    extents_align(where, SUMS_BLOCK_SIZE, disk_size(source));
    return plan_within(source, where, NULL, error);
}
