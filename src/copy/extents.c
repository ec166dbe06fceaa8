/* Sets of byte ranges, and the form in which the store keeps them:
 *
 *   0  4  "VFEX"
 *   4  4  version, 1
 *   8  8  number of ranges, n
 *  16 16n start and end of each
 *   .  8  XXH3-64 of all that precedes
 *
 * all little-endian.  The checksum is for rot; that the ranges are in order, and apart, is checked by itself.
 */
#include "copy/extents.h"

#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/size.h"

/* On overflow a whole eighth of the ranges goes at once: one at a time would cost a pass over all of them per
 * range. */
#define EXTENTS_AFTER_OVERFLOW (EXTENTS_MAX / 8 * 7)

#define FORMAT_MAGIC    0x58454656u /* "VFEX" */
#define FORMAT_VERSION  1u
#define FORMAT_HEADER   16u
#define FORMAT_CHECKSUM 8u

struct Extents {
    GArray *ranges; /* of Extent */
};

Extents *extents_new(void)
{
    Extents *set = g_new(Extents, 1);

    set->ranges = g_array_new(FALSE, FALSE, sizeof(Extent));
    return set;
}

Extents *extents_copy(const Extents *set)
{
    Extents *copy = g_new(Extents, 1);

    copy->ranges = g_array_sized_new(FALSE, FALSE, sizeof(Extent), set->ranges->len);
    g_array_append_vals(copy->ranges, set->ranges->data, set->ranges->len);
    return copy;
}

void extents_free(Extents *set)
{
    if (set == NULL)
        return;
    g_array_free(set->ranges, TRUE);
    g_free(set);
}

static inline Extent *at(const Extents *set, guint index)
{
    return &g_array_index(set->ranges, Extent, index);
}

guint extents_count(const Extents *set)
{
    return set->ranges->len;
}

Extent extents_get(const Extents *set, guint index)
{
    g_assert(index < set->ranges->len);
    return *at(set, index);
}

guint64 extents_total(const Extents *set)
{
    guint64 total = 0;

    for (guint i = 0; i < set->ranges->len; i++)
        total += at(set, i)->end - at(set, i)->start;
    return total;
}

gboolean extents_equal(const Extents *a, const Extents *b)
{
    if (a->ranges->len != b->ranges->len)
        return FALSE;
    for (guint i = 0; i < a->ranges->len; i++)
        if (at(a, i)->start != at(b, i)->start || at(a, i)->end != at(b, i)->end)
            return FALSE;
    return TRUE;
}

