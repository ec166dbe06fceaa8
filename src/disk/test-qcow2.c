#include "disk/qcow2.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/raw.h"
#include "disk/test-trace.h"

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* Runs a program of QEMU's that must succeed. */
static void run(const char *first, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    va_list arguments;

    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *))
        g_ptr_array_add(argv, (gpointer)word);
    va_end(arguments);
    g_ptr_array_add(argv, NULL);
    proc_run((const char *const *)argv->pdata, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void check(const char *path)
{
    run("qemu-img", "check", "-q", "-U", "-f", "qcow2", path, NULL);
}

static Disk *create(const char *path, guint64 size, guint cluster_bits)
{
    g_autoptr(GError) error = NULL;
    Qcow2Options options = {.cluster_bits = cluster_bits};
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE | BYTES_DIRECT, &error);
    Disk *disk;

    g_assert_no_error(error);
    disk = qcow2_create(bytes, size, &options, &error);
    g_assert_no_error(error);
    return disk;
}

static Disk *open_disk(const char *path, gboolean writable)
{
    g_autoptr(GError) error = NULL;
    Disk *disk = format_open(path, NULL, writable, &error);

    g_assert_no_error(error);
    return disk;
}

static void finish(Disk *disk)
{
    g_autoptr(GError) error = NULL;

    disk_close(disk, &error);
    g_assert_no_error(error);
}

static void assert_equal(Disk *a, Disk *b)
{
    g_autofree guint8 *left = g_malloc(MIB);
    g_autofree guint8 *right = g_malloc(MIB);
    g_autoptr(GError) error = NULL;
    guint64 size = MIN(disk_size(a), disk_size(b));

    for (guint64 at = 0; at < size; at += MIB) {
        gsize length = (gsize)MIN(MIB, size - at);

        disk_pread(a, left, length, at, &error);
        g_assert_no_error(error);
        disk_pread(b, right, length, at, &error);
        g_assert_no_error(error);
        g_assert_cmpint(memcmp(left, right, length), ==, 0);
    }
}

/* Random writes and zeroes of whole sectors, the same to both. */
static void scribble(Disk *disk, Disk *model, guint n, guint64 max_length, GRand *random)
{
    g_autofree guint8 *buffer = g_malloc(max_length);
    g_autoptr(GError) error = NULL;
    guint64 sectors = disk_size(disk) / SECTOR_SIZE;

    for (guint i = 0; i < n; i++) {
        guint64 length =
            (guint64)g_rand_int_range(random, 1, (gint32)(max_length / SECTOR_SIZE) + 1) * SECTOR_SIZE;
        guint64 offset = (guint64)(g_rand_double(random) * (double)sectors) * SECTOR_SIZE;

        length = MIN(length, disk_size(disk) - offset);
        if (g_rand_int_range(random, 0, 3) == 0) {
            disk_zero(disk, offset, length, &error);
            disk_zero(model, offset, length, &error);
        } else {
            memset(buffer, g_rand_int_range(random, 1, 256), length);
            disk_pwrite(disk, buffer, length, offset, &error);
            disk_pwrite(model, buffer, length, offset, &error);
        }
        g_assert_no_error(error);
    }
}

static void export_raw(Disk *disk, const char *path)
{
    g_autofree guint8 *buffer = g_malloc(MIB);
    g_autoptr(GError) error = NULL;
    Disk *raw = format_create(path, "raw", disk_size(disk), &error);

    g_assert_no_error(error);
    for (guint64 at = 0; at < disk_size(disk); at += MIB) {
        gsize length = (gsize)MIN(MIB, disk_size(disk) - at);

        g_assert_true(disk_pread(disk, buffer, length, at, &error));
        g_assert_true(disk_pwrite(raw, buffer, length, at, &error));
    }
    finish(raw);
}

