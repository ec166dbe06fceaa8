/* Compressed images that we write: QEMU finds them clean and reads the same from them. */
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/create.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/qcow2.h"
#include "disk/test-image.h"
#include "disk/test-trace.h"

typedef struct {
    const char *name;
    Qcow2Options options;
} Case;

static const Case cases[] = {
    {"zlib", {.compression = QCOW2_ZLIB}},
    {"zlib-512", {.compression = QCOW2_ZLIB, .cluster_bits = 9}},
    {"zlib-4k-level-1", {.compression = QCOW2_ZLIB, .cluster_bits = 12, .level = 1}},
    {"zlib-2M-level-12", {.compression = QCOW2_ZLIB, .cluster_bits = 21, .level = 12}},
    {"zstd", {.compression = QCOW2_ZSTD}},
    {"zstd-512", {.compression = QCOW2_ZSTD, .cluster_bits = 9}},
    {"zstd-1M-level-9", {.compression = QCOW2_ZSTD, .cluster_bits = 20, .level = 9}},
    {"lazy", {.compression = QCOW2_ZLIB, .lazy_refcounts = TRUE}},
};

static Disk *create(const char *path, guint64 size, const Qcow2Options *options)
{
    g_autoptr(GError) error = NULL;
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE | BYTES_DIRECT, &error);
    Disk *disk;

    g_assert_no_error(error);
    disk = qcow2_create(bytes, size, options, &error);
    g_assert_no_error(error);
    return disk;
}

static void write_both(Disk *disk, Disk *model, const guint8 *buffer, gsize length, guint64 offset)
{
    g_autoptr(GError) error = NULL;

    length = (gsize)MIN(length, disk_size(disk) - offset);
    disk_pwrite(disk, buffer, length, offset, &error);
    g_assert_no_error(error);
    disk_pwrite(model, buffer, length, offset, &error);
    g_assert_no_error(error);
}

static void zero_both(Disk *disk, Disk *model, guint64 length, guint64 offset)
{
    g_autoptr(GError) error = NULL;

    length = MIN(length, disk_size(disk) - offset);
    disk_zero(disk, offset, length, &error);
    g_assert_no_error(error);
    disk_zero(model, offset, length, &error);
    g_assert_no_error(error);
}

/* Text, noise and holes from the first byte to the last. */
static void fill(Disk *disk, Disk *model, gsize piece)
{
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(piece);

    for (guint64 at = 0; at < disk_size(disk); at += piece) {
        if (at / piece % 4 == 3)
            continue;
        image_fill(buffer, piece, (guint32)(at / 512), at / piece % 4 == 1);
        write_both(disk, model, buffer, piece, at);
    }
}

/* Over what is there: parts and wholes, data and zeros. */
static void scribble(Disk *disk, Disk *model, guint seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    g_autofree guint8 *buffer = g_malloc(300 * KIB);

    for (guint i = 0; i < 60; i++) {
        guint64 cluster = disk_granularity(disk);
        guint64 unit = g_rand_boolean(random) ? 512 : MIN(cluster, 256 * KIB);
        gsize length = (gsize)(unit * (guint64)g_rand_int_range(random, 1, (gint32)(300 * KIB / unit) + 1));
        guint64 offset = (guint64)(g_rand_double(random) * (double)(disk_size(disk) / unit)) * unit;

        image_fill(buffer, length, i, i % 3 == 0);
        if (i % 4 == 0)
            zero_both(disk, model, length, offset);
        else
            write_both(disk, model, buffer, length, offset);
    }
}

static void export_raw(Disk *model, const char *path)
{
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(MIB);
    g_autoptr(GError) error = NULL;
    Disk *raw = format_create(path, "raw", disk_size(model), &error);

    g_assert_no_error(error);
    for (guint64 at = 0; at < disk_size(model); at += MIB) {
        gsize length = (gsize)MIN(MIB, disk_size(model) - at);

        g_assert_true(disk_pread(model, buffer, length, at, &error));
        g_assert_true(disk_pwrite(raw, buffer, length, at, &error));
    }
    image_close(raw);
}

