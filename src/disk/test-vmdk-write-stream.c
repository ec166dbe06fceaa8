#include "disk/vmdk-write-stream.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/size.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/test-trace.h"
#include "disk/test-vmdk-fixture.h"
#include "disk/test-vmdk-stream-check.h"
#include "disk/vmdk-reorder.h"

#define GRAIN ((guint64)64 * KIB)
#define TEXT                                                                                                 \
    "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n"          \
    "RDONLY 1 SPARSE \"x\"\n"
#define ODD_SIZE  (70 * MIB + 3 * SECTOR_SIZE)
#define N_THREADS 4u

/* Zeros, text that deflates well, and noise, in runs; the second table of grains is all zeros. */
static guint8 *make_contents(guint64 size)
{
    guint8 *contents = g_malloc0(size);
    GRand *random = g_rand_new_with_seed(7);

    for (guint64 at = 0; at < size; at += GRAIN) {
        gsize n = (gsize)MIN(GRAIN, size - at);
        guint32 kind = g_rand_int(random) % 4;

        if (at >= 32 * MIB && at < 64 * MIB && kind != 0)
            kind = at < 64 * MIB - GRAIN ? 3 : 0;
        for (gsize i = 0; i < n && kind < 2; i++)
            contents[at + i] = (guint8)(g_rand_int(random) & (kind == 0 ? 0xff : 0x0f));
        for (gsize i = 0; i + 40 < n && kind == 2; i += 40)
            g_snprintf((char *)contents + at + i, 40, "line %08" G_GSIZE_FORMAT " of something", at + i);
    }
    if (size > 64 * MIB)
        memset(contents + 32 * MIB, 0, 32 * MIB);
    g_rand_free(random);
    return contents;
}

static gboolean write_grain(Disk *disk, const guint8 *contents, guint64 grain, GError **error)
{
    guint64 at = grain * GRAIN;
    gsize n = (gsize)MIN(GRAIN, disk_size(disk) - at);

    if (buffer_is_zero(contents + at, n) && grain % 3 != 0)
        return disk_zero(disk, at, n, error);
    return disk_pwrite(disk, contents + at, n, at, error);
}

/* --- many threads --- */

typedef struct {
    Disk *disk;
    const guint8 *contents;
    gint next; /* atomic */
} Crowd;

/* Takes eight grains at once and writes them last first, so that hardly any comes in order. */
static gpointer write_some(gpointer data)
{
    Crowd *crowd = data;
    gint n = (gint)div_round_up(disk_size(crowd->disk), GRAIN);
    GError *error = NULL;

    for (;;) {
        gint first = g_atomic_int_add(&crowd->next, 8);

        if (first >= n)
            return NULL;
        for (gint grain = MIN(first + 8, n) - 1; grain >= first; grain--) {
            write_grain(crowd->disk, crowd->contents, (guint64)grain, &error);
            g_assert_no_error(error);
        }
    }
}

static void write_by_crowd(Disk *disk, const guint8 *contents)
{
    Crowd crowd = {.disk = disk, .contents = contents};
    GThread *threads[N_THREADS];

    for (guint i = 0; i < N_THREADS; i++)
        threads[i] = g_thread_new("writer", write_some, &crowd);
    for (guint i = 0; i < N_THREADS; i++)
        g_thread_join(threads[i]);
}

static guint64 file_size(const VmdkFixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);
    GStatBuf status;

    g_assert_cmpint(g_stat(path, &status), ==, 0);
    return (guint64)status.st_size;
}

/* Not more than 1.05 times what QEMU needs. */
static void compare_with_qemu(const VmdkFixture *fixture)
{
    fixture_run(fixture, "qemu-img compare -f raw -F vmdk in.raw out.vmdk");
    fixture_run(fixture, "qemu-img check -f vmdk out.vmdk");
    fixture_run(fixture, "qemu-img convert -O vmdk -o subformat=streamOptimized in.raw qemu.vmdk");
    g_test_message("%" G_GUINT64_FORMAT " bytes, QEMU %" G_GUINT64_FORMAT, file_size(fixture, "out.vmdk"),
                   file_size(fixture, "qemu.vmdk"));
    g_assert_cmpuint(file_size(fixture, "out.vmdk") * 100, <=, file_size(fixture, "qemu.vmdk") * 105);
}

