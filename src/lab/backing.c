#include "lab/backing.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/size.h"
#include "lab/backing-files.h"
#include "lab/backing-writer.h"
#include "lab/delta.h"

#include <string.h>
#include <unistd.h>

/* Every front door begins with this: what the machine did by itself comes first. */
static GMutexLocker *enter(LabBacking *backing)
{
    GMutexLocker *locked = g_mutex_locker_new(&backing->lock);

    if (backing->ops->settle != NULL)
        backing->ops->settle(backing);
    return locked;
}

/* --- what it is made of --- */

char *backing_path(const LabBacking *backing, const char *file)
{
    return g_build_filename(backing->directory, file, NULL);
}

BackingLink *backing_leaf(const BackingDisk *disk)
{
    return g_ptr_array_index(disk->links, disk->links->len - 1);
}

static void disk_free(gpointer data)
{
    BackingDisk *disk = data;

    if (disk == NULL)
        return;
    g_ptr_array_unref(disk->links);
    if (disk->free_state != NULL && disk->state != NULL)
        disk->free_state(disk->state);
    tracking_free(disk->tracking);
    g_free(disk->name);
    g_free(disk);
}

static void frozen_free(gpointer data)
{
    BackingFrozen *frozen = data;

    g_free(frozen->change_id);
    g_free(frozen);
}

static void snapshot_free(gpointer data)
{
    BackingSnapshot *snapshot = data;

    g_ptr_array_unref(snapshot->frozen);
    g_free(snapshot->id);
    g_free(snapshot);
}

static BackingDisk *find_disk(const LabBacking *backing, gint32 key)
{
    for (guint i = 0; i < backing->disks->len; i++) {
        BackingDisk *disk = g_ptr_array_index(backing->disks, i);

        if (disk->key == key)
            return disk;
    }
    return NULL;
}

static BackingDisk *need_disk(const LabBacking *backing, gint32 key, GError **error)
{
    BackingDisk *disk = find_disk(backing, key);

    if (disk == NULL)
        vf_fail(error, VF_ERROR_NOT_FOUND, "%s has no disk %d", backing->directory, key);
    return disk;
}

static BackingSnapshot *find_snapshot(const LabBacking *backing, const char *id)
{
    for (guint i = 0; i < backing->snapshots->len; i++) {
        BackingSnapshot *snapshot = g_ptr_array_index(backing->snapshots, i);

        if (strcmp(snapshot->id, id) == 0)
            return snapshot;
    }
    return NULL;
}

static BackingSnapshot *need_snapshot(const LabBacking *backing, const char *id, GError **error)
{
    BackingSnapshot *snapshot = find_snapshot(backing, id);

    if (snapshot == NULL)
        vf_fail(error, VF_ERROR_NOT_FOUND, "%s has no snapshot %s", backing->directory, id);
    return snapshot;
}

/* What a snapshot knows of a disk; NULL when that was added later. */
static BackingFrozen *find_frozen(const BackingSnapshot *snapshot, const BackingDisk *disk)
{
    if (snapshot == NULL)
        return NULL;
    for (guint i = 0; i < snapshot->frozen->len; i++) {
        BackingFrozen *frozen = g_ptr_array_index(snapshot->frozen, i);

        if (frozen->disk == disk)
            return frozen;
    }
    return NULL;
}

/* --- opening --- */

static gboolean add_disk(LabBacking *backing, const LabDiskConfig *config, GError **error)
{
    g_autofree char *safe = g_path_get_basename(config->name);
    guint64 size;

    if (find_disk(backing, config->key) != NULL)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s has a disk %d already", backing->directory, config->key);
    if (strcmp(safe, config->name) != 0 || strpbrk(safe, "\"\n\r") != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "\"%s\" is no name for a disk's file", config->name);
    if (!backing_files_prepare(backing->directory, config, backing->config.seed, &size, error))
        return FALSE;

    BackingDisk *disk = g_new0(BackingDisk, 1);
    disk->key = config->key;
    disk->name = g_strdup(config->name);
    disk->size = size;
    disk->links = g_ptr_array_new_with_free_func((GDestroyNotify)backing_link_free);
    g_ptr_array_add(disk->links, backing_link_new(disk->name, 0));
    if (!backing->ops->add_disk(backing, disk, error)) {
        disk_free(disk);
        return FALSE;
    }
    g_ptr_array_add(backing->disks, disk);
    return TRUE;
}

