#include "base/clock.h"

#include "base/error.h"

static gint64 parsed(const char *text)
{
    g_autoptr(GError) error = NULL;
    gint64 result = -1;

    g_assert_true(clock_parse(text, &result, &error));
    g_assert_no_error(error);
    return result;
}

static void test_format(void)
{
    static const struct {
        gint64 time;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1795244800123456, "2026-11-21T07:06:40.123Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000000, "1969-12-31T23:59:59.000Z"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = clock_format(rows[i].time);

        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

static void test_parse(void)
{
    g_assert_cmpint(parsed("2026-11-21T07:06:40.123Z"), ==, 1795244800123000);
    g_assert_cmpint(parsed("2026-11-21t07:06:40z"), ==, 1795244800000000);
    g_assert_cmpint(parsed("2026-11-21T07:06:40"), ==, 1795244800000000);
    g_assert_cmpint(parsed("2026-11-21T07:06"), ==, 1795244760000000);
    g_assert_cmpint(parsed("2026-11-21T08:36:40+01:30"), ==, 1795244800000000);
    g_assert_cmpint(parsed("2026-11-20T23:06:40.1234567-08:00"), ==, 1795244800123456);
    g_assert_cmpint(parsed("2024-02-29T00:00Z") - parsed("2024-02-28T00:00Z"), ==,
                    (gint64)86400 * G_USEC_PER_SEC);
}

static void test_refuse(void)
{
    static const char *const bad[] = {
        "",
        "now",
        "2026-11-21",
        "2026-11-21T07",
        "2026-13-01T00:00Z",
        "2026-02-29T00:00Z",
        "2026-00-10T00:00Z",
        "2026-11-21T24:00Z",
        "2026-11-21T07:60Z",
        "2026-11-21T07:06:40.Z",
        "2026-11-21T07:06Z+01:00",
        "2026-11-21T07:06 ",
        "2026-11-21T07:06+0100",
        "12026-11-21T07:06Z",
    };
    gint64 time = 7;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", bad[i]);
        g_assert_false(clock_parse(bad[i], &time, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    }
    g_assert_cmpint(time, ==, 7);
}

static void test_now(void)
{
    g_autofree char *text = clock_format(clock_now());
    double start = clock_monotonic();

    g_assert_cmpint(parsed(text), <=, clock_now());
    g_assert_cmpfloat(clock_monotonic(), >=, start);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/format", test_format);
    g_test_add_func("/clock/parse", test_parse);
    g_test_add_func("/clock/refuse", test_refuse);
    g_test_add_func("/clock/now", test_now);
    return g_test_run();
}
