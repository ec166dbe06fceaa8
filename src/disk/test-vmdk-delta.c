/* The deltas of ESXi and streamOptimized files, made here, and read by QEMU too. */
#include "disk/vmdk.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/test-vmdk-fixture.h"
#include "disk/test-vmdk-make.h"
#include "disk/vmdk-internal.h"

#define ODD_SIZE   ((guint64)36 * MIB + 3 * SECTOR_SIZE)
#define SMALL_SIZE ((guint64)7 * MIB + 3 * SECTOR_SIZE)

/* --- what ESXi makes --- */

typedef struct {
    const char *path;
    guint32 grains[3]; /* bytes, of each delta from the base on; 4096: SESparse, else COWD; 0: no more */
    guint64 size;
    guint32 seed; /* 0: grains in order */
} DeltaCase;

static const DeltaCase delta_cases[] = {
    {"/vmdk/delta/cowd", {512}, SMALL_SIZE, 0},
    {"/vmdk/delta/cowd-scattered", {512}, SMALL_SIZE, 3},
    {"/vmdk/delta/cowd-large-grains", {8192}, SMALL_SIZE, 3},
    {"/vmdk/delta/sesparse", {4096}, ODD_SIZE, 0},
    {"/vmdk/delta/sesparse-scattered", {4096}, ODD_SIZE, 4},
    {"/vmdk/delta/sesparse-on-sesparse", {4096, 4096}, ODD_SIZE, 5},
    {"/vmdk/delta/cowd-on-cowd-on-cowd", {512, 512, 512}, SMALL_SIZE, 0},
    {"/vmdk/delta/sesparse-on-cowd-on-sesparse", {4096, 512, 4096}, 18 * MIB, 6},
    {"/vmdk/delta/small", {4096, 512}, SECTOR_SIZE, 0},
};

/* "d1.vmdk" upon "d0.vmdk" upon "base.vmdk", and so on; the name of the last is *ret_leaf. */
static void make_chain(const VmdkFixture *fixture, const DeltaCase *this, guint8 *expected, char **ret_leaf)
{
    g_autoptr(MakeLayer) base = make_layer_new(this->size, 4096, 100);
    g_autofree char *text =
        make_descriptor("monolithicFlat", "FLAT", "base-flat.vmdk", this->size, 1, VMDK_NO_PARENT, NULL);
    g_autofree char *parent = g_strdup("base.vmdk");

    memcpy(expected, base->data, this->size);
    fixture_put_text(fixture, "base.vmdk", text);
    make_file(fixture->directory, "base-flat.vmdk", base->data, this->size);
    for (guint i = 0; i < G_N_ELEMENTS(this->grains) && this->grains[i] != 0; i++) {
        gboolean cowd = this->grains[i] != 4096;
        g_autoptr(MakeLayer) layer = make_layer_new(this->size, this->grains[i], 200 + i);
        g_autofree char *name = g_strdup_printf("d%u.vmdk", i);
        g_autofree char *file = g_strdup_printf("d%u-delta.vmdk", i);
        g_autofree char *delta =
            make_descriptor(cowd ? "vmfsSparse" : "seSparse", cowd ? "VMFSSPARSE" : "SESPARSE", file,
                            this->size, i + 2, i + 1, parent);

        fixture_put_text(fixture, name, delta);
        fixture_put_bytes(fixture, file,
                          cowd ? make_cowd(layer, this->seed) : make_sesparse(layer, this->seed));
        make_layer_apply(layer, expected);
        g_free(parent);
        parent = g_steal_pointer(&name);
    }
    *ret_leaf = g_steal_pointer(&parent);
}

static void test_delta(VmdkFixture *fixture, gconstpointer data)
{
    const DeltaCase *this = data;
    g_autofree guint8 *expected = g_malloc(this->size);
    g_autofree char *leaf = NULL;
    g_autofree char *command = NULL;

    make_chain(fixture, this, expected, &leaf);
    g_autoptr(Disk) disk = fixture_open(fixture, leaf);
    fixture_check(disk, expected, this->size);

    /* QEMU does not know the zero entry of COWD, and takes it for sector 1, which is zero but its successors
     * not. */
    if (this->grains[0] == 8192 || fixture_no_qemu())
        return;
    make_file(fixture->directory, "x.raw", expected, this->size);
    command = g_strdup_printf("qemu-img compare -q -f vmdk -F raw %s x.raw", leaf);
    fixture_run(fixture, command);
}