LabBacking *lab_backing_open(const char *directory, const LabDiskConfig *disks, guint n_disks,
                             const LabWriterConfig *writer, GError **error)
{
    g_autoptr(LabBacking) backing = g_new0(LabBacking, 1);

    g_mutex_init(&backing->lock);
    backing->ops = writer->guest ? &backing_guest_ops : &backing_synthetic_ops;
    backing->directory = g_strdup(directory);
    backing->config = *writer;
    backing->config.kernel = g_strdup(writer->kernel);
    backing->config.initrd = g_strdup(writer->initrd);
    backing->config.append = g_strdup(writer->append);
    backing->disks = g_ptr_array_new_with_free_func(disk_free);
    backing->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    if (!io_make_directory(directory, error))
        return NULL;
    for (guint i = 0; i < n_disks; i++)
        if (!add_disk(backing, &disks[i], error))
            return NULL;
    return g_steal_pointer(&backing);
}

void lab_backing_free(LabBacking *backing)
{
    if (backing == NULL)
        return;
    backing->ops->free(backing);
    g_ptr_array_unref(backing->snapshots);
    g_ptr_array_unref(backing->disks);
    g_free((char *)backing->config.kernel);
    g_free((char *)backing->config.initrd);
    g_free((char *)backing->config.append);
    g_free(backing->directory);
    g_mutex_clear(&backing->lock);
    g_free(backing);
}

gboolean lab_backing_add_disk(LabBacking *backing, const LabDiskConfig *disk, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    return add_disk(backing, disk, error);
}

/* --- tracking --- */

static gboolean start_tracking(LabBacking *backing, BackingDisk *disk, GError **error)
{
    tracking_free(disk->tracking);
    disk->tracking = tracking_new(disk->size);
    return backing->ops->track(backing, disk, error);
}

/* Where a host opens its change tracking files: at power on, and when a snapshot comes or goes. */
static gboolean start_wanted_tracking(LabBacking *backing, GError **error)
{
    for (guint i = 0; backing->tracking_wanted && i < backing->disks->len; i++) {
        BackingDisk *disk = g_ptr_array_index(backing->disks, i);

        if (disk->tracking == NULL && !start_tracking(backing, disk, error))
            return FALSE;
    }
    return TRUE;
}

static void stop_tracking(LabBacking *backing, BackingDisk *disk)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&disk->tracking, tracking_free);
    if (!backing->ops->track(backing, disk, &error))
        log_warning("%s: %s", disk->name, error->message);
}

void lab_backing_set_tracking(LabBacking *backing, gboolean on)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    backing->tracking_wanted = on;
    for (guint i = 0; !on && i < backing->disks->len; i++) {
        BackingDisk *disk = g_ptr_array_index(backing->disks, i);

        if (disk->tracking != NULL)
            stop_tracking(backing, disk);
    }
}

gboolean lab_backing_reset_tracking(LabBacking *backing, gint32 key, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingDisk *disk = need_disk(backing, key, error);

    if (disk == NULL)
        return FALSE;
    return disk->tracking == NULL || start_tracking(backing, disk, error);
}

char *lab_backing_change_id(LabBacking *backing, gint32 key, const char *id)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingDisk *disk = find_disk(backing, key);

    if (disk == NULL)
        return NULL;
    if (id == NULL)
        return disk->tracking != NULL ? tracking_change_id(disk->tracking) : NULL;
    BackingFrozen *frozen = find_frozen(find_snapshot(backing, id), disk);
    return frozen != NULL ? g_strdup(frozen->change_id) : NULL;
}

/* What is stored in the links up to and with `last`. */
static gboolean add_allocated(LabBacking *backing, const BackingDisk *disk, const BackingLink *last,
                              Extents *areas, GError **error)
{
    for (guint i = 0; i < disk->links->len; i++) {
        const BackingLink *link = g_ptr_array_index(disk->links, i);
        g_autofree char *path = backing_path(backing, link->data);

        if (i == 0 ? !backing_file_allocated(path, areas, error)
                   : !backing->ops->allocated(backing, disk, link, areas, error))
            return FALSE;
        if (link == last)
            break;
    }
    extents_align(areas, TRACKING_BLOCK, disk->size);
    return TRUE;
}