/* Whatever the cluster size: QEMU finds the image clean and reads from it what the model holds; so do we. */
static void test_cluster_size(gconstpointer data)
{
    guint bits = GPOINTER_TO_UINT(data);
    guint64 size = bits < 12 ? 3 * MIB + 512 : 24 * MIB + 3 * 512;
    g_autofree char *path = g_strdup_printf("%s/bits-%u.qcow2", folder, bits);
    g_autofree char *raw_path = g_strdup_printf("%s/bits-%u.raw", folder, bits);
    g_autoptr(GRand) random = g_rand_new_with_seed(bits);
    g_autoptr(Disk) model = memory_disk_new("model", size);
    Disk *disk = create(path, size, bits);
    g_autoptr(GError) error = NULL;

    check(path);
    for (guint round = 0; round < 3; round++) {
        scribble(disk, model, 40, bits < 12 ? 40000 : 600000, random);
        g_assert_true(disk_flush(disk, &error));
        check(path);
        assert_equal(disk, model);
        if (round == 1) {
            finish(disk);
            disk = open_disk(path, TRUE);
        }
    }
    finish(disk);
    check(path);
    export_raw(model, raw_path);
    run("qemu-img", "compare", "-q", path, raw_path, NULL);
}

/* Sequential writing costs one write per request and nothing else; the flush a few of metadata. */
static void test_io_counts(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    Disk *disk = qcow2_create(trace_bytes(trace), 64 * MIB, NULL, &error);
    g_autofree guint8 *buffer = g_malloc(MIB);
    guint start = trace_length(trace);
    guint64 reads = trace_reads(trace);
    TraceCounts counts;

    g_assert_no_error(error);
    memset(buffer, 5, MIB);
    for (guint i = 0; i < 8; i++)
        g_assert_true(disk_pwrite(disk, buffer, MIB, i * MIB, &error));
    counts = trace_count(trace, start);
    g_assert_cmpuint(counts.writes, ==, 8);
    g_assert_cmpuint(counts.largest_write, ==, MIB);
    g_assert_cmpuint(counts.zeroes + counts.flushes, ==, 0);

    start = trace_length(trace);
    g_assert_true(disk_flush(disk, &error));
    counts = trace_count(trace, start);
    g_assert_cmpuint(counts.writes, ==, 3); /* refcount block, L2 table, a page of L1 */
    g_assert_cmpuint(counts.flushes, ==, 2);

    /* In place, across what were two writes: one write, and no metadata. */
    start = trace_length(trace);
    g_assert_true(disk_pwrite(disk, buffer, MIB, 3 * MIB / 2, &error));
    g_assert_true(disk_flush(disk, &error));
    counts = trace_count(trace, start);
    g_assert_cmpuint(counts.writes, ==, 1);
    g_assert_cmpuint(counts.flushes, ==, 1);

    /* Part of a new cluster: nothing is filled, since a file's new end reads as zero. */
    start = trace_length(trace);
    g_assert_true(disk_pwrite(disk, buffer, 4096, 32 * MIB + 4096, &error));
    counts = trace_count(trace, start);
    g_assert_cmpuint(counts.bytes_written, ==, 4096);
    g_assert_cmpuint(counts.writes, ==, 1);

    /* Zeroing what is not there costs nothing. */
    start = trace_length(trace);
    g_assert_true(disk_zero(disk, 40 * MIB, 16 * MIB, &error));
    g_assert_cmpuint(trace_length(trace), ==, start);
    g_assert_cmpuint(trace_reads(trace), ==, reads);
    finish(disk);
}

static void assert_extent(const GArray *extents, guint index, guint64 offset, guint64 length,
                          DiskExtentKind kind)
{
    const DiskExtent *extent = &g_array_index(extents, DiskExtent, index);

    g_assert_cmpuint(extents->len, >, index);
    g_assert_cmpuint(extent->offset, ==, offset);
    g_assert_cmpuint(extent->length, ==, length);
    g_assert_cmpint(extent->kind, ==, kind);
}