/* The first range that ends at or after `offset`. */
static guint first_ending_from(const Extents *set, guint64 offset)
{
    guint low = 0, high = set->ranges->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (at(set, middle)->end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

gboolean extents_contains(const Extents *set, guint64 start, guint64 end)
{
    guint i;

    if (start >= end)
        return TRUE;
    i = first_ending_from(set, end);
    return i < set->ranges->len && at(set, i)->start <= start;
}

gboolean extents_overlaps(const Extents *set, guint64 start, guint64 end)
{
    guint i;

    if (start >= end)
        return FALSE;
    i = first_ending_from(set, start + 1);
    return i < set->ranges->len && at(set, i)->start < end;
}

static guint64 smallest_gap(const Extents *set)
{
    guint64 gap = G_MAXUINT64;

    for (guint i = 1; i < set->ranges->len; i++)
        gap = MIN(gap, at(set, i)->start - at(set, i - 1)->end);
    return gap;
}

static void keep_below_maximum(Extents *set)
{
    if (G_LIKELY(set->ranges->len <= EXTENTS_MAX))
        return;
    for (guint64 gap = smallest_gap(set); set->ranges->len > EXTENTS_AFTER_OVERFLOW; gap *= 2)
        extents_join(set, gap);
}

void extents_add(Extents *set, guint64 start, guint64 end)
{
    Extent range = {start, end};
    guint first, last;

    if (start >= end)
        return;
    if (set->ranges->len == 0 || at(set, set->ranges->len - 1)->end < start) {
        g_array_append_val(set->ranges, range);
        keep_below_maximum(set);
        return;
    }
    first = first_ending_from(set, start);
    for (last = first; last < set->ranges->len && at(set, last)->start <= end; last++)
        range.end = MAX(range.end, at(set, last)->end);
    if (first == last) {
        g_array_insert_val(set->ranges, first, range);
        keep_below_maximum(set);
        return;
    }
    range.start = MIN(range.start, at(set, first)->start);
    *at(set, first) = range;
    if (last > first + 1)
        g_array_remove_range(set->ranges, first + 1, last - first - 1);
}

void extents_remove(Extents *set, guint64 start, guint64 end)
{
    guint first, last;

    if (start >= end)
        return;
    first = first_ending_from(set, start + 1);
    if (first < set->ranges->len && at(set, first)->start < start) {
        Extent left = {at(set, first)->start, start};

        if (at(set, first)->end > end) {
            at(set, first)->start = end;
            g_array_insert_val(set->ranges, first, left);
            keep_below_maximum(set);
            return;
        }
        *at(set, first) = left;
        first++;
    }
    for (last = first; last < set->ranges->len && at(set, last)->end <= end; last++)
        ;
    if (last < set->ranges->len && at(set, last)->start < end)
        at(set, last)->start = end;
    if (last > first)
        g_array_remove_range(set->ranges, first, last - first);
}

void extents_clear(Extents *set)
{
    g_array_set_size(set->ranges, 0);
}

Extents *extents_union(const Extents *a, const Extents *b)
{
    Extents *result = extents_new();
    guint i = 0, j = 0;

    while (i < a->ranges->len || j < b->ranges->len) {
        gboolean take_a = j == b->ranges->len || (i < a->ranges->len && at(a, i)->start <= at(b, j)->start);
        const Extent *next = take_a ? at(a, i++) : at(b, j++);

        extents_add(result, next->start, next->end);
    }
    return result;
}

Extents *extents_intersect(const Extents *a, const Extents *b)
{
    Extents *result = extents_new();
    guint i = 0, j = 0;

    while (i < a->ranges->len && j < b->ranges->len) {
        const Extent *x = at(a, i), *y = at(b, j);

        extents_add(result, MAX(x->start, y->start), MIN(x->end, y->end));
        if (x->end < y->end)
            i++;
        else
            j++;
    }
    return result;
}

Extents *extents_subtract(const Extents *a, const Extents *b)
{
    Extents *result = extents_new();
    guint j = 0;

    for (guint i = 0; i < a->ranges->len; i++) {
        guint64 position = at(a, i)->start, end = at(a, i)->end;

        while (j < b->ranges->len && at(b, j)->end <= position)
            j++;
        /* The last one met may reach into the next range of `a`, so j stays on it. */
        for (; j < b->ranges->len && at(b, j)->start < end; j++) {
            extents_add(result, position, at(b, j)->start);
            position = at(b, j)->end;
            if (position >= end)
                break;
        }
        extents_add(result, position, end);
    }
    return result;
}

void extents_align(Extents *set, guint64 unit, guint64 size)
{
    guint kept = 0;

    for (guint i = 0; i < set->ranges->len; i++) {
        guint64 start = round_down(at(set, i)->start, unit);
        guint64 end = MIN(at(set, i)->end, size);

        if (at(set, i)->start >= size)
            break;
        end += MIN((unit - end % unit) % unit, size - end);
        if (kept > 0 && at(set, kept - 1)->end >= start)
            at(set, kept - 1)->end = end;
        else
            *at(set, kept++) = (Extent){start, end};
    }
    g_array_set_size(set->ranges, kept);
}

void extents_join(Extents *set, guint64 gap)
{
    guint kept = 0;

    for (guint i = 0; i < set->ranges->len; i++) {
        const Extent range = *at(set, i);

        if (kept > 0 && range.start - at(set, kept - 1)->end <= gap)
            at(set, kept - 1)->end = range.end;
        else
            *at(set, kept++) = range;
    }
    g_array_set_size(set->ranges, kept);
}

static guint64 get_u64(const guint8 *bytes)
{
    guint64 value;

    memcpy(&value, bytes, sizeof value);
    return GUINT64_FROM_LE(value);
}

static void put_u64(guint8 *bytes, guint64 value)
{
    value = GUINT64_TO_LE(value);
    memcpy(bytes, &value, sizeof value);
}

GBytes *extents_to_bytes(const Extents *set)
{
    gsize body = FORMAT_HEADER + (gsize)set->ranges->len * sizeof(Extent);
    guint8 *bytes = g_malloc(body + FORMAT_CHECKSUM);
    guint8 *next = bytes + FORMAT_HEADER;

    put_u64(bytes, FORMAT_MAGIC | (guint64)FORMAT_VERSION << 32);
    put_u64(bytes + 8, set->ranges->len);
    for (guint i = 0; i < set->ranges->len; i++, next += sizeof(Extent)) {
        put_u64(next, at(set, i)->start);
        put_u64(next + 8, at(set, i)->end);
    }
    put_u64(next, XXH3_64bits(bytes, body));
    return g_bytes_new_take(bytes, body + FORMAT_CHECKSUM);
}

static gboolean check_envelope(const guint8 *bytes, gsize length, GError **error)
{
    guint64 count;

    if (length < FORMAT_HEADER + FORMAT_CHECKSUM || (guint32)get_u64(bytes) != FORMAT_MAGIC)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "a stored set of extents is damaged: it does not start as one");
    if (get_u64(bytes) >> 32 != FORMAT_VERSION)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "a stored set of extents has version %" G_GUINT64_FORMAT
                       ", which this program does not know; use the version that wrote it",
                       get_u64(bytes) >> 32);
    count = get_u64(bytes + 8);
    if (count > EXTENTS_MAX || length != FORMAT_HEADER + count * sizeof(Extent) + FORMAT_CHECKSUM)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "a stored set of extents is damaged: it has the wrong length");
    if (get_u64(bytes + length - FORMAT_CHECKSUM) != XXH3_64bits(bytes, length - FORMAT_CHECKSUM))
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "a stored set of extents is damaged: its checksum is wrong");
    return TRUE;
}

Extents *extents_from_bytes(const void *data, gsize length, GError **error)
{
    const guint8 *bytes = data;
    g_autoptr(Extents) set = extents_new();
    guint64 count, previous_end = 0;

    if (!check_envelope(bytes, length, error))
        return NULL;
    count = get_u64(bytes + 8);
    for (guint64 i = 0; i < count; i++) {
        const guint8 *range = bytes + FORMAT_HEADER + i * sizeof(Extent);
        guint64 start = get_u64(range), end = get_u64(range + 8);

        if (start >= end || (i > 0 && start <= previous_end)) {
            vf_fail(error, VF_ERROR_INTEGRITY,
                    "a stored set of extents is damaged: its ranges are out of order");
            return NULL;
        }
        extents_add(set, start, end);
        previous_end = end;
    }
    return g_steal_pointer(&set);
}