gboolean lab_backing_changed(LabBacking *backing, gint32 key, const char *id, const char *change_id,
                             Extents *areas, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingDisk *disk = need_disk(backing, key, error);
    BackingSnapshot *snapshot = id != NULL ? need_snapshot(backing, id, error) : NULL;

    if (disk == NULL || (id != NULL && snapshot == NULL))
        return FALSE;
    if (id == NULL && backing->on)
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "%s is on: changes until now can only be asked for when it is off", disk->name);

    BackingFrozen *frozen = find_frozen(snapshot, disk);
    const char *until = frozen != NULL ? frozen->change_id : NULL;
    if (disk->tracking == NULL || (id != NULL && until == NULL))
        return vf_fail(error, VF_ERROR_INVALID, "%s: changes were not tracked%s%s", disk->name,
                       id != NULL ? " when snapshot was taken: " : "", id != NULL ? id : "");
    if (strcmp(change_id, "*") == 0)
        return add_allocated(backing, disk, frozen != NULL ? frozen->link : backing_leaf(disk), areas, error);
    return tracking_changed(disk->tracking, change_id, until, areas, error);
}

/* --- power --- */

gboolean lab_backing_power_on(LabBacking *backing, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    if (backing->on)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s is on already", backing->directory);
    if (!backing->ops->power_on(backing, error))
        return FALSE;
    backing->on = TRUE;
    return start_wanted_tracking(backing, error);
}

gboolean lab_backing_power_off(LabBacking *backing, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    if (!backing->on)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s is off already", backing->directory);
    backing->on = FALSE;
    return backing->ops->power_off(backing, error);
}

gboolean lab_backing_shutdown(LabBacking *backing, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    if (!backing->on)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s is off", backing->directory);
    return backing->ops->shutdown(backing, error);
}

gboolean lab_backing_is_on(LabBacking *backing)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    return backing->on;
}

guint64 lab_backing_written(LabBacking *backing)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    return backing->ops->written(backing);
}

/* --- snapshots --- */

static GPtrArray *next_leaves(const LabBacking *backing)
{
    GPtrArray *leaves = g_ptr_array_new_with_free_func((GDestroyNotify)backing_link_free);

    for (guint i = 0; i < backing->disks->len; i++) {
        const BackingDisk *disk = g_ptr_array_index(backing->disks, i);

        g_ptr_array_add(leaves, backing_link_new(disk->name, backing_leaf(disk)->number + 1));
    }
    return leaves;
}

static gboolean write_leaf_descriptors(const LabBacking *backing, const GPtrArray *leaves, GError **error)
{
    for (guint i = 0; i < backing->disks->len; i++) {
        const BackingDisk *disk = g_ptr_array_index(backing->disks, i);

        if (!backing_write_descriptor(backing->directory, disk->name, g_ptr_array_index(leaves, i),
                                      backing_leaf(disk), disk->size, error))
            return FALSE;
    }
    return TRUE;
}

static void unlink_leaves(const LabBacking *backing, const GPtrArray *leaves)
{
    for (guint i = 0; i < leaves->len; i++) {
        const BackingLink *leaf = g_ptr_array_index(leaves, i);
        g_autofree char *descriptor = backing_path(backing, leaf->descriptor);
        g_autofree char *data = backing_path(backing, leaf->data);

        unlink(descriptor);
        delta_remove_files(data);
    }
}

/* The instant has been: the lists follow what the writer did. */
static BackingSnapshot *record_snapshot(LabBacking *backing, const char *id, GPtrArray *leaves)
{
    BackingSnapshot *snapshot = g_new0(BackingSnapshot, 1);

    snapshot->id = g_strdup(id);
    snapshot->frozen = g_ptr_array_new_with_free_func(frozen_free);
    for (guint i = 0; i < backing->disks->len; i++) {
        BackingDisk *disk = g_ptr_array_index(backing->disks, i);
        BackingFrozen *frozen = g_new0(BackingFrozen, 1);

        frozen->disk = disk;
        frozen->link = backing_leaf(disk);
        if (disk->tracking != NULL) {
            tracking_cut(disk->tracking);
            frozen->change_id = tracking_change_id(disk->tracking);
        }
        g_ptr_array_add(snapshot->frozen, frozen);
        g_ptr_array_add(disk->links, g_ptr_array_index(leaves, i));
    }
    g_ptr_array_set_free_func(leaves, NULL);
    g_ptr_array_add(backing->snapshots, snapshot);
    return snapshot;
}

