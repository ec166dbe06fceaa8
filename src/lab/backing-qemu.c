/* A machine with a guest: QEMU without KVM, told what to do over its monitor.
 *
 * QEMU runs from power on to power off and knows the open epoch of each tracked disk: a dirty bitmap on the
 * node that the guest writes through (qemu-machine.h).  A snapshot is one transaction: an overlay under that
 * node, a bitmap for the next epoch, and the old one stopped, which is then read over NBD into `tracking`.
 * Removing a snapshot is a block-commit.  When the commit of a leaf has caught up, the guest is held while
 * QEMU pivots and the overlay is unlinked: a lab that is killed never finds an overlay that is older than the
 * file below it.
 *
 * QEMU is started with -no-shutdown: a guest that goes off by itself leaves it paused with the last epoch
 * still in memory.  That is read before QEMU is ended; from then on everything is done with qemu-img.
 */
#include "lab/qemu-guest.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "lab/qemu-machine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define START_TIMEOUT_MS 20000
#define QUIT_TIMEOUT_MS  10000
/* A guest may write faster than TCG on a busy host can mirror. */
#define COMMIT_TIMEOUT_MS 600000
#define POLL_MS           500

static BackingDisk *disk_at(const LabBacking *backing, guint index)
{
    return g_ptr_array_index(backing->disks, index);
}

/* --- going off --- */

static guint64 read_written(QemuGuest *guest)
{
    g_autoptr(GError) ignored = NULL;
    g_autoptr(Json) devices = qmp_ask(guest->qmp, "query-blockstats", NULL, &ignored);
    guint64 written = 0;

    for (gsize i = 0; i < json_array_size(devices); i++)
        written +=
            (guint64)json_get_integer(json_object_get(json_array_get(devices, i), "stats"), "wr_bytes");
    return devices != NULL ? written : guest->last_written;
}

/* Reads what QEMU knows, and ends it. */
static void finish(LabBacking *backing)
{
    QemuGuest *guest = qemu_guest(backing);
    g_autoptr(GError) error = NULL;

    if (!qmp_is_closed(guest->qmp))
        qemu_tell(backing, "stop", NULL, &error);
    guest->last_written = read_written(guest);
    for (guint i = 0; i < backing->disks->len; i++)
        qemu_epoch_collect_last(backing, disk_at(backing, i));
    g_clear_error(&error);
    if (!qmp_tell(guest->qmp, "quit", NULL, &error) ||
        !proc_wait(guest->process, QUIT_TIMEOUT_MS, NULL, &error))
        log_warning("%s: QEMU is killed: %s", backing->directory, error->message);
    g_clear_pointer(&guest->qmp, qmp_free);
    g_clear_pointer(&guest->process, proc_free);
    backing->on = FALSE;
}

static void guest_settle(LabBacking *backing)
{
    QemuGuest *guest = qemu_guest(backing);

    if (guest->process == NULL)
        return;
    g_autoptr(Json) shutdown = qmp_take_event(guest->qmp, "SHUTDOWN", NULL, NULL);
    if (shutdown != NULL || qmp_is_closed(guest->qmp))
        finish(backing);
}

static gboolean guest_power_off(LabBacking *backing, GError **error)
{
    finish(backing);
    return TRUE;
}

static gboolean guest_shutdown(LabBacking *backing, GError **error)
{
    return qemu_tell(backing, "system_powerdown", NULL, error);
}

static guint64 guest_written(LabBacking *backing)
{
    QemuGuest *guest = qemu_guest(backing);

    return guest->process != NULL ? read_written(guest) : guest->last_written;
}

/* --- going on --- */

static gboolean make_runtime(QemuGuest *guest, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (guest->runtime == NULL)
        guest->runtime = g_dir_make_tmp("vmferry-guest-XXXXXX", &problem);
    if (guest->runtime == NULL)
        return vf_fail(error, VF_ERROR_TARGET_IO, "%s", problem->message);
    return TRUE;
}

/* The last of what QEMU said, when it did not come up. */
static void add_log(const LabBacking *backing, GError **error)
{
    g_autofree char *path = backing_path(backing, "qemu.log");
    g_autoptr(GError) ignored = NULL;
    g_autofree char *text = io_read_file(path, 1u << 20, NULL, &ignored);
    const char *last = text != NULL ? g_strrstr(g_strchomp(text), "\n") : NULL;

    g_prefix_error(error, "%s: ", last != NULL ? last + 1 : text != NULL ? text : path);
}