static void test_case(gconstpointer data)
{
    const Case *this = data;
    g_autofree char *file = g_strconcat(this->name, ".qcow2", NULL);
    g_autofree char *path = image_path(file);
    g_autofree char *raw_path = g_strconcat(path, ".raw", NULL);
    g_autoptr(Disk) model = memory_disk_new("model", 6 * MIB + 3 * 512);
    Disk *disk = create(path, disk_size(model), &this->options);
    g_autoptr(GError) error = NULL;

    fill(disk, model, MIN(disk_granularity(disk) * 4, MIB));
    g_assert_true(disk_flush(disk, &error));
    image_check(path);
    image_assert_equal(disk, model, 64 * KIB);
    scribble(disk, model, 1);
    g_assert_true(disk_flush(disk, &error));
    image_check(path);
    image_assert_equal(disk, model, MIB);
    image_close(disk);
    image_check(path);

    /* Opened again, it is compressed on, as it was. */
    disk = image_open(path, "qcow2", TRUE);
    qcow2_compress(disk, this->options.level);
    scribble(disk, model, 2);
    image_assert_equal(disk, model, 4096);
    image_close(disk);
    image_check(path);
    export_raw(model, raw_path);
    image_call("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", path, raw_path, NULL);
}

/* Streams lie side by side: the file is as large as they are, and hardly a cluster more. */
static void test_dense(void)
{
    g_autofree char *path = image_path("dense.qcow2");
    g_autofree char *theirs = image_path("dense-qemu.qcow2");
    g_autofree char *raw_path = image_path("dense.raw");
    g_autoptr(Disk) model = memory_disk_new("model", 16 * MIB);
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(MIB);
    Disk *disk = create(path, disk_size(model), &(Qcow2Options){.compression = QCOW2_ZLIB});
    GStatBuf ours, other;

    for (guint64 at = 0; at < disk_size(model); at += MIB) {
        image_fill(buffer, MIB, (guint32)at, FALSE);
        write_both(disk, model, buffer, MIB, at);
    }
    image_close(disk);
    image_check(path);
    export_raw(model, raw_path);
    image_call("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw_path, theirs, NULL);
    g_assert_cmpint(g_stat(path, &ours), ==, 0);
    g_assert_cmpint(g_stat(theirs, &other), ==, 0);
    g_assert_cmpint(ours.st_size, <, other.st_size * 105 / 100);
    g_assert_cmpint(ours.st_size, <, 16 * (gint64)MIB * 4 / 5);
}

/* What does not get smaller is stored in place, and is written over in place. */
static void test_noise(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    Disk *disk =
        qcow2_create(trace_bytes(trace), 4 * MIB, &(Qcow2Options){.compression = QCOW2_ZSTD}, &error);
    g_autofree guint8 *buffer = g_malloc(MIB);
    guint start = trace_length(trace);
    TraceCounts counts;

    g_assert_no_error(error);
    image_fill(buffer, MIB, 1, TRUE);
    g_assert_true(disk_pwrite(disk, buffer, MIB, 0, &error));
    g_assert_cmpuint(trace_count(trace, start).bytes_written, ==, MIB);
    g_assert_true(disk_flush(disk, &error));
    start = trace_length(trace);
    image_fill(buffer, MIB, 2, FALSE);
    g_assert_true(disk_pwrite(disk, buffer, MIB, 0, &error));
    g_assert_true(disk_flush(disk, &error));
    counts = trace_count(trace, start);
    g_assert_cmpuint(counts.bytes_written, ==, MIB);
    g_assert_cmpuint(counts.flushes, ==, 1);
    image_close(disk);
}

/* --- many threads --- */

#define THREADS 4u

typedef struct {
    Disk *disk, *model;
    guint first;
} Writer;

/* Every fourth piece, in requests that share clusters with those of the neighbours. */
static gpointer write_share(gpointer data)
{
    const Writer *writer = data;
    gsize piece = 200 * KIB;
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(piece);

    for (guint64 i = writer->first; i * piece < disk_size(writer->disk); i += THREADS) {
        image_fill(buffer, piece, (guint32)i, i % 5 == 0);
        write_both(writer->disk, writer->model, buffer, piece, i * piece);
        if (i % 3 == 0)
            write_both(writer->disk, writer->model, buffer + 512, piece / 2, i * piece);
        if (i % 7 == 0)
            zero_both(writer->disk, writer->model, piece / 2, i * piece);
        if (i % 11 == 0) {
            g_autoptr(GError) error = NULL;

            g_assert_true(disk_pread(writer->disk, buffer, piece / 2, i * piece, &error));
        }
    }
    return NULL;
}

static void test_threads(gconstpointer data)
{
    g_autofree char *path = image_path("threads.qcow2");
    g_autoptr(Disk) model = memory_disk_new("model", 12 * MIB);
    Disk *disk = create(path, disk_size(model), &(Qcow2Options){.compression = GPOINTER_TO_UINT(data)});
    Writer writers[THREADS];
    GThread *threads[THREADS];
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < THREADS; i++) {
        writers[i] = (Writer){.disk = disk, .model = model, .first = i};
        threads[i] = g_thread_new("writer", write_share, &writers[i]);
    }
    for (guint i = 0; i < 5; i++)
        g_assert_true(disk_flush(disk, &error));
    for (guint i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    image_assert_equal(disk, model, MIB);
    image_close(disk);
    image_check(path);
    image_assert_as_qemu(model, path, MIB);
    g_remove(path);
}

/* --- power cuts --- */

/* Wherever the power is cut, QEMU finds no error in the image, at worst leaks, and all that was flushed. */
static void test_power_cuts(void)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    g_autoptr(Disk) model = memory_disk_new("model", 3 * MIB);
    g_autofree char *path = image_path("cut.qcow2");
    g_autoptr(GError) error = NULL;
    Disk *disk = qcow2_create(trace_bytes(trace), disk_size(model),
                              &(Qcow2Options){.compression = QCOW2_ZLIB, .cluster_bits = 12}, &error);
    guint flushed;

    g_assert_no_error(error);
    fill(disk, model, 256 * KIB);
    g_assert_true(disk_flush(disk, &error));
    flushed = trace_length(trace);
    for (guint64 at = 0; at < disk_size(disk); at += 64 * KIB) /* the same contents, in other streams */
        if (at / (256 * KIB) % 4 == 0) {
            g_autofree guint8 *buffer = g_malloc(64 * KIB);

            g_assert_true(disk_pread(model, buffer, 64 * KIB, at, &error));
            g_assert_true(disk_pwrite(disk, buffer, 64 * KIB, at, &error));
        }
    g_assert_true(disk_flush(disk, &error));
    for (guint at = flushed; at <= trace_length(trace); at += 3) {
        g_autoptr(GByteArray) image = trace_cut(trace, at, random);
        Disk *again;

        g_assert_true(g_file_set_contents(path, (const char *)image->data, (gssize)image->len, &error));
        again = image_open(path, "qcow2", TRUE);
        image_assert_equal(again, model, 64 * KIB);
        image_close(again);
        image_check(path);
    }
    disk_free(disk);
}

