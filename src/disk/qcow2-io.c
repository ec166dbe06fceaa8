/* Writing and zeroing: look up a run under the lock, move the data without it, and map what is new under it
 * again.
 *
 * A writer that finds no storage for a run claims its guest clusters, takes new host clusters, fills them,
 * and only then maps them.  Whoever else wants to write to a claimed cluster waits and looks again: so two
 * writers of disjoint parts of one cluster get one cluster.  What a writer leaves out of a new cluster is
 * what was to be read there before: out of the backing file or the compressed cluster; or zero, which a
 * cluster from the end of a file is already; kept storage behind a zero flag, and devices, are filled.
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

static guint64 to_l2_end(const Qcow2 *q, guint64 offset, guint64 length)
{
    return MIN(length, q->l2_span - offset % q->l2_span);
}

/* --- claims, under the lock --- */

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

/* --- writing --- */

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

/* Decides what the next write is, and waits until nobody has claimed its clusters, unless they exist. */
static gboolean look_up_free(Qcow2 *q, guint64 offset, guint64 length, Write *write, GError **error)
{
    *write = (Write){0};
    for (;;) {
        if (!qcow2_lookup(q, offset, length, &write->run, error))
            return FALSE;
        if (!needs_map(write))
            return TRUE;
        write->claim = clusters_of(q, offset, write->run.length);
        if (!is_claimed(q, &write->claim))
            return TRUE;
        g_cond_wait(&q->changed, &q->lock);
    }
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

/* Claims the clusters of the next write unless they exist.  Takes and drops the lock. */
static gboolean prepare(Qcow2 *q, guint64 offset, guint64 length, Write *write, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    if (!look_up_free(q, offset, to_l2_end(q, offset, length), write, error))
        return FALSE;
    if (!needs_map(write))
        return TRUE;
    if (write->run.kind == QCOW2_RUN_ZERO_ALLOCATED)
        write->host_cluster = write->run.host >> q->cluster_bits;
    else if (!take_new(q, offset, write, error))
        return FALSE;
    add_claim(q, &write->claim);
    return TRUE;
}

/* What is still to be read at `offset` is put to `host`; up to the end of the disk. */
static gboolean copy_old(Qcow2 *q, guint64 offset, guint64 length, guint64 host, GError **error)
{
    g_autofree guint8 *buffer = NULL;

    length = offset < q->disk.size ? MIN(length, q->disk.size - offset) : 0;
    if (length == 0)
        return TRUE;
    buffer = g_malloc(length);
    return qcow2_pread(&q->disk, buffer, (gsize)length, offset, error) &&
           bytes_pwrite(q->bytes, buffer, (gsize)length, host, error);
}

static gboolean keeps_old(const Qcow2 *q, const Write *write)
{
    return write->run.kind == QCOW2_RUN_COMPRESSED ||
           (write->run.kind == QCOW2_RUN_HOLE && q->backing != NULL);
}

/* What the write at `offset` leaves out of its first and last cluster. */
static gboolean fill_around(Qcow2 *q, const Write *write, guint64 offset, GError **error)
{
    guint64 length = write->run.length;
    guint64 host_end = write->run.host + length;
    guint64 head = write->run.host % q->cluster_size;
    guint64 tail = round_up(host_end, q->cluster_size) - host_end;

    if (!(write->is_new && q->growable) && (!bytes_zero(q->bytes, write->run.host - head, head, error) ||
                                            !bytes_zero(q->bytes, host_end, tail, error)))
        return FALSE;
    return !keeps_old(q, write) || (copy_old(q, offset - head, head, write->run.host - head, error) &&
                                    copy_old(q, offset + length, tail, host_end, error));
}

static gboolean write_run(Qcow2 *q, const Write *write, const guint8 *buffer, guint64 offset, GError **error)
{
    if (needs_map(write) && !fill_around(q, write, offset, error))
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

static gboolean write_plain(Qcow2 *q, const guint8 *source, gsize length, guint64 offset, GError **error)
{
    while (length > 0) {
        Write write;
        gboolean ok;

        if (!qcow2_make_room(q, error) || !prepare(q, offset, length, &write, error))
            return FALSE;
        ok = write_run(q, &write, source, offset, error);
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

/* --- writing what was compressed --- */

/* A stream for a whole cluster that has no plain storage; `ret_placed` says whether it has none.  Takes and
 * drops the lock. */
static gboolean prepare_stream(Qcow2 *q, guint64 offset, Qcow2Stream *stream, Qcow2Claim *claim,
                               gboolean *ret_placed, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);
    Write write;

    if (!look_up_free(q, offset, q->cluster_size, &write, error))
        return FALSE;
    *ret_placed = write.run.kind != QCOW2_RUN_DATA && write.run.kind != QCOW2_RUN_ZERO_ALLOCATED;
    if (!*ret_placed)
        return TRUE;
    if (!qcow2_place_stream(q, stream, error))
        return FALSE;
    *claim = write.claim;
    add_claim(q, claim);
    return TRUE;
}

static gboolean finish_stream(Qcow2 *q, const Qcow2Claim *claim, const Qcow2Stream *stream, gboolean ok,
                              GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->lock);

    ok = ok && qcow2_map_stream(q, claim->first, stream, error);
    drop_claim(q, claim);
    return ok;
}

static gboolean write_stream(Qcow2 *q, const guint8 *packed, Qcow2Stream *stream, guint64 offset,
                             gboolean *ret_placed, GError **error)
{
    Qcow2Claim claim;
    gboolean ok;

    if (!qcow2_make_room(q, error) || !prepare_stream(q, offset, stream, &claim, ret_placed, error))
        return FALSE;
    if (!*ret_placed)
        return TRUE;
    ok = bytes_pwrite(q->bytes, packed, stream->length, stream->offset, error);
    return finish_stream(q, &claim, stream, ok, error);
}

/* A cluster, of which there is less at the end of the disk.  What would get hardly smaller is stored plainly.
 */
static gboolean write_packed(Qcow2 *q, const guint8 *source, gsize length, guint64 offset, GError **error)
{
    gsize max = q->cluster_size - q->cluster_size / 16;
    g_autofree guint8 *packed = g_malloc(max);
    g_autofree guint8 *padded = NULL;
    gboolean placed = FALSE;
    Qcow2Stream stream = {0};

    if (length < q->cluster_size)
        padded = g_malloc0(q->cluster_size);
    if (padded != NULL)
        memcpy(padded, source, length);
    stream.length = (guint32)codec_compress(q->codec, q->level, padded != NULL ? padded : source,
                                            q->cluster_size, packed, max);
    if (stream.length > 0 && !write_stream(q, packed, &stream, offset, &placed, error))
        return FALSE;
    return placed || write_plain(q, source, length, offset, error);
}

/* The longest piece at `offset` that is whole clusters or lies within one. */
static guint64 next_piece(const Qcow2 *q, guint64 offset, guint64 length, gboolean *ret_whole)
{
    guint64 to_cluster_end = q->cluster_size - offset % q->cluster_size;
    gboolean to_disk_end = offset + length == q->disk.size;

    *ret_whole = to_cluster_end == q->cluster_size && (length >= q->cluster_size || to_disk_end);
    if (!*ret_whole)
        return MIN(length, to_cluster_end);
    return to_disk_end ? length : round_down(length, q->cluster_size);
}

gboolean qcow2_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;
    const guint8 *source = buffer;

    if (!disk->compresses)
        return write_plain(q, source, length, offset, error);
    while (length > 0) {
        gboolean whole;
        gsize piece = (gsize)MIN(next_piece(q, offset, length, &whole), q->cluster_size);

        if (whole ? !write_packed(q, source, piece, offset, error)
                  : !write_plain(q, source, piece, offset, error))
            return FALSE;
        source += piece;
        offset += piece;
        length -= piece;
    }
    return TRUE;
}

/* --- zeroing --- */

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

/* Part of a cluster that is to be read from elsewhere must be stored. */
static gboolean zero_part(Qcow2 *q, guint64 offset, guint64 length, GError **error)
{
    g_autofree guint8 *zeros = g_malloc0(length);

    return write_plain(q, zeros, (gsize)length, offset, error);
}

static gboolean zero_run(Qcow2 *q, const Qcow2Run *run, guint64 offset, gboolean whole, GError **error)
{
    if (run->kind == QCOW2_RUN_DATA)
        return zero_data(q, run, offset, whole, error);
    if (run->kind != QCOW2_RUN_COMPRESSED && !(run->kind == QCOW2_RUN_HOLE && q->backing != NULL))
        return TRUE;
    return whole ? flag_zero(q, offset, run->length, error) : zero_part(q, offset, run->length, error);
}

gboolean qcow2_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    Qcow2 *q = (Qcow2 *)disk;

    while (length > 0) {
        Qcow2Run run = {0};
        gboolean whole;
        guint64 piece = to_l2_end(q, offset, next_piece(q, offset, length, &whole));

        if (!qcow2_make_room(q, error) || !qcow2_lookup_now(q, offset, piece, &run, error) ||
            !zero_run(q, &run, offset, whole, error))
            return FALSE;
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}
