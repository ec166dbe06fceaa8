#include "target/target.h"

#include "base/error.h"
#include "base/size.h"
#include "target/local/local.h"

Target *target_open(const TargetSpec *spec, const Cancel *cancel, GError **error)
{
    if (g_strcmp0(spec->kind, "local") == 0)
        return local_target_open(spec, cancel, error);
    vf_fail(error, VF_ERROR_UNSUPPORTED,
            "target \"%s\" is accepted in specs but this version cannot write to it yet; use target.local",
            spec->kind != NULL ? spec->kind : "");
    return NULL;
}

void target_free(Target *target)
{
    if (target != NULL)
        target->ops->free(target);
}

const char *target_name(const Target *target)
{
    return target->ops->name;
}

gboolean target_preflight(Target *target, const Machine *machine, gboolean existing, Findings *findings,
                          GError **error)
{
    return target->ops->preflight(target, machine, existing, findings, error);
}

char *target_disk_path(Target *target, const Machine *machine, const MachineDisk *disk)
{
    return target->ops->disk_path(target, machine, disk);
}

Disk *target_create_disk(Target *target, const char *path, guint64 size, GError **error)
{
    if (size % SECTOR_SIZE != 0) {
        vf_fail(error, VF_ERROR_INVALID, "%s: a disk of %" G_GUINT64_FORMAT " bytes does not end at a sector",
                path, size);
        return NULL;
    }
    return target->ops->create_disk(target, path, size, error);
}

Disk *target_open_disk(Target *target, const char *path, gboolean writable, GError **error)
{
    return target->ops->open_disk(target, path, writable, error);
}

gboolean target_import(Target *target, const Machine *machine, const char *const *paths, char **ret_id,
                       GError **error)
{
    /* A machine that lost a disk on the way would start, and be wrong: the seed systems' worst silent
     * failure. */
    if (g_strv_length((char **)paths) != machine->disks->len)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s has %u disks but %u images were handed over",
                       machine->name, machine->disks->len, g_strv_length((char **)paths));
    return target->ops->import(target, machine, paths, ret_id, error);
}

gboolean target_wants_start(Target *target)
{
    return target->ops->wants_start(target);
}

gboolean target_start(Target *target, const char *id, GError **error)
{
    return target->ops->start(target, id, error);
}

gboolean target_remove(Target *target, const Machine *machine, const char *id, GError **error)
{
    return target->ops->remove(target, machine, id, error);
}

gboolean target_remove_disk(Target *target, const char *path, GError **error)
{
    return target->ops->remove_disk(target, path, error);
}