/* --- what is said at creation --- */

static Disk *create_with(const char *path, const char *text, gboolean compressed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CreateOptions) options = create_options_new(create_format_find("qcow2", &error));
    Disk *disk;

    g_assert_true(create_options_parse(options, text, &error));
    g_assert_true(!compressed || create_options_compress(options, 0, &error));
    disk = create_image(path, 2 * MIB, options, &error);
    g_assert_no_error(error);
    return disk;
}

/* As a conversion that goes on does. */
static void assert_goes_on(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CreateOptions) options = create_options_new(create_format_find("qcow2", &error));
    Disk *disk;

    g_assert_true(create_options_compress(options, 3, &error));
    disk = create_go_on(path, options, &error);
    g_assert_no_error(error);
    g_assert_true(disk_compresses(disk));
    image_close(disk);
}

static void assert_info(const char *path, const char *expected)
{
    const char *const argv[] = {"qemu-img", "info", "-U", "--output=json", path, NULL};
    g_autofree char *info = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(proc_run(argv, NULL, &info, NULL, &error));
    if (strstr(info, expected) == NULL)
        g_error("%s is not in: %s", expected, info);
}

static void test_created(void)
{
    g_autofree char *base = image_path("created-base.qcow2");
    g_autofree char *path = image_path("created.qcow2");
    g_autofree guint8 *buffer = g_malloc(64 * KIB);
    g_autoptr(GError) error = NULL;
    Disk *disk = create_with(base, "compression_type=zstd,cluster_size=32K", TRUE);

    image_fill(buffer, 64 * KIB, 3, FALSE);
    g_assert_true(disk_pwrite(disk, buffer, 64 * KIB, 128 * KIB, &error));
    image_close(disk);
    assert_info(base, "\"compression-type\": \"zstd\"");
    assert_info(base, "\"cluster-size\": 32768");
    assert_goes_on(base);

    disk = create_with(path, "backing_file=created-base.qcow2,backing_fmt=qcow2,lazy_refcounts=on", TRUE);
    g_assert_true(disk_pwrite(disk, buffer, 4096, 130 * KIB, &error));
    image_close(disk);
    assert_info(path, "\"backing-filename\": \"created-base.qcow2\"");
    assert_info(path, "\"backing-filename-format\": \"qcow2\"");
    assert_info(path, "\"lazy-refcounts\": true");
    image_check(path);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, 64 * KIB);
    g_assert_true(disk_pread(disk, buffer + 32 * KIB, 2 * KIB, 128 * KIB, &error));
    g_assert_cmpmem(buffer, 2 * KIB, buffer + 32 * KIB, 2 * KIB);
    image_close(disk);
}

