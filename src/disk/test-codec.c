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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/codec/round-trip", test_round_trip);
    g_test_add_func("/codec/damaged", test_damaged);
    g_test_add_func("/codec/does-not-fit", test_does_not_fit);
    return g_test_run();
}
