#include "copy/extents.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

/* The model: one byte per unit of a small disk. */
#define UNITS 200u

typedef struct {
    guint8 in[UNITS];
} Model;

static void model_fill(Model *model, guint start, guint end, guint8 value)
{
    for (guint i = start; i < end; i++)
        model->in[i] = value;
}

/* Same bytes, and in the one form that a set has: sorted, apart, nothing empty. */
static void assert_is(const Extents *set, const Model *model)
{
    guint64 total = 0;
    guint count = 0;

    for (guint i = 0; i < UNITS; i++) {
        gboolean starts = model->in[i] && (i == 0 || !model->in[i - 1]);

        g_assert_cmpint(extents_contains(set, i, i + 1), ==, model->in[i]);
        g_assert_cmpint(extents_overlaps(set, i, i + 1), ==, model->in[i]);
        total += model->in[i];
        if (starts)
            g_assert_cmpuint(extents_get(set, count++).start, ==, i);
        if (!model->in[i] && count > 0 && i > 0 && model->in[i - 1])
            g_assert_cmpuint(extents_get(set, count - 1).end, ==, i);
    }
    g_assert_cmpuint(extents_count(set), ==, count);
    g_assert_cmpuint(extents_total(set), ==, total);
}

static void random_range(guint *start, guint *end, guint longest)
{
    *start = (guint)g_test_rand_int_range(0, UNITS);
    *end = *start + (guint)g_test_rand_int_range(0, (gint)longest);
    *end = MIN(UNITS, *end);
}

static Extents *random_set(Model *model)
{
    Extents *set = extents_new();

    memset(model, 0, sizeof *model);
    for (guint i = (guint)g_test_rand_int_range(0, 30); i > 0; i--) {
        guint start, end;

        random_range(&start, &end, 12);
        extents_add(set, start, end);
        model_fill(model, start, end, 1);
    }
    return set;
}

static void test_add_remove(void)
{
    for (guint round = 0; round < 200; round++) {
        g_autoptr(Extents) set = extents_new();
        Model model = {0};

        for (guint i = 0; i < 60; i++) {
            gboolean add = g_test_rand_bit();
            guint start, end;

            random_range(&start, &end, 25);
            (add ? extents_add : extents_remove)(set, start, end);
            model_fill(&model, start, end, (guint8)add);
            assert_is(set, &model);
        }
    }
}

static void test_queries(void)
{
    for (guint round = 0; round < 100; round++) {
        Model model;
        g_autoptr(Extents) set = random_set(&model);

        for (guint i = 0; i < 100; i++) {
            guint start, end, inside = 0;

            random_range(&start, &end, 30);
            for (guint unit = start; unit < end; unit++)
                inside += model.in[unit];
            g_assert_cmpint(extents_contains(set, start, end), ==, inside == end - start);
            g_assert_cmpint(extents_overlaps(set, start, end), ==, inside > 0);
        }
    }
}

static void test_algebra(void)
{
    for (guint round = 0; round < 1000; round++) {
        Model a, b, both = {0}, either = {0}, only = {0};
        g_autoptr(Extents) x = random_set(&a);
        g_autoptr(Extents) y = random_set(&b);
        g_autoptr(Extents) joined = extents_union(x, y);
        g_autoptr(Extents) common = extents_intersect(x, y);
        g_autoptr(Extents) less = extents_subtract(x, y);
        g_autoptr(Extents) again = extents_union(less, common);

        for (guint i = 0; i < UNITS; i++) {
            both.in[i] = a.in[i] && b.in[i];
            either.in[i] = a.in[i] || b.in[i];
            only.in[i] = a.in[i] && !b.in[i];
        }
        assert_is(joined, &either);
        assert_is(common, &both);
        assert_is(less, &only);
        g_assert_true(extents_equal(again, x));
    }
}

