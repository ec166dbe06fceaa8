#include "copy/rate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"

static void test_unlimited(void)
{
    g_autoptr(RateLimit) limit = rate_limit_new(0);
    g_autoptr(GError) error = NULL;
    double started = clock_monotonic();

    g_assert_true(rate_limit_take(limit, TIB, NULL, &error));
    g_assert_true(rate_limit_take(NULL, TIB, NULL, &error));
    g_assert_cmpfloat(clock_monotonic() - started, <, 0.2);
}

static gpointer taker(gpointer data)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 10; i++)
        g_assert_true(rate_limit_take(data, 100 * KIB, NULL, &error));
    return NULL;
}

/* 4 threads take 4000 KiB of which 2500 are the burst: the rest takes 0.6 s. */
static void test_shared(void)
{
    g_autoptr(RateLimit) limit = rate_limit_new(2500 * KIB);
    double started = clock_monotonic(), took;
    GThread *threads[4];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("taker", taker, limit);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    took = clock_monotonic() - started;
    g_assert_cmpfloat(took, >, 0.5);
    g_assert_cmpfloat(took, <, 3);
}

static gpointer canceller(gpointer data)
{
    g_assert_true(cancel_sleep(NULL, 50, NULL));
    cancel_fire(data);
    return NULL;
}

static void test_cancelled(void)
{
    g_autoptr(RateLimit) limit = rate_limit_new(1);
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;
    GThread *thread = g_thread_new("canceller", canceller, cancel);

    g_assert_false(rate_limit_take(limit, TIB, cancel, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_thread_join(thread);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate/unlimited", test_unlimited);
    g_test_add_func("/rate/shared", test_shared);
    g_test_add_func("/rate/cancelled", test_cancelled);
    return g_test_run();
}
