#include "disk/codec.h"

#include <string.h>

#include "base/error.h"

#define LENGTH 65536u

static const CodecKind kinds[] = {CODEC_DEFLATE, CODEC_ZLIB, CODEC_ZSTD};

static guint8 *make_text(void)
{
    guint8 *text = g_malloc(LENGTH);

    for (guint i = 0; i < LENGTH; i++)
        text[i] = (guint8)((i * i >> 7) % 61);
    return text;
}

/* What goes in comes out, whatever the level, with rubbish behind the stream. */
static void test_round_trip(void)
{
    static const guint levels[] = {0, 1, 9, 12, 22, 1000};
    g_autofree guint8 *text = make_text();
    g_autofree guint8 *packed = g_malloc(LENGTH);
    g_autofree guint8 *out = g_malloc(LENGTH);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(kinds) * G_N_ELEMENTS(levels); i++) {
        CodecKind kind = kinds[i % G_N_ELEMENTS(kinds)];
        gsize n = codec_compress(kind, levels[i / G_N_ELEMENTS(kinds)], text, LENGTH, packed, LENGTH);

        g_assert_cmpuint(n, >, 0);
        g_assert_cmpuint(n, <, LENGTH - 512);
        memset(packed + n, 0xa5, 512);
        memset(out, 0, LENGTH);
        codec_decompress(kind, packed, n + 512, out, LENGTH, NULL, "piece", &error);
        g_assert_no_error(error);
        g_assert_cmpmem(out, LENGTH, text, LENGTH);
    }
}

static void assert_damaged(CodecKind kind, const guint8 *packed, gsize length, guint8 *out, gsize out_length)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(codec_decompress(kind, packed, length, out, out_length, NULL, "a piece", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    g_assert_true(g_str_has_prefix(error->message, "a piece cannot be decompressed: "));
}

static void test_damaged(void)
{
    g_autofree guint8 *text = make_text();
    g_autofree guint8 *packed = g_malloc(LENGTH);
    g_autofree guint8 *out = g_malloc(LENGTH + 1);
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        gsize n = codec_compress(kinds[i], 0, text, LENGTH, packed, LENGTH);

        assert_damaged(kinds[i], packed, n / 2, out, LENGTH);
        assert_damaged(kinds[i], packed, 0, out, LENGTH);
        assert_damaged(kinds[i], packed, n, out, LENGTH - 1);
        assert_damaged(kinds[i], packed, n, out, LENGTH + 1);
        assert_damaged(kinds[i], text, 4096, out, LENGTH);
        g_assert_true(codec_decompress(kinds[i], packed, n, out, LENGTH + 1, &length, "piece", &error));
        g_assert_cmpuint(length, ==, LENGTH);
    }
}

/* Noise does not get smaller, and is not tried to. */
static void test_does_not_fit(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    guint8 noise[4096], out[4096];

    for (guint i = 0; i < sizeof noise; i++)
        noise[i] = (guint8)g_rand_int(random);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        g_assert_cmpuint(codec_compress(kinds[i], 0, noise, sizeof noise, out, sizeof out - 1), ==, 0);
}

/* Streams of all lengths around those of blocks come back; noise is told from what can be compressed. */
static void test_store(void)
{
    static const gsize lengths[] = {0, 1, 511, 65534, 65535, 65536, 131070, 131071, 200000};
    g_autofree guint8 *in = g_malloc(200000);
    g_autofree guint8 *out = g_malloc(200100);
    g_autofree guint8 *back = g_malloc(200000);
    GRand *random = g_rand_new_with_seed(1);
    GError *error = NULL;

    for (gsize i = 0; i < 200000; i++)
        in[i] = (guint8)g_rand_int(random);
    g_rand_free(random);
    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        gsize n = lengths[i];
        gsize size = codec_store(in, n, out, 200100);

        g_assert_cmpuint(size, >, n);
        g_assert_cmpuint(codec_store(in, n, out, n + 10), ==, 0);
        g_assert_true(codec_decompress(CODEC_ZLIB, out, size, back, n, NULL, "stored", &error));
        g_assert_cmpmem(back, n, in, n);
    }
    g_assert_true(codec_looks_random(in, 65536));
    g_assert_false(codec_looks_random(in, 4000));
    for (gsize i = 0; i < 65536; i++)
        in[i] &= 0xfe;
    g_assert_false(codec_looks_random(in, 65536));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/codec/round-trip", test_round_trip);
    g_test_add_func("/codec/damaged", test_damaged);
    g_test_add_func("/codec/does-not-fit", test_does_not_fit);
    g_test_add_func("/codec/store", test_store);
    return g_test_run();
}
