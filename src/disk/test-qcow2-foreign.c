/* Images as QEMU writes them: read here and there, and the same. */
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/format.h"
#include "disk/memory.h"
#include "disk/qcow2.h"
#include "disk/test-image.h"

/* Random contents, with holes, in a raw file of an odd number of sectors. */
static void make_raw(const char *path, guint64 size)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *buffer = g_malloc(100 * KIB);
    Disk *disk = format_create(path, "raw", size, &error);

    g_assert_no_error(error);
    for (guint64 at = 0; at + 100 * KIB < size; at += 300 * KIB) {
        image_fill(buffer, 100 * KIB, (guint32)at, at % 4 == 0);
        g_assert_true(disk_pwrite(disk, buffer, 100 * KIB, at, &error));
    }
    image_close(disk);
}

/* Everything that qemu-img convert can say about compression and clusters, in one. */
static void test_converted(gconstpointer data)
{
    const char *options = data;
    g_autofree char *raw_path = image_path("source.raw");
    g_autofree char *path = image_path("converted.qcow2");
    Disk *disk;

    g_remove(raw_path);
    make_raw(raw_path, 5 * MIB + 7 * 512);
    image_call("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw_path, path, NULL);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, MIB);
    image_assert_as_qemu(disk, path, 3 * 512);
    image_close(disk);
}

/* Compressed, plain, zeroed, discarded and overwritten clusters side by side. */
static void mix(const char *path)
{
    image_call("qemu-io", "-f", "qcow2", "-c", "write -P 5 100k 700k", "-c", "write -z 2M 128k", "-c",
               "write -P 6 2050k 10k", "-c", "discard 256k 128k", "-c", "write -P 9 4000k 8k", path, NULL);
}

static void write_compressed(const char *path)
{
    image_call("qemu-io", "-f", "qcow2", "-c", "write -c -P 7 0 128k", "-c", "write -c -P 8 1M 256k", "-c",
               "write -P 9 1030k 10k", path, NULL);
}

static void test_mixed(gconstpointer data)
{
    const char *options = data;
    g_autofree char *path = image_path("mixed.qcow2");
    Disk *disk;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "4M", NULL);
    write_compressed(path);
    mix(path);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, 64 * KIB);
    image_assert_as_qemu(disk, path, 512);
    image_close(disk);
}

/* A snapshot has its own table; the current state is read. */
static void test_snapshot(void)
{
    g_autofree char *path = image_path("snapshot.qcow2");
    Disk *disk;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", path, "4M", NULL);
    write_compressed(path);
    image_call("qemu-img", "snapshot", "-c", "one", path, NULL);
    mix(path);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, 64 * KIB);
    image_close(disk);
}

/* --- subclusters --- */

static void test_subclusters(void)
{
    g_autofree char *base = image_path("sub-base.raw");
    g_autofree char *path = image_path("sub.qcow2");
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    Disk *disk;

    make_raw(base, 3 * MIB);
    image_call("qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=64k", "-b",
               "sub-base.raw", "-F", "raw", path, "4M", NULL);
    write_compressed(path);
    image_call("qemu-io", "-f", "qcow2", "-c", "write -P 5 300k 2k", "-c", "write -P 6 310k 6k", "-c",
               "write -z 304k 4k", "-c", "write -z 2M 512k", "-c", "write -P 7 2054k 2k", "-c",
               "discard 2056k 2k", "-c", "write -P 7 3500k 12k", path, NULL);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, 64 * KIB);
    image_assert_as_qemu(disk, path, 512);
    g_assert_true(disk_extents(disk, 3500 * KIB, 16 * KIB, extents, &error));
    g_assert_cmpuint(extents->len, ==, 2);
    g_assert_cmpuint(g_array_index(extents, DiskExtent, 0).length, ==, 12 * KIB);
    g_assert_cmpint(g_array_index(extents, DiskExtent, 1).kind, ==, DISK_EXTENT_HOLE);
    image_close(disk);
}

/* --- data files --- */