gboolean lab_backing_snapshot(LabBacking *backing, const char *id, gboolean quiesce, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    g_autoptr(GPtrArray) leaves = next_leaves(backing);

    if (find_snapshot(backing, id) != NULL)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s has a snapshot %s already", backing->directory, id);
    if (quiesce && backing->on && backing->ops->quiesce != NULL && !backing->ops->quiesce(backing, error))
        return FALSE;
    if (!write_leaf_descriptors(backing, leaves, error) || !backing->ops->freeze(backing, leaves, error)) {
        unlink_leaves(backing, leaves);
        return FALSE;
    }
    record_snapshot(backing, id, leaves);
    return start_wanted_tracking(backing, error);
}

static guint link_index(const BackingDisk *disk, const BackingLink *link)
{
    guint index;

    g_assert(g_ptr_array_find(disk->links, link, &index));
    return index;
}

/* The delta above became a part of `link`: whoever froze that one points here now, and so does the next
 * descriptor. */
static gboolean drop_merged(LabBacking *backing, BackingDisk *disk, guint index, GError **error)
{
    BackingLink *link = g_ptr_array_index(disk->links, index);
    const BackingLink *merged = g_ptr_array_index(disk->links, index + 1);
    g_autofree char *descriptor = backing_path(backing, merged->descriptor);

    for (guint i = 0; i < backing->snapshots->len; i++) {
        BackingFrozen *frozen = find_frozen(g_ptr_array_index(backing->snapshots, i), disk);

        if (frozen != NULL && frozen->link == merged)
            frozen->link = link;
    }
    unlink(descriptor);
    g_ptr_array_remove_index(disk->links, index + 1);
    if (index + 1 == disk->links->len)
        return TRUE;
    return backing_write_descriptor(backing->directory, disk->name, g_ptr_array_index(disk->links, index + 1),
                                    link, disk->size, error);
}

gboolean lab_backing_remove_snapshot(LabBacking *backing, const char *id, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingSnapshot *snapshot = need_snapshot(backing, id, error);

    if (snapshot == NULL)
        return FALSE;
    while (snapshot->frozen->len > 0) {
        BackingFrozen *frozen = g_ptr_array_index(snapshot->frozen, 0);
        BackingDisk *disk = frozen->disk;
        guint index = link_index(disk, frozen->link);

        if (!backing->ops->merge(backing, disk, index, error))
            return FALSE;
        g_ptr_array_remove_index(snapshot->frozen, 0);
        if (!drop_merged(backing, disk, index, error))
            return FALSE;
    }
    g_ptr_array_remove(backing->snapshots, snapshot);
    return start_wanted_tracking(backing, error);
}

/* --- files --- */

char *lab_backing_file(LabBacking *backing, gint32 key, const char *id)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingDisk *disk = find_disk(backing, key);

    if (disk == NULL)
        return NULL;
    if (id == NULL)
        return g_strdup(backing_leaf(disk)->descriptor);
    BackingFrozen *frozen = find_frozen(find_snapshot(backing, id), disk);
    return frozen != NULL ? g_strdup(frozen->link->descriptor) : NULL;
}

guint64 lab_backing_size(LabBacking *backing, gint32 key)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingDisk *disk = find_disk(backing, key);

    return disk != NULL ? disk->size : 0;
}

gboolean lab_backing_resize(LabBacking *backing, gint32 key, guint64 size, GError **error)
{
    g_autoptr(GMutexLocker) locked = enter(backing);
    BackingDisk *disk = need_disk(backing, key, error);

    if (disk == NULL)
        return FALSE;
    if (disk->links->len > 1)
        return vf_fail(error, VF_ERROR_CONFLICT, "disk %s has snapshots: remove them before it is resized",
                       disk->name);
    if (size < disk->size || size % SECTOR_SIZE != 0 || size > G_MAXINT64)
        return vf_fail(error, VF_ERROR_INVALID,
                       "disk %s of %" G_GUINT64_FORMAT " bytes cannot be made %" G_GUINT64_FORMAT, disk->name,
                       disk->size, size);
    if (!backing->ops->resize(backing, disk, size, error))
        return FALSE;
    disk->size = size;
    if (disk->tracking != NULL && !start_tracking(backing, disk, error))
        return FALSE;
    return backing_write_descriptor(backing->directory, disk->name, backing_leaf(disk), NULL, size, error);
}

/* Only data are locked: a descriptor can be read at any time. */
gboolean lab_backing_locked(LabBacking *backing, const char *file)
{
    g_autoptr(GMutexLocker) locked = enter(backing);

    for (guint i = 0; backing->on && i < backing->disks->len; i++)
        if (strcmp(file, backing_leaf(g_ptr_array_index(backing->disks, i))->data) == 0)
            return TRUE;
    return FALSE;
}
