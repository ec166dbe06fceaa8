#include "copy/plan.h"

#include "base/size.h"
#include "copy/sums.h"
#include "disk/memory.h"

#define BLOCK ((guint64)SUMS_BLOCK_SIZE)

static void write_at(Disk *disk, guint64 offset)
{
    g_autoptr(GError) error = NULL;
    guint8 sector[512] = {1};

    g_assert_true(disk_pwrite(disk, sector, sizeof sector, offset, &error));
}

static void assert_extent(const Extents *set, guint index, guint64 start, guint64 end)
{
    g_assert_cmpuint(extents_get(set, index).start, ==, start);
    g_assert_cmpuint(extents_get(set, index).end, ==, end);
}

static void test_full(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = memory_disk_new("disk", 100 * BLOCK + 512);
    g_autoptr(Extents) allocated = extents_new();

    write_at(disk, 0);
    write_at(disk, 50 * BLOCK);
    write_at(disk, 100 * BLOCK);
    g_autoptr(CopyPlan) plan = copy_plan_full(disk, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(extents_count(plan->read), ==, 3);
    assert_extent(plan->read, 1, 50 * BLOCK, 51 * BLOCK);
    assert_extent(plan->read, 2, 100 * BLOCK, 100 * BLOCK + 512);
    g_assert_cmpuint(extents_total(plan->read) + extents_total(plan->zero), ==, disk_size(disk));

    /* A further opinion takes away, and never adds. */
    extents_add(allocated, 50 * BLOCK + 512, 60 * BLOCK);
    g_autoptr(CopyPlan) less = copy_plan_full(disk, allocated, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(extents_count(less->read), ==, 1);
    assert_extent(less->read, 0, 50 * BLOCK, 51 * BLOCK);
    g_assert_cmpuint(extents_total(less->zero), ==, disk_size(disk) - BLOCK);
    g_assert_cmpuint(disk_counters(disk).reads, ==, 0);
}

static void test_changed(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = memory_disk_new("disk", 1000 * BLOCK + 512);
    g_autoptr(Extents) changed = extents_new();

    write_at(disk, 5 * BLOCK);
    write_at(disk, 6 * BLOCK);
    write_at(disk, 108 * BLOCK);
    write_at(disk, 119 * BLOCK);
    write_at(disk, 700 * BLOCK);
    extents_add(changed, 5 * BLOCK + 512, 5 * BLOCK + 1024);
    extents_add(changed, 107 * BLOCK + 512, 131 * BLOCK + 512);
    extents_add(changed, 1000 * BLOCK, 1000 * BLOCK + 512);
    g_autoptr(CopyPlan) plan = copy_plan_changed(disk, changed, &error);

    /* The first and the last are too small to ask about, though the last is a hole. */
    g_assert_no_error(error);
    g_assert_cmpuint(extents_count(plan->read), ==, 4);
    assert_extent(plan->read, 0, 5 * BLOCK, 6 * BLOCK);
    assert_extent(plan->read, 1, 108 * BLOCK, 109 * BLOCK);
    assert_extent(plan->read, 2, 119 * BLOCK, 120 * BLOCK);
    assert_extent(plan->read, 3, 1000 * BLOCK, 1000 * BLOCK + 512);
    g_assert_cmpuint(extents_count(plan->zero), ==, 3);
    assert_extent(plan->zero, 0, 107 * BLOCK, 108 * BLOCK);
    assert_extent(plan->zero, 1, 109 * BLOCK, 119 * BLOCK);
    assert_extent(plan->zero, 2, 120 * BLOCK, 132 * BLOCK);
}

static void test_empty(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) nothing = memory_disk_new("nothing", 0);
    g_autoptr(Disk) hole = memory_disk_new("hole", 200 * GIB);
    g_autoptr(CopyPlan) first = copy_plan_full(nothing, NULL, &error);
    g_autoptr(CopyPlan) second = copy_plan_full(hole, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(extents_count(first->read) + extents_count(first->zero), ==, 0);
    g_assert_cmpuint(extents_count(second->read), ==, 0);
    g_assert_cmpuint(extents_total(second->zero), ==, 200 * GIB);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/full", test_full);
    g_test_add_func("/plan/changed", test_changed);
    g_test_add_func("/plan/empty", test_empty);
    return g_test_run();
}
