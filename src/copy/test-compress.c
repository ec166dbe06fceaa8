#include <glib/gstdio.h>

#include "base/size.h"
#include "copy/copy.h"
#include "copy/testing.h"
#include "disk/memory.h"
#include "disk/qcow2.h"

#define BLOCK   ((guint64)SUMS_BLOCK_SIZE)
#define CLUSTER (2 * MIB)
#define SIZE    (9 * MIB + 3 * BLOCK + 512)

/* Data in part of cluster 0 and of 1, and in all that is behind 6 MiB. */
static Disk *make_source(void)
{
    Disk *source = memory_disk_new("source", SIZE);

    fill_disk(source, 0, MIB, 1);
    fill_disk(source, CLUSTER + 3 * BLOCK, CLUSTER + 4 * BLOCK, 2);
    fill_disk(source, 3 * CLUSTER, SIZE, 3);
    return source;
}

/* A target that compresses whole clusters gets them whole, though chunks would be smaller, and none that
 * holds nothing. */
static void test_whole_clusters(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-copy-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "compressed.qcow2", NULL);
    g_autoptr(GError) error = NULL;
    const Qcow2Options qcow2 = {.cluster_bits = 21, .compression = QCOW2_ZSTD};
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE, &error);
    g_autoptr(Disk) source = make_source();
    g_autoptr(Disk) target = qcow2_create(bytes, SIZE, &qcow2, &error);
    g_autoptr(CopyPlan) plan = copy_plan_full(source, NULL, &error);
    g_autoptr(Sums) sums = testing_sums(SIZE);
    const CopyJob job = {
        .source = source, .target = target, .plan = plan, .sums = sums, .fresh_target = TRUE};

    g_assert_no_error(error);
    copy_run(&job, 1, &(CopyOptions){.threads = 3, .chunk = SUMS_BLOCK_SIZE}, &error);
    g_assert_no_error(error);
    assert_same_contents(source, target, NULL);
    g_assert_cmpuint(disk_counters(target).writes, ==, 4);
    g_assert_cmpuint(disk_counters(target).bytes_written, ==, 3 * CLUSTER + SIZE - 4 * CLUSTER);
    g_remove(path);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/copy-compress/whole-clusters", test_whole_clusters);
    return g_test_run();
}