static void assert_not_created(const Qcow2Options *options, VfErrorClass class)
{
    g_autoptr(Trace) trace = trace_new(NULL, 0);
    g_autoptr(GError) error = NULL;

    g_assert_null(qcow2_create(trace_bytes(trace), MIB, options, &error));
    g_assert_error(error, VF_ERROR, (int)class);
}

static void test_wrong_options(void)
{
    g_autofree char *name = g_strnfill(1024, 'n');

    assert_not_created(&(Qcow2Options){.cluster_bits = 22}, VF_ERROR_INVALID);
    assert_not_created(&(Qcow2Options){.level = 23}, VF_ERROR_INVALID);
    assert_not_created(&(Qcow2Options){.backing_file = "x"}, VF_ERROR_INTERNAL);
    assert_not_created(&(Qcow2Options){.backing_file = name, .backing = memory_disk_new("b", MIB)},
                       VF_ERROR_INVALID);
    assert_not_created(&(Qcow2Options){.cluster_bits = 9,
                                       .backing_file = name + 600,
                                       .backing_format = "raw",
                                       .backing = memory_disk_new("b", MIB)},
                       VF_ERROR_INVALID);
}

/* Growing over a last cluster that is compressed, and not over a longer backing file. */
static void test_resize(void)
{
    g_autofree char *path = image_path("resize.qcow2");
    g_autoptr(Disk) model = memory_disk_new("model", 100 * KIB);
    Disk *disk = create(path, 100 * KIB, &(Qcow2Options){.compression = QCOW2_ZLIB});
    g_autoptr(GError) error = NULL;

    fill(disk, model, 100 * KIB);
    g_assert_true(disk_resize(disk, 5 * MIB, &error));
    g_assert_true(disk_resize(model, 5 * MIB, &error));
    image_check(path);
    image_assert_equal(disk, model, 64 * KIB);
    scribble(disk, model, 5);
    image_close(disk);
    image_check(path);
    image_assert_as_qemu(model, path, MIB);

    g_remove(path);
    disk = create(path, MIB,
                  &(Qcow2Options){.backing_file = "x", .backing = memory_disk_new("longer", 2 * MIB)});
    g_assert_false(disk_resize(disk, 3 * MIB, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    image_close(disk);
}

int main(int argc, char **argv)
{
    if (!image_start(&argc, &argv))
        return 0;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/qcow2-compress/case/", cases[i].name, NULL);

        g_test_add_data_func(name, &cases[i], test_case);
    }
    g_test_add_func("/qcow2-compress/dense", test_dense);
    g_test_add_func("/qcow2-compress/noise", test_noise);
    g_test_add_data_func("/qcow2-compress/threads-zlib", GUINT_TO_POINTER(QCOW2_ZLIB), test_threads);
    g_test_add_data_func("/qcow2-compress/threads-zstd", GUINT_TO_POINTER(QCOW2_ZSTD), test_threads);
    g_test_add_func("/qcow2-compress/power-cuts", test_power_cuts);
    g_test_add_func("/qcow2-compress/created", test_created);
    g_test_add_func("/qcow2-compress/wrong-options", test_wrong_options);
    g_test_add_func("/qcow2-compress/resize", test_resize);
    return image_run();
}
