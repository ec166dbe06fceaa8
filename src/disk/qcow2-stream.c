/* Compressed clusters.
 *
 * A compressed cluster is a stream that starts at any byte of the file; its L2 entry says where, and in which
 * sector it ends.  Streams are packed densely: one begins where the last one ended, in the same sector, and
 * may reach from one host cluster into the next.  Each stream counts once in the refcount of every host
 * cluster that it touches.
 *
 * A thread compresses on its own, takes room under the lock, writes without it, and maps under it, so that
 * what happens one after the other is a few additions.  Room is taken from clusters that were handed out for
 * streams; as everywhere (qcow2-alloc.c), they are counted only when something points to them.
 *
 * A stream that is written over or zeroed may not lose its count in the commit that unmaps it, since
 * refcounts reach the file before L2 tables do: it does in the commit after that.
 *
 * Readers inflate whole clusters in their own thread, straight to where they are wanted.  Only what was asked
 * for in part is kept, in a small cache: small reads go on where the last one ended.
 */
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/qcow2-internal.h"

/* Clusters for streams are taken in runs of this size, so that plain clusters between them part few of them.
 */
#define PACK_BYTES MIB

/* A refcount has 16 bits: so many streams, and a part of one more, are in a cluster at most. */
#define STREAMS_PER_CLUSTER_BITS 15u

#define INFLATED_BYTES (4 * MIB)
#define INFLATED_MAX   32u

typedef struct {
    guint64 offset; /* of the stream */
    GBytes *data;
} Inflated;

void qcow2_streams_init(Qcow2 *q)
{
    q->unmapped = g_array_new(FALSE, FALSE, sizeof(Qcow2Stream));
    g_mutex_init(&q->inflated_lock);
    g_queue_init(&q->inflated);
}

static void free_inflated(gpointer data)
{
    Inflated *inflated = data;

    g_bytes_unref(inflated->data);
    g_free(inflated);
}

void qcow2_streams_fini(Qcow2 *q)
{
    g_array_unref(q->unmapped);
    g_queue_clear_full(&q->inflated, free_inflated);
    g_mutex_clear(&q->inflated_lock);
}

/* --- where they go --- */

gboolean qcow2_place_stream(Qcow2 *q, Qcow2Stream *stream, GError **error)
{
    guint64 wanted = MAX(PACK_BYTES >> q->cluster_bits, 1);
    guint64 step = MAX(stream->length, q->cluster_size >> STREAMS_PER_CLUSTER_BITS);

    while (q->pack_end - q->pack_at < stream->length) {
        guint64 first, n;

        if (!qcow2_allocate(q, wanted, &first, &n, error))
            return FALSE;
        if (first << q->cluster_bits != q->pack_end)
            q->pack_at = first << q->cluster_bits;
        q->pack_end = (first + n) << q->cluster_bits;
    }
    if (q->pack_end > qcow2_stream_end_max(q))
        return vf_fail(error, VF_ERROR_TARGET_IO,
                       "%s: compressed clusters of %" G_GUINT64_FORMAT
                       " bytes cannot lie behind %" G_GUINT64_FORMAT,
                       q->disk.name, q->cluster_size, qcow2_stream_end_max(q));
    stream->offset = q->pack_at;
    q->pack_at = MIN(q->pack_at + step, q->pack_end);
    return TRUE;
}

/* --- reading --- */

static gboolean inflate(Qcow2 *q, const Qcow2Stream *stream, guint8 *buffer, GError **error)
{
    g_autofree char *what =
        g_strdup_printf("%s: the compressed cluster at %" G_GUINT64_FORMAT, q->disk.name, stream->offset);
    g_autofree guint8 *packed = NULL;
    guint64 size = bytes_size(q->bytes);
    gsize length;

    if (stream->offset >= size)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s lies behind the end of the file", what);
    length = (gsize)MIN(stream->length, size - stream->offset);
    packed = g_malloc(length);
    return bytes_pread(q->bytes, packed, length, stream->offset, error) &&
           codec_decompress(q->codec, packed, length, buffer, q->cluster_size, NULL, what, error);
}

static Inflated *find_inflated(Qcow2 *q, guint64 offset)
{
    for (GList *link = q->inflated.head; link != NULL; link = link->next) {
        Inflated *inflated = link->data;

        if (inflated->offset != offset)
            continue;
        g_queue_unlink(&q->inflated, link);
        g_queue_push_head_link(&q->inflated, link);
        return inflated;
    }
    return NULL;
}

static GBytes *get_inflated(Qcow2 *q, guint64 offset)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->inflated_lock);
    const Inflated *inflated = find_inflated(q, offset);

    return inflated == NULL ? NULL : g_bytes_ref(inflated->data);
}

/* Two threads may have inflated the same cluster; one copy of it is enough. */
static void keep_inflated(Qcow2 *q, guint64 offset, GBytes *data)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&q->inflated_lock);
    guint max = (guint)CLAMP(INFLATED_BYTES >> q->cluster_bits, 1, INFLATED_MAX);
    Inflated *inflated;

    if (find_inflated(q, offset) != NULL)
        return;
    while (q->inflated.length >= max)
        free_inflated(g_queue_pop_tail(&q->inflated));
    inflated = g_new(Inflated, 1);
    *inflated = (Inflated){.offset = offset, .data = g_bytes_ref(data)};
    g_queue_push_head(&q->inflated, inflated);
}

static GBytes *inflate_kept(Qcow2 *q, const Qcow2Stream *stream, GError **error)
{
    g_autoptr(GBytes) data = get_inflated(q, stream->offset);
    g_autofree guint8 *buffer = NULL;

    if (data != NULL)
        return g_steal_pointer(&data);
    buffer = g_malloc(q->cluster_size);
    if (!inflate(q, stream, buffer, error))
        return NULL;
    data = g_bytes_new_take(g_steal_pointer(&buffer), q->cluster_size);
    keep_inflated(q, stream->offset, data);
    return g_steal_pointer(&data);
}

gboolean qcow2_read_stream(Qcow2 *q, const Qcow2Stream *stream, guint8 *buffer, gsize length, gsize within,
                           GError **error)
{
    g_autoptr(GBytes) data = NULL;

    if (length == q->cluster_size)
        return inflate(q, stream, buffer, error);
    data = inflate_kept(q, stream, error);
    if (data == NULL)
        return FALSE;
    memcpy(buffer, (const guint8 *)g_bytes_get_data(data, NULL) + within, length);
    return TRUE;
}
