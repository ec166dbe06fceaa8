/* Reading a chain.
 *
 * What is next to each other on the disk lies in several files, and within a delta in the order in which the
 * guest first wrote it.  Read one by one, each grain of 4 KiB would cost a request, which over HTTPS is a
 * round trip.  So a read is planned first: each run becomes a piece, a place in a file and a place in the
 * buffer.  The pieces are put in the order of the files, and those that lie close together are read with one
 * request, the gap between them included, because a gap of GAP_MAX costs less than another request.
 *
 * Whole compressed grains are pieces as well; a part of one is copied out of the cache of its file.
 */
#include "disk/vmdk-internal.h"

#include <stdlib.h>

#define GAP_MAX      ((guint64)32 << 10)
#define TOGETHER_MAX ((guint64)1 << 20)

/* --- planning --- */

typedef struct {
    guint8 *to; /* for the byte at `offset` */
    guint64 offset;
    GArray *pieces; /* VmdkPiece */
} Plan;

static gboolean plan_compressed(Plan *plan, const VmdkPart *part, const VmdkRun *run, guint64 offset,
                                GError **error)
{
    VmdkSparse *sparse = part->sparse;
    guint64 within = offset - part->start;
    VmdkPiece piece = {.sparse = sparse,
                       .bytes = sparse->bytes,
                       .host = run->host,
                       .offset = within,
                       .length = run->length,
                       .to = plan->to + (offset - plan->offset)};

    if (run->length < sparse->grain)
        return vmdk_cache_copy(sparse->grains, within / sparse->grain, (gsize)(within % sparse->grain),
                               run->length, piece.to, error);
    g_array_append_val(plan->pieces, piece);
    return TRUE;
}

static gboolean plan_run(const VmdkPart *part, const VmdkRun *run, guint64 offset, gpointer data,
                         GError **error)
{
    Plan *plan = data;
    VmdkPiece piece = {.bytes = part->sparse != NULL ? part->sparse->bytes : part->bytes,
                       .host = run->host,
                       .length = run->length,
                       .to = plan->to + (offset - plan->offset)};

    if (run->kind == VMDK_RUN_COMPRESSED)
        return plan_compressed(plan, part, run, offset, error);
    if (run->kind == VMDK_RUN_DATA)
        g_array_append_val(plan->pieces, piece);
    else
        memset(piece.to, 0, run->length);
    return TRUE;
}

static int compare_places(const void *a, const void *b)
{
    const VmdkPiece *left = a, *right = b;

    if (left->bytes != right->bytes)
        return (guintptr)left->bytes < (guintptr)right->bytes ? -1 : 1;
    return left->host < right->host ? -1 : left->host > right->host;
}

/* --- reading --- */

/* Pieces of one file, from the first on. */
static guint count_compressed(const VmdkPiece *pieces, guint n)
{
    guint together = 1;

    while (together < n && pieces[together].sparse == pieces->sparse)
        together++;
    return together;
}

static guint count_close(const VmdkPiece *pieces, guint n)
{
    guint64 end = pieces->host + pieces->length;
    guint together = 1;

    while (together < n && pieces[together].bytes == pieces->bytes &&
           pieces[together].host <= end + GAP_MAX &&
           pieces[together].host + pieces[together].length - pieces->host <= TOGETHER_MAX) {
        end = MAX(end, pieces[together].host + pieces[together].length);
        together++;
    }
    return together;
}

static gboolean read_close(const VmdkPiece *pieces, guint n, GError **error)
{
    guint64 start = pieces->host, end = start;

    for (guint i = 0; i < n; i++)
        end = MAX(end, pieces[i].host + pieces[i].length);
    g_autofree guint8 *data = g_malloc(end - start);

    if (!bytes_pread(pieces->bytes, data, end - start, start, error))
        return FALSE;
    for (guint i = 0; i < n; i++)
        memcpy(pieces[i].to, data + (pieces[i].host - start), pieces[i].length);
    return TRUE;
}

static gboolean read_pieces(const VmdkPiece *pieces, guint n, GError **error)
{
    while (n > 0) {
        gboolean compressed = pieces->sparse != NULL;
        guint together = compressed ? count_compressed(pieces, n) : count_close(pieces, n);
        gboolean ok = compressed ? vmdk_hosted_read_grains(pieces, together, error)
                      : together == 1
                          ? bytes_pread(pieces->bytes, pieces->to, pieces->length, pieces->host, error)
                          : read_close(pieces, together, error);

        if (!ok)
            return FALSE;
        pieces += together;
        n -= together;
    }
    return TRUE;
}

gboolean vmdk_chain_read(const VmdkChain *chain, guint8 *to, gsize length, guint64 offset, GError **error)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(VmdkPiece));
    Plan plan = {to, offset, pieces};

    if (!vmdk_chain_walk(chain, offset, length, plan_run, &plan, error))
        return FALSE;
    if (pieces->len == 0)
        return TRUE;
    qsort(pieces->data, pieces->len, sizeof(VmdkPiece), compare_places);
    return read_pieces((const VmdkPiece *)(gconstpointer)pieces->data, pieces->len, error);
}
