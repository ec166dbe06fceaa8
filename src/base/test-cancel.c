#include "base/cancel.h"

#include "base/clock.h"
#include "base/error.h"

#include <poll.h>
#include <signal.h>

static void test_flag(void)
{
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;
    struct pollfd descriptor = {.fd = cancel_fd(cancel), .events = POLLIN};

    g_assert_false(cancel_fired(cancel));
    g_assert_true(cancel_check(cancel, &error));
    g_assert_cmpint(poll(&descriptor, 1, 0), ==, 0);

    cancel_fire(cancel);
    cancel_fire(cancel);
    g_assert_true(cancel_fired(cancel));
    g_assert_cmpint(poll(&descriptor, 1, 0), ==, 1);
    g_assert_false(cancel_check(cancel, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
}

static void test_sleep(void)
{
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;
    double start = clock_monotonic();

    g_assert_true(cancel_sleep(cancel, 30, &error));
    g_assert_cmpfloat(clock_monotonic() - start, >=, 0.03);
    g_assert_true(cancel_sleep(NULL, 1, &error));
    g_assert_true(cancel_check(NULL, &error));
    g_assert_cmpint(cancel_fd(NULL), ==, -1);
}

static gpointer fire_soon(gpointer data)
{
    g_autoptr(Cancel) cancel = data;

    g_usleep(20000);
    cancel_fire(cancel);
    return NULL;
}

static gpointer sleep_long(gpointer data)
{
    g_autoptr(Cancel) cancel = data;
    g_autoptr(GError) error = NULL;

    g_assert_false(cancel_sleep(cancel, 60000, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    return NULL;
}

/* One raise wakes every sleeper, not just the first to look. */
static void test_wake_all(void)
{
    g_autoptr(Cancel) cancel = cancel_new();
    double start = clock_monotonic();
    GThread *threads[4];

    for (guint i = 0; i < 3; i++)
        threads[i] = g_thread_new("sleeper", sleep_long, cancel_ref(cancel));
    threads[3] = g_thread_new("firer", fire_soon, cancel_ref(cancel));
    for (guint i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    g_assert_cmpfloat(clock_monotonic() - start, <, 30);
}

static Cancel *of_handler;

static void on_signal(int number)
{
    cancel_fire(of_handler);
}

static void test_signal_handler(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    g_autoptr(GError) error = NULL;

    of_handler = cancel_new();
    sigaction(SIGUSR1, &action, &before);
    raise(SIGUSR1);
    g_assert_false(cancel_sleep(of_handler, 60000, &error));
    sigaction(SIGUSR1, &before, NULL);
    g_clear_pointer(&of_handler, cancel_unref);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cancel/flag", test_flag);
    g_test_add_func("/cancel/sleep", test_sleep);
    g_test_add_func("/cancel/wake-all", test_wake_all);
    g_test_add_func("/cancel/signal-handler", test_signal_handler);
    return g_test_run();
}