static void test_data_file(gconstpointer data)
{
    g_autofree char *path = image_path("with-data.qcow2");
    g_autofree char *data_path = image_path("data.bin");
    g_autofree char *options = g_strdup_printf("data_file=%s%s", data_path, (const char *)data);
    g_autoptr(GError) error = NULL;
    Disk *disk;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "4M", NULL);
    mix(path);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, 64 * KIB);
    image_close(disk);
    g_assert_null(format_open(path, NULL, TRUE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_remove(data_path);
    g_assert_null(format_open(path, NULL, FALSE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "data.bin"));
    g_remove(path);
}

/* --- chains --- */

static void make_overlay(const char *path, const char *backing, const char *format, const char *size)
{
    image_call("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", format, path, size, NULL);
}

/* Three images of different lengths and cluster sizes on a raw one. */
static void test_chain(void)
{
    g_autofree char *raw = image_path("chain.raw");
    g_autofree char *one = image_path("chain-1.qcow2");
    g_autofree char *two = image_path("chain-2.qcow2");
    g_autofree char *three = image_path("chain-3.qcow2");
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;
    Disk *disk;

    make_raw(raw, MIB + 5 * 512);
    make_overlay(one, "chain.raw", "raw", "6M");
    write_compressed(one);
    make_overlay(two, "chain-1.qcow2", "qcow2", "3M");
    image_call("qemu-io", "-f", "qcow2", "-c", "write -z 64k 64k", "-c", "write -P 1 2M 4k", two, NULL);
    make_overlay(three, "chain-2.qcow2", "qcow2", "5M");
    image_call("qemu-io", "-f", "qcow2", "-c", "write -P 3 3070k 4k", three, NULL);
    disk = image_open(three, NULL, FALSE);
    image_assert_as_qemu(disk, three, MIB);
    image_assert_as_qemu(disk, three, 512);
    g_assert_true(disk_extents(disk, 64 * KIB, 64 * KIB, extents, &error));
    g_assert_cmpint(g_array_index(extents, DiskExtent, 0).kind, ==, DISK_EXTENT_ZERO);
    g_array_set_size(extents, 0);
    g_assert_true(disk_extents(disk, 4 * MIB, MIB, extents, &error));
    g_assert_cmpuint(extents->len, ==, 1);
    g_assert_cmpint(g_array_index(extents, DiskExtent, 0).kind, ==, DISK_EXTENT_HOLE);
    image_close(disk);
}

/* Writing to an overlay leaves the rest of its clusters as the backing file has them. */
static void test_overlay_written(void)
{
    g_autofree char *base = image_path("written-base.qcow2");
    g_autofree char *path = image_path("written.qcow2");
    g_autofree char *same = image_path("written-same.qcow2");
    g_autofree guint8 *buffer = g_malloc(100 * KIB);
    g_autoptr(GError) error = NULL;
    Disk *disk;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", base, "2560k", NULL);
    image_call("qemu-io", "-f", "qcow2", "-c", "write -c -P 4 0 1M", "-c", "write -P 5 1M 1536k", base, NULL);
    make_overlay(path, "written-base.qcow2", "qcow2", "4M");
    make_overlay(same, "written-base.qcow2", "qcow2", "4M");
    image_call("qemu-io", "-f", "qcow2", "-c", "write -P 17 10k 100k", "-c", "write -z 200k 300k", "-c",
               "write -P 17 2500k 100k", "-c", "write -z 1500k 12k", same, NULL);
    disk = image_open(path, NULL, TRUE);
    g_assert_false(disk_starts_zero(disk));
    memset(buffer, 17, 100 * KIB);
    g_assert_true(disk_pwrite(disk, buffer, 100 * KIB, 10 * KIB, &error));
    g_assert_true(disk_zero(disk, 200 * KIB, 300 * KIB, &error));
    g_assert_true(disk_pwrite(disk, buffer, 100 * KIB, 2500 * KIB, &error));
    g_assert_true(disk_zero(disk, 1500 * KIB, 12 * KIB, &error));
    image_assert_as_qemu(disk, same, 64 * KIB);
    image_close(disk);
    image_check(path);
    image_call("qemu-img", "compare", "-q", path, same, NULL);
}

static void assert_refused(const char *path, FormatFollow follow, VfErrorClass class, const char *why)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(format_open_following(path, "qcow2", FALSE, follow, &error));
    g_assert_error(error, VF_ERROR, (int)class);
    g_assert_nonnull(strstr(error->message, path));
    if (strstr(error->message, why) == NULL)
        g_error("%s is not in: %s", why, error->message);
}

static void rebase(const char *path, const char *backing, const char *format)
{
    image_call("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", backing, "-F", format, path, NULL);
}

