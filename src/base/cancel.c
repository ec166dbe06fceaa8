#include "base/cancel.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Cancel {
    gint references; /* atomic */
    gint fired;      /* atomic */
    int fd;          /* eventfd: never read, so it stays readable for every sleeper */
};

Cancel *cancel_new(void)
{
    Cancel *cancel = g_new(Cancel, 1);

    *cancel = (Cancel){.references = 1, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (cancel->fd < 0)
        g_error("cannot make an eventfd: %s", g_strerror(errno));
    return cancel;
}

Cancel *cancel_ref(Cancel *cancel)
{
    g_atomic_int_inc(&cancel->references);
    return cancel;
}

void cancel_unref(Cancel *cancel)
{
    if (cancel == NULL || !g_atomic_int_dec_and_test(&cancel->references))
        return;
    close(cancel->fd);
    g_free(cancel);
}

void cancel_fire(Cancel *cancel)
{
    int saved_errno = errno;

    if (g_atomic_int_compare_and_exchange(&cancel->fired, FALSE, TRUE))
        eventfd_write(cancel->fd, 1);
    errno = saved_errno;
}

gboolean cancel_fired(const Cancel *cancel)
{
    return cancel != NULL && g_atomic_int_get(&cancel->fired);
}

gboolean cancel_check(const Cancel *cancel, GError **error)
{
    return cancel_fired(cancel) ? vf_fail(error, VF_ERROR_CANCELLED, "cancelled") : TRUE;
}

gboolean cancel_sleep(const Cancel *cancel, guint milliseconds, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)milliseconds * 1000;
    gint64 left = deadline - g_get_monotonic_time();

    while (left > 0 && !cancel_fired(cancel)) {
        struct pollfd descriptor = {.fd = cancel_fd(cancel), .events = POLLIN};
        struct timespec timeout = {.tv_sec = left / G_USEC_PER_SEC, .tv_nsec = left % G_USEC_PER_SEC * 1000};

        ppoll(&descriptor, 1, &timeout, NULL);
        left = deadline - g_get_monotonic_time();
    }
    return cancel_check(cancel, error);
}

int cancel_fd(const Cancel *cancel)
{
    return cancel != NULL ? cancel->fd : -1;
}