static gboolean start_process(LabBacking *backing, GError **error)
{
    QemuGuest *guest = qemu_guest(backing);
    g_autofree char *socket = g_build_filename(guest->runtime, "qmp", NULL);
    g_autofree char *log = backing_path(backing, "qemu.log");
    g_autoptr(GPtrArray) argv = qemu_command_line(backing, socket, error);

    if (argv == NULL)
        return FALSE;
    unlink(socket);
    unlink(log);
    guest->process = proc_spawn((const char *const *)argv->pdata, NULL, NULL, log, error);
    if (guest->process == NULL)
        return FALSE;
    guest->qmp = qmp_connect(socket, START_TIMEOUT_MS, error);
    if (guest->qmp == NULL)
        add_log(backing, error);
    return guest->qmp != NULL;
}

static gboolean set_up_process(LabBacking *backing, GError **error)
{
    g_autofree char *socket = qemu_nbd_socket(qemu_guest(backing));

    unlink(socket);
    if (!qemu_tell(backing, "nbd-server-start",
                   json_pack("{s:{s:s, s:{s:s}}}", "addr", "type", "unix", "data", "path", socket), error))
        return FALSE;
    for (guint i = 0; i < backing->disks->len; i++)
        if (disk_at(backing, i)->tracking != NULL && !qemu_epoch_track(backing, disk_at(backing, i), error))
            return FALSE;
    return qemu_tell(backing, "cont", NULL, error);
}

static gboolean guest_power_on(LabBacking *backing, GError **error)
{
    QemuGuest *guest = qemu_guest(backing);

    if (make_runtime(guest, error) && start_process(backing, error) && set_up_process(backing, error))
        return TRUE;
    g_clear_pointer(&guest->qmp, qmp_free);
    g_clear_pointer(&guest->process, proc_free);
    return FALSE;
}

static void guest_free(LabBacking *backing)
{
    QemuGuest *guest = qemu_guest(backing);

    if (guest->process != NULL)
        finish(backing);
    if (guest->runtime != NULL) {
        g_autofree char *monitor = g_build_filename(guest->runtime, "qmp", NULL);
        g_autofree char *nbd = qemu_nbd_socket(guest);

        unlink(monitor);
        unlink(nbd);
        rmdir(guest->runtime);
    }
    g_free(guest->runtime);
    g_free(guest);
}

/* --- disks --- */

static gboolean plug_in(LabBacking *backing, BackingDisk *disk, GError **error)
{
    Json *device = qemu_device_options(disk, backing->disks->len, error);

    if (device == NULL)
        return FALSE;
    if (!qemu_tell(backing, "blockdev-add", qemu_link_options(backing, disk, backing_leaf(disk), NULL),
                   error) ||
        !qemu_tell(backing, "blockdev-add", qemu_disk_options(disk), error)) {
        json_decref(device);
        return FALSE;
    }
    return qemu_tell(backing, "device_add", device, error);
}

static gboolean guest_add_disk(LabBacking *backing, BackingDisk *disk, GError **error)
{
    disk->state = g_new0(QemuDisk, 1);
    disk->free_state = g_free;
    return qemu_guest(backing)->process == NULL || plug_in(backing, disk, error);
}

static gboolean guest_resize(LabBacking *backing, BackingDisk *disk, guint64 size, GError **error)
{
    g_autofree char *node = qemu_disk_node(disk);
    g_autofree char *path = backing_path(backing, backing_leaf(disk)->data);

    if (qemu_guest(backing)->process != NULL)
        return qemu_tell(backing, "block_resize",
                         json_pack("{s:s, s:I}", "node-name", node, "size", (json_int_t)size), error);
    if (truncate(path, (off_t)size) < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "growing disk %s", disk->name);
    return TRUE;
}

/* --- snapshots --- */

static const char *link_format(const BackingLink *link)
{
    return link->number == 0 ? "raw" : "qcow2";
}

/* QEMU itself has the link below open: it is not looked at (-u). */
static gboolean create_overlay(LabBacking *backing, const BackingDisk *disk, const BackingLink *leaf,
                               GError **error)
{
    const BackingLink *below = backing_leaf(disk);
    g_autofree char *path = backing_path(backing, leaf->data);
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, disk->size);
    const char *const argv[] = {"qemu-img", "create",           "-q", "-u", "-f", "qcow2", "-b", below->data,
                                "-F",       link_format(below), path, size, NULL};

    return proc_run(argv, NULL, NULL, NULL, error);
}

static void append_action(Json *actions, const char *type, Json *data)
{
    json_array_append_new(actions, json_pack("{s:s, s:o}", "type", type, "data", data));
}

