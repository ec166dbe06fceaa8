#include "copy/meter.h"

#include "base/size.h"

/* GLib's own widens to long double, which clang warns of. */
static void assert_near(double value, double expected, double epsilon)
{
    g_assert_cmpfloat(ABS(value - expected), <=, epsilon);
}

static void test_window(void)
{
    g_autoptr(CopyMeter) meter = copy_meter_new();
    const CopyProgress second = {.done = 10 * MIB, .bytes_read = 10 * MIB};
    CopyProgress progress;

    copy_meter_start(meter, 300 * MIB, 100.0);
    for (guint i = 0; i < 20; i++)
        copy_meter_add(meter, &second, 100.5 + i);
    progress = copy_meter_read_at(meter, 120.0);
    g_assert_cmpuint(progress.done, ==, 200 * MIB);
    assert_near(progress.rate, (double)(10 * MIB), 1);
    assert_near(progress.eta, 10, 0.01);
    assert_near(progress.elapsed, 20, 0.01);

    /* Five seconds without a byte halve the rate; fifteen leave nothing, and nothing can be said of the end.
     */
    assert_near(copy_meter_read_at(meter, 125.0).rate, (double)(5 * MIB), 1);
    progress = copy_meter_read_at(meter, 135.0);
    g_assert_cmpfloat(progress.rate, ==, 0);
    g_assert_cmpfloat(progress.eta, <, 0);
}

static void test_known_zeros(void)
{
    g_autoptr(CopyMeter) meter = copy_meter_new();
    CopyProgress progress;

    copy_meter_start(meter, TIB + 20 * MIB, 10.0);
    copy_meter_add(meter, &(CopyProgress){.done = TIB, .bytes_zero = TIB}, 10.0);
    copy_meter_add(meter, &(CopyProgress){.done = 10 * MIB, .bytes_read = 10 * MIB}, 10.2);
    progress = copy_meter_read_at(meter, 11.0);
    g_assert_cmpuint(progress.done, ==, TIB + 10 * MIB);
    assert_near(progress.rate, (double)(10 * MIB), 1);
    assert_near(progress.eta, 1, 0.01);
}

static void test_shared(void)
{
    g_autoptr(CopyMeter) meter = copy_meter_new();
    CopyProgress progress;

    copy_meter_start(meter, 5, 10.0);
    copy_meter_start(meter, 7, 12.0);
    copy_meter_stop(meter, 13.0);
    copy_meter_add(meter, &(CopyProgress){.done = 12, .retries = 2, .checkpoints = 3, .bytes_same = 4}, 13.0);
    copy_meter_stop(meter, 14.0);
    progress = copy_meter_read_at(meter, 100.0);
    g_assert_cmpuint(progress.planned, ==, 12);
    g_assert_cmpuint(progress.retries, ==, 2);
    g_assert_cmpuint(progress.checkpoints, ==, 3);
    g_assert_cmpuint(progress.bytes_same, ==, 4);
    g_assert_cmpfloat(progress.eta, ==, 0);
    assert_near(progress.elapsed, 4, 0.01);

    copy_meter_add(NULL, &progress, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/meter/window", test_window);
    g_test_add_func("/meter/known-zeros", test_known_zeros);
    g_test_add_func("/meter/shared", test_shared);
    return g_test_run();
}
