#include "migration/source.h"

#include "base/error.h"
#include "vsphere/datastore.h"

#include <string.h>

const VsphereDisk *source_find_disk(const GPtrArray *disks, const char *key)
{
    for (guint i = 0; i < disks->len; i++) {
        const VsphereDisk *disk = g_ptr_array_index(disks, i);
        char text[16];

        g_snprintf(text, sizeof text, "%d", disk->key);
        if (strcmp(text, key) == 0)
            return disk;
    }
    return NULL;
}

static gboolean check_disk(const MachineDisk *expected, const GPtrArray *disks, GError **error)
{
    const VsphereDisk *disk = source_find_disk(disks, expected->key);

    if (disk == NULL)
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "disk %s (%s) was removed at the source since the migration began; attach it again, "
                       "or cancel and "
                       "begin anew",
                       expected->key, expected->label);
    if (expected->uuid != NULL && disk->uuid != NULL && strcmp(expected->uuid, disk->uuid) != 0)
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "disk %s (%s) is another one than when the migration began (uuid %s, was %s); cancel "
                       "and begin anew",
                       expected->key, expected->label, disk->uuid, expected->uuid);
    return TRUE;
}

gboolean source_check_disks(const Machine *machine, const GPtrArray *disks, GError **error)
{
    for (guint i = 0; i < machine->disks->len; i++) {
        if (!check_disk(g_ptr_array_index(machine->disks, i), disks, error))
            return FALSE;
    }
    for (guint i = 0; i < disks->len; i++) {
        const VsphereDisk *disk = g_ptr_array_index(disks, i);
        char key[16];

        g_snprintf(key, sizeof key, "%d", disk->key);
        if (machine_disk(machine, key) == NULL)
            return vf_fail(error, VF_ERROR_CONFLICT,
                           "disk %s (%s) was added at the source since the migration began, and is not being "
                           "copied; detach it, "
                           "or cancel and begin anew",
                           key, disk->path != NULL ? disk->path : "no file");
    }
    return TRUE;
}

gboolean source_check_transport(const char *transport, GError **error)
{
    if (transport == NULL || strcmp(transport, "auto") == 0 || strcmp(transport, "https") == 0)
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED, "transport %s is not built yet; use \"auto\" or \"https\"",
                   transport);
}

Disk *source_open(Engine *engine, const char *datacenter_path, const char *path, GError **error)
{
    if (!source_check_transport(engine->spec->transport, error))
        return NULL;
    return datastore_open_disk(engine->vsphere, datacenter_path, path, error);
}