static void append_disk_actions(Json *actions, const BackingDisk *disk, const BackingLink *leaf)
{
    const QemuDisk *state = disk->state;
    g_autofree char *node = qemu_link_node(disk, backing_leaf(disk));
    g_autofree char *overlay = qemu_link_node(disk, leaf);

    append_action(actions, "blockdev-snapshot", json_pack("{s:s, s:s}", "node", node, "overlay", overlay));
    if (state->epoch != 0) {
        append_action(actions, "block-dirty-bitmap-add",
                      qemu_epoch_new_arguments(disk, state->last_epoch + 1));
        append_action(actions, "block-dirty-bitmap-disable", qemu_epoch_arguments(disk, state->epoch));
    }
}

static void forget_overlays(LabBacking *backing, const GPtrArray *leaves)
{
    for (guint i = 0; i < leaves->len; i++) {
        g_autofree char *node = qemu_link_node(disk_at(backing, i), g_ptr_array_index(leaves, i));
        g_autoptr(GError) ignored = NULL;

        qemu_tell(backing, "blockdev-del", json_pack("{s:s}", "node-name", node), &ignored);
    }
}

static gboolean freeze_running(LabBacking *backing, const GPtrArray *leaves, GError **error)
{
    Json *actions = json_array();
    gboolean ok = TRUE;

    for (guint i = 0; i < leaves->len && ok; i++) {
        const BackingLink *leaf = g_ptr_array_index(leaves, i);

        append_disk_actions(actions, disk_at(backing, i), leaf);
        ok = qemu_tell(backing, "blockdev-add", qemu_link_options(backing, disk_at(backing, i), leaf, NULL),
                       error);
    }
    Json *arguments = json_pack("{s:o}", "actions", actions);
    if (ok)
        ok = qemu_tell(backing, "transaction", arguments, error);
    else
        json_decref(arguments);
    if (!ok)
        forget_overlays(backing, leaves);
    return ok;
}

static gboolean guest_freeze(LabBacking *backing, const GPtrArray *leaves, GError **error)
{
    for (guint i = 0; i < leaves->len; i++)
        if (!create_overlay(backing, disk_at(backing, i), g_ptr_array_index(leaves, i), error))
            return FALSE;
    if (qemu_guest(backing)->process == NULL)
        return TRUE;
    if (!freeze_running(backing, leaves, error))
        return FALSE;
    qemu_epoch_collect_frozen(backing);
    return TRUE;
}

/* There is no agent in the guest to talk to. */
static gboolean guest_quiesce(LabBacking *backing, GError **error)
{
    return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: no agent runs in the guest that could quiesce it",
                   backing->directory);
}

/* --- removing snapshots --- */

/* Of the link above the one that goes away; NULL when that is the leaf. */
static const BackingLink *link_after(const BackingDisk *disk, guint index)
{
    return index + 2 < disk->links->len ? g_ptr_array_index(disk->links, index + 2) : NULL;
}

static gboolean merge_stopped(LabBacking *backing, BackingDisk *disk, guint index, GError **error)
{
    const BackingLink *below = g_ptr_array_index(disk->links, index);
    const BackingLink *above = g_ptr_array_index(disk->links, index + 1);
    const BackingLink *after = link_after(disk, index);
    g_autofree char *above_path = backing_path(backing, above->data);
    g_autofree char *after_path = after != NULL ? backing_path(backing, after->data) : NULL;
    const char *const commit[] = {"qemu-img", "commit", "-q", "-d", "-f", "qcow2", above_path, NULL};
    const char *const rebase[] = {"qemu-img", "rebase", "-q",        "-u", "-f",
                                  "qcow2",    "-b",     below->data, "-F", link_format(below),
                                  after_path, NULL};

    if (!proc_run(commit, NULL, NULL, NULL, error) ||
        (after != NULL && !proc_run(rebase, NULL, NULL, NULL, error)))
        return FALSE;
    unlink(above_path);
    return TRUE;
}

static gboolean wait_job_end(LabBacking *backing, GError **error)
{
    g_autoptr(Json) event = qmp_wait_event(qemu_guest(backing)->qmp, "BLOCK_JOB_COMPLETED", "device", "merge",
                                           COMMIT_TIMEOUT_MS, error);
    const char *problem;

    if (event == NULL)
        return FALSE;
    problem = json_get_string(json_object_get(event, "data"), "error");
    return problem == NULL || vf_fail(error, VF_ERROR_TARGET_IO, "merging a snapshot: %s", problem);
}

