/* What is left of a qcow2 image when the program or the machine stops at any moment.
 *
 * Every sector that is written carries its number and a version; versions only grow, even ones stand for
 * zeros. For each sector a test knows `low`, the version that the last flush covers, and `high`, the last one
 * that was begun.  Whatever a crash leaves must read as some version from low to high, from a valid image
 * that is clean once it has been opened for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/disk.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/qcow2.h"
#include "disk/test-trace.h"

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void stamp(guint8 *sector, guint64 number, guint32 version)
{
    guint64 words[2] = {number, version};

    memset(sector, (int)(version & 0xff), SECTOR_SIZE);
    memcpy(sector, words, sizeof words);
}

/* The version that a sector shows; 0 for zeros.  Anything else than a whole stamp of this sector is a
 * failure. */
static guint32 version_of(const guint8 *sector, guint64 number)
{
    guint8 expected[SECTOR_SIZE];
    guint64 words[2];

    if (buffer_is_zero(sector, SECTOR_SIZE))
        return 0;
    memcpy(words, sector, sizeof words);
    stamp(expected, number, (guint32)words[1]);
    g_assert_cmpmem(sector, SECTOR_SIZE, expected, SECTOR_SIZE);
    return (guint32)words[1];
}

static guint32 next_version(guint32 version, gboolean zero)
{
    return version + ((version % 2 == 0) == zero ? 2 : 1);
}

static void assert_between(guint64 number, guint32 version, guint32 low, guint32 high)
{
    /* Zeros may be any even version. */
    gboolean ok = version == 0 ? low % 2 == 0 || low < high : version >= low && version <= high;

    if (!ok)
        g_error("sector %" G_GUINT64_FORMAT " shows version %u, not %u to %u", number, version, low, high);
}

static void assert_disk(Disk *disk, const guint32 *low, const guint32 *high, guint n_sectors)
{
    g_autofree guint8 *buffer = g_malloc((gsize)n_sectors * SECTOR_SIZE);
    g_autoptr(GError) error = NULL;

    disk_pread(disk, buffer, (gsize)n_sectors * SECTOR_SIZE, 0, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < n_sectors; i++)
        assert_between(i, version_of(buffer + (gsize)i * SECTOR_SIZE, i), low[i], high[i]);
}

/* 0 clean, 3 leaks; anything else is corruption. */
static int qemu_check(const char *path)
{
    const char *argv[] = {"qemu-img", "check", "-q", "-f", "qcow2", path, NULL};
    g_autoptr(GError) error = NULL;
    int status = 0;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                 NULL, NULL, &status, &error);
    g_assert_no_error(error);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- power cuts --- */

#define CUT_SECTORS 2048u
#define CUT_STEPS   150u

/* What was promised at some point of the trace. */
typedef struct {
    guint events; /* of the trace when the step had returned */
    guint32 low[CUT_SECTORS], high[CUT_SECTORS];
} Moment;

static void random_step(Disk *disk, Moment *now, GRand *random)
{
    static guint8 buffer[64 * SECTOR_SIZE];
    guint first = (guint)g_rand_int_range(random, 0, (gint32)CUT_SECTORS);
    guint wanted = (guint)g_rand_int_range(random, 1, 65);
    guint n = MIN(wanted, CUT_SECTORS - first);
    gboolean zero = g_rand_int_range(random, 0, 4) == 0;
    g_autoptr(GError) error = NULL;

    if (g_rand_int_range(random, 0, 10) == 0) {
        disk_flush(disk, &error);
        g_assert_no_error(error);
        memcpy(now->low, now->high, sizeof now->low);
        return;
    }
    for (guint i = 0; i < n; i++) {
        now->high[first + i] = next_version(now->high[first + i], zero);
        stamp(buffer + i * SECTOR_SIZE, first + i, now->high[first + i]);
    }
    if (zero)
        disk_zero(disk, (guint64)first * SECTOR_SIZE, (guint64)n * SECTOR_SIZE, &error);
    else
        disk_pwrite(disk, buffer, n * SECTOR_SIZE, (guint64)first * SECTOR_SIZE, &error);
    g_assert_no_error(error);
}

/* Single sectors written after the crash change nothing else: new clusters do not show what the crash left
 * there. */
static void write_on(Disk *disk, GRand *random)
{
    gsize size = CUT_SECTORS * SECTOR_SIZE;
    g_autofree guint8 *before = g_malloc(size);
    g_autofree guint8 *after = g_malloc(size);
    g_autoptr(GError) error = NULL;

    g_assert_true(disk_pread(disk, before, size, 0, &error));
    for (guint i = 0; i < 8; i++) {
        guint sector = (guint)g_rand_int_range(random, 0, (gint32)CUT_SECTORS);
        guint8 *at = before + (gsize)sector * SECTOR_SIZE;

        stamp(at, sector, 1);
        g_assert_true(disk_pwrite(disk, at, SECTOR_SIZE, (guint64)sector * SECTOR_SIZE, &error));
    }
    g_assert_true(disk_pread(disk, after, size, 0, &error));
    g_assert_cmpint(memcmp(before, after, size), ==, 0);
}

