#include "lab/tracking.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

/* Where vSphere's own sequences begin, more or less: an id whose number were an index would pass for one. */
#define FIRST_SEQUENCE 4

struct Tracking {
    char *generation;
    guint64 size;
    /* One bit per block, of the epoch that is open. */
    guint64 *open;
    guint64 n_blocks;
    /* Extents of the epochs that were cut: [i] lies between FIRST_SEQUENCE + i and the next. */
    GPtrArray *closed;
};

/* "52 de c0 d9 8b 1f 4a 77-10 f0 6d 2e 91 03 5c aa" */
static char *random_generation(void)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < 16; i++) {
        const char *separator = i == 0 ? "" : i == 8 ? "-" : " ";

        g_string_append_printf(text, "%s%02x", separator, i == 0 ? 0x52u : (guint)g_random_int_range(0, 256));
    }
    return g_string_free(text, FALSE);
}

static gsize bitmap_words(guint64 n_blocks)
{
    return (gsize)div_round_up(n_blocks, 64);
}

Tracking *tracking_new(guint64 size)
{
    Tracking *tracking = g_new0(Tracking, 1);

    tracking->generation = random_generation();
    tracking->size = size;
    tracking->n_blocks = div_round_up(size, TRACKING_BLOCK);
    tracking->open = g_new0(guint64, bitmap_words(tracking->n_blocks));
    tracking->closed = g_ptr_array_new_with_free_func((GDestroyNotify)extents_free);
    return tracking;
}

void tracking_free(Tracking *tracking)
{
    if (tracking == NULL)
        return;
    g_ptr_array_unref(tracking->closed);
    g_free(tracking->open);
    g_free(tracking->generation);
    g_free(tracking);
}

void tracking_mark(Tracking *tracking, guint64 offset, guint64 length)
{
    if (offset >= tracking->size || length == 0)
        return;
    guint64 last = offset + MIN(length, tracking->size - offset) - 1;

    for (guint64 block = offset / TRACKING_BLOCK; block <= last / TRACKING_BLOCK; block++)
        tracking->open[block / 64] |= (guint64)1 << (block % 64);
}

void tracking_mark_all(Tracking *tracking, const Extents *areas)
{
    for (guint i = 0; i < extents_count(areas); i++) {
        Extent extent = extents_get(areas, i);

        tracking_mark(tracking, extent.start, extent.end - extent.start);
    }
}

static void add_open(const Tracking *tracking, Extents *areas)
{
    for (guint64 block = 0; block < tracking->n_blocks; block++) {
        guint64 start = block * TRACKING_BLOCK;

        if ((tracking->open[block / 64] >> (block % 64) & 1) != 0)
            extents_add(areas, start, start + MIN(TRACKING_BLOCK, tracking->size - start));
    }
}

void tracking_cut(Tracking *tracking)
{
    Extents *epoch = extents_new();

    add_open(tracking, epoch);
    g_ptr_array_add(tracking->closed, epoch);
    memset(tracking->open, 0, bitmap_words(tracking->n_blocks) * sizeof(guint64));
}

char *tracking_change_id(const Tracking *tracking)
{
    return g_strdup_printf("%s/%u", tracking->generation, FIRST_SEQUENCE + tracking->closed->len);
}

/* How many epochs lie before the cut that `id` names. */
static gboolean parse_id(const Tracking *tracking, const char *id, guint *ret_index, GError **error)
{
    const char *slash = strrchr(id, '/');
    gsize length = strlen(tracking->generation);
    guint64 sequence;

    if (slash == NULL || (gsize)(slash - id) != length || strncmp(id, tracking->generation, length) != 0)
        return vf_fail(error, VF_ERROR_INVALID,
                       "change id \"%s\" is not of the generation %s that is tracked now", id,
                       tracking->generation);
    if (!g_ascii_string_to_unsigned(slash + 1, 10, FIRST_SEQUENCE, FIRST_SEQUENCE + tracking->closed->len,
                                    &sequence, NULL))
        return vf_fail(error, VF_ERROR_INVALID, "change id \"%s\" was never given out", id);
    *ret_index = (guint)sequence - FIRST_SEQUENCE;
    return TRUE;
}

static void add_all(Extents *areas, const Extents *more)
{
    for (guint i = 0; i < extents_count(more); i++) {
        Extent extent = extents_get(more, i);

        extents_add(areas, extent.start, extent.end);
    }
}

gboolean tracking_changed(const Tracking *tracking, const char *from, const char *to, Extents *areas,
                          GError **error)
{
    guint first, end = tracking->closed->len;

    if (!parse_id(tracking, from, &first, error) || (to != NULL && !parse_id(tracking, to, &end, error)))
        return FALSE;
    if (first > end)
        return vf_fail(error, VF_ERROR_INVALID, "change id \"%s\" is later than \"%s\"", from, to);
    for (guint i = first; i < end; i++)
        add_all(areas, g_ptr_array_index(tracking->closed, i));
    if (to == NULL)
        add_open(tracking, areas);
    return TRUE;
}
