/* copy/extents.h: a set of byte ranges: sorted, disjoint, never touching.
 *
 * Kept as one sorted array; building in order is O(1) amortised per range, queries are binary searches, and
 * the algebra is one merge pass.  A set holds at most EXTENTS_MAX ranges; what would exceed that joins ranges
 * with the smallest gaps, never loses one: a superset is always safe to copy.  It is never safe to call done,
 * so whoever keeps a set of what is finished stops adding when it is full.
 *
 * Thread rule: a set belongs to one thread, or is guarded by its owner.
 */
#pragma once

#include <glib.h>

#define EXTENTS_MAX (4u << 20)

typedef struct {
    guint64 start;
    guint64 end; /* exclusive */
} Extent;

typedef struct Extents Extents;

Extents *extents_new(void);
Extents *extents_copy(const Extents *set);
void extents_free(Extents *set); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Extents, extents_free)

guint extents_count(const Extents *set);
Extent extents_get(const Extents *set, guint index);
guint64 extents_total(const Extents *set); /* bytes */
gboolean extents_equal(const Extents *a, const Extents *b);
gboolean extents_contains(const Extents *set, guint64 start, guint64 end); /* all of it */
gboolean extents_overlaps(const Extents *set, guint64 start, guint64 end);

/* start < end; anything else does nothing. */
void extents_add(Extents *set, guint64 start, guint64 end);
void extents_remove(Extents *set, guint64 start, guint64 end);
void extents_clear(Extents *set);

Extents *extents_union(const Extents *a, const Extents *b);
Extents *extents_intersect(const Extents *a, const Extents *b);
Extents *extents_subtract(const Extents *a, const Extents *b);

/* Widens every range to multiples of `unit` (a power of two) and clips to [0, size). */
void extents_align(Extents *set, guint64 unit, guint64 size);
/* Joins ranges whose gap is at most `gap` bytes: reading a small gap costs less than another request. */
void extents_join(Extents *set, guint64 gap);

/* Little-endian pairs with a version and a checksum, for the store.  VF_ERROR_INTEGRITY for what is not such
 * bytes. */
GBytes *extents_to_bytes(const Extents *set);
Extents *extents_from_bytes(const void *data, gsize length, GError **error);