static void test_names_refused(void)
{
    g_autofree char *folder = image_path("");
    g_autofree char *script =
        g_strdup_printf("cd '%s' && mkdir sub && qemu-img create -q -f qcow2 sub/a.qcow2 1M && "
                        "qemu-img create -q -f raw outside.bin 1M",
                        folder);
    g_autofree char *path = image_path("sub/a.qcow2");
    g_autofree char *absolute = image_path("outside.bin");

    image_call("sh", "-c", script, NULL);
    rebase(path, absolute, "raw");
    assert_refused(path, FORMAT_FOLLOW_BESIDE, VF_ERROR_UNSUPPORTED, "not in its own folder");
    disk_free(format_open_following(path, NULL, FALSE, FORMAT_FOLLOW_ANY, &(GError *){NULL}));
    rebase(path, "../outside.bin", "raw");
    assert_refused(path, FORMAT_FOLLOW_BESIDE, VF_ERROR_UNSUPPORTED, "not in its own folder");
    assert_refused(path, FORMAT_FOLLOW_NONE, VF_ERROR_UNSUPPORTED, "not followed");
    image_close(format_open_following(path, NULL, FALSE, FORMAT_FOLLOW_ANY, &(GError *){NULL}));
    rebase(path, "nbd://host/disk", "raw");
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_UNSUPPORTED, "no local file");
    rebase(path, "missing.raw", "raw");
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_NOT_FOUND, "missing.raw");
    rebase(path, "a.qcow2", "qcow2");
    assert_refused(path, FORMAT_FOLLOW_BESIDE, VF_ERROR_INVALID, "its own backing file");
    rebase(path, "../outside.bin", "qcow2");
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_INVALID, "not a qcow2 image");
}

/* A backing file whose format is not said is never taken for raw. */
static void test_format_not_said(void)
{
    g_autofree char *base = image_path("unsaid.raw");
    g_autofree char *path = image_path("unsaid.qcow2");
    guint32 none = GUINT32_TO_BE(0x12345678);

    make_raw(base, MIB);
    make_overlay(path, "unsaid.raw", "raw", "1M");
    /* The format is the first extension. */
    g_assert_cmphex(image_peek64(path, 112) >> 32, ==, 0xe2792aca);
    image_patch(path, 112, &none, sizeof none);
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_INVALID, "not assumed to be raw");
}

static Disk *create_on(const char *path, const char *backing)
{
    Qcow2Options options = {.backing_file = backing, .backing_format = "qcow2"};
    g_autoptr(GError) error = NULL;
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE, &error);
    Disk *disk;

    g_assert_no_error(error);
    if (backing != NULL)
        options.backing = memory_disk_new("any", MIB);
    disk = qcow2_create(bytes, MIB, &options, &error);
    g_assert_no_error(error);
    return disk;
}

static void test_chain_limit(void)
{
    g_autofree char *allowed = image_path("deep-63.qcow2");
    g_autofree char *deeper = image_path("deep-64.qcow2");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i <= FORMAT_CHAIN_MAX; i++) {
        g_autofree char *name = g_strdup_printf("deep-%u.qcow2", i);
        g_autofree char *below = i == 0 ? NULL : g_strdup_printf("deep-%u.qcow2", i - 1);
        g_autofree char *path = image_path(name);

        disk_free(create_on(path, below));
    }
    image_close(image_open(allowed, NULL, FALSE));
    g_assert_null(format_open(deeper, NULL, FALSE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "more than 64"));
}

/* --- crashes --- */

/* QEMU dies while it counts late: the image is read as it is, and repaired when it is opened for writing. */
static void test_dirty(void)
{
    g_autofree char *path = image_path("dirty.qcow2");
    const char *const argv[] = {"qemu-io", "-f",    "qcow2", "-c", "write -P 5 100k 700k", "-c", "flush",
                                "-c",      "abort", path,    NULL};
    g_autoptr(GError) error = NULL;
    guint8 buffer[512];
    Disk *disk;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "4M", NULL);
    g_assert_false(proc_run(argv, NULL, NULL, NULL, &error));
    g_clear_error(&error);
    g_assert_cmphex(image_peek64(path, 72), ==, 1);
    disk = image_open(path, NULL, FALSE);
    g_assert_true(disk_pread(disk, buffer, sizeof buffer, 500 * KIB, &error));
    g_assert_cmpint(buffer[0], ==, 5);
    image_close(disk);
    disk = image_open(path, NULL, TRUE);
    g_assert_true(disk_pwrite(disk, buffer, sizeof buffer, MIB, &error));
    image_close(disk);
    g_assert_cmphex(image_peek64(path, 72), ==, 0);
    image_check(path);
    disk = image_open(path, NULL, FALSE);
    image_assert_as_qemu(disk, path, 64 * KIB);
    image_close(disk);
}

/* --- refusals --- */

/* Making one takes qemu-img a key derivation, which fails on a busy machine; the header is what matters. */
static void test_encrypted(void)
{
    g_autofree char *path = image_path("encrypted.qcow2");
    guint32 luks = GUINT32_TO_BE(2), aes = GUINT32_TO_BE(1);

    image_call("qemu-img", "create", "-q", "-f", "qcow2", path, "1M", NULL);
    image_patch(path, 32, &luks, sizeof luks);
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_UNSUPPORTED, "LUKS encryption");
    image_patch(path, 32, &aes, sizeof aes);
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_UNSUPPORTED, "with encryption");
}