/* A job that fails is never ready: it completes. */
static gboolean wait_job_ready(LabBacking *backing, GError **error)
{
    Qmp *qmp = qemu_guest(backing)->qmp;
    gint64 deadline = g_get_monotonic_time() + (gint64)COMMIT_TIMEOUT_MS * 1000;

    for (;;) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(Json) ready = qmp_wait_event(qmp, "BLOCK_JOB_READY", "device", "merge", POLL_MS, &problem);
        g_autoptr(Json) completed = qmp_take_event(qmp, "BLOCK_JOB_COMPLETED", "device", "merge");

        if (completed != NULL)
            return vf_fail(error, VF_ERROR_TARGET_IO, "merging a snapshot failed: %s",
                           json_get_string(json_object_get(completed, "data"), "error"));
        if (ready != NULL)
            return TRUE;
        if (qmp_is_closed(qmp) || g_get_monotonic_time() >= deadline) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
    }
}

static gboolean start_commit(LabBacking *backing, const BackingDisk *disk, guint index, GError **error)
{
    const BackingLink *below = g_ptr_array_index(disk->links, index);
    g_autofree char *node = qemu_disk_node(disk);
    g_autofree char *base = qemu_link_node(disk, below);
    g_autofree char *top = qemu_link_node(disk, g_ptr_array_index(disk->links, index + 1));
    Json *arguments = json_pack("{s:s, s:s, s:s, s:s}", "job-id", "merge", "device", node, "base-node", base,
                                "top-node", top);

    if (link_after(disk, index) != NULL)
        json_set_string(arguments, "backing-file", below->data);
    return qemu_tell(backing, "block-commit", arguments, error);
}

/* The guest is held from the moment when nothing is left to copy until the overlay is gone. */
static gboolean pivot(LabBacking *backing, const char *overlay_path, GError **error)
{
    if (!wait_job_ready(backing, error) || !qemu_tell(backing, "stop", NULL, error) ||
        !qemu_tell(backing, "block-job-complete", json_pack("{s:s}", "device", "merge"), error) ||
        !wait_job_end(backing, error))
        return FALSE;
    return unlink(overlay_path) == 0 || vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", overlay_path);
}

static gboolean merge_running(LabBacking *backing, BackingDisk *disk, guint index, GError **error)
{
    const BackingLink *above = g_ptr_array_index(disk->links, index + 1);
    g_autofree char *path = backing_path(backing, above->data);
    g_autofree char *node = qemu_link_node(disk, above);
    g_autoptr(GError) ignored = NULL;
    gboolean ok;

    if (!start_commit(backing, disk, index, error))
        return FALSE;
    if (link_after(disk, index) != NULL) {
        ok = wait_job_end(backing, error);
        if (ok)
            unlink(path);
    } else {
        ok = pivot(backing, path, error);
        /* Refused when the guest went off meanwhile, which is found out next. */
        qemu_tell(backing, "cont", NULL, &ignored);
    }
    return ok && qemu_tell(backing, "blockdev-del", json_pack("{s:s}", "node-name", node), error);
}

static gboolean guest_merge(LabBacking *backing, BackingDisk *disk, guint index, GError **error)
{
    return qemu_guest(backing)->process != NULL ? merge_running(backing, disk, index, error)
                                                : merge_stopped(backing, disk, index, error);
}

/* --- what an overlay holds --- */

static gboolean guest_allocated(LabBacking *backing, const BackingDisk *disk, const BackingLink *link,
                                Extents *areas, GError **error)
{
    g_autofree char *path = backing_path(backing, link->data);
    const char *const argv[] = {"qemu-img", "map", "-U", "--output=json", "-f", "qcow2", path, NULL};
    const ProcOptions options = {.max_output = 64u << 20};
    g_autofree char *text = NULL;

    if (!proc_run(argv, &options, &text, NULL, error))
        return FALSE;
    g_autoptr(Json) map = json_parse(text, strlen(text), 64u << 20, path, error);
    if (map == NULL)
        return FALSE;
    for (gsize i = 0; i < json_array_size(map); i++) {
        const Json *range = json_array_get(map, i);
        guint64 start = (guint64)json_get_integer(range, "start");

        if (json_get_integer(range, "depth") == 0 && json_get_boolean(range, "present"))
            extents_add(areas, start, start + (guint64)json_get_integer(range, "length"));
    }
    return TRUE;
}

const BackingOps backing_guest_ops = {
    .add_disk = guest_add_disk,
    .power_on = guest_power_on,
    .power_off = guest_power_off,
    .shutdown = guest_shutdown,
    .quiesce = guest_quiesce,
    .settle = guest_settle,
    .freeze = guest_freeze,
    .merge = guest_merge,
    .track = qemu_epoch_track,
    .allocated = guest_allocated,
    .resize = guest_resize,
    .written = guest_written,
    .free = guest_free,
};