static void test_extents(void)
{
    g_autofree char *path = path_of("extents.qcow2");
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    g_autofree char *map = NULL;
    const char *const argv[] = {"qemu-img", "map", "-U", "--output=json", path, NULL};
    Disk *disk = create(path, 4 * GIB, 0);
    guint8 buffer[64 * KIB];

    memset(buffer, 1, sizeof buffer);
    g_assert_true(disk_pwrite(disk, buffer, sizeof buffer, GIB, &error));
    g_assert_true(disk_pwrite(disk, buffer, sizeof buffer, GIB + 64 * KIB, &error));
    g_assert_true(disk_zero(disk, GIB, 64 * KIB, &error));
    g_assert_true(disk_flush(disk, &error));
    g_assert_true(disk_extents(disk, 0, 4 * GIB, extents, &error));
    g_assert_cmpuint(extents->len, ==, 4);
    assert_extent(extents, 0, 0, GIB, DISK_EXTENT_HOLE);
    assert_extent(extents, 1, GIB, 64 * KIB, DISK_EXTENT_ZERO);
    assert_extent(extents, 2, GIB + 64 * KIB, 64 * KIB, DISK_EXTENT_DATA);
    assert_extent(extents, 3, GIB + 128 * KIB, 3 * GIB - 128 * KIB, DISK_EXTENT_HOLE);
    g_assert_true(proc_run(argv, NULL, &map, NULL, &error));
    g_assert_nonnull(strstr(map, "\"start\": 1073807360, \"length\": 65536, \"depth\": 0, \"present\": true, "
                                 "\"zero\": false, \"data\": true"));
    g_array_set_size(extents, 0);
    g_assert_true(disk_extents(disk, GIB + 512, 64 * KIB, extents, &error));
    assert_extent(extents, 0, GIB + 512, 64 * KIB - 512, DISK_EXTENT_ZERO);
    assert_extent(extents, 1, GIB + 64 * KIB, 512, DISK_EXTENT_DATA);
    finish(disk);
}

/* What QEMU writes we read, and go on writing. */
static void test_made_by_qemu(void)
{
    g_autofree char *path = path_of("qemu.qcow2");
    g_autofree char *raw_path = path_of("qemu.raw");
    g_autoptr(GRand) random = g_rand_new_with_seed(4);
    g_autoptr(Disk) model = NULL;
    g_autoptr(GError) error = NULL;
    guint8 buffer[512] = {9};
    Disk *disk;

    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "40M", NULL);
    run("qemu-io", "-f", "qcow2", "-c", "write -P 17 1M 3M", "-c", "write -z 2M 64k", "-c",
        "write -P 33 39999k 100k", "-c", "write -z 3M 2M", "-c", "write -P 8 3073k 1k", "-c",
        "discard 1M 128k", path, NULL);
    run("qemu-img", "convert", "-O", "raw", path, raw_path, NULL);
    model = format_open(raw_path, "raw", FALSE, &error);
    disk = open_disk(path, FALSE);
    assert_equal(disk, model);
    finish(disk);
    g_clear_pointer(&model, disk_free);

    model = format_open(raw_path, "raw", TRUE, &error);
    g_assert_no_error(error);
    disk = open_disk(path, TRUE);
    /* QEMU keeps stale data behind a zero flag; a write of a part must not bring them back. */
    g_assert_true(disk_pwrite(disk, buffer, 512, 2 * MIB + 512, &error));
    g_assert_true(disk_pwrite(model, buffer, 512, 2 * MIB + 512, &error));
    assert_equal(disk, model);
    scribble(disk, model, 60, 300000, random);
    assert_equal(disk, model);
    finish(disk);
    g_clear_pointer(&model, disk_free);
    check(path);
    run("qemu-img", "compare", "-q", path, raw_path, NULL);
}

static void assert_refused(const char *path, gboolean writable, VfErrorClass class)
{
    g_autoptr(GError) error = NULL;
    Disk *disk = format_open(path, "qcow2", writable, &error);

    g_assert_null(disk);
    g_assert_error(error, VF_ERROR, (int)class);
    g_assert_nonnull(strstr(error->message, path));
}

