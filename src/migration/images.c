#include "migration/images.h"

#include "base/crash-point.h"
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/size.h"

#include <errno.h>
#include <glib/gstdio.h>

static char *sums_path(Engine *engine, const MachineDisk *disk, GError **error)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, engine->id);
    g_autofree char *directory = g_build_filename(store_directory(engine->store), "sums", id, NULL);
    g_autofree char *name = g_strdup_printf("%s.sums", disk->key);

    return io_make_directory(directory, error) ? g_build_filename(directory, name, NULL) : NULL;
}

static gboolean record(Engine *engine, const MachineDisk *disk, GError **error)
{
    StoreDisk *row = g_new0(StoreDisk, 1);

    g_ptr_array_add(engine->disks, row);
    row->key = g_strdup(disk->key);
    row->uuid = g_strdup(disk->uuid);
    row->size = disk->size;
    row->target_path = target_disk_path(engine->target, engine->machine, disk);
    row->sums_path = sums_path(engine, disk, error);
    return row->sums_path != NULL && store_disk_put(engine->store, engine->id, row, error);
}

/* Two disks in one file would be the end of both. */
static gboolean check_distinct(Engine *engine, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < engine->disks->len; i++) {
        const StoreDisk *row = g_ptr_array_index(engine->disks, i);

        if (!g_hash_table_add(seen, row->target_path))
            return vf_fail(error, VF_ERROR_INTERNAL, "two disks would be written to %s", row->target_path);
    }
    return TRUE;
}

gboolean images_record(Engine *engine, GError **error)
{
    for (guint i = 0; i < engine->machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(engine->machine->disks, i);

        if (engine_disk(engine, disk->key) == NULL && !record(engine, disk, error))
            return FALSE;
    }
    return check_distinct(engine, error);
}

static gboolean forget_sums(const StoreDisk *disk, GError **error)
{
    if (g_unlink(disk->sums_path) == 0 || errno == ENOENT)
        return TRUE;
    return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot delete %s", disk->sums_path);
}

gboolean image_create(Engine *engine, StoreDisk *disk, guint64 size, Disk **ret_target, Sums **ret_sums,
                      GError **error)
{
    disk->target_created = FALSE;
    disk->verified = FALSE;
    disk->size = size;
    if (!store_disk_put(engine->store, engine->id, disk, error) || !forget_sums(disk, error))
        return FALSE;
    *ret_target = target_create_disk(engine->target, disk->target_path, size, error);
    if (*ret_target == NULL)
        return FALSE;
    *ret_sums = sums_open(disk->sums_path, size, error);
    if (*ret_sums == NULL)
        return FALSE;
    disk->target_created = TRUE;
    if (!store_disk_put(engine->store, engine->id, disk, error))
        return FALSE;
    crash_point("init.target-created");
    return TRUE;
}

/* A crash may have come between the two that grow: either size is right here. */
static Sums *open_sums(const StoreDisk *disk, guint64 size, guint64 old_size, GError **error)
{
    g_autoptr(GError) first = NULL;
    g_autoptr(Sums) sums = sums_open(disk->sums_path, size, &first);

    if (sums != NULL)
        return g_steal_pointer(&sums);
    if (size == old_size || !vf_error_is(first, VF_ERROR_INTEGRITY)) {
        g_propagate_error(error, g_steal_pointer(&first));
        return NULL;
    }
    sums = sums_open(disk->sums_path, old_size, error);
    return sums != NULL && sums_resize(sums, size, error) ? g_steal_pointer(&sums) : NULL;
}

gboolean image_open(Engine *engine, StoreDisk *disk, guint64 size, Disk **ret_target, Sums **ret_sums,
                    GError **error)
{
    g_autoptr(Disk) target = target_open_disk(engine->target, disk->target_path, TRUE, error);
    g_autoptr(Sums) sums = NULL;

    if (target == NULL)
        return FALSE;
    if (disk_size(target) > size)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "disk %s has shrunk at the source; cancel and begin anew",
                       disk->key);
    sums = open_sums(disk, size, disk_size(target), error);
    if (sums == NULL)
        return FALSE;
    if (disk_size(target) < size) {
        g_autofree char *text = size_format(size);

        engine_event(engine, LOG_INFO, "disk", "disk %s has grown at the source to %s; its image grows too",
                     disk->key, text);
        if (!disk_resize(target, size, error))
            return FALSE;
    }
    *ret_target = g_steal_pointer(&target);
    *ret_sums = g_steal_pointer(&sums);
    return TRUE;
}

gboolean image_open_read(Engine *engine, const StoreDisk *disk, Disk **ret_target, Sums **ret_sums,
                         GError **error)
{
    g_autoptr(Disk) target = target_open_disk(engine->target, disk->target_path, FALSE, error);

    if (target == NULL)
        return FALSE;
    *ret_sums = sums_open(disk->sums_path, disk_size(target), error);
    if (*ret_sums == NULL)
        return FALSE;
    *ret_target = g_steal_pointer(&target);
    return TRUE;
}

gboolean images_delete(Engine *engine, GError **error)
{
    for (guint i = 0; i < engine->disks->len; i++) {
        StoreDisk *disk = g_ptr_array_index(engine->disks, i);

        if (!target_remove_disk(engine->target, disk->target_path, error) || !forget_sums(disk, error))
            return FALSE;
        disk->target_created = FALSE;
        if (!store_disk_put(engine->store, engine->id, disk, error))
            return FALSE;
    }
    return TRUE;
}
