#include "disk/test-image.h"

#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/format.h"

static char *folder;

gboolean image_start(int *argc, char ***argv)
{
    g_autofree char *qemu_img = proc_find("qemu-img");
    g_autofree char *qemu_io = proc_find("qemu-io");

    g_test_init(argc, argv, NULL);
    if (qemu_img == NULL || qemu_io == NULL) {
        g_print("1..0 # SKIP qemu-img or qemu-io is not installed\n");
        return FALSE;
    }
    folder = g_dir_make_tmp("vmferry-image-XXXXXX", NULL);
    return TRUE;
}

int image_run(void)
{
    int result = g_test_run();

    image_call("rm", "-r", folder, NULL);
    g_free(folder);
    return result;
}

char *image_path(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

void image_call(const char *first, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    va_list arguments;

    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *))
        g_ptr_array_add(argv, (gpointer)word);
    va_end(arguments);
    g_ptr_array_add(argv, NULL);
    proc_run((const char *const *)argv->pdata, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
}

void image_check(const char *path)
{
    image_call("qemu-img", "check", "-q", "-U", "-f", "qcow2", path, NULL);
}

void image_patch(const char *path, guint64 offset, const void *data, gsize length)
{
    g_auto(Fd) fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_true(io_pwrite(fd, data, length, offset));
}

guint64 image_peek64(const char *path, guint64 offset)
{
    g_auto(Fd) fd = open(path, O_RDONLY | O_CLOEXEC);
    guint64 value = 0;

    g_assert_cmpint(io_pread(fd, &value, sizeof value, offset), ==, sizeof value);
    return GUINT64_FROM_BE(value);
}

Disk *image_open(const char *path, const char *format, gboolean writable)
{
    g_autoptr(GError) error = NULL;
    Disk *disk = format_open(path, format, writable, &error);

    g_assert_no_error(error);
    return disk;
}

void image_close(Disk *disk)
{
    g_autoptr(GError) error = NULL;

    disk_close(disk, &error);
    g_assert_no_error(error);
}

void image_assert_equal(Disk *a, Disk *b, gsize piece)
{
    g_autoptr(DiskBuffer) left = disk_buffer_new(piece);
    g_autoptr(DiskBuffer) right = disk_buffer_new(piece);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(disk_size(a), ==, disk_size(b));
    for (guint64 at = 0; at < disk_size(a); at += piece) {
        gsize length = (gsize)MIN(piece, disk_size(a) - at);

        disk_pread(a, left, length, at, &error);
        g_assert_no_error(error);
        disk_pread(b, right, length, at, &error);
        g_assert_no_error(error);
        g_assert_cmpint(memcmp(left, right, length), ==, 0);
    }
}

void image_assert_as_qemu(Disk *disk, const char *path, gsize piece)
{
    g_autofree char *raw_path = g_strconcat(path, ".raw", NULL);
    g_autoptr(Disk) raw = NULL;

    image_call("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, raw_path, NULL);
    raw = image_open(raw_path, "raw", FALSE);
    image_assert_equal(disk, raw, piece);
}

void image_fill(guint8 *buffer, gsize length, guint32 seed, gboolean noise)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);

    for (gsize i = 0; i < length; i++)
        buffer[i] = (guint8)(noise || i % 3 == 0 ? g_rand_int(random) : seed + i / 512);
}