static void test_file(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree guint8 *contents = make_contents(ODD_SIZE);
    g_autofree char *path = fixture_path(fixture, "out.vmdk");
    g_autofree char *raw = fixture_path(fixture, "in.raw");
    g_autofree char *file = NULL;
    g_autoptr(StreamSeen) seen = NULL;
    g_autoptr(Disk) again = NULL;
    GError *error = NULL;
    VmdkCreateOptions options = {.subformat = "streamOptimized", .adapter_type = "pvscsi"};
    Disk *disk = vmdk_create(path, ODD_SIZE, &options, &error);
    gsize length;

    g_assert_no_error(error);
    g_assert_cmpuint(disk_granularity(disk), ==, GRAIN);
    g_assert_false(disk_starts_zero(disk));
    write_by_crowd(disk, contents);
    g_assert_true(disk_close(disk, &error));

    g_assert_true(g_file_get_contents(path, &file, &length, &error));
    seen = stream_check((const guint8 *)file, length);
    g_assert_cmpmem(seen->contents->data, seen->contents->len, contents, ODD_SIZE);
    g_assert_cmpuint(seen->n_tables, ==, 2);
    g_assert_nonnull(strstr(seen->descriptor, "ddb.adapterType = \"pvscsi\""));
    g_assert_nonnull(strstr(seen->descriptor, "RDONLY 143363 SPARSE \"out.vmdk\""));
    g_assert_nonnull(strstr(seen->descriptor, "ddb.virtualHWVersion = \"13\""));

    again = format_open(path, NULL, FALSE, &error);
    g_assert_no_error(error);
    fixture_check(again, contents, ODD_SIZE);
    if (fixture_no_qemu())
        return;
    g_assert_true(g_file_set_contents(raw, (const char *)contents, ODD_SIZE, &error));
    compare_with_qemu(fixture);
}

/* --- order --- */

static GByteArray *file_of(Trace *trace)
{
    GRand *random = g_rand_new_with_seed(1);
    GByteArray *file = trace_cut(trace, trace_length(trace), random);

    g_rand_free(random);
    return file;
}

static GByteArray *stream_of(const guint8 *contents, guint64 size, const guint32 *order)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    GError *error = NULL;
    Disk *disk = vmdk_stream_create(trace_bytes(trace), size, TEXT, 1, &error);
    guint64 n = div_round_up(size, GRAIN);
    TraceCounts counts;
    GByteArray *file;

    for (guint64 i = 0; i < n; i++)
        g_assert_true(write_grain(disk, contents, order[i], &error));
    g_assert_true(disk_close(disk, &error));
    counts = trace_count(trace, 0);
    file = file_of(trace);
    g_assert_cmpuint(counts.bytes_written, ==, file->len);
    g_assert_cmpuint(counts.writes, ==, div_round_up(file->len, MIB));
    return file;
}

static void shuffle(guint32 *order, guint32 n, guint32 seed)
{
    GRand *random = g_rand_new_with_seed(seed);

    for (guint32 i = n - 1; i > 0; i--) {
        guint32 j = (guint32)g_rand_int_range(random, 0, (gint32)i + 1);
        guint32 kept = order[i];

        order[i] = order[j];
        order[j] = kept;
    }
    g_rand_free(random);
}

/* Whatever the order, the file is the same, byte for byte, and each of its bytes is written once. */
static void test_order(void)
{
    g_autofree guint8 *contents = g_malloc(48 * MIB);
    guint32 n = (guint32)(48 * MIB / GRAIN);
    g_autofree guint32 *order = g_new(guint32, n);
    g_autoptr(GByteArray) expected = NULL;
    g_autoptr(GByteArray) reversed = NULL;
    g_autoptr(GByteArray) shuffled = NULL;
    g_autoptr(StreamSeen) seen = NULL;
    GRand *random = g_rand_new_with_seed(3);

    for (gsize i = 0; i < 48 * MIB; i += 4)
        memcpy(contents + i, &(guint32){g_rand_int(random)}, 4);
    g_rand_free(random);
    memset(contents + 5 * MIB, 0, MIB);
    for (guint32 i = 0; i < n; i++)
        order[i] = i;
    expected = stream_of(contents, 48 * MIB, order);
    for (guint32 i = 0; i < n; i++)
        order[i] = n - 1 - i;
    reversed = stream_of(contents, 48 * MIB, order);
    shuffle(order, n, 5);
    shuffled = stream_of(contents, 48 * MIB, order);
    g_assert_cmpmem(reversed->data, reversed->len, expected->data, expected->len);
    g_assert_cmpmem(shuffled->data, shuffled->len, expected->data, expected->len);
    seen = stream_check(expected->data, expected->len);
    g_assert_cmpmem(seen->contents->data, seen->contents->len, contents, 48 * MIB);
}

