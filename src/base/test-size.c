#include "base/size.h"

#include "base/error.h"

#include <string.h>

static void test_parse(void)
{
    static const struct {
        const char *text;
        guint64 bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"64K", 64 * KIB},
        {"64k", 64 * KIB},
        {"10G", 10 * GIB},
        {"10GiB", 10 * GIB},
        {"10 gb", 10 * GIB},
        {"1.5T", TIB + TIB / 2},
        {"0.1K", 102},
        {"512B", 512},
        {"18446744073709551615", G_MAXUINT64},
    };
    static const char *const bad[] = {"",    "G",   "-1",  "+1",  "1.5",
                                      "1.G", ".5G", "1 2", "10X", "10Gi",
                                      "1e3", "1K ", " 1K", "16E", "18446744073709551616",
                                      "NaN"};
    guint64 bytes = 0;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(size_parse(good[i].text, &bytes, &error));
        g_assert_no_error(error);

        g_assert_cmpuint(bytes, ==, good[i].bytes);
    }
    bytes = 7;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", bad[i]);
        g_assert_false(size_parse(bad[i], &bytes, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    }
    g_assert_cmpuint(bytes, ==, 7);
}

static void assert_text(char *text, const char *expected)
{
    g_autofree char *owned = text;

    g_assert_cmpstr(owned, ==, expected);
}

static void test_format(void)
{
    assert_text(size_format(0), "0 B");
    assert_text(size_format(1023), "1023 B");
    assert_text(size_format(1024), "1.00 KiB");
    assert_text(size_format(GIB + GIB / 5), "1.20 GiB");
    assert_text(size_format(12 * GIB), "12.0 GiB");
    assert_text(size_format(120 * GIB), "120 GiB");
    assert_text(size_format(MIB - 1), "1.00 MiB");
    assert_text(size_format(G_MAXUINT64), "16.0 EiB");
    assert_text(size_format_rate(312.0 * (double)MIB), "312 MiB/s");
    assert_text(size_format_rate(-1), "0 B/s");
}

static void test_duration_parse(void)
{
    static const struct {
        const char *text;
        guint64 seconds;
    } good[] = {{"90", 90}, {"0", 0}, {"30s", 30}, {"5m", 300}, {"2h", 7200}, {"1d", 86400}, {"1h30m", 5400}};
    static const char *const bad[] = {"",     "s",    "1x",  "-5m", "30m1h",
                                      "1h1h", "1h30", "5 m", "0h5", "999999999999999999d"};
    guint64 seconds = 0;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(duration_parse(good[i].text, &seconds, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(seconds, ==, good[i].seconds);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", bad[i]);
        g_assert_false(duration_parse(bad[i], &seconds, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    }
}

static void test_duration_format(void)
{
    assert_text(duration_format(0.045), "45 ms");
    assert_text(duration_format(0.9999), "1.0 s");
    assert_text(duration_format(12.34), "12.3 s");
    assert_text(duration_format(59.96), "1m 00s");
    assert_text(duration_format(185), "3m 05s");
    assert_text(duration_format(3720), "1h 02m");
    assert_text(duration_format(93600), "1d 02h");
}

static void test_arithmetic(void)
{
    guint64 result = 5;

    g_assert_false(size_add(G_MAXUINT64, 1, &result));
    g_assert_true(size_add(G_MAXUINT64 - 1, 1, &result));
    g_assert_cmpuint(result, ==, G_MAXUINT64);
    g_assert_false(size_mul(G_MAXUINT64 / 2 + 1, 2, &result));
    g_assert_cmpuint(round_down(1023, 512), ==, 512);
    g_assert_cmpuint(round_up(1, 512), ==, 512);
    g_assert_cmpuint(round_up(512, 512), ==, 512);
    g_assert_cmpuint(div_round_up(G_MAXUINT64, 2), ==, (guint64)1 << 63);
    g_assert_true(range_within(0, 0, 0));
    g_assert_true(range_within(10, 0, 10));
    g_assert_false(range_within(11, 0, 10));
    g_assert_true(range_within(4, 6, 10));
    g_assert_false(range_within(4, 7, 10));
    g_assert_false(range_within(1, G_MAXUINT64, 10));
}

static void test_zero(void)
{
    guint8 buffer[200] = {0};

    for (gsize length = 0; length <= sizeof buffer; length++) {
        g_assert_true(buffer_is_zero(buffer, length));
        for (gsize i = 0; i < length; i++) {
            buffer[i] = 1;
            g_assert_false(buffer_is_zero(buffer, length));
            buffer[i] = 0;
        }
        if (length < sizeof buffer) {
            buffer[length] = 1;
            g_assert_true(buffer_is_zero(buffer, length));
            buffer[length] = 0;
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/size/parse", test_parse);
    g_test_add_func("/size/format", test_format);
    g_test_add_func("/size/duration-parse", test_duration_parse);
    g_test_add_func("/size/duration-format", test_duration_format);
    g_test_add_func("/size/arithmetic", test_arithmetic);
    g_test_add_func("/size/zero", test_zero);
    return g_test_run();
}