static void test_unknown_features(void)
{
    g_autofree char *path = image_path("unknown.qcow2");
    guint64 bits = GUINT64_TO_BE((guint64)1 << 5 | (guint64)1 << 40);
    guint64 corrupt = GUINT64_TO_BE(2);
    guint8 bit = 5;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", path, "1M", NULL);
    image_patch(path, 72, &bits, sizeof bits);
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_UNSUPPORTED, "5 (unnamed), 40 (unnamed)");
    /* QEMU's table of names is the first extension; its first row names bit 0. */
    g_assert_cmphex(image_peek64(path, 112) >> 32, ==, 0x6803f857);
    image_patch(path, 121, &bit, 1);
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_UNSUPPORTED, "5 (dirty bit), 40 (unnamed)");
    image_patch(path, 72, &corrupt, sizeof corrupt);
    assert_refused(path, FORMAT_FOLLOW_ANY, VF_ERROR_INTEGRITY, "marked corrupt");
}

/* Damaged tables and streams: the message has the file and the place. */
static void test_damaged(void)
{
    g_autofree char *path = image_path("damaged.qcow2");
    g_autofree char *place = NULL;
    g_autoptr(GError) error = NULL;
    guint8 buffer[512];
    guint64 l2, entry, wrong;
    Disk *disk;

    image_call("qemu-img", "create", "-q", "-f", "qcow2", path, "1M", NULL);
    image_call("qemu-io", "-f", "qcow2", "-c", "write -c -P 7 0 64k", path, NULL);
    l2 = image_peek64(path, image_peek64(path, 40)) & G_MAXINT64;
    entry = image_peek64(path, l2);
    memset(buffer, 0xff, sizeof buffer);
    image_patch(path, entry & 0xffffffff, buffer, 64);
    disk = image_open(path, NULL, FALSE);
    g_assert_false(disk_pread(disk, buffer, sizeof buffer, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    place = g_strdup_printf("%s: the compressed cluster at %" G_GUINT64_FORMAT, path, entry & 0xffffffff);
    g_assert_true(g_str_has_prefix(error->message, place));
    g_clear_error(&error);
    image_close(disk);

    wrong = GUINT64_TO_BE(entry | GIB);
    image_patch(path, l2, &wrong, sizeof wrong);
    disk = image_open(path, NULL, FALSE);
    g_assert_false(disk_pread(disk, buffer, sizeof buffer, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    g_assert_nonnull(strstr(error->message, "behind the end"));
    g_clear_error(&error);
    image_close(disk);
    g_assert_null(format_open(path, NULL, TRUE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

int main(int argc, char **argv)
{
    static const char *const conversions[] = {
        "cluster_size=512",
        "cluster_size=4k",
        "cluster_size=64k",
        "cluster_size=2M",
        "compat=0.10",
        "compression_type=zstd",
        "extended_l2=on",
        "refcount_bits=64",
        "compression_type=zstd,cluster_size=1M",
        "lazy_refcounts=on",
        "cluster_size=4k,compression_type=zstd",
    };

    if (!image_start(&argc, &argv))
        return 0;
    for (guint i = 0; i < G_N_ELEMENTS(conversions); i++) {
        g_autofree char *converted = g_strconcat("/qcow2-foreign/converted/", conversions[i], NULL);
        g_autofree char *mixed = g_strconcat("/qcow2-foreign/mixed/", conversions[i], NULL);

        g_test_add_data_func(converted, conversions[i], test_converted);
        if (strstr(conversions[i], "M") == NULL)
            g_test_add_data_func(mixed, conversions[i], test_mixed);
    }
    g_test_add_func("/qcow2-foreign/snapshot", test_snapshot);
    g_test_add_func("/qcow2-foreign/subclusters", test_subclusters);
    g_test_add_data_func("/qcow2-foreign/data-file", "", test_data_file);
    g_test_add_data_func("/qcow2-foreign/data-file-raw", ",data_file_raw=on", test_data_file);
    g_test_add_func("/qcow2-foreign/chain", test_chain);
    g_test_add_func("/qcow2-foreign/overlay-written", test_overlay_written);
    g_test_add_func("/qcow2-foreign/names-refused", test_names_refused);
    g_test_add_func("/qcow2-foreign/format-not-said", test_format_not_said);
    g_test_add_func("/qcow2-foreign/chain-limit", test_chain_limit);
    g_test_add_func("/qcow2-foreign/dirty", test_dirty);
    g_test_add_func("/qcow2-foreign/encrypted", test_encrypted);
    g_test_add_func("/qcow2-foreign/unknown-features", test_unknown_features);
    g_test_add_func("/qcow2-foreign/damaged", test_damaged);
    return image_run();
}
