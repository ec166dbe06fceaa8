/* Reading and writing: look up a run under the lock, move the data without it, and map what is new under it
 * again.
 *
 * A writer that finds no storage for a run claims its guest clusters, takes new host clusters, fills them,
 * and only then maps them.  Whoever else wants to write to a claimed cluster waits and looks again: so two
 * writers of disjoint parts of one cluster get one cluster.  What a writer leaves out of a new cluster is
 * zero, which a cluster from the end of a file is already; kept storage behind a zero flag, and devices, are
 * filled.
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

static guint64 to_l2_end(const Qcow2 *q, guint64 offset, guint64 length)
{
    return MIN(length, q->l2_span - offset % q->l2_span);
}

static gboolean lookup(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    return qcow2_check_usable(q, error) && qcow2_lookup(q, offset, length, ret, error);
}

/* ---- reading ---- */

/* The last cluster of a file need not be there to its end. */
static gboolean read_host(Qcow2 *q, guint8 *buffer, gsize length, guint64 host, GError **error)
{
    guint64 size = bytes_size(q->bytes);
    gsize there;

    if (round_down(host, q->cluster_size) >= size)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: a data cluster at %" G_GUINT64_FORMAT " lies behind its end", q->disk.name, host);
    there = host < size ? (gsize)MIN(length, size - host) : 0;
    memset(buffer + there, 0, length - there);
    return bytes_pread(q->bytes, buffer, there, MIN(host, size), error);
}

static gboolean read_run(Qcow2 *q, const Qcow2Run *run, guint8 *buffer, GError **error)
{
    switch (run->kind) {
    case QCOW2_RUN_HOLE:
    case QCOW2_RUN_ZERO:
    case QCOW2_RUN_ZERO_ALLOCATED:
        memset(buffer, 0, (gsize)run->length);
        return TRUE;
    case QCOW2_RUN_DATA:
        return read_host(q, buffer, (gsize)run->length, run->host, error);
    case QCOW2_RUN_COMPRESSED:
        break;
    }
    return vf_fail(
        error, VF_ERROR_UNSUPPORTED,
        "%s has compressed clusters, which are not supported; qemu-img convert makes an image without",
        q->disk.name);
}

gboolean qcow2_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;
    guint8 *target = buffer;

    while (length > 0) {
        Qcow2Run run = {0};

        if (!lookup(q, offset, length, &run, error) || !read_run(q, &run, target, error))
            return FALSE;
        target += run.length;
        offset += run.length;
        length -= (gsize)run.length;
    }
    return TRUE;
}

gboolean qcow2_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    static const DiskExtentKind kinds[] = {
        [QCOW2_RUN_HOLE] = DISK_EXTENT_HOLE,           [QCOW2_RUN_ZERO] = DISK_EXTENT_ZERO,
        [QCOW2_RUN_ZERO_ALLOCATED] = DISK_EXTENT_ZERO, [QCOW2_RUN_DATA] = DISK_EXTENT_DATA,
        [QCOW2_RUN_COMPRESSED] = DISK_EXTENT_DATA,
    };

    while (length > 0) {
        Qcow2Run run = {0};

        if (!lookup((Qcow2 *)disk, offset, length, &run, error))
            return FALSE;
        disk_extent_append(extents, offset, run.length, kinds[run.kind]);
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}

/* ---- claims, under the lock ---- */

static gboolean is_claimed(const Qcow2 *q, const Qcow2Claim *wanted)
{
    for (const Qcow2Claim *claim = q->claims; claim != NULL; claim = claim->next)
        if (claim->first <= wanted->last && wanted->first <= claim->last)
            return TRUE;
    return FALSE;
}

static void add_claim(Qcow2 *q, Qcow2Claim *claim)
{
    claim->next = q->claims;
    q->claims = claim;
}

static void drop_claim(Qcow2 *q, const Qcow2Claim *claim)
{
    Qcow2Claim **at = &q->claims;

    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    g_cond_broadcast(&q->changed);
}

/* ---- writing ---- */

/* One write of a run: where it goes, and what must be done when it is there. */
typedef struct {
    Qcow2Run run;
    Qcow2Claim claim;
    guint64 host_cluster; /* first, when new or kept storage is being filled */
    gboolean is_new;
} Write;

static gboolean needs_map(const Write *write)
{
    return write->run.kind != QCOW2_RUN_DATA;
}

static Qcow2Claim clusters_of(const Qcow2 *q, guint64 offset, guint64 length)
{
    return (Qcow2Claim){.first = offset >> q->cluster_bits, .last = (offset + length - 1) >> q->cluster_bits};
}

