#include "disk/codec.h"

#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

#include "base/error.h"

#define DEFLATE_LEVEL     6u
#define DEFLATE_LEVEL_MAX 12u
#define ZSTD_LEVEL        3u

/* What one thread keeps; made when it is first needed. */
typedef struct {
    struct libdeflate_decompressor *inflater;
    struct libdeflate_compressor *deflater;
    guint deflater_level;
    ZSTD_DCtx *zstd_in;
    ZSTD_CCtx *zstd_out;
} Codec;

static void codec_free(gpointer data)
{
    Codec *codec = data;

    if (codec->inflater != NULL)
        libdeflate_free_decompressor(codec->inflater);
    if (codec->deflater != NULL)
        libdeflate_free_compressor(codec->deflater);
    ZSTD_freeDCtx(codec->zstd_in);
    ZSTD_freeCCtx(codec->zstd_out);
    g_free(codec);
}

static Codec *codec_get(void)
{
    static GPrivate key = G_PRIVATE_INIT(codec_free);
    Codec *codec = g_private_get(&key);

    if (codec == NULL) {
        codec = g_new0(Codec, 1);
        g_private_set(&key, codec);
    }
    return codec;
}

/* --- decompressing: the number of bytes that came out, or why not --- */

static const char *inflate(gboolean is_bare, const void *in, gsize in_length, void *out, gsize out_length,
                           gsize *ret_length)
{
    Codec *codec = codec_get();
    enum libdeflate_result result;
    gsize used;

    if (codec->inflater == NULL)
        codec->inflater = libdeflate_alloc_decompressor();
    if (codec->inflater == NULL)
        return "no memory";
    if (is_bare)
        result = libdeflate_deflate_decompress_ex(codec->inflater, in, in_length, out, out_length, &used,
                                                  ret_length);
    else
        result =
            libdeflate_zlib_decompress_ex(codec->inflater, in, in_length, out, out_length, &used, ret_length);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        return "it holds too much";
    return result == LIBDEFLATE_SUCCESS ? NULL : "its deflate stream is damaged or cut short";
}

static const char *unzstd(const guint8 *in, gsize in_length, guint8 *out, gsize out_length, gsize *ret_length)
{
    Codec *codec = codec_get();
    gsize done = 0;

    if (codec->zstd_in == NULL)
        codec->zstd_in = ZSTD_createDCtx();
    if (codec->zstd_in == NULL)
        return "no memory";
    /* Where the output is full, what follows is no frame but padding. */
    for (gsize at = 0; at < in_length && (done < out_length || at == 0);) {
        gsize frame = ZSTD_findFrameCompressedSize(in + at, in_length - at);
        gsize n = ZSTD_isError(frame)
                      ? frame
                      : ZSTD_decompressDCtx(codec->zstd_in, out + done, out_length - done, in + at, frame);

        if (ZSTD_isError(n))
            return ZSTD_getErrorName(n);
        at += frame;
        done += n;
    }
    *ret_length = done;
    return NULL;
}

gboolean codec_decompress(CodecKind kind, const void *in, gsize in_length, void *out, gsize out_length,
                          gsize *ret_length, const char *what, GError **error)
{
    gsize length = 0;
    const char *problem = kind == CODEC_ZSTD
                              ? unzstd(in, in_length, out, out_length, &length)
                              : inflate(kind == CODEC_DEFLATE, in, in_length, out, out_length, &length);

    if (problem != NULL)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s cannot be decompressed: %s", what, problem);
    if (ret_length == NULL && length != out_length)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s cannot be decompressed: it holds %" G_GSIZE_FORMAT
                       " bytes instead of %" G_GSIZE_FORMAT,
                       what, length, out_length);
    if (ret_length != NULL)
        *ret_length = length;
    return TRUE;
}

/* --- compressing --- */

static gsize deflate(gboolean is_bare, guint level, const void *in, gsize in_length, void *out, gsize out_max)
{
    Codec *codec = codec_get();

    level = level == 0 ? DEFLATE_LEVEL : MIN(level, DEFLATE_LEVEL_MAX);
    if (codec->deflater != NULL && codec->deflater_level != level)
        g_clear_pointer(&codec->deflater, libdeflate_free_compressor);
    if (codec->deflater == NULL)
        codec->deflater = libdeflate_alloc_compressor((int)level);
    codec->deflater_level = level;
    if (codec->deflater == NULL)
        return 0;
    if (is_bare)
        return libdeflate_deflate_compress(codec->deflater, in, in_length, out, out_max);
    return libdeflate_zlib_compress(codec->deflater, in, in_length, out, out_max);
}

static gsize zstd(guint level, const void *in, gsize in_length, void *out, gsize out_max)
{
    Codec *codec = codec_get();
    gsize n;

    if (codec->zstd_out == NULL)
        codec->zstd_out = ZSTD_createCCtx();
    if (codec->zstd_out == NULL)
        return 0;
    level = level == 0 ? ZSTD_LEVEL : MIN(level, CODEC_LEVEL_MAX);
    n = ZSTD_compressCCtx(codec->zstd_out, out, out_max, in, in_length, (int)level);
    return ZSTD_isError(n) ? 0 : n;
}

gsize codec_compress(CodecKind kind, guint level, const void *in, gsize in_length, void *out, gsize out_max)
{
    if (kind == CODEC_ZSTD)
        return zstd(level, in, in_length, out, out_max);
    return deflate(kind == CODEC_DEFLATE, level, in, in_length, out, out_max);
}

/* ---- not compressing ---- */

#define SAMPLES     16u
#define SAMPLE_SIZE 256u
/* Of the squares of the 256 counts of bytes: noise has 69616 on average, with a deviation of 360. */
#define RANDOM_SUM_MAX 72000u

gboolean codec_looks_random(const void *in, gsize in_length)
{
    guint counts[256] = {0};
    guint sum = 0;

    if (in_length < SAMPLES * SAMPLE_SIZE)
        return FALSE;
    for (guint i = 0; i < SAMPLES; i++) {
        const guint8 *sample = (const guint8 *)in + in_length / SAMPLES * i;

        for (guint j = 0; j < SAMPLE_SIZE; j++)
            counts[sample[j]]++;
    }
    for (guint i = 0; i < G_N_ELEMENTS(counts); i++)
        sum += counts[i] * counts[i];
    return sum <= RANDOM_SUM_MAX;
}

/* The header of a block: 1 for the last one, its length, and the same inverted. */
static void put_block_header(guint8 *to, gsize length, gboolean is_last)
{
    to[0] = (guint8)is_last;
    to[1] = (guint8)length;
    to[2] = (guint8)(length >> 8);
    to[3] = (guint8)~to[1];
    to[4] = (guint8)~to[2];
}

gsize codec_store(const void *in, gsize in_length, void *out, gsize out_max)
{
    guint32 checksum = GUINT32_TO_BE(libdeflate_adler32(1, in, in_length));
    const guint8 *from = in;
    guint8 *to = out;

    if (in_length > out_max || out_max - in_length < 5 * (in_length / G_MAXUINT16 + 1) + 6)
        return 0;
    *to++ = 0x78;
    *to++ = 0x01;
    do {
        gsize n = MIN(in_length, G_MAXUINT16);

        put_block_header(to, n, n == in_length);
        memcpy(to + 5, from, n);
        to += 5 + n;
        from += n;
        in_length -= n;
    } while (in_length > 0);
    memcpy(to, &checksum, sizeof checksum);
    return (gsize)(to - (guint8 *)out) + sizeof checksum;
}