static void test_reorder(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(VmdkReorder) reorder = vmdk_reorder_new(fixture->directory, 100);
    g_autoptr(GByteArray) record = g_byte_array_new();
    g_autofree char *there = g_strdup_printf("test -z \"$(ls -A %s)\"", fixture->directory);
    g_autoptr(GError) error = NULL;
    guint8 put[60];

    for (guint round = 0; round < 3; round++) {
        for (guint8 key = 0; key < 10; key++) {
            memset(put, key, sizeof put);
            g_assert_true(vmdk_reorder_put(reorder, key, put, 50u + key, &error));
        }
        for (guint8 key = 0; key < 10; key++) {
            memset(put, key, sizeof put);
            g_assert_true(vmdk_reorder_take(reorder, key, record, &error));
            g_assert_cmpmem(record->data, record->len, put, 50u + key);
            g_assert_true(vmdk_reorder_take(reorder, key, record, &error));
            g_assert_cmpuint(record->len, ==, 0);
        }
    }
    /* Of 545 bytes, one record stays in memory each time. */
    g_assert_cmpuint(vmdk_reorder_spilled(reorder), ==, 3 * (545 - 50));
    fixture_run(fixture, there);
}

/* --- what is not said, and what is refused --- */

static void test_unsaid(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    Disk *disk = vmdk_stream_create(trace_bytes(trace), GIB, TEXT, 0, &error);
    g_autofree guint8 *grain = g_malloc(GRAIN);
    g_autoptr(GByteArray) file = NULL;
    g_autoptr(StreamSeen) seen = NULL;

    memset(grain, 'x', GRAIN);
    g_assert_true(disk_pwrite(disk, grain, GRAIN, GIB - GRAIN, &error));
    g_assert_true(disk_flush(disk, &error));
    g_assert_true(disk_pwrite(disk, grain, GRAIN, 100 * MIB, &error));
    g_assert_true(disk_close(disk, &error));
    file = file_of(trace);
    seen = stream_check(file->data, file->len);
    g_assert_cmpuint(seen->n_grains, ==, 2);
    g_assert_cmpuint(seen->n_tables, ==, 2);
    g_assert_cmpint(seen->contents->data[100 * MIB], ==, 'x');
    g_assert_cmpint(seen->contents->data[GIB - 1], ==, 'x');
}

static void assert_fails(gboolean ok, GError **error, VfErrorClass class)
{
    g_assert_false(ok);
    g_assert_error(*error, VF_ERROR, (int)class);
    g_clear_error(error);
}

static void test_refused(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    GError *error = NULL;
    Disk *disk = vmdk_stream_create(trace_bytes(trace), MIB + SECTOR_SIZE, TEXT, 0, &error);
    g_autofree guint8 *grain = g_malloc0(2 * GRAIN);

    assert_fails(disk_pread(disk, grain, GRAIN, 0, &error), &error, VF_ERROR_UNSUPPORTED);
    assert_fails(disk_pwrite(disk, grain, SECTOR_SIZE, 0, &error), &error, VF_ERROR_UNSUPPORTED);
    assert_fails(disk_pwrite(disk, grain, GRAIN, SECTOR_SIZE, &error), &error, VF_ERROR_UNSUPPORTED);
    assert_fails(disk_zero(disk, GRAIN, SECTOR_SIZE, &error), &error, VF_ERROR_UNSUPPORTED);
    assert_fails(disk_resize(disk, 2 * MIB, &error), &error, VF_ERROR_UNSUPPORTED);
    g_assert_true(disk_pwrite(disk, grain, SECTOR_SIZE, MIB, &error));
    assert_fails(disk_pwrite(disk, grain, SECTOR_SIZE, MIB, &error), &error, VF_ERROR_UNSUPPORTED);
    assert_fails(disk_close(disk, &error), &error, VF_ERROR_TARGET_IO);
}

/* A stream whose writer failed or died has no end, and nobody takes it for a disk. */
static void test_incomplete(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree char *path = fixture_path(fixture, "cut.vmdk");
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *contents = make_contents(16 * MIB);
    VmdkCreateOptions options = {.subformat = "streamOptimized"};
    Disk *disk = vmdk_create(path, 16 * MIB, &options, &error);

    write_by_crowd(disk, contents);
    g_assert_true(disk_flush(disk, &error));
    disk_free(disk);
    g_assert_null(format_open(path, NULL, FALSE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_write_fails(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    GError *error = NULL;
    Disk *disk = vmdk_stream_create(trace_bytes(trace), MIB, TEXT, 0, &error);

    trace_fail_writes(trace, 1);
    assert_fails(disk_close(disk, &error), &error, VF_ERROR_TARGET_IO);
}

#define ADD(name, test)                                                                                      \
    g_test_add("/vmdk-stream/" name, VmdkFixture, NULL, fixture_set_up, test, fixture_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("file", test_file);
    ADD("reorder", test_reorder);
    ADD("incomplete", test_incomplete);
    g_test_add_func("/vmdk-stream/order", test_order);
    g_test_add_func("/vmdk-stream/unsaid", test_unsaid);
    g_test_add_func("/vmdk-stream/refused", test_refused);
    g_test_add_func("/vmdk-stream/write-fails", test_write_fails);
    return g_test_run();
}
