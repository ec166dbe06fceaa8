#include "store/sqlite.h"

#include "base/error.h"

#define DISK_COLUMNS                                                                                         \
    "SELECT key, uuid, size, target_path, sums_path, change_id, target_created, verified FROM disk "

static gpointer read_disk(const Query *query)
{
    StoreDisk *disk = g_new0(StoreDisk, 1);

    *disk = (StoreDisk){
        .key = query_text(query, 0),
        .uuid = query_text(query, 1),
        .size = (guint64)query_integer(query, 2),
        .target_path = query_text(query, 3),
        .sums_path = query_text(query, 4),
        .change_id = query_text(query, 5),
        .target_created = query_integer(query, 6) != 0,
        .verified = query_integer(query, 7) != 0,
    };
    return disk;
}

static void free_disk(gpointer disk)
{
    store_disk_free(disk);
}

gboolean sqlite_disk_put(Store *store, gint64 vm, const StoreDisk *disk, GError **error)
{
    return query_run(
        store, error,
        "INSERT INTO disk (vm, key, uuid, size, target_path, sums_path, change_id, target_created, verified)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (vm, key) DO UPDATE SET uuid = excluded.uuid, size = excluded.size,"
        " target_path = excluded.target_path, sums_path = excluded.sums_path,"
        " change_id = excluded.change_id, target_created = excluded.target_created,"
        " verified = excluded.verified",
        "isszsssff", vm, disk->key, disk->uuid, disk->size, disk->target_path, disk->sums_path,
        disk->change_id, disk->target_created, disk->verified);
}

StoreDisk *sqlite_disk_get(Store *store, gint64 vm, const char *key, GError **error)
{
    g_autoptr(GError) why = NULL;
    StoreDisk *disk =
        query_first(store, read_disk, &why, DISK_COLUMNS "WHERE vm = ? AND key = ?", "is", vm, key);

    if (disk == NULL && why == NULL)
        vf_fail(error, VF_ERROR_NOT_FOUND, "migration %" G_GINT64_FORMAT " has no disk %s in the store", vm,
                key);
    else if (disk == NULL)
        g_propagate_error(error, g_steal_pointer(&why));
    return disk;
}

GPtrArray *sqlite_disk_list(Store *store, gint64 vm, GError **error)
{
    return query_list(store, read_disk, free_disk, error, DISK_COLUMNS "WHERE vm = ? ORDER BY key", "i", vm);
}
