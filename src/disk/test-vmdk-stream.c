#include "disk/vmdk-stream.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/test-vmdk-make.h"
#include "disk/vmdk-create.h"
#include "disk/vmdk-internal.h"

#include <glib/gstdio.h>

#define DISK_SIZE ((guint64)40 * MIB + 5 * SECTOR_SIZE)

/* --- collecting --- */

typedef struct {
    guint8 *contents;
    guint n_grains;
} Collected;

static gboolean collect(const VmdkStreamGrain *grain, gpointer data, GError **error)
{
    Collected *collected = data;
    g_autofree guint8 *raw = g_malloc(grain->grain_size);

    collected->n_grains++;
    if (!vmdk_stream_inflate(grain, "x.vmdk", raw, error))
        return FALSE;
    if (collected->contents != NULL)
        memcpy(collected->contents + grain->offset, raw, grain->length);
    return TRUE;
}

/* In pieces of `piece` bytes; 0: of all sizes. */
static gboolean feed_all(VmdkStream *stream, const GByteArray *file, gsize piece, GError **error)
{
    for (gsize at = 0; at < file->len;) {
        gsize length = piece > 0 ? piece : (gsize)g_test_rand_int_range(1, 200000);

        length = MIN(length, file->len - at);
        if (!vmdk_stream_feed(stream, file->data + at, length, error))
            return FALSE;
        at += length;
    }
    return vmdk_stream_end(stream, error);
}

static void test_pieces(gconstpointer piece)
{
    g_autoptr(MakeLayer) layer = make_layer_new(DISK_SIZE, 65536, 3);
    g_autoptr(GByteArray) file = make_stream(layer, VMDK_NO_PARENT);
    g_autofree guint8 *contents = g_malloc0(DISK_SIZE);
    Collected collected = {.contents = contents};
    g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(vmdk_stream_size(stream), ==, 0);
    feed_all(stream, file, GPOINTER_TO_SIZE(piece), &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vmdk_stream_size(stream), ==, DISK_SIZE);
    g_assert_cmpuint(collected.n_grains, >, 100);
    g_assert_true(memcmp(contents, layer->data, DISK_SIZE) == 0);
}

