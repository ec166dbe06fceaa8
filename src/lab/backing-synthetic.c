/* A machine without a guest: one thread that writes blocks of a pattern, at a rate, at places that its seed
 * determines.
 *
 * Every write happens under the backing's lock and asks first whether its run is still the current one, so a
 * snapshot falls between two writes, and when power off returns no write can follow.  The thread itself ends
 * a moment later and is joined at the very end, so that nobody waits for it with the lock in hand.
 */
#include "lab/backing-writer.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/size.h"
#include "lab/backing-files.h"
#include "lab/delta.h"

#include <errno.h>
#include <fcntl.h>

#define DEFAULT_BLOCK 4096u
/* What a guest still has to write when it is told to shut down. */
#define LAST_BLOCKS 16
#define TICK_MS     5
/* A machine that was held up does not make up for more than this. */
#define MAX_BACKLOG_SECONDS 0.1

/* From power on to power off. */
typedef struct {
    LabBacking *backing;
    Cancel *stop;
    GThread *thread;
    gboolean shutting_down; /* guarded by the backing's lock, as is all below */
    guint64 written;
} Run;

typedef struct {
    Run *run;        /* of the power cycle that is on, or was last; NULL before the first */
    GPtrArray *runs; /* all of them: their threads are joined at the end */
    guint64 steps;   /* writes since opening: what the next one is follows from it and the seed */
} Synthetic;

typedef struct {
    int fd; /* of the flat file */
} FlatState;

static guint32 block_size(const LabBacking *backing)
{
    return backing->config.block != 0 ? backing->config.block : DEFAULT_BLOCK;
}

static Synthetic *synthetic_of(LabBacking *backing)
{
    if (backing->writer == NULL) {
        Synthetic *synthetic = g_new0(Synthetic, 1);

        synthetic->runs = g_ptr_array_new();
        backing->writer = synthetic;
    }
    return backing->writer;
}

/* --- disks --- */

static void flat_state_free(gpointer data)
{
    FlatState *state = data;

    fd_close(&state->fd);
    g_free(state);
}

static gboolean synthetic_add_disk(LabBacking *backing, BackingDisk *disk, GError **error)
{
    g_autofree char *path = backing_path(backing, backing_leaf(disk)->data);
    g_auto(Fd) fd = open(path, O_RDWR | O_CLOEXEC);
    FlatState *state;

    if (block_size(backing) % DELTA_BLOCK != 0)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%u is no block size for a writer: a multiple of %u is needed", block_size(backing),
                       DELTA_BLOCK);
    if (fd < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", path);
    state = g_new0(FlatState, 1);
    state->fd = fd_steal(&fd);
    disk->state = state;
    disk->free_state = flat_state_free;
    return TRUE;
}

static int flat_fd(const BackingDisk *disk)
{
    const FlatState *state = disk->state;

    return state->fd;
}

static gboolean synthetic_resize(LabBacking *backing, BackingDisk *disk, guint64 size, GError **error)
{
    if (ftruncate(flat_fd(disk), (off_t)size) < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "growing disk %s", disk->name);
    return TRUE;
}

/* --- writing --- */

static gboolean write_disk(BackingDisk *disk, const void *data, gsize length, guint64 offset, GError **error)
{
    BackingLink *leaf = backing_leaf(disk);

    if (leaf->number > 0) {
        if (!delta_write(leaf->state, data, length, offset, error))
            return FALSE;
    } else if (!io_pwrite(flat_fd(disk), data, length, offset)) {
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "writing disk %s", disk->name);
    }
    if (disk->tracking != NULL)
        tracking_mark(disk->tracking, offset, length);
    return TRUE;
}

/* Where the step'th write of a disk goes. */
static guint64 step_offset(const LabBacking *backing, const BackingDisk *disk, guint64 step)
{
    guint32 block = block_size(backing);
    guint64 reach =
        backing->config.working_set != 0 ? MIN(backing->config.working_set, disk->size) : disk->size;
    guint64 n_blocks = MAX((guint64)1, reach / block);
    guint64 scattered;

    if (backing->config.sequential)
        return step / backing->disks->len % n_blocks * block;
    backing_pattern(&scattered, sizeof scattered, (guint64)backing->config.seed << 32 ^ step);
    return scattered % n_blocks * block;
}

static gboolean write_block(LabBacking *backing, char *buffer, GError **error)
{
    Synthetic *synthetic = backing->writer;
    guint64 step = synthetic->steps++;
    BackingDisk *disk = g_ptr_array_index(backing->disks, step % backing->disks->len);
    guint64 offset = step_offset(backing, disk, step);
    gsize length = (gsize)MIN(block_size(backing), disk->size - offset);

    backing_pattern(buffer, block_size(backing), (guint64)backing->config.seed << 32 ^ ~step);
    if (!write_disk(disk, buffer, length, offset, error))
        return FALSE;
    synthetic->run->written += length;
    return TRUE;
}