/* New storage for the run, which gets shorter when there is less in one piece. */
static gboolean take_new(Qcow2 *q, guint64 offset, Write *write, GError **error)
{
    guint64 wanted = write->claim.last - write->claim.first + 1;
    guint64 n;

    if (!qcow2_allocate(q, wanted, &write->host_cluster, &n, error))
        return FALSE;
    write->is_new = TRUE;
    write->claim.last = write->claim.first + n - 1;
    write->run.length = MIN(write->run.length, ((write->claim.last + 1) << q->cluster_bits) - offset);
    write->run.host = (write->host_cluster << q->cluster_bits) + offset % q->cluster_size;
    return TRUE;
}

/* Decides what the next write is, and claims its clusters unless they exist.  Takes and drops the lock. */
static gboolean prepare(Qcow2 *q, guint64 offset, guint64 length, Write *write, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    *write = (Write){0};
    length = to_l2_end(q, offset, length);
    for (;;) {
        if (!qcow2_lookup(q, offset, length, &write->run, error))
            return FALSE;
        if (!needs_map(write))
            return TRUE;
        write->claim = clusters_of(q, offset, write->run.length);
        if (!is_claimed(q, &write->claim))
            break;
        g_cond_wait(&q->changed, &q->lock);
    }
    if (write->run.kind == QCOW2_RUN_ZERO_ALLOCATED)
        write->host_cluster = write->run.host >> q->cluster_bits;
    else if (!take_new(q, offset, write, error))
        return FALSE;
    add_claim(q, &write->claim);
    return TRUE;
}

/* Zeros what the write leaves out of its first and last cluster. */
static gboolean fill_around(Qcow2 *q, const Write *write, GError **error)
{
    guint64 end = write->run.host + write->run.length;
    guint64 head = write->run.host % q->cluster_size;
    guint64 tail = round_up(end, q->cluster_size) - end;

    if (write->is_new && q->growable)
        return TRUE;
    return bytes_zero(q->bytes, write->run.host - head, head, error) &&
           bytes_zero(q->bytes, end, tail, error);
}

static gboolean write_run(Qcow2 *q, const Write *write, const guint8 *buffer, GError **error)
{
    if (needs_map(write) && !fill_around(q, write, error))
        return FALSE;
    return bytes_pwrite(q->bytes, buffer, (gsize)write->run.length, write->run.host, error);
}

static gboolean finish(Qcow2 *q, const Write *write, gboolean ok, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);
    const Qcow2Claim *claim = &write->claim;

    ok = ok && qcow2_map(q, claim->first, claim->last - claim->first + 1, write->host_cluster, write->is_new,
                         error);
    drop_claim(q, claim);
    return ok;
}

gboolean qcow2_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;
    const guint8 *source = buffer;

    while (length > 0) {
        Write write;
        gboolean ok;

        if (!qcow2_make_room(q, error) || !prepare(q, offset, length, &write, error))
            return FALSE;
        ok = write_run(q, &write, source, error);
        if (needs_map(&write))
            ok = finish(q, &write, ok, error);
        if (!ok)
            return FALSE;
        source += write.run.length;
        offset += write.run.length;
        length -= (gsize)write.run.length;
    }
    return TRUE;
}

/* ---- zeroing ---- */

static gboolean flag_zero(Qcow2 *q, guint64 offset, guint64 length, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);
    Qcow2Claim clusters = clusters_of(q, offset, length);

    return qcow2_map_zero(q, clusters.first, clusters.last - clusters.first + 1, error);
}

/* A run of data.  Storage is zeroed in place, as any write would overwrite it in place; whole clusters get
 * the flag. */
static gboolean zero_data(Qcow2 *q, const Qcow2Run *run, guint64 offset, gboolean whole, GError **error)
{
    if (!whole)
        return bytes_zero(q->bytes, run->host, run->length, error);
    if (q->bytes->ops->zero != NULL && !bytes_zero(q->bytes, run->host, run->length, error))
        return FALSE;
    return flag_zero(q, offset, run->length, error);
}

/* The longest piece at `offset` that is whole clusters or lies within one. */
static guint64 zero_piece(const Qcow2 *q, guint64 offset, guint64 length, gboolean *ret_whole)
{
    guint64 to_cluster_end = q->cluster_size - offset % q->cluster_size;
    gboolean to_disk_end = offset + length == q->disk.size;

    *ret_whole = to_cluster_end == q->cluster_size && (length >= q->cluster_size || to_disk_end);
    if (!*ret_whole)
        return MIN(length, to_cluster_end);
    return to_disk_end ? length : round_down(length, q->cluster_size);
}

gboolean qcow2_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;

    while (length > 0) {
        Qcow2Run run = {0};
        gboolean whole;
        guint64 piece = zero_piece(q, offset, length, &whole);

        if (!qcow2_make_room(q, error) || !lookup(q, offset, piece, &run, error))
            return FALSE;
        if (run.kind == QCOW2_RUN_DATA && !zero_data(q, &run, offset, whole, error))
            return FALSE;
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}