static void test_empty_and_full(void)
{
    for (guint full = 0; full < 2; full++) {
        g_autoptr(MakeLayer) layer = make_layer_new_uniform(MIB + SECTOR_SIZE, 65536, full == 1);
        g_autoptr(GByteArray) file = make_stream(layer, VMDK_NO_PARENT);
        g_autofree guint8 *contents = g_malloc0(layer->size);
        Collected collected = {.contents = contents};
        g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
        g_autoptr(GError) error = NULL;

        feed_all(stream, file, 0, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(collected.n_grains, ==, full == 1 ? 17 : 0);
        g_assert_cmpmem(contents, layer->size, layer->data, layer->size);
    }
}

/* What this program writes, it reads as well. */
static void test_written_here(void)
{
    g_autoptr(MakeLayer) layer = make_layer_new(DISK_SIZE, 65536, 4);
    const VmdkCreateOptions options = {.subformat = "streamOptimized"};
    g_autofree char *directory = g_dir_make_tmp("vmdk-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "x.vmdk", NULL);
    g_autofree guint8 *contents = g_malloc0(DISK_SIZE);
    Collected collected = {.contents = contents};
    g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
    g_autoptr(GByteArray) file = g_byte_array_new();
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;

    Disk *disk = vmdk_create(path, DISK_SIZE, &options, &error);
    g_assert_no_error(error);
    g_assert_true(disk_pwrite(disk, layer->data, DISK_SIZE, 0, &error));
    g_assert_true(disk_close(disk, &error));
    g_assert_true(g_file_get_contents(path, &text, &length, &error));
    g_byte_array_append(file, (const guint8 *)text, (guint)length);
    feed_all(stream, file, 0, &error);
    g_assert_no_error(error);
    g_assert_true(memcmp(contents, layer->data, DISK_SIZE) == 0);
    g_unlink(path);
    g_rmdir(directory);
}

/* --- what is damaged --- */

static void assert_refused(const GByteArray *file, VfErrorClass class, const char *part)
{
    Collected collected = {0};

    for (gsize piece = 0; piece < 2000000; piece += 1000000) {
        g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
        g_autoptr(GError) error = NULL;

        g_assert_false(feed_all(stream, file, piece, &error));
        g_test_message("%s", error->message);
        g_assert_error(error, VF_ERROR, (gint) class);
        g_assert_nonnull(strstr(error->message, "x.vmdk"));
        g_assert_nonnull(strstr(error->message, part));
    }
}

static GByteArray *small_stream(guint32 parent_cid)
{
    g_autoptr(MakeLayer) layer = make_layer_new_uniform(MIB, 65536, TRUE);

    return make_stream(layer, parent_cid);
}

/* At every sector, and in the middle of one. */
static void test_truncated(void)
{
    g_autoptr(GByteArray) file = small_stream(VMDK_NO_PARENT);
    Collected collected = {0};

    for (guint cut = 1; cut < file->len; cut += 251) {
        g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
        g_autoptr(GError) error = NULL;

        vmdk_stream_feed(stream, file->data, file->len - cut, &error);
        g_assert_no_error(error);
        g_assert_false(vmdk_stream_end(stream, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        g_assert_nonnull(strstr(error->message, "cut short"));
        if (cut > 100000)
            cut += 20000;
    }
}

typedef struct {
    const char *path;
    gint64 at; /* negative: from the end */
    guint bits;
    guint64 value;
    VfErrorClass class;
    const char *part;
} Damage;

static const Damage damages[] = {
    {"magic", 0, 32, 0x12345678, VF_ERROR_INVALID, "KDMV"},
    {"version", 4, 32, 4, VF_ERROR_UNSUPPORTED, "version 4"},
    {"flags", 8, 32, 0x130001, VF_ERROR_UNSUPPORTED, "0x100000"},
    {"not-compressed", 8, 32, 1, VF_ERROR_INVALID, "half compressed"},
    {"newlines", 73, 32, 0x0a0d0a20, VF_ERROR_INVALID, "text mode"},
    {"no-capacity", 12, 64, 0, VF_ERROR_INVALID, "capacity"},
    {"huge-capacity", 12, 64, G_MAXUINT64, VF_ERROR_INVALID, "capacity"},
    {"grain-size", 20, 64, 3, VF_ERROR_INVALID, "grains of 3"},
    {"large-grain-size", 20, 64, 4096, VF_ERROR_UNSUPPORTED, "too large"},
    {"no-entries", 44, 32, 0, VF_ERROR_INVALID, "tables of 0"},
    {"no-overhead", 64, 64, 0, VF_ERROR_INVALID, "descriptor"},
    {"huge-overhead", 64, 64, (guint64)1 << 33, VF_ERROR_INVALID, "descriptor"},
    {"descriptor-behind", 36, 64, 128, VF_ERROR_INVALID, "descriptor"},
    {"descriptor", 512, 32, 0, VF_ERROR_INVALID, "not a VMDK descriptor"},
    {"sector-of-grain", 65536, 64, 1, VF_ERROR_INTEGRITY, "byte 65536"},
    {"grain-beyond-end", 65536, 64, 2048, VF_ERROR_INTEGRITY, "byte 65536"},
    {"huge-grain", 65544, 32, G_MAXUINT32, VF_ERROR_INTEGRITY, "too large"},
    {"no-size", 65544, 32, 0, VF_ERROR_INTEGRITY, "byte 65536"},
    {"zlib", 65560, 64, 0, VF_ERROR_INTEGRITY, "decompressed"},
    {"no-footer-marker", -1536 + 12, 32, 0, VF_ERROR_INTEGRITY, "wrong length"},
    {"early-end", -1536, 64, 0, VF_ERROR_INTEGRITY, "wrong length"},
    {"footer-magic", -1024, 32, 0, VF_ERROR_INVALID, "KDMV"},
    {"footer-capacity", -1024 + 12, 64, 4096, VF_ERROR_INVALID, "footer"},
    {"footer-directory", -1024 + 56, 64, 5, VF_ERROR_INTEGRITY, "directory"},
    {"footer-of-footer", -1024 + 56, 64, G_MAXUINT64, VF_ERROR_INVALID, "footer"},
    {"grain-after-footer", -512 + 8, 32, 1, VF_ERROR_INTEGRITY, "follows the footer"},
    {"marker-after-footer", -512 + 12, 32, 4, VF_ERROR_INTEGRITY, "follows the footer"},
    {"unknown-marker", -512 + 12, 32, 9, VF_ERROR_INTEGRITY, "follows the footer"},
    {"more-follows", 0, 0, 0, VF_ERROR_INTEGRITY, "more follows"},
};

static void test_damage(gconstpointer data)
{
    const Damage *this = data;
    g_autoptr(GByteArray) file = small_stream(VMDK_NO_PARENT);
    guint64 at = (guint64)(this->at < 0 ? this->at + file->len : this->at);

    if (this->bits == 32)
        make_put32(file, at, (guint32)this->value);
    else if (this->bits == 64)
        make_put64(file, at, this->value);
    else
        make_put64(file, file->len, 0);
    if (this->bits == 0)
        g_byte_array_set_size(file, (guint)round_up(file->len, SECTOR_SIZE));
    assert_refused(file, this->class, this->part);
}

/* A sector of zeros in the middle is no end. */
static void test_hole(void)
{
    g_autoptr(GByteArray) file = small_stream(VMDK_NO_PARENT);

    memset(file->data + 65536, 0, SECTOR_SIZE);
    assert_refused(file, VF_ERROR_INTEGRITY, "before the footer");
}

/* Directory and tables in front, and the end right behind the last grain: so open-vmdk does it. */
static GByteArray *directory_in_front(void)
{
    GByteArray *file = small_stream(VMDK_NO_PARENT);
    guint64 directory = vmdk_u64(file->data + file->len - 1024 + 56) * SECTOR_SIZE;
    guint64 table_marker = (vmdk_u32(file->data + directory) - 1) * (guint64)SECTOR_SIZE;

    make_put64(file, 56, 21);
    memset(file->data + table_marker, 0, SECTOR_SIZE);
    g_byte_array_set_size(file, (guint)table_marker + SECTOR_SIZE);
    return file;
}

static void test_directory_in_front(void)
{
    g_autoptr(GByteArray) file = directory_in_front();
    Collected collected = {0};
    g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
    g_autoptr(GError) error = NULL;

    feed_all(stream, file, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(collected.n_grains, ==, 16);
    g_byte_array_set_size(file, file->len - SECTOR_SIZE);
    assert_refused(file, VF_ERROR_INTEGRITY, "cut short");
    memset(file->data + 65536, 0, SECTOR_SIZE);
    assert_refused(file, VF_ERROR_UNSUPPORTED, "open it as a file");
}

/* Nothing of the descriptor is known then, and so nothing of a parent. */
static void test_no_descriptor(void)
{
    g_autoptr(GByteArray) file = small_stream(VMDK_NO_PARENT);
    Collected collected = {0};
    g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", collect, &collected);
    g_autoptr(GError) error = NULL;

    make_put64(file, 28, 0);
    make_put64(file, 36, 0);
    feed_all(stream, file, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(collected.n_grains, ==, 16);
}

static void test_parent(void)
{
    g_autoptr(GByteArray) file = small_stream(0x1234);

    assert_refused(file, VF_ERROR_UNSUPPORTED, "delta of a snapshot");
}

static gboolean refuse(const VmdkStreamGrain *grain, gpointer data, GError **error)
{
    return vf_fail(error, VF_ERROR_TARGET_IO, "the disk is full");
}

static void test_callback_fails(void)
{
    g_autoptr(GByteArray) file = small_stream(VMDK_NO_PARENT);
    g_autoptr(VmdkStream) stream = vmdk_stream_new("x.vmdk", refuse, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) later = NULL;

    g_assert_false(feed_all(stream, file, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_assert_false(vmdk_stream_end(stream, &later));
    g_assert_error(later, VF_ERROR, VF_ERROR_INTEGRITY);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vmdk-stream/pieces/all-sizes", GSIZE_TO_POINTER(0), test_pieces);
    g_test_add_data_func("/vmdk-stream/pieces/of-100", GSIZE_TO_POINTER(100), test_pieces);
    g_test_add_data_func("/vmdk-stream/pieces/of-512", GSIZE_TO_POINTER(512), test_pieces);
    g_test_add_data_func("/vmdk-stream/pieces/whole", GSIZE_TO_POINTER((gsize)1 << 30), test_pieces);
    g_test_add_func("/vmdk-stream/empty-and-full", test_empty_and_full);
    g_test_add_func("/vmdk-stream/written-here", test_written_here);
    g_test_add_func("/vmdk-stream/truncated", test_truncated);
    for (guint i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *path = g_strconcat("/vmdk-stream/damage/", damages[i].path, NULL);

        g_test_add_data_func(path, &damages[i], test_damage);
    }
    g_test_add_func("/vmdk-stream/hole", test_hole);
    g_test_add_func("/vmdk-stream/directory-in-front", test_directory_in_front);
    g_test_add_func("/vmdk-stream/no-descriptor", test_no_descriptor);
    g_test_add_func("/vmdk-stream/parent", test_parent);
    g_test_add_func("/vmdk-stream/callback-fails", test_callback_fails);
    return g_test_run();
}
