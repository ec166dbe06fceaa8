#include "disk/test-vmdk-fixture.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/format.h"
#include "disk/test-vmdk-make.h"

void fixture_set_up(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->directory = g_dir_make_tmp("vmdk-XXXXXX", &error);
    g_assert_no_error(error);
}

void fixture_run(const VmdkFixture *fixture, const char *command)
{
    const char *argv[] = {"sh", "-ec", command, NULL};
    gint status;
    g_autoptr(GError) error = NULL;

    g_spawn_sync(fixture->directory, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                 &status, &error);
    g_assert_no_error(error);
    g_spawn_check_wait_status(status, &error);
    g_assert_no_error(error);
}

void fixture_tear_down(VmdkFixture *fixture, gconstpointer data)
{
    fixture_run(fixture, "rm -r \"$PWD\"");
    g_free(fixture->directory);
}

gboolean fixture_no_qemu(void)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");

    if (program == NULL)
        g_test_skip("qemu-img is not installed");
    return program == NULL;
}

char *fixture_path(const VmdkFixture *fixture, const char *name)
{
    return g_build_filename(fixture->directory, name, NULL);
}

void fixture_put_bytes(const VmdkFixture *fixture, const char *name, GByteArray *bytes)
{
    make_file(fixture->directory, name, bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

void fixture_put_text(const VmdkFixture *fixture, const char *name, const char *text)
{
    make_file(fixture->directory, name, text, strlen(text));
}

Disk *fixture_open(const VmdkFixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);
    g_autoptr(GError) error = NULL;
    Disk *disk = format_open(path, NULL, FALSE, &error);

    g_assert_no_error(error);
    return disk;
}

/* Extents cover the disk, and what they call empty is. */
static guint64 check_extents(Disk *disk, const guint8 *expected)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    guint64 next = 0, data = 0;

    g_assert_true(disk_extents(disk, 0, disk_size(disk), extents, &error));
    for (guint i = 0; i < extents->len; i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        g_assert_cmpuint(extent->offset, ==, next);
        next += extent->length;
        if (extent->kind == DISK_EXTENT_DATA)
            data += extent->length;
        else
            g_assert_true(buffer_is_zero(expected + extent->offset, extent->length));
    }
    g_assert_cmpuint(next, ==, disk_size(disk));
    return data;
}

static guint64 random_length(guint64 max_sectors, guint64 max_bytes)
{
    guint64 length = (guint64)g_test_rand_int_range(1, (gint32)max_sectors) * SECTOR_SIZE;

    return MIN(length, max_bytes);
}

/* Reads it whole in pieces of all sizes, and here and there.  Returns how many bytes it says are data. */
guint64 fixture_check(Disk *disk, const guint8 *expected, guint64 size)
{
    g_autofree guint8 *buffer = g_malloc(3 * MIB);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(disk_size(disk), ==, size);
    for (guint64 at = 0; at < size;) {
        guint64 length = random_length(3 * 2048, size - at);

        g_assert_true(disk_pread(disk, buffer, length, at, &error));
        g_assert_true(memcmp(buffer, expected + at, length) == 0);
        at += length;
    }
    for (guint i = 0; i < 200; i++) {
        guint64 at = (guint64)g_test_rand_int_range(0, (gint32)(size / SECTOR_SIZE)) * SECTOR_SIZE;
        guint64 length = random_length(300, size - at);

        g_assert_true(disk_pread(disk, buffer, length, at, &error));
        g_assert_true(memcmp(buffer, expected + at, length) == 0);
    }
    return check_extents(disk, expected);
}

void fixture_refused_with(const char *path, const VmdkOptions *options, VfErrorClass class, const char *part)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vmdk_open(path, NULL, options, &error));
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_error(error, VF_ERROR, (gint) class);
    g_assert_nonnull(strstr(error->message, part));
}

void fixture_refused(const VmdkFixture *fixture, const char *name, VfErrorClass class, const char *part)
{
    g_autofree char *path = fixture_path(fixture, name);

    fixture_refused_with(path, NULL, class, part);
}
