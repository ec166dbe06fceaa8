/* The data path as the program uses it, and the loop that it replaces, for bench.py.
 *
 *   bench-copy fill PATH SIZE PERCENT
 *       makes a raw file of pseudo-random data, PERCENT of it; the rest is holes
 *   bench-copy copy SOURCE TARGET [THREADS [CHUNK]]
 *       copies everything into a new qcow2 image, with checksums
 *   bench-copy delta SOURCE TARGET N [THREADS [CHUNK]]
 *       copies N scattered blocks of 64 KiB into an image that exists, with checksums
 *   bench-copy loop SOURCE TARGET N
 *       copies the same blocks with one synchronous read and write after the other
 *
 * SOURCE and TARGET are paths or NBD URIs; a source may be pattern:SIZE:PERCENT, which is made up in memory.
 * What is written is durable before the clock stops.  The answer is one line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/size.h"
#include "copy/copy.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/nbd.h"

#define SEED       1u
#define LOOP_CHUNK ((guint64)4 * MIB)

static void check(gboolean ok, GError **error)
{
    if (ok)
        return;
    fprintf(stderr, "bench-copy: %s\n", (*error)->message);
    exit(EXIT_FAILURE);
}

static guint64 number(const char *text)
{
    guint64 value = 0;
    GError *error = NULL;

    check(size_parse(text, &value, &error), &error);
    return value;
}

static Disk *pattern_from(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 3);

    if (g_strv_length(parts) != 3) {
        fprintf(stderr, "bench-copy: %s is not pattern:SIZE:PERCENT\n", text);
        exit(EXIT_FAILURE);
    }
    return pattern_disk_new("pattern", number(parts[1]), SEED, (guint)number(parts[2]));
}

static Disk *open_disk(const char *name, const char *format, gboolean writable)
{
    GError *error = NULL;
    Disk *disk;

    if (g_str_has_prefix(name, "pattern:"))
        return pattern_from(name);
    if (g_str_has_prefix(name, "nbd"))
        disk = nbd_open(name, &(NbdOptions){.writable = writable}, &error);
    else
        disk = format_open(name, format, writable, &error);
    check(disk != NULL, &error);
    return disk;
}

static void answer(double started, guint64 bytes)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("{\"seconds\": %.6f, \"bytes\": %" G_GUINT64_FORMAT ", \"max_rss_kib\": %ld}\n",
           clock_monotonic() - started, bytes, usage.ru_maxrss);
}

/* --- fill --- */

static void fill(const char *path, guint64 size, guint percent)
{
    g_autoptr(Disk) pattern = pattern_disk_new("pattern", size, SEED, percent);
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autofree guint8 *buffer = g_malloc(MIB);
    GError *error = NULL;
    Disk *raw = format_create(path, "raw", size, &error);

    check(raw != NULL, &error);
    check(disk_extents(pattern, 0, size, map, &error), &error);
    for (guint i = 0; i < map->len; i++) {
        const DiskExtent *extent = &g_array_index(map, DiskExtent, i);
        guint64 end = extent->offset + extent->length;

        for (guint64 at = extent->offset; extent->kind == DISK_EXTENT_DATA && at < end; at += MIB) {
            gsize length = (gsize)MIN(MIB, end - at);

            check(disk_pread(pattern, buffer, length, at, &error) &&
                      disk_pwrite(raw, buffer, length, at, &error),
                  &error);
        }
    }
    check(disk_close(raw, &error), &error);
}

/* --- copy and delta --- */

static void run_plan(Disk *source, Disk *target, const char *target_path, CopyPlan *plan, gboolean fresh,
                     const CopyOptions *options)
{
    g_autofree char *sums_path = g_strconcat(target_path, ".sums", NULL);
    g_autoptr(CopyMeter) meter = copy_meter_new();
    GError *error = NULL;
    g_autoptr(Sums) sums = sums_open(sums_path, disk_size(source), &error);
    CopyJob job = {.source = source,
                   .target = target,
                   .plan = plan,
                   .sums = sums,
                   .fresh_target = fresh,
                   .meter = meter};

    check(sums != NULL, &error);
    check(copy_run(&job, 1, options, &error), &error);
}

