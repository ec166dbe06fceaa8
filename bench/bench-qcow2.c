/* How fast the qcow2 driver takes data from a source that costs nothing.
 *
 *   bench-qcow2 PATH GIB THREADS          fills a new image in writes of 1 MiB, flushes, and says how long it
 * took bench-qcow2 PATH GIB THREADS delta    then writes every 16th 64 KiB again, which is what a delta round
 * does
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "disk/format.h"
#include "disk/memory.h"

typedef struct {
    Disk *source, *target;
    guint64 unit;   /* bytes of one write */
    guint64 stride; /* from one to the next */
    guint64 next;   /* atomic */
} Job;

static void check(gboolean ok, GError *error)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", error->message);
    exit(EXIT_FAILURE);
}

static gpointer work(gpointer data)
{
    Job *job = data;
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(job->unit);

    for (;;) {
        guint64 offset = __atomic_fetch_add(&job->next, job->stride, __ATOMIC_RELAXED);
        GError *error = NULL;

        if (offset >= disk_size(job->target))
            return NULL;
        check(disk_pread(job->source, buffer, job->unit, offset, &error), error);
        check(disk_pwrite(job->target, buffer, job->unit, offset, &error), error);
    }
}

static void run(Job *job, guint n_threads, const char *what)
{
    double start = clock_monotonic();
    guint64 before = disk_counters(job->target).bytes_written;
    GThread *threads[64];
    GError *error = NULL;
    double seconds;
    guint64 written;

    for (guint i = 0; i < n_threads; i++)
        threads[i] = g_thread_new("writer", work, job);
    for (guint i = 0; i < n_threads; i++)
        g_thread_join(threads[i]);
    check(disk_flush(job->target, &error), error);
    seconds = clock_monotonic() - start;
    written = disk_counters(job->target).bytes_written - before;
    printf("%s: %.2f s, %.0f MB/s\n", what, seconds, (double)written / 1e6 / seconds);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    guint64 size;
    guint n_threads;
    Job fill, delta;

    if (argc < 4) {
        fprintf(stderr, "usage: bench-qcow2 PATH GIB THREADS [delta]\n");
        return 2;
    }
    size = g_ascii_strtoull(argv[2], NULL, 10) * GIB;
    n_threads = (guint)CLAMP(atoi(argv[3]), 1, 64);
    fill = (Job){.source = pattern_disk_new("pattern", size, 1, 100), .unit = MIB, .stride = MIB};
    fill.target = format_create(argv[1], "qcow2", size, &error);
    check(fill.target != NULL, error);
    run(&fill, n_threads, "fill");
    if (argc > 4 && strcmp(argv[4], "delta") == 0) {
        delta = (Job){.source = fill.source, .target = fill.target, .unit = 64 * KIB, .stride = MIB};
        run(&delta, n_threads, "delta");
    }
    check(disk_close(fill.target, &error), error);
    disk_free(fill.source);
    return EXIT_SUCCESS;
}
