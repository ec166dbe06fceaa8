#include "disk/disk.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/bytes.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/raw.h"

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void assert_fails(gboolean ok, GError **error, VfErrorClass class)
{
    g_assert_false(ok);
    g_assert_error(*error, VF_ERROR, (int)class);
    g_clear_error(error);
}

static void test_front_doors(void)
{
    g_autoptr(Disk) disk = memory_disk_new("m", 10000);
    g_autoptr(Disk) source = pattern_disk_new("p", MIB, 1, 100);
    g_autoptr(GError) error = NULL;
    guint8 buffer[4096] = {1};

    g_assert_true(disk_pwrite(disk, buffer, 4096, 512, &error));
    g_assert_true(disk_pread(disk, buffer, 10000 - 9728, 9728, &error));
    g_assert_true(disk_zero(disk, 0, 512, &error));
    g_assert_true(disk_pread(disk, buffer, 0, 10000 - 10000 % 512, &error));
    assert_fails(disk_pread(disk, buffer, 512, 10240, &error), &error, VF_ERROR_INTERNAL);
    assert_fails(disk_pread(disk, buffer, 4096, G_MAXUINT64 - 511, &error), &error, VF_ERROR_INTERNAL);
    assert_fails(disk_pread(disk, buffer, 100, 512, &error), &error, VF_ERROR_INTERNAL);
    assert_fails(disk_pwrite(source, buffer, 512, 0, &error), &error, VF_ERROR_INTERNAL);
    assert_fails(disk_resize(disk, 512, &error), &error, VF_ERROR_UNSUPPORTED);
    g_assert_cmpuint(disk_counters(disk).writes, ==, 1);
    g_assert_cmpuint(disk_counters(disk).bytes_written, ==, 4096);
    g_assert_cmpuint(disk_counters(disk).reads, ==, 1);
    g_assert_cmpuint(disk_counters(disk).bytes_zeroed, ==, 512);
}

static void test_memory(void)
{
    g_autoptr(Disk) disk = memory_disk_new("m", 4 * MIB);
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    guint8 in[1024], out[1024];

    memset(in, 7, sizeof in);
    g_assert_true(disk_pwrite(disk, in, sizeof in, 64 * KIB - 512, &error));
    g_assert_true(disk_pread(disk, out, sizeof out, 64 * KIB - 512, &error));
    g_assert_cmpmem(in, sizeof in, out, sizeof out);
    g_assert_true(disk_zero(disk, 64 * KIB, 64 * KIB, &error));
    g_assert_true(disk_extents(disk, 0, 4 * MIB, extents, &error));
    g_assert_cmpuint(extents->len, ==, 2);
    g_assert_cmpuint(g_array_index(extents, DiskExtent, 0).length, ==, 64 * KIB);
    g_assert_true(disk_resize(disk, 5 * MIB, &error));
    g_assert_true(disk_pread(disk, out, sizeof out, 5 * MIB - 1024, &error));
    g_assert_true(buffer_is_zero(out, sizeof out));
}

/* The same bytes whatever the requests are cut into, different ones everywhere and for every seed. */
static void test_pattern(void)
{
    g_autoptr(Disk) a = pattern_disk_new("a", 4 * MIB + 512, 1, 50);
    g_autoptr(Disk) b = pattern_disk_new("b", 4 * MIB + 512, 2, 100);
    g_autofree guint8 *whole = g_malloc(4 * MIB + 512);
    g_autofree guint8 *other = g_malloc(4 * MIB + 512);
    g_autoptr(GError) error = NULL;
    guint8 piece[512];

    g_assert_true(disk_pread(a, whole, 4 * MIB + 512, 0, &error));
    g_assert_true(disk_pread(b, other, 4 * MIB + 512, 0, &error));
    for (guint64 at = 0; at < 4 * MIB; at += 17 * 512) {
        g_assert_true(disk_pread(a, piece, sizeof piece, at, &error));
        g_assert_cmpmem(piece, sizeof piece, whole + at, sizeof piece);
    }
    for (guint64 at = 4096; at < 4 * MIB; at += 4096) {
        g_assert_cmpint(memcmp(other + at, whole + at, 4096), !=, 0);
        g_assert_cmpint(memcmp(other + at, other + at - 4096, 4096), !=, 0);
    }
}

static void test_pattern_extents(void)
{
    g_autoptr(Disk) disk = pattern_disk_new("p", 64 * MIB, 3, 50);
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autofree guint8 *buffer = g_malloc(MIB);
    g_autoptr(GError) error = NULL;
    guint64 data = 0;

    g_assert_true(disk_extents(disk, 0, 64 * MIB, extents, &error));
    for (guint i = 0; i < extents->len; i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        g_assert_true(disk_pread(disk, buffer, MIB, extent->offset, &error));
        g_assert_cmpint(buffer_is_zero(buffer, MIB), ==, extent->kind == DISK_EXTENT_HOLE);
        data += extent->kind == DISK_EXTENT_DATA ? extent->length : 0;
    }
    g_assert_cmpuint(data, >, 16 * MIB);
    g_assert_cmpuint(data, <, 48 * MIB);
}