static void test_align(void)
{
    for (guint round = 0; round < 500; round++) {
        Model model, wide = {0};
        g_autoptr(Extents) set = random_set(&model);
        guint unit = 1u << g_test_rand_int_range(0, 6);
        guint size = (guint)g_test_rand_int_range(1, UNITS + 1);

        for (guint i = 0; i < size; i++)
            if (model.in[i])
                model_fill(&wide, i - i % unit, MIN(size, i - i % unit + unit), 1);
        extents_align(set, unit, size);
        assert_is(set, &wide);
    }
}

static void test_align_edges(void)
{
    g_autoptr(Extents) set = extents_new();

    extents_add(set, 65536, 131072);
    extents_align(set, 65536, 131072 + 512);
    g_assert_cmpuint(extents_get(set, 0).end, ==, 131072);

    extents_clear(set);
    extents_add(set, G_MAXUINT64 - 10, G_MAXUINT64);
    extents_align(set, 65536, G_MAXUINT64);
    g_assert_cmpuint(extents_get(set, 0).start, ==, G_MAXUINT64 - 65535);
    g_assert_cmpuint(extents_get(set, 0).end, ==, G_MAXUINT64);
}

static void test_join(void)
{
    for (guint round = 0; round < 500; round++) {
        Model model;
        g_autoptr(Extents) set = random_set(&model);
        guint gap = (guint)g_test_rand_int_range(0, 8);

        for (guint i = 1; i < UNITS; i++) {
            guint end = i;

            while (end < UNITS && !model.in[end])
                end++;
            if (model.in[i - 1] && end < UNITS && end - i <= gap)
                model_fill(&model, i, end, 1);
        }
        extents_join(set, gap);
        assert_is(set, &model);
    }
}

static void test_bytes(void)
{
    for (guint round = 0; round < 200; round++) {
        Model model;
        g_autoptr(GError) error = NULL;
        g_autoptr(Extents) set = random_set(&model);
        g_autoptr(GBytes) bytes = extents_to_bytes(set);
        gsize length;
        const guint8 *data = g_bytes_get_data(bytes, &length);
        g_autofree guint8 *damaged = g_memdup2(data, length);
        g_autoptr(Extents) back = extents_from_bytes(data, length, &error);

        g_assert_no_error(error);
        g_assert_true(extents_equal(set, back));

        damaged[g_test_rand_int_range(0, (gint)length)] ^= (guint8)(1u << g_test_rand_int_range(0, 8));
        g_assert_null(extents_from_bytes(damaged, length, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        g_clear_error(&error);
        g_assert_null(extents_from_bytes(data, (gsize)g_test_rand_int_range(0, (gint)length), &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    }
}

static void test_maximum(void)
{
    g_autoptr(Extents) set = extents_new();

    /* Gaps of 3, but for one of 1 in every sixteen: those are to go first. */
    for (guint64 i = 0; i < EXTENTS_MAX; i++)
        extents_add(set, i * 4 + (i % 16 == 5 ? 0 : 2), i * 4 + 3);
    g_assert_cmpuint(extents_count(set), ==, EXTENTS_MAX);

    extents_add(set, (guint64)EXTENTS_MAX * 4 + 100, (guint64)EXTENTS_MAX * 4 + 101);
    g_assert_cmpuint(extents_count(set), <=, EXTENTS_MAX);
    for (guint64 i = 0; i < EXTENTS_MAX; i += 997)
        g_assert_true(extents_contains(set, i * 4 + 2, i * 4 + 3));
    g_assert_true(extents_contains(set, (guint64)EXTENTS_MAX * 4 + 100, (guint64)EXTENTS_MAX * 4 + 101));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/extents/add-remove", test_add_remove);
    g_test_add_func("/extents/queries", test_queries);
    g_test_add_func("/extents/algebra", test_algebra);
    g_test_add_func("/extents/align", test_align);
    g_test_add_func("/extents/align-edges", test_align_edges);
    g_test_add_func("/extents/join", test_join);
    g_test_add_func("/extents/bytes", test_bytes);
    g_test_add_func("/extents/maximum", test_maximum);
    return g_test_run();
}
