#include "lab/qemu-guest.h"

#include "base/log.h"
#include "disk/nbd.h"
#include "lab/qemu-machine.h"

#define EXPORT_TIMEOUT_MS 10000

/* --- the guest --- */

QemuGuest *qemu_guest(LabBacking *backing)
{
    if (backing->writer == NULL)
        backing->writer = g_new0(QemuGuest, 1);
    return backing->writer;
}

gboolean qemu_tell(LabBacking *backing, const char *command, Json *arguments, GError **error)
{
    if (qmp_tell(qemu_guest(backing)->qmp, command, arguments, error))
        return TRUE;
    g_prefix_error(error, "%s: ", backing->directory);
    return FALSE;
}

/* --- bitmaps --- */

static char *bitmap_name(guint epoch)
{
    return g_strdup_printf("epoch-%u", epoch);
}

/* The arguments that name a bitmap. */
Json *qemu_epoch_arguments(const BackingDisk *disk, guint epoch)
{
    g_autofree char *node = qemu_disk_node(disk);
    g_autofree char *name = bitmap_name(epoch);

    return json_pack("{s:s, s:s}", "node", node, "name", name);
}

Json *qemu_epoch_new_arguments(const BackingDisk *disk, guint epoch)
{
    Json *arguments = qemu_epoch_arguments(disk, epoch);

    json_set_integer(arguments, "granularity", TRACKING_BLOCK);
    return arguments;
}

gboolean qemu_epoch_track(LabBacking *backing, BackingDisk *disk, GError **error)
{
    QemuDisk *state = disk->state;

    if (qemu_guest(backing)->process == NULL)
        return TRUE;
    if (disk->tracking == NULL) {
        guint epoch = state->epoch;

        state->epoch = 0;
        return epoch == 0 ||
               qemu_tell(backing, "block-dirty-bitmap-remove", qemu_epoch_arguments(disk, epoch), error);
    }
    if (state->epoch != 0)
        return qemu_tell(backing, "block-dirty-bitmap-clear", qemu_epoch_arguments(disk, state->epoch),
                         error);
    if (!qemu_tell(backing, "block-dirty-bitmap-add", qemu_epoch_new_arguments(disk, state->last_epoch + 1),
                   error))
        return FALSE;
    state->epoch = ++state->last_epoch;
    return TRUE;
}

char *qemu_nbd_socket(const QemuGuest *guest)
{
    return g_build_filename(guest->runtime, "nbd", NULL);
}

/* Reads an exported bitmap into `tracking`. */
static gboolean read_bitmap(QemuGuest *guest, BackingDisk *disk, guint epoch, GError **error)
{
    g_autofree char *context = g_strdup_printf("qemu:dirty-bitmap:epoch-%u", epoch);
    g_autofree char *socket = qemu_nbd_socket(guest);
    g_autofree char *uri = g_strdup_printf("nbd+unix:///epoch?socket=%s", socket);
    const NbdOptions options = {.connections = 1, .meta_context = context};
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(Disk) nbd = nbd_open(uri, &options, error);

    if (nbd == NULL || !disk_extents(nbd, 0, disk_size(nbd), extents, error))
        return FALSE;
    for (guint i = 0; i < extents->len; i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        if (extent->kind == DISK_EXTENT_DATA)
            tracking_mark(disk->tracking, extent->offset, extent->length);
    }
    return TRUE;
}

static gboolean add_export(LabBacking *backing, const BackingDisk *disk, guint epoch, GError **error)
{
    g_autofree char *node = qemu_disk_node(disk);
    Json *bitmaps = json_array();

    json_array_append_new(bitmaps, qemu_epoch_arguments(disk, epoch));
    return qemu_tell(backing, "block-export-add",
                     json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "nbd", "id", "epoch", "node-name", node,
                               "name", "epoch", "bitmaps", bitmaps),
                     error);
}

/* Until it is gone the bitmap counts as in use. */
static gboolean drop_export(LabBacking *backing, GError **error)
{
    g_autoptr(Json) gone = NULL;

    if (!qemu_tell(backing, "block-export-del", json_pack("{s:s, s:s}", "id", "epoch", "mode", "hard"),
                   error))
        return FALSE;
    gone = qmp_wait_event(qemu_guest(backing)->qmp, "BLOCK_EXPORT_DELETED", "id", "epoch", EXPORT_TIMEOUT_MS,
                          error);
    return gone != NULL;
}

/* Of a bitmap that no longer records. */
static gboolean collect(LabBacking *backing, BackingDisk *disk, guint epoch, GError **error)
{
    g_autoptr(GError) ignored = NULL;
    gboolean ok;

    if (!add_export(backing, disk, epoch, error))
        return FALSE;
    ok = read_bitmap(qemu_guest(backing), disk, epoch, error);
    ok = drop_export(backing, ok ? error : &ignored) && ok;
    return ok && qemu_tell(backing, "block-dirty-bitmap-remove", qemu_epoch_arguments(disk, epoch), error);
}

/* --- the ends of epochs --- */

/* What QEMU cannot tell any more is a new generation, as after the crash of a host. */
static void lose(BackingDisk *disk, const GError *error)
{
    log_warning("%s: change tracking is reset: %s", disk->name, error->message);
    tracking_free(disk->tracking);
    disk->tracking = tracking_new(disk->size);
}

void qemu_epoch_collect_last(LabBacking *backing, BackingDisk *disk)
{
    QemuDisk *state = disk->state;
    guint epoch = state->epoch;
    g_autoptr(GError) error = NULL;

    state->epoch = 0;
    if (epoch == 0 || disk->tracking == NULL)
        return;
    if (!qemu_tell(backing, "block-dirty-bitmap-disable", qemu_epoch_arguments(disk, epoch), &error) ||
        !collect(backing, disk, epoch, &error))
        lose(disk, error);
}

/* The snapshot stands whatever happens here: an epoch that cannot be read begins a new generation. */
void qemu_epoch_collect_frozen(LabBacking *backing)
{
    for (guint i = 0; i < backing->disks->len; i++) {
        BackingDisk *disk = g_ptr_array_index(backing->disks, i);
        QemuDisk *state = disk->state;
        guint epoch = state->epoch;
        g_autoptr(GError) error = NULL;

        if (epoch == 0)
            continue;
        state->epoch = ++state->last_epoch;
        if (!collect(backing, disk, epoch, &error))
            lose(disk, error);
    }
}