/* Writes `count` blocks while the machine is on. */
static void write_blocks(Run *run, guint64 count, char *buffer)
{
    for (guint64 i = 0; i < count; i++) {
        g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&run->backing->lock);
        g_autoptr(GError) error = NULL;

        if (cancel_fired(run->stop) || write_block(run->backing, buffer, &error))
            continue;
        log_error("the lab's writer stops: %s", error->message);
        cancel_fire(run->stop);
    }
}

/* TRUE once, when the machine has been told to shut down: it is off when this returns. */
static gboolean finish_shutdown(Run *run, char *buffer)
{
    gboolean asked;

    g_mutex_lock(&run->backing->lock);
    asked = run->shutting_down;
    g_mutex_unlock(&run->backing->lock);
    if (!asked)
        return FALSE;

    write_blocks(run, run->backing->config.write_rate > 0 ? LAST_BLOCKS : 0, buffer);
    g_mutex_lock(&run->backing->lock);
    if (!cancel_fired(run->stop)) {
        run->backing->on = FALSE;
        cancel_fire(run->stop);
    }
    g_mutex_unlock(&run->backing->lock);
    return TRUE;
}

static gpointer writer_main(gpointer data)
{
    Run *run = data;
    guint32 block = block_size(run->backing);
    double rate = (double)run->backing->config.write_rate;
    g_autofree char *buffer = g_malloc(block);
    double due = 0, last = clock_monotonic();

    while (!finish_shutdown(run, buffer)) {
        g_autoptr(GError) error = NULL;
        double now = clock_monotonic();
        guint64 count;

        due += MIN(now - last, MAX_BACKLOG_SECONDS) * rate;
        last = now;
        count = (guint64)(due / block);
        write_blocks(run, count, buffer);
        due -= (double)(count * block);
        if (!cancel_sleep(run->stop, TICK_MS, &error))
            break;
    }
    return NULL;
}

/* --- power --- */

static gboolean synthetic_power_on(LabBacking *backing, GError **error)
{
    Synthetic *synthetic = synthetic_of(backing);
    Run *run = g_new0(Run, 1);

    run->backing = backing;
    run->stop = cancel_new();
    synthetic->run = run;
    g_ptr_array_add(synthetic->runs, run);
    run->thread = g_thread_new("lab-writer", writer_main, run);
    return TRUE;
}

static gboolean synthetic_power_off(LabBacking *backing, GError **error)
{
    cancel_fire(synthetic_of(backing)->run->stop);
    return TRUE;
}

static gboolean synthetic_shutdown(LabBacking *backing, GError **error)
{
    synthetic_of(backing)->run->shutting_down = TRUE;
    return TRUE;
}

static guint64 synthetic_written(LabBacking *backing)
{
    const Run *run = synthetic_of(backing)->run;

    return run != NULL ? run->written : 0;
}

static void synthetic_free(LabBacking *backing)
{
    Synthetic *synthetic = synthetic_of(backing);

    for (guint i = 0; i < synthetic->runs->len; i++) {
        Run *run = g_ptr_array_index(synthetic->runs, i);

        cancel_fire(run->stop);
        g_thread_join(run->thread);
        cancel_unref(run->stop);
        g_free(run);
    }
    g_ptr_array_unref(synthetic->runs);
    g_free(synthetic);
}

/* --- snapshots --- */

static gboolean synthetic_freeze(LabBacking *backing, const GPtrArray *leaves, GError **error)
{
    for (guint i = 0; i < leaves->len; i++) {
        const BackingDisk *disk = g_ptr_array_index(backing->disks, i);
        BackingLink *leaf = g_ptr_array_index(leaves, i);
        g_autofree char *path = backing_path(backing, leaf->data);

        leaf->state = delta_create(path, disk->size, error);
        leaf->free_state = (GDestroyNotify)delta_free;
        if (leaf->state == NULL)
            return FALSE;
    }
    return TRUE;
}

static gboolean synthetic_merge(LabBacking *backing, BackingDisk *disk, guint index, GError **error)
{
    const BackingLink *below = g_ptr_array_index(disk->links, index);
    const BackingLink *above = g_ptr_array_index(disk->links, index + 1);
    g_autofree char *path = backing_path(backing, above->data);

    if (below->number == 0 ? !delta_merge_into_file(above->state, flat_fd(disk), error)
                           : !delta_merge_into_delta(above->state, below->state, error))
        return FALSE;
    delta_remove_files(path);
    return TRUE;
}

/* disk->tracking itself is what write_disk() looks at. */
static gboolean synthetic_track(LabBacking *backing, BackingDisk *disk, GError **error)
{
    return TRUE;
}

static gboolean synthetic_allocated(LabBacking *backing, const BackingDisk *disk, const BackingLink *link,
                                    Extents *areas, GError **error)
{
    delta_allocated(link->state, areas);
    return TRUE;
}

const BackingOps backing_synthetic_ops = {
    .add_disk = synthetic_add_disk,
    .power_on = synthetic_power_on,
    .power_off = synthetic_power_off,
    .shutdown = synthetic_shutdown,
    .freeze = synthetic_freeze,
    .merge = synthetic_merge,
    .track = synthetic_track,
    .allocated = synthetic_allocated,
    .resize = synthetic_resize,
    .written = synthetic_written,
    .free = synthetic_free,
};
