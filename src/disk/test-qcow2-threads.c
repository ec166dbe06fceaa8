/* Many threads on one image: every thread keeps its own model of the sectors that are its own, and they lie
 * so that threads share clusters and tables.  Run it with ThreadSanitizer too. */
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/qcow2.h"
#include "disk/test-trace.h"

#define N_THREADS 4u
#define N_STEPS   400u
#define UNIT      2048u /* neighbouring units belong to different threads */

typedef struct {
    Disk *disk;
    guint8 *model; /* of the whole disk; only this thread's units are looked at */
    guint index;
} Worker;

static void write_unit(Worker *worker, guint64 offset, GRand *random)
{
    g_autoptr(GError) error = NULL;
    guint8 *mine = worker->model + offset;

    if (g_rand_int_range(random, 0, 4) == 0) {
        memset(mine, 0, UNIT);
        disk_zero(worker->disk, offset, UNIT, &error);
    } else {
        memset(mine, g_rand_int_range(random, 1, 256), UNIT);
        disk_pwrite(worker->disk, mine, UNIT, offset, &error);
    }
    g_assert_no_error(error);
}

static void read_unit(const Worker *worker, guint64 offset)
{
    guint8 buffer[UNIT];
    g_autoptr(GError) error = NULL;

    disk_pread(worker->disk, buffer, UNIT, offset, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(buffer, UNIT, worker->model + offset, UNIT);
}

static gpointer work(gpointer data)
{
    Worker *worker = data;
    g_autoptr(GRand) random = g_rand_new_with_seed(worker->index);
    guint64 n_units = disk_size(worker->disk) / UNIT / N_THREADS;

    /* In order at first: all threads come to the same new clusters at the same time. */
    for (guint64 unit = worker->index; unit < n_units; unit += N_THREADS)
        write_unit(worker, unit * UNIT, random);
    for (guint i = 0; i < N_STEPS; i++) {
        guint64 unit = (guint64)(g_rand_double(random) * (double)n_units) * N_THREADS + worker->index;

        write_unit(worker, unit * UNIT, random);
        /* Another one of its own, near. */
        read_unit(worker, (unit ^ (N_THREADS * 4)) * UNIT < disk_size(worker->disk)
                              ? (unit ^ (N_THREADS * 4)) * UNIT
                              : unit * UNIT);
    }
    return NULL;
}

static gpointer flush_and_map(gpointer data)
{
    Disk *disk = data;
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 30; i++) {
        disk_flush(disk, &error);
        g_assert_no_error(error);
        g_array_set_size(extents, 0);
        disk_extents(disk, 0, disk_size(disk), extents, &error);
        g_assert_no_error(error);
    }
    return NULL;
}

static void test_threads(gconstpointer data)
{
    Qcow2Options options = {.cluster_bits = GPOINTER_TO_UINT(data)};
    guint64 size = options.cluster_bits < 12 ? MIB : 4 * MIB;
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    Disk *disk = qcow2_create(trace_bytes(trace), size, &options, &error);
    Worker workers[N_THREADS];
    GThread *threads[N_THREADS + 1];

    g_assert_no_error(error);
    trace_slow_writes(trace, 50);
    for (guint i = 0; i < N_THREADS; i++) {
        workers[i] = (Worker){.disk = disk, .model = g_malloc0(size), .index = i};
        threads[i] = g_thread_new("worker", work, &workers[i]);
    }
    threads[N_THREADS] = g_thread_new("flusher", flush_and_map, disk);
    for (guint i = 0; i <= N_THREADS; i++)
        g_thread_join(threads[i]);
    for (guint64 unit = 0; unit < size / UNIT; unit++)
        read_unit(&workers[unit % N_THREADS], unit * UNIT);
    g_assert_true(disk_close(disk, &error));

    /* The open for writing checks every table. */
    {
        g_autoptr(GRand) random = g_rand_new_with_seed(0);
        g_autoptr(GByteArray) image = trace_cut(trace, trace_length(trace), random);
        g_autoptr(Trace) again = trace_new(image->data, image->len);

        disk = qcow2_open(trace_bytes(again), &error);
        g_assert_no_error(error);
        for (guint i = 0; i < N_THREADS; i++)
            workers[i].disk = disk;
        for (guint64 unit = 0; unit < size / UNIT; unit++)
            read_unit(&workers[unit % N_THREADS], unit * UNIT);
        disk_free(disk);
    }
    for (guint i = 0; i < N_THREADS; i++)
        g_free(workers[i].model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/qcow2/threads-9", GUINT_TO_POINTER(9), test_threads);
    g_test_add_data_func("/qcow2/threads-12", GUINT_TO_POINTER(12), test_threads);
    g_test_add_data_func("/qcow2/threads-16", GUINT_TO_POINTER(16), test_threads);
    g_test_add_data_func("/qcow2/threads-21", GUINT_TO_POINTER(21), test_threads);
    return g_test_run();
}
