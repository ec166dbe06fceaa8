#include "copy/meter.h"

#include "base/clock.h"

#define WINDOW 10

/* The bytes of one second.  Known zeros are not in it: they pass at no cost, and would make the rate of the
 * rest a lie. */
typedef struct {
    gint64 second;
    guint64 bytes;
} Bucket;

struct CopyMeter {
    GMutex lock; /* guards all below */
    CopyProgress sum;
    guint active;
    double started; /* of the present stretch of work */
    double elapsed; /* of those before it */
    Bucket ring[WINDOW + 1];
};

CopyMeter *copy_meter_new(void)
{
    CopyMeter *meter = g_new0(CopyMeter, 1);

    g_mutex_init(&meter->lock);
    return meter;
}

void copy_meter_free(CopyMeter *meter)
{
    if (meter == NULL)
        return;
    g_mutex_clear(&meter->lock);
    g_free(meter);
}

void copy_meter_start(CopyMeter *meter, guint64 planned, double now)
{
    if (meter == NULL)
        return;
    g_mutex_lock(&meter->lock);
    if (meter->active++ == 0)
        meter->started = now;
    meter->sum.planned += planned;
    g_mutex_unlock(&meter->lock);
}

void copy_meter_stop(CopyMeter *meter, double now)
{
    if (meter == NULL)
        return;
    g_mutex_lock(&meter->lock);
    if (--meter->active == 0)
        meter->elapsed += now - meter->started;
    g_mutex_unlock(&meter->lock);
}

static void ring_add(CopyMeter *meter, guint64 bytes, gint64 second)
{
    Bucket *bucket = &meter->ring[second % G_N_ELEMENTS(meter->ring)];

    if (bucket->second != second)
        *bucket = (Bucket){.second = second};
    bucket->bytes += bytes;
}

void copy_meter_add(CopyMeter *meter, const CopyProgress *delta, double now)
{
    if (meter == NULL)
        return;
    g_mutex_lock(&meter->lock);
    meter->sum.done += delta->done;
    meter->sum.bytes_read += delta->bytes_read;
    meter->sum.bytes_written += delta->bytes_written;
    meter->sum.bytes_zero += delta->bytes_zero;
    meter->sum.bytes_same += delta->bytes_same;
    meter->sum.retries += delta->retries;
    meter->sum.checkpoints += delta->checkpoints;
    ring_add(meter, MIN(delta->done, delta->bytes_read), (gint64)now);
    g_mutex_unlock(&meter->lock);
}

static double ring_rate(const CopyMeter *meter, double now)
{
    double oldest = MAX((double)((gint64)now - WINDOW), meter->started);
    guint64 bytes = 0;

    for (guint i = 0; i < G_N_ELEMENTS(meter->ring); i++)
        if (meter->ring[i].second >= (gint64)now - WINDOW)
            bytes += meter->ring[i].bytes;
    return (double)bytes / MAX(now - oldest, 0.1);
}

static double time_left(const CopyProgress *progress)
{
    guint64 left = progress->planned - MIN(progress->done, progress->planned);

    if (left == 0)
        return 0;
    return progress->rate > 0 ? (double)left / progress->rate : -1;
}

CopyProgress copy_meter_read_at(CopyMeter *meter, double now)
{
    CopyProgress progress;

    g_mutex_lock(&meter->lock);
    progress = meter->sum;
    progress.rate = ring_rate(meter, now);
    progress.elapsed = meter->elapsed + (meter->active > 0 ? now - meter->started : 0);
    g_mutex_unlock(&meter->lock);
    progress.eta = time_left(&progress);
    return progress;
}

CopyProgress copy_meter_read(CopyMeter *meter)
{
    return copy_meter_read_at(meter, clock_monotonic());
}