static void test_refused(void)
{
    g_autofree char *base = path_of("base.qcow2");
    g_autofree char *path = path_of("refused.qcow2");

    run("qemu-img", "create", "-q", "-f", "qcow2", base, "8M", NULL);
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", path, "8M",
        NULL);
    assert_refused(path, TRUE, VF_ERROR_UNSUPPORTED);
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", path, "8M", NULL);
    assert_refused(path, TRUE, VF_ERROR_UNSUPPORTED);
    finish(open_disk(path, FALSE));
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "refcount_bits=1", path, "8M", NULL);
    assert_refused(path, TRUE, VF_ERROR_UNSUPPORTED);
    finish(open_disk(path, FALSE));
    run("qemu-img", "snapshot", "-c", "one", base, NULL);
    assert_refused(base, TRUE, VF_ERROR_UNSUPPORTED);
    finish(open_disk(base, FALSE));
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M", NULL);
    run("qemu-img", "bitmap", "--add", path, "dirty", NULL);
    assert_refused(path, TRUE, VF_ERROR_UNSUPPORTED);
}

static void patch(const char *path, guint64 offset, const void *data, gsize length)
{
    g_auto(Fd) fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_true(io_pwrite(fd, data, length, offset));
}

static guint64 peek64(const char *path, guint64 offset)
{
    g_auto(Fd) fd = open(path, O_RDONLY | O_CLOEXEC);
    guint64 value = 0;

    g_assert_cmpint(io_pread(fd, &value, sizeof value, offset), ==, sizeof value);
    return GUINT64_FROM_BE(value);
}

/* Corruption that writing would make worse is refused; leaks are repaired. */
static void test_damage(void)
{
    g_autofree char *path = path_of("damage.qcow2");
    Disk *disk = create(path, 8 * MIB, 0);
    guint64 l1, l2, block, entry, wrong;
    guint8 buffer[64 * KIB] = {1};
    g_autoptr(GError) error = NULL;
    guint16 none = 0, one = GUINT16_TO_BE(1);

    g_assert_true(disk_pwrite(disk, buffer, sizeof buffer, 0, &error));
    g_assert_true(disk_pwrite(disk, buffer, sizeof buffer, 64 * KIB, &error));
    finish(disk);
    l1 = peek64(path, 40);
    l2 = peek64(path, l1) & G_MAXINT64;
    block = peek64(path, peek64(path, 48));
    entry = peek64(path, l2);

    wrong = GUINT64_TO_BE(entry); /* two guest clusters in one place */
    patch(path, l2 + 8, &wrong, 8);
    assert_refused(path, TRUE, VF_ERROR_INTEGRITY);
    wrong = GUINT64_TO_BE(entry + 512); /* no cluster */
    patch(path, l2 + 8, &wrong, 8);
    assert_refused(path, TRUE, VF_ERROR_INTEGRITY);
    wrong = GUINT64_TO_BE(GIB | (G_GUINT64_CONSTANT(1) << 63)); /* behind the end of the file */
    patch(path, l2 + 8, &wrong, 8);
    assert_refused(path, TRUE, VF_ERROR_INTEGRITY);
    wrong = 0; /* the second cluster is leaked now, and so is one that never was */
    patch(path, l2 + 8, &wrong, 8);
    patch(path, block + 2 * 1000, &one, 2);
    finish(open_disk(path, TRUE));
    check(path);
    patch(path, block + 2 * (entry >> 16 & 0xffff), &none, 2); /* in use, not counted */
    assert_refused(path, TRUE, VF_ERROR_INTEGRITY);
}

