#include "lab/backing-check.h"

#include "disk/vmdk.h"

#include <string.h>

void backing_check_init(BackingCheck *check, LabBacking *backing, const char *directory, gint32 key)
{
    *check = (BackingCheck){.backing = backing, .directory = directory, .key = key};
    check->copy = g_malloc0(lab_backing_size(backing, key));
}

void backing_check_fini(BackingCheck *check)
{
    g_free(check->change_id);
    g_free(check->copy);
}

static char *resolve_inside(const char *from, const char *name, gpointer data, GError **error)
{
    const BackingCheck *check = data;

    return g_build_filename(check->directory, name, NULL);
}

/* What a client may open while the machine is on. */
static Bytes *open_unlocked(const char *path, VmdkFileRole role, gpointer data, GError **error)
{
    const BackingCheck *check = data;
    g_autofree char *file = g_path_get_basename(path);

    g_assert_true(role == VMDK_FILE_LINK || !lab_backing_locked(check->backing, file));
    return bytes_open_file(path, BYTES_READ, error);
}

static Disk *open_frozen(BackingCheck *check, const char *id)
{
    const VmdkOpener opener = {.resolve = resolve_inside, .open = open_unlocked, .data = check};
    g_autofree char *file = lab_backing_file(check->backing, check->key, id);
    g_autofree char *path = g_build_filename(check->directory, file, NULL);
    g_autoptr(GError) error = NULL;
    Disk *disk = vmdk_open(path, &opener, NULL, &error);

    g_assert_no_error(error);
    return disk;
}

static char *checksum(Disk *disk)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guchar *contents = g_malloc(disk_size(disk));
    g_autoptr(GError) error = NULL;

    g_assert_true(disk_pread(disk, contents, disk_size(disk), 0, &error));
    g_checksum_update(sum, contents, (gssize)disk_size(disk));
    return g_strdup(g_checksum_get_string(sum));
}

void backing_check_round(BackingCheck *check, const char *id)
{
    g_autoptr(Disk) disk = open_frozen(check, id);
    g_autofree char *before = checksum(disk);
    g_autoptr(Extents) areas = extents_new();
    g_autoptr(GError) error = NULL;

    lab_backing_changed(check->backing, check->key, id, check->change_id != NULL ? check->change_id : "*",
                        areas, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < extents_count(areas); i++) {
        Extent extent = extents_get(areas, i);

        disk_pread(disk, check->copy + extent.start, extent.end - extent.start, extent.start, &error);
        g_assert_no_error(error);
    }
    check->last_read = extents_total(areas);

    g_autofree char *after = checksum(disk);
    g_assert_cmpstr(before, ==, after);
    g_free(check->change_id);
    check->change_id = lab_backing_change_id(check->backing, check->key, id);
    g_assert_nonnull(check->change_id);
}

void backing_check_same(BackingCheck *check)
{
    g_autoptr(Disk) disk = open_frozen(check, NULL);
    g_autofree char *contents = g_malloc(disk_size(disk));
    g_autoptr(GError) error = NULL;

    g_assert_true(disk_pread(disk, contents, disk_size(disk), 0, &error));
    g_assert_cmpint(memcmp(contents, check->copy, disk_size(disk)), ==, 0);
}