static void copy(const char *source_name, const char *target_path, const CopyOptions *options)
{
    double started = clock_monotonic();
    g_autoptr(Disk) source = open_disk(source_name, "raw", FALSE);
    GError *error = NULL;
    Disk *target = format_create(target_path, "qcow2", disk_size(source), &error);
    g_autoptr(CopyPlan) plan = copy_plan_full(source, NULL, &error);

    check(target != NULL && plan != NULL, &error);
    run_plan(source, target, target_path, plan, TRUE, options);
    check(disk_close(target, &error), &error);
    answer(started, extents_total(plan->read));
}

/* `count` blocks, one somewhere in each of `count` equal parts of the disk. */
static Extents *scattered(guint64 size, guint count)
{
    Extents *areas = extents_new();
    guint64 blocks = size / SUMS_BLOCK_SIZE / count;
    guint64 state = SEED;

    for (guint64 i = 0; i < count; i++) {
        guint64 block;

        state = state * G_GUINT64_CONSTANT(6364136223846793005) + 1442695040888963407u;
        block = i * blocks + (state >> 33) % blocks;
        extents_add(areas, block * SUMS_BLOCK_SIZE, (block + 1) * SUMS_BLOCK_SIZE);
    }
    return areas;
}

static void delta(const char *source_name, const char *target_path, guint count, const CopyOptions *options)
{
    double started = clock_monotonic();
    g_autoptr(Disk) source = open_disk(source_name, "raw", FALSE);
    Disk *target = open_disk(target_path, "qcow2", TRUE);
    g_autoptr(Extents) areas = scattered(disk_size(source), count);
    GError *error = NULL;
    g_autoptr(CopyPlan) plan = copy_plan_changed(source, areas, &error);

    check(plan != NULL, &error);
    run_plan(source, target, target_path, plan, FALSE, options);
    check(disk_close(target, &error), &error);
    answer(started, extents_total(plan->read));
}

/* --- the loop --- */

/* One connection, one request at a time, at most 4 MiB. */
static void loop(const char *source_uri, const char *target_uri, guint count)
{
    double started = clock_monotonic();
    GError *error = NULL;
    g_autoptr(Disk) source = nbd_open(source_uri, &(NbdOptions){.connections = 1}, &error);
    Disk *target = nbd_open(target_uri, &(NbdOptions){.connections = 1, .writable = TRUE}, &error);
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(LOOP_CHUNK);
    g_autoptr(Extents) areas = NULL;

    check(source != NULL && target != NULL, &error);
    areas = scattered(disk_size(source), count);
    for (guint i = 0; i < extents_count(areas); i++) {
        Extent area = extents_get(areas, i);

        for (guint64 at = area.start; at < area.end; at += LOOP_CHUNK) {
            gsize length = (gsize)MIN(LOOP_CHUNK, area.end - at);

            check(disk_pread(source, buffer, length, at, &error) &&
                      disk_pwrite(target, buffer, length, at, &error),
                  &error);
        }
    }
    check(disk_close(target, &error), &error);
    answer(started, extents_total(areas));
}

/* THREADS and CHUNK, both optional. */
static CopyOptions options_from(char **arguments)
{
    CopyOptions options = {0};

    if (arguments[0] != NULL)
        options.threads = (guint)number(arguments[0]);
    if (arguments[0] != NULL && arguments[1] != NULL)
        options.chunk = (guint32)number(arguments[1]);
    return options;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    CopyOptions options = {0};

    if (strcmp(what, "fill") == 0 && argc == 5)
        fill(argv[2], number(argv[3]), (guint)number(argv[4]));
    else if (strcmp(what, "copy") == 0 && argc >= 4) {
        options = options_from(argv + 4);
        copy(argv[2], argv[3], &options);
    } else if (strcmp(what, "delta") == 0 && argc >= 5) {
        options = options_from(argv + 5);
        delta(argv[2], argv[3], (guint)number(argv[4]), &options);
    } else if (strcmp(what, "loop") == 0 && argc == 5)
        loop(argv[2], argv[3], (guint)number(argv[4]));
    else {
        fprintf(stderr, "bench-copy: see the head of bench-copy.c\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
