#include "lab/tracking.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

static void assert_changed(const Tracking *tracking, const char *from, const char *to, guint64 total)
{
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;

    tracking_changed(tracking, from, to, areas, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(extents_total(areas), ==, total);
}

static void test_epochs(void)
{
    g_autoptr(Tracking) tracking = tracking_new(MIB);
    g_autofree char *first = tracking_change_id(tracking);

    tracking_mark(tracking, 0, 1);
    tracking_mark(tracking, 65535, 2);
    tracking_cut(tracking);
    g_autofree char *second = tracking_change_id(tracking);
    tracking_mark(tracking, 65536, 512);
    tracking_cut(tracking);
    g_autofree char *third = tracking_change_id(tracking);
    tracking_mark(tracking, 10 * 65536, 65536);

    assert_changed(tracking, first, second, 2 * 65536);
    assert_changed(tracking, second, third, 65536);
    assert_changed(tracking, first, third, 2 * 65536);
    assert_changed(tracking, first, NULL, 3 * 65536);
    assert_changed(tracking, third, third, 0);
    assert_changed(tracking, third, NULL, 65536);
}

/* The last block of a disk whose size is no multiple of 64 KiB is short, and nothing lies beyond. */
static void test_end(void)
{
    g_autoptr(Tracking) tracking = tracking_new(65536 + 512);
    g_autofree char *id = tracking_change_id(tracking);

    tracking_mark(tracking, 65536 + 512, 1);
    assert_changed(tracking, id, NULL, 0);
    tracking_mark(tracking, 65536, G_MAXUINT64);
    assert_changed(tracking, id, NULL, 512);
}

static void assert_unknown(const Tracking *tracking, const char *from, const char *to)
{
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;

    g_assert_false(tracking_changed(tracking, from, to, areas, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_unknown(void)
{
    g_autoptr(Tracking) tracking = tracking_new(MIB);
    g_autoptr(Tracking) other = tracking_new(MIB);
    g_autofree char *first = tracking_change_id(tracking);
    g_autofree char *foreign = tracking_change_id(other);

    tracking_cut(tracking);
    g_autofree char *second = tracking_change_id(tracking);
    g_autofree char *future = g_strdup_printf("%.*s/6", (int)(strchr(first, '/') - first), first);
    g_autofree char *past = g_strdup_printf("%.*s/0", (int)(strchr(first, '/') - first), first);
    g_autofree char *tail = g_strdup_printf("%sx", first);

    assert_unknown(tracking, foreign, NULL);
    assert_unknown(tracking, second, first);
    assert_unknown(tracking, future, NULL);
    assert_unknown(tracking, past, NULL);
    assert_unknown(tracking, tail, NULL);
    assert_unknown(tracking, "", NULL);
    assert_unknown(tracking, "/", NULL);
}

static void test_notation(void)
{
    g_autoptr(Tracking) tracking = tracking_new(MIB);
    g_autofree char *id = tracking_change_id(tracking);

    g_assert_true(g_regex_match_simple("^52( [0-9a-f]{2}){7}-[0-9a-f]{2}( [0-9a-f]{2}){7}/4$", id, 0, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tracking/epochs", test_epochs);
    g_test_add_func("/tracking/end", test_end);
    g_test_add_func("/tracking/unknown", test_unknown);
    g_test_add_func("/tracking/notation", test_notation);
    return g_test_run();
}
