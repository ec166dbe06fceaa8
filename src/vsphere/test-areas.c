#include "base/error.h"
#include "base/size.h"
#include "vsphere/areas.h"
#include "vsphere/vm-ops.h"

#include <stdio.h>

#define SIZE (10 * MIB)

/* "start+length" of the piece, then of each area. */
static VimDiskChangeInfo *answer(const char *text)
{
    VimDiskChangeInfo *info = vim_new(&vim_disk_change_info_type);
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    sscanf(words[0], "%" G_GINT64_FORMAT "+%" G_GINT64_FORMAT, &info->start_offset, &info->length);
    for (char **word = words + 1; *word != NULL; word++) {
        VimDiskChangeExtent *area = vim_new(&vim_disk_change_extent_type);

        g_assert_cmpint(sscanf(*word, "%" G_GINT64_FORMAT "+%" G_GINT64_FORMAT, &area->start, &area->length),
                        ==, 2);
        g_ptr_array_add(info->changed_area, area);
    }
    return info;
}

static void assert_area(const Extents *areas, guint index, guint64 start, guint64 end)
{
    Extent extent = extents_get(areas, index);

    g_assert_cmpuint(extent.start, ==, start);
    g_assert_cmpuint(extent.end, ==, end);
}

static void test_pieces(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(VimDiskChangeInfo) first = answer("0+1048576 0+65536 131072+65536");
    g_autoptr(VimDiskChangeInfo) empty = answer("1048576+4194304");
    g_autoptr(VimDiskChangeInfo) last = answer("5242880+5242880 5242880+1000 10420224+131072");
    guint64 position = 0;

    g_assert_true(areas_add(first, SIZE, &position, areas, &error));
    g_assert_cmpuint(position, ==, MIB);
    g_assert_true(areas_add(empty, SIZE, &position, areas, &error));
    g_assert_cmpuint(position, ==, 5 * MIB);
    g_assert_true(areas_add(last, SIZE, &position, areas, &error));
    g_assert_cmpuint(position, ==, SIZE);
    g_assert_cmpuint(extents_count(areas), ==, 4);
    assert_area(areas, 0, 0, 65536);
    assert_area(areas, 2, 5 * MIB, 5 * MIB + 1024); /* widened to sectors */
    assert_area(areas, 3, 10420224, SIZE);          /* clipped to the disk */
}

static void test_refused(void)
{
    static const char *const cases[] = {
        "0+0",                               /* stands still */
        "0+-5",                              /* goes back */
        "512+1024",                          /* leaves a gap */
        "-512+1024",                         /* before the disk */
        "0+20971520",                        /* a larger disk */
        "0+9223372036854775807",             /* overflows */
        "0+1048576 0+0",                     /* nothing changed there? */
        "0+1048576 -1+512",                  /* before the disk */
        "0+1048576 4096+-1",                 /* backwards */
        "0+1048576 10485760+512",            /* behind the disk */
        "0+1048576 9223372036854775807+1",   /* overflows */
        "0+1048576 512+9223372036854775807", /* overflows */
        "0+1048576 1048576+512",             /* behind the piece */
        "0+1048576 8192+512 4096+512",       /* out of order */
        "0+1048576 4096+1024 4608+1024",     /* overlaps */
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Extents) areas = extents_new();
        g_autoptr(VimDiskChangeInfo) info = answer(cases[i]);
        guint64 position = 0;

        g_test_message("%s", cases[i]);
        g_assert_false(areas_add(info, SIZE, &position, areas, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        g_assert_cmpuint(position, ==, 0);
    }
}

static void test_change_ids(void)
{
    static const char a81[] = "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81";

    g_assert_true(vsphere_change_id_follows(a81, a81));
    g_assert_true(vsphere_change_id_follows(a81, "52 DE c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/100"));
    g_assert_false(vsphere_change_id_follows(a81, "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/80"));
    g_assert_false(vsphere_change_id_follows(a81, "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 64/82"));
    g_assert_false(vsphere_change_id_follows(a81, "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65/82"));
    g_assert_false(vsphere_change_id_follows(a81, NULL));
    g_assert_false(vsphere_change_id_follows(NULL, a81));
    g_assert_false(vsphere_change_id_follows("*", "*"));
    g_assert_false(vsphere_change_id_follows("52/", "52/"));
    g_assert_false(vsphere_change_id_follows("52/-1", "52/-1"));
    g_assert_false(vsphere_change_id_follows("/5", "/6"));
    g_assert_false(vsphere_change_id_follows("xy/5", "xy/6"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/areas/pieces", test_pieces);
    g_test_add_func("/areas/refused", test_refused);
    g_test_add_func("/areas/change-ids", test_change_ids);
    return g_test_run();
}
