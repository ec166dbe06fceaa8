#include "fuzz.h"

#include "disk/vmdk-stream.h"

/* A checksum of what came, so that two ways of feeding can be compared. */
typedef struct {
    VmdkStream *stream;
    guint64 sum;
} Seen;

static gboolean see_grain(const VmdkStreamGrain *grain, gpointer data, GError **error)
{
    Seen *seen = data;
    g_autofree guint8 *raw = g_malloc(grain->grain_size);
    g_autoptr(GError) ignored = NULL;

    g_assert_cmpuint(grain->length, >, 0);
    g_assert_cmpuint(grain->length, <=, grain->grain_size);
    g_assert_cmpuint(grain->offset + grain->length, <=, vmdk_stream_size(seen->stream));
    seen->sum = seen->sum * 31 + grain->offset + grain->size + grain->data[grain->size - 1];
    vmdk_stream_inflate(grain, "fuzz", raw, &ignored);
    return TRUE;
}

/* Whether all of it was taken; the checksum is *ret_sum. */
static gboolean feed(const uint8_t *data, size_t size, size_t piece, guint64 *ret_sum)
{
    Seen seen = {0};
    g_autoptr(VmdkStream) stream = vmdk_stream_new("fuzz", see_grain, &seen);
    g_autoptr(GError) error = NULL;
    gboolean ok = TRUE;

    seen.stream = stream;
    for (size_t at = 0; ok && at < size; at += piece)
        ok = vmdk_stream_feed(stream, data + at, MIN(piece, size - at), &error);
    ok = ok && vmdk_stream_end(stream, &error);
    g_assert_true(ok == (error == NULL));
    *ret_sum = seen.sum;
    return ok;
}

/* What comes out does not depend on how it came in. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    guint64 whole, pieces;
    gboolean ok = feed(data, size, size + 1, &whole);

    g_assert_true(feed(data, size, 333, &pieces) == ok);
    g_assert_cmpuint(whole, ==, pieces);
    return 0;
}