/* Opens what a cut left, for writing, and checks contents; now and then QEMU looks before and after. */
static void examine(GByteArray *image, const guint32 *low, const guint32 *high, gboolean ask_qemu,
                    GRand *random)
{
    g_autoptr(Trace) trace = trace_new(image->data, image->len);
    g_autofree char *path = path_of("cut.qcow2");
    g_autoptr(GError) error = NULL;
    Disk *disk;

    if (ask_qemu) {
        g_assert_true(g_file_set_contents(path, (const char *)image->data, image->len, &error));
        g_assert_cmpint(qemu_check(path) & ~3, ==, 0);
        g_assert_cmpint(qemu_check(path), !=, 2);
    }
    disk = qcow2_open(trace_bytes(trace), &error);
    g_assert_no_error(error);
    assert_disk(disk, low, high, CUT_SECTORS);
    write_on(disk, random);
    g_assert_true(disk_close(disk, &error));
    if (ask_qemu) {
        g_autoptr(GByteArray) closed = trace_cut(trace, trace_length(trace), random);

        g_assert_true(g_file_set_contents(path, (const char *)closed->data, closed->len, &error));
        g_assert_cmpint(qemu_check(path), ==, 0);
    }
}

/* Before the event `cut`: promised is what the step before had promised, possible what the step itself may
 * have done. */
static void cut_at(Trace *trace, const Moment *moments, guint n_moments, guint cut, gboolean ask_qemu,
                   GRand *random)
{
    g_autoptr(GByteArray) image = trace_cut(trace, cut, random);
    guint step = 0;

    while (step + 1 < n_moments && moments[step + 1].events <= cut)
        step++;
    examine(image, moments[step].low, moments[MIN(step + 1, n_moments - 1)].high, ask_qemu, random);
}

static void test_power_cut(gconstpointer data)
{
    guint bits = GPOINTER_TO_UINT(data);
    Qcow2Options options = {.cluster_bits = bits};
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GRand) random = g_rand_new_with_seed(bits);
    g_autofree Moment *moments = g_new0(Moment, CUT_STEPS + 1);
    g_autoptr(GError) error = NULL;
    Disk *disk = qcow2_create(trace_bytes(trace), CUT_SECTORS * SECTOR_SIZE, &options, &error);
    guint n_events;

    g_assert_no_error(error);
    moments[0].events = trace_length(trace);
    for (guint i = 1; i <= CUT_STEPS; i++) {
        moments[i] = moments[i - 1];
        random_step(disk, &moments[i], random);
        moments[i].events = trace_length(trace);
    }
    n_events = trace_length(trace);
    for (guint cut = moments[0].events; cut <= n_events; cut += 1 + n_events / 400)
        for (guint again = 0; again < 2; again++)
            cut_at(trace, moments, CUT_STEPS + 1, cut, g_rand_int_range(random, 0, 40) == 0, random);
    disk_free(disk);
}

/* --- kill -9 --- */

#define KILL_SECTORS 16384u /* 8 MiB */
#define KILL_THREADS 3u
#define KILL_GROUP   4u /* neighbours of one thread, so that threads share clusters */

/* Lies in a file that child and parent map. */
typedef struct {
    guint32 low[KILL_SECTORS];  /* covered by a flush */
    guint32 done[KILL_SECTORS]; /* returned */
    guint32 high[KILL_SECTORS]; /* begun */
    guint32 flushes;
} Shared;

typedef struct {
    Disk *disk;
    Shared *shared;
    guint index;
    guint32 seed;
} Writer;

static void set(guint32 *slot, guint32 value)
{
    __atomic_store_n(slot, value, __ATOMIC_SEQ_CST);
}

static guint32 get(const guint32 *slot)
{
    return __atomic_load_n(slot, __ATOMIC_SEQ_CST);
}

/* Every KILL_THREADS-th group of sectors is this thread's. */
static void write_group(const Writer *writer, guint group, gboolean zero)
{
    guint8 buffer[KILL_GROUP * SECTOR_SIZE];
    guint first = group * KILL_GROUP;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < KILL_GROUP; i++) {
        guint32 version = next_version(get(&writer->shared->high[first + i]), zero);

        set(&writer->shared->high[first + i], version);
        stamp(buffer + i * SECTOR_SIZE, first + i, version);
    }
    if (zero)
        disk_zero(writer->disk, (guint64)first * SECTOR_SIZE, sizeof buffer, &error);
    else
        disk_pwrite(writer->disk, buffer, sizeof buffer, (guint64)first * SECTOR_SIZE, &error);
    if (error != NULL)
        _exit(3);
    for (guint i = 0; i < KILL_GROUP; i++)
        set(&writer->shared->done[first + i], get(&writer->shared->high[first + i]));
}