/* Extents say the union of all links, and nothing that no link has. */
static void test_merged_extents(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree guint8 *expected = g_malloc(delta_cases[5].size);
    g_autofree char *leaf = NULL;
    guint64 data_bytes;

    make_chain(fixture, &delta_cases[5], expected, &leaf);
    /* The base is a file with holes. */
    fixture_run(fixture, "cp --sparse=always base-flat.vmdk y && mv y base-flat.vmdk");
    g_autoptr(Disk) disk = fixture_open(fixture, leaf);
    data_bytes = fixture_check(disk, expected, delta_cases[5].size);
    g_assert_cmpuint(data_bytes, <, delta_cases[5].size / 2);
}

/* --- bytes that count how they are read --- */

typedef struct {
    Bytes bytes;
    Bytes *inner;
    guint *n_reads;
} CountedBytes;

static gboolean counted_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    CountedBytes *counted = (CountedBytes *)bytes;

    (*counted->n_reads)++;
    return bytes_pread(counted->inner, buffer, length, offset, error);
}

static void counted_free(Bytes *bytes)
{
    CountedBytes *counted = (CountedBytes *)bytes;

    bytes_free(counted->inner);
    g_free(bytes->name);
    g_free(counted);
}

static char *resolve_beside(const char *from, const char *name, gpointer data, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(from);

    return g_build_filename(directory, name, NULL);
}

static Bytes *open_counted(const char *path, VmdkFileRole role, gpointer data, GError **error)
{
    static const BytesOps ops = {.pread = counted_pread, .free = counted_free};
    CountedBytes *counted = g_new0(CountedBytes, 1);

    counted->inner = bytes_open_file(path, BYTES_READ, error);
    g_assert_nonnull(counted->inner);
    counted->bytes = (Bytes){.ops = &ops, .name = g_strdup(path), .size = bytes_size(counted->inner)};
    counted->n_reads = data;
    return &counted->bytes;
}

/* A request of 1 MiB over scattered grains is a few reads, not one for each. */
static void test_reads_merged(VmdkFixture *fixture, gconstpointer data)
{
    const DeltaCase scattered = {"", {4096}, 4 * MIB, 9};
    g_autoptr(MakeLayer) full = make_layer_new_uniform(scattered.size, 4096, TRUE);
    g_autofree guint8 *expected = g_malloc(scattered.size);
    g_autofree guint8 *buffer = g_malloc(MIB);
    g_autofree char *leaf = NULL;
    g_autoptr(GError) error = NULL;
    guint n_reads = 0;
    const VmdkOpener opener = {.resolve = resolve_beside, .open = open_counted, .data = &n_reads};

    make_chain(fixture, &scattered, expected, &leaf);
    fixture_put_bytes(fixture, "d0-delta.vmdk", make_sesparse(full, 9));
    g_autofree char *path = fixture_path(fixture, leaf);
    g_autoptr(Disk) disk = vmdk_open(path, &opener, NULL, &error);
    g_assert_no_error(error);
    n_reads = 0;
    g_assert_true(disk_pread(disk, buffer, MIB, 0, &error));
    g_assert_cmpmem(buffer, MIB, full->data, MIB);
    g_assert_cmpuint(n_reads, <=, 32); /* for 256 grains */
}

/* Neighbouring compressed grains come with one read. */
static void test_records_merged(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(MakeLayer) full = make_layer_new_uniform(4 * MIB, 65536, TRUE);
    g_autofree guint8 *buffer = g_malloc(MIB);
    g_autoptr(GError) error = NULL;
    guint n_reads = 0;
    const VmdkOpener opener = {.resolve = resolve_beside, .open = open_counted, .data = &n_reads};

    fixture_put_bytes(fixture, "x.vmdk", make_stream(full, VMDK_NO_PARENT));
    g_autofree char *path = fixture_path(fixture, "x.vmdk");
    g_autoptr(Disk) disk = vmdk_open(path, &opener, NULL, &error);
    g_assert_no_error(error);
    n_reads = 0;
    g_assert_true(disk_pread(disk, buffer, MIB, MIB, &error));
    g_assert_cmpmem(buffer, MIB, full->data + MIB, MIB);
    g_assert_cmpuint(n_reads, <=, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define WITH(path, data, function)                                                                           \
    g_test_add(path, VmdkFixture, data, fixture_set_up, function, fixture_tear_down)
    for (guint i = 0; i < G_N_ELEMENTS(delta_cases); i++)
        WITH(delta_cases[i].path, &delta_cases[i], test_delta);
    WITH("/vmdk/delta/merged-extents", NULL, test_merged_extents);
    WITH("/vmdk/delta/reads-merged", NULL, test_reads_merged);
    WITH("/vmdk/records-merged", NULL, test_records_merged);
    return g_test_run();
}
