#include "copy/rate.h"

#include "base/clock.h"

/* The bucket may go below zero: whoever empties it takes what it needs at once and sleeps until the debt is
 * paid, so that requests larger than the bucket pass too and nobody starves. */
struct RateLimit {
    double rate; /* bytes/s; 0: none.  Constant */
    GMutex lock;
    double tokens; /* lock; bytes */
    double filled; /* lock; when `tokens` was right, on the monotonic clock */
};

RateLimit *rate_limit_new(guint64 bytes_per_second)
{
    RateLimit *limit = g_new0(RateLimit, 1);

    limit->rate = (double)bytes_per_second;
    limit->tokens = limit->rate;
    limit->filled = clock_monotonic();
    g_mutex_init(&limit->lock);
    return limit;
}

void rate_limit_free(RateLimit *limit)
{
    if (limit == NULL)
        return;
    g_mutex_clear(&limit->lock);
    g_free(limit);
}

/* Takes, and returns the seconds that must pass before the taken bytes may. */
static double take(RateLimit *limit, guint64 bytes)
{
    double now = clock_monotonic(), wait;

    g_mutex_lock(&limit->lock);
    limit->tokens = MIN(limit->rate, limit->tokens + (now - limit->filled) * limit->rate);
    limit->tokens -= (double)bytes;
    limit->filled = now;
    wait = limit->tokens < 0 ? -limit->tokens / limit->rate : 0;
    g_mutex_unlock(&limit->lock);
    return wait;
}

gboolean rate_limit_take(RateLimit *limit, guint64 bytes, const Cancel *cancel, GError **error)
{
    double wait;

    if (limit == NULL || limit->rate <= 0)
        return TRUE;
    wait = take(limit, bytes);
    return cancel_sleep(cancel, (guint)MIN(wait * 1000 + 0.5, G_MAXINT), error);
}