static void test_fault(void)
{
    g_autoptr(Disk) disk = fault_disk_new(memory_disk_new("m", MIB));
    g_autoptr(GError) error = NULL;
    guint8 buffer[512] = {0};

    fault_disk_fail_write(disk, 2, VF_ERROR_TARGET_IO);
    fault_disk_fail_read(disk, 1, VF_ERROR_TRANSIENT);
    g_assert_true(disk_pwrite(disk, buffer, 512, 0, &error));
    assert_fails(disk_pwrite(disk, buffer, 512, 0, &error), &error, VF_ERROR_TARGET_IO);
    assert_fails(disk_zero(disk, 0, 512, &error), &error, VF_ERROR_TARGET_IO);
    assert_fails(disk_pread(disk, buffer, 512, 0, &error), &error, VF_ERROR_TRANSIENT);
    fault_disk_heal(disk);
    g_assert_true(disk_pread(disk, buffer, 512, 0, &error));
    g_assert_true(disk_pwrite(disk, buffer, 512, 0, &error));
}

static void test_raw(void)
{
    g_autofree char *path = path_of("a.raw");
    Disk *disk;
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    guint8 in[8192], out[8192];

    memset(in, 9, sizeof in);
    disk = format_create(path, "raw", 3 * MIB + 100, &error);
    g_assert_no_error(error);
    g_assert_true(disk_starts_zero(disk));
    /* Unaligned memory, unaligned offset, and the odd end. */
    g_assert_true(disk_pwrite(disk, in + 1, 4096, MIB, &error));
    g_assert_true(disk_pwrite(disk, in, 512, 2 * MIB + 512, &error));
    g_assert_true(disk_pwrite(disk, in, 100, 3 * MIB, &error));
    g_assert_true(disk_pread(disk, out + 1, 4096, MIB, &error));
    g_assert_cmpmem(out + 1, 4096, in, 4096);
    g_assert_true(disk_zero(disk, MIB, 2048, &error));
    g_assert_true(disk_resize(disk, 4 * MIB, &error));
    g_assert_true(disk_close(disk, &error));

    disk = format_open(path, NULL, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, 4 * MIB);
    g_assert_true(disk_pread(disk, out, 4096, MIB, &error));
    g_assert_true(buffer_is_zero(out, 2048));
    g_assert_cmpmem(out + 2048, 2048, in, 2048);
    g_assert_true(disk_pread(disk, out, 512, 3 * MIB, &error));
    g_assert_cmpmem(out, 100, in, 100);
    g_assert_true(disk_extents(disk, 0, 4 * MIB, extents, &error));
    g_assert_cmpint(g_array_index(extents, DiskExtent, 0).kind, ==, DISK_EXTENT_HOLE);
    g_assert_cmpint(g_array_index(extents, DiskExtent, 1).kind, ==, DISK_EXTENT_DATA);
    g_assert_true(disk_close(disk, &error));
}

static void test_file_errors(void)
{
    g_autofree char *path = path_of("locked.raw");
    g_autofree char *text = path_of("letter.txt");
    g_autoptr(Disk) first = NULL;
    g_autoptr(Bytes) bytes = NULL;
    g_autoptr(GError) error = NULL;
    guint8 buffer[512];

    first = format_create(path, "raw", MIB, &error);
    g_assert_no_error(error);
    assert_fails(format_open(path, NULL, TRUE, &error) != NULL, &error, VF_ERROR_CONFLICT);
    assert_fails(format_create(path, "raw", MIB, &error) != NULL, &error, VF_ERROR_CONFLICT);
    assert_fails(format_create(path, "vhd", MIB, &error) != NULL, &error, VF_ERROR_UNSUPPORTED);
    assert_fails(format_open("/nowhere/x.raw", NULL, FALSE, &error) != NULL, &error, VF_ERROR_NOT_FOUND);
    assert_fails(format_open(folder, "raw", FALSE, &error) != NULL, &error, VF_ERROR_INVALID);
    g_assert_true(g_file_set_contents(text, "hello", -1, &error));
    assert_fails(format_open(text, NULL, FALSE, &error) != NULL, &error, VF_ERROR_INVALID);
    bytes = bytes_open_file(text, BYTES_READ, &error);
    g_assert_no_error(error);
    assert_fails(bytes_pread(bytes, buffer, 6, 0, &error), &error, VF_ERROR_INTEGRITY);
    assert_fails(bytes_pwrite(bytes, buffer, 1, 0, &error), &error, VF_ERROR_INTERNAL);
}

static void test_vmdk_by_name(void)
{
    g_autofree char *descriptor = path_of("web.vmdk");
    g_autofree char *flat = path_of("web-flat.vmdk");
    g_autofree char *data = g_malloc0(MIB);
    g_autoptr(Disk) disk = NULL;
    g_autoptr(GError) error = NULL;
    guint8 buffer[512];

    data[512] = 'x';
    g_assert_true(g_file_set_contents(flat, data, MIB, &error));
    g_assert_true(g_file_set_contents(descriptor,
                                      "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
                                      "createType=\"vmfs\"\nRW 2048 VMFS \"web-flat.vmdk\"\n",
                                      -1, &error));
    disk = format_open(descriptor, NULL, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, MIB);
    g_assert_true(disk_pread(disk, buffer, 512, 512, &error));
    g_assert_cmpint(buffer[0], ==, 'x');
}

static void remove_folder(void)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir)) {
        g_autofree char *path = path_of(name);

        g_remove(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("vmferry-disk-XXXXXX", NULL);
    g_test_add_func("/disk/front-doors", test_front_doors);
    g_test_add_func("/disk/memory", test_memory);
    g_test_add_func("/disk/pattern", test_pattern);
    g_test_add_func("/disk/pattern-extents", test_pattern_extents);
    g_test_add_func("/disk/fault", test_fault);
    g_test_add_func("/disk/raw", test_raw);
    g_test_add_func("/disk/file-errors", test_file_errors);
    g_test_add_func("/disk/vmdk-by-name", test_vmdk_by_name);
    result = g_test_run();
    remove_folder();
    return result;
}