/* An image of any size is made and written in little memory and time. */
static void test_huge(void)
{
    g_autofree char *path = path_of("huge.qcow2");
    guint64 size = 5 * TIB + 512;
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    Disk *disk = create(path, size, 0);
    guint8 in[512], out[512];
    struct rusage usage;

    for (guint i = 0; i < 3000; i++) {
        guint64 offset = i * (size / 3000 / 512) * 512;

        memset(in, (int)(i % 255) + 1, sizeof in);
        g_assert_true(disk_pwrite(disk, in, sizeof in, offset, &error));
    }
    g_assert_true(disk_pwrite(disk, in, sizeof in, size - 512, &error));
    finish(disk);
    disk = open_disk(path, TRUE);
    g_assert_cmpuint(disk_size(disk), ==, size);
    for (guint i = 0; i < 3000; i += 7) {
        memset(in, (int)(i % 255) + 1, sizeof in);
        g_assert_true(disk_pread(disk, out, sizeof out, i * (size / 3000 / 512) * 512, &error));
        g_assert_cmpmem(in, sizeof in, out, sizeof out);
    }
    g_assert_true(disk_extents(disk, 0, size, extents, &error));
    g_assert_cmpuint(extents->len, >=, 6000);
    finish(disk);
    check(path);
    getrusage(RUSAGE_SELF, &usage);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    g_assert_cmpint(usage.ru_maxrss, <, 256 * 1024);
#endif
}

/* Growing beyond what the L1 and refcount tables of the start can hold, and over a half-used last cluster. */
static void test_resize(gconstpointer data)
{
    guint bits = GPOINTER_TO_UINT(data);
    g_autofree char *path = g_strdup_printf("%s/resize-%u.qcow2", folder, bits);
    g_autofree char *raw_path = g_strdup_printf("%s/resize-%u.raw", folder, bits);
    g_autoptr(GRand) random = g_rand_new_with_seed(bits);
    g_autoptr(Disk) model = memory_disk_new("model", 100 * KIB + 512);
    Disk *disk = create(path, 100 * KIB + 512, bits);
    static const guint64 sizes[] = {101 * KIB, 300 * KIB + 512, 8 * MIB, 70 * MIB};
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        scribble(disk, model, 20, 90000, random);
        g_assert_true(disk_resize(disk, sizes[i], &error));
        g_assert_true(disk_resize(model, sizes[i], &error));
        check(path);
        assert_equal(disk, model);
    }
    scribble(disk, model, 20, 300000, random);
    finish(disk);
    check(path);
    export_raw(model, raw_path);
    run("qemu-img", "compare", "-q", path, raw_path, NULL);
}

/* On a device nothing can be cut or made longer, and what was there before must not show. */
static void test_device(void)
{
    g_autofree guint8 *old = g_malloc(8 * MIB);
    g_autoptr(GRand) random = g_rand_new_with_seed(6);
    g_autoptr(Disk) model = memory_disk_new("model", 4 * MIB);
    g_autoptr(Trace) trace = NULL;
    g_autoptr(GError) error = NULL;
    Disk *disk;

    memset(old, 0xa5, 8 * MIB);
    trace = trace_new(old, 8 * MIB);
    disk = qcow2_create(trace_device(trace), 4 * MIB, NULL, &error);
    for (guint round = 0; round < 3; round++) {
        g_assert_no_error(error);
        scribble(disk, model, 20, 100000, random);
        assert_equal(disk, model);
        finish(disk);
        disk = qcow2_open(trace_device(trace), &error);
    }
    g_assert_no_error(error);
    assert_equal(disk, model);
    finish(disk);
    g_assert_cmpuint(trace_count(trace, 0).truncates, ==, 0);
}