static gpointer write_for_ever(gpointer data)
{
    const Writer *writer = data;
    g_autoptr(GRand) random = g_rand_new_with_seed(writer->seed);
    guint n_groups = KILL_SECTORS / KILL_GROUP / KILL_THREADS;

    for (;;) {
        guint group = (guint)g_rand_int_range(random, 0, (gint32)n_groups) * KILL_THREADS + writer->index;

        write_group(writer, group, g_rand_int_range(random, 0, 5) == 0);
    }
    return NULL;
}

static Shared *map_shared(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *memory;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, sizeof(Shared)), ==, 0);
    memory = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(memory != MAP_FAILED);
    close(fd);
    return memory;
}

/* Ends only by being killed. */
static int run_child(const char *path, const char *shared_path, guint32 seed)
{
    Shared *shared = map_shared(shared_path);
    g_autofree guint32 *done = g_new(guint32, KILL_SECTORS);
    g_autoptr(GError) error = NULL;
    Disk *disk = format_open(path, "qcow2", TRUE, &error);
    Writer writers[KILL_THREADS];

    if (disk == NULL)
        return 2;
    for (guint i = 0; i < KILL_THREADS; i++) {
        writers[i] = (Writer){.disk = disk, .shared = shared, .index = i, .seed = seed * KILL_THREADS + i};
        g_thread_new("writer", write_for_ever, &writers[i]);
    }
    for (;;) {
        for (guint i = 0; i < KILL_SECTORS; i++)
            done[i] = get(&shared->done[i]);
        if (!disk_flush(disk, &error))
            return 3;
        for (guint i = 0; i < KILL_SECTORS; i++)
            set(&shared->low[i], done[i]);
        set(&shared->flushes, get(&shared->flushes) + 1);
        g_usleep(500);
    }
}

/* Starts ourselves as the child, and kills it after some milliseconds once it has begun to flush. */
static void run_and_kill(const char *path, const char *shared_path, Shared *shared, guint round,
                         GRand *random)
{
    g_autofree char *seed = g_strdup_printf("%u", round);
    const char *argv[] = {"/proc/self/exe", "--child", path, shared_path, seed, NULL};
    g_autoptr(GError) error = NULL;
    guint32 before = get(&shared->flushes);
    GPid pid;
    int status;

    g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    while (get(&shared->flushes) == before && waitpid(pid, &status, WNOHANG) == 0)
        g_usleep(200);
    g_usleep((gulong)g_rand_int_range(random, 0, 30000));
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_kill(void)
{
    g_autofree char *path = path_of("kill.qcow2");
    g_autofree char *shared_path = path_of("kill.shared");
    Shared *shared = map_shared(shared_path);
    g_autoptr(GRand) random = g_rand_new_with_seed(9);
    g_autoptr(GError) error = NULL;
    Disk *disk = format_create(path, "qcow2", KILL_SECTORS * SECTOR_SIZE, &error);

    g_assert_no_error(error);
    g_assert_true(disk_close(disk, &error));
    for (guint round = 0; round < 20; round++) {
        int found;

        run_and_kill(path, shared_path, shared, round, random);
        found = qemu_check(path);
        g_assert_true(found == 0 || found == 3);
        disk = format_open(path, NULL, TRUE, &error);
        g_assert_no_error(error);
        assert_disk(disk, shared->low, shared->high, KILL_SECTORS);
        /* What had returned without a flush may be lost, so no later flush covers it. */
        memcpy(shared->done, shared->low, sizeof shared->done);
        g_assert_true(disk_close(disk, &error));
        g_assert_cmpint(qemu_check(path), ==, 0);
    }
    munmap(shared, sizeof *shared);
}

static void remove_folder(void)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir)) {
        g_autofree char *path = path_of(name);

        g_remove(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

int main(int argc, char **argv)
{
    g_autofree char *qemu_img = proc_find("qemu-img");
    int result;

    if (argc == 5 && strcmp(argv[1], "--child") == 0)
        return run_child(argv[2], argv[3], (guint32)atoi(argv[4]));
    g_test_init(&argc, &argv, NULL);
    if (qemu_img == NULL) {
        g_print("1..0 # SKIP qemu-img is not installed\n");
        return 0;
    }
    folder = g_dir_make_tmp("vmferry-crash-XXXXXX", NULL);
    g_test_add_data_func("/qcow2/power-cut-9", GUINT_TO_POINTER(9), test_power_cut);
    g_test_add_data_func("/qcow2/power-cut-12", GUINT_TO_POINTER(12), test_power_cut);
    g_test_add_data_func("/qcow2/power-cut-16", GUINT_TO_POINTER(16), test_power_cut);
    g_test_add_func("/qcow2/kill", test_kill);
    result = g_test_run();
    remove_folder();
    return result;
}