/* What lies behind the end of a foreign image stays hidden when it grows. */
static void test_grow_foreign(void)
{
    g_autofree char *path = path_of("shrunk.qcow2");
    g_autoptr(GError) error = NULL;
    guint8 buffer[64 * KIB];
    guint64 small = GUINT64_TO_BE(4096);
    Disk *disk;

    run("qemu-img", "create", "-q", "-f", "qcow2", path, "64k", NULL);
    run("qemu-io", "-f", "qcow2", "-c", "write -P 17 0 64k", path, NULL);
    patch(path, 24, &small, sizeof small);
    disk = open_disk(path, TRUE);
    g_assert_cmpuint(disk_size(disk), ==, 4096);
    g_assert_true(disk_resize(disk, 64 * KIB, &error));
    g_assert_true(disk_pread(disk, buffer, sizeof buffer, 0, &error));
    g_assert_cmpint(buffer[4095], ==, 17);
    g_assert_true(buffer_is_zero(buffer + 4096, sizeof buffer - 4096));
    finish(disk);
    check(path);
}

/* A write that fails leaves nothing behind; a flush that fails ends the writing, and what was flushed stays.
 */
static void test_failures(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    Disk *disk = qcow2_create(trace_bytes(trace), 16 * MIB, NULL, &error);
    g_autofree guint8 *buffer = g_malloc0(MIB);
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autoptr(GByteArray) image = NULL;
    g_autofree char *path = path_of("failures.qcow2");

    memset(buffer, 3, MIB);
    g_assert_true(disk_pwrite(disk, buffer, MIB, 0, &error));
    trace_fail_writes(trace, 100);
    g_assert_false(disk_pwrite(disk, buffer, MIB, 4 * MIB, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_clear_error(&error);
    trace_fail_writes(trace, 0);
    g_assert_true(disk_flush(disk, &error));
    image = trace_cut(trace, trace_length(trace), random);
    g_assert_true(g_file_set_contents(path, (const char *)image->data, image->len, &error));
    check(path);

    g_assert_true(disk_pwrite(disk, buffer, MIB, 4 * MIB, &error));
    trace_fail_flushes(trace, TRUE);
    g_assert_false(disk_flush(disk, &error));
    g_clear_error(&error);
    trace_fail_flushes(trace, FALSE);
    g_assert_false(disk_flush(disk, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_clear_error(&error);
    g_assert_false(disk_pwrite(disk, buffer, MIB, 8 * MIB, &error));
    g_clear_error(&error);
    g_assert_false(disk_pread(disk, buffer, MIB, 0, &error));
    disk_free(disk);
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
    static const guint cluster_bits[] = {9, 10, 12, 16, 18, 21};
    g_autofree char *qemu_img = proc_find("qemu-img");
    g_autofree char *qemu_io = proc_find("qemu-io");
    int result;

    g_test_init(&argc, &argv, NULL);
    if (qemu_img == NULL || qemu_io == NULL) {
        g_print("1..0 # SKIP qemu-img or qemu-io is not installed\n");
        return 0;
    }
    folder = g_dir_make_tmp("vmferry-qcow2-XXXXXX", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cluster_bits); i++) {
        g_autofree char *name = g_strdup_printf("/qcow2/cluster-bits-%u", cluster_bits[i]);

        g_test_add_data_func(name, GUINT_TO_POINTER(cluster_bits[i]), test_cluster_size);
    }
    g_test_add_func("/qcow2/io-counts", test_io_counts);
    g_test_add_func("/qcow2/extents", test_extents);
    g_test_add_func("/qcow2/made-by-qemu", test_made_by_qemu);
    g_test_add_func("/qcow2/refused", test_refused);
    g_test_add_func("/qcow2/damage", test_damage);
    g_test_add_func("/qcow2/huge", test_huge);
    g_test_add_data_func("/qcow2/resize-9", GUINT_TO_POINTER(9), test_resize);
    g_test_add_data_func("/qcow2/resize-12", GUINT_TO_POINTER(12), test_resize);
    g_test_add_data_func("/qcow2/resize-16", GUINT_TO_POINTER(16), test_resize);
    g_test_add_func("/qcow2/device", test_device);
    g_test_add_func("/qcow2/grow-foreign", test_grow_foreign);
    g_test_add_func("/qcow2/failures", test_failures);
    result = g_test_run();
    remove_folder();
    return result;
}
