/* Disks of all types but those of ESXi, and chains of them, against what QEMU makes. */
#include "disk/vmdk.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/test-vmdk-fixture.h"
#include "disk/test-vmdk-make.h"
#include "disk/vmdk-internal.h"

#define ODD_SIZE ((guint64)36 * MIB + 3 * SECTOR_SIZE)

/* --- what QEMU makes --- */

typedef struct {
    const char *path, *options;
    guint64 size;
    enum { MIXED, EMPTY, FULL } contents;
} QemuCase;

static const QemuCase qemu_cases[] = {
    {"/vmdk/qemu/monolithic-sparse", "subformat=monolithicSparse", ODD_SIZE, MIXED},
    {"/vmdk/qemu/monolithic-sparse-empty", "subformat=monolithicSparse", ODD_SIZE, EMPTY},
    {"/vmdk/qemu/monolithic-sparse-full", "subformat=monolithicSparse", ODD_SIZE, FULL},
    {"/vmdk/qemu/monolithic-sparse-sector", "subformat=monolithicSparse", SECTOR_SIZE, FULL},
    {"/vmdk/qemu/zeroed-grains", "subformat=monolithicSparse,zeroed_grain=on", ODD_SIZE, MIXED},
    {"/vmdk/qemu/stream-optimized", "subformat=streamOptimized", ODD_SIZE, MIXED},
    {"/vmdk/qemu/stream-optimized-full", "subformat=streamOptimized", ODD_SIZE, FULL},
    {"/vmdk/qemu/stream-optimized-empty", "subformat=streamOptimized", ODD_SIZE, EMPTY},
    {"/vmdk/qemu/2gb-sparse", "subformat=twoGbMaxExtentSparse", ODD_SIZE, MIXED},
    {"/vmdk/qemu/monolithic-flat", "subformat=monolithicFlat", ODD_SIZE, MIXED},
    {"/vmdk/qemu/2gb-flat", "subformat=twoGbMaxExtentFlat", ODD_SIZE, MIXED},
};

static void test_qemu(VmdkFixture *fixture, gconstpointer data)
{
    const QemuCase *this = data;
    g_autoptr(MakeLayer) layer = this->contents == MIXED
                                     ? make_layer_new(this->size, 4096, 7)
                                     : make_layer_new_uniform(this->size, 4096, this->contents == FULL);
    g_autofree char *command =
        g_strdup_printf("qemu-img convert -f raw -O vmdk -o %s x.raw x.vmdk", this->options);
    guint64 said;

    if (fixture_no_qemu())
        return;
    make_file(fixture->directory, "x.raw", layer->data, layer->size);
    fixture_run(fixture, command);
    g_autoptr(Disk) disk = fixture_open(fixture, "x.vmdk");
    g_assert_cmpstr(disk_format(disk), ==, "vmdk");
    said = fixture_check(disk, layer->data, layer->size);
    if (this->contents == EMPTY)
        g_assert_cmpuint(said, ==, 0);
    if (this->contents == FULL)
        g_assert_cmpuint(said, ==, this->size);
}

/* The flag of a zeroed grain, which convert leaves out, covers what the parent has. */
static void test_qemu_chain(VmdkFixture *fixture, gconstpointer subformat)
{
    g_autofree guint8 *expected = g_malloc0(ODD_SIZE);
    g_autofree char *command =
        g_strdup_printf("qemu-img convert -f raw -O vmdk -o subformat=%s x.raw base.vmdk;"
                        "qemu-img create -q -f vmdk -F vmdk -b base.vmdk -o zeroed_grain=on middle.vmdk;"
                        "qemu-io -f vmdk -c 'write -q -P 5 1M 200k' -c 'write -q -z 4M 1M' -c 'write -q -P 6 "
                        "7000k 64k' middle.vmdk;"
                        "mkdir sub;"
                        "qemu-img create -q -f vmdk -F vmdk -b ../middle.vmdk sub/leaf.vmdk;"
                        "qemu-io -f vmdk -c 'write -q -P 9 1100k 8k' sub/leaf.vmdk",
                        (const char *)subformat);
    g_autoptr(MakeLayer) layer = make_layer_new(ODD_SIZE, 4096, 8);

    if (fixture_no_qemu())
        return;
    make_file(fixture->directory, "x.raw", layer->data, layer->size);
    fixture_run(fixture, command);
    memcpy(expected, layer->data, ODD_SIZE);
    memset(expected + MIB, 5, 200 * KIB);
    memset(expected + 4 * MIB, 0, MIB);
    memset(expected + 7000 * KIB, 6, 64 * KIB);
    memset(expected + 1100 * KIB, 9, 8 * KIB);
    g_autoptr(Disk) disk = fixture_open(fixture, "sub/leaf.vmdk");
    fixture_check(disk, expected, ODD_SIZE);
}

typedef struct {
    const char *path, *subformat, *size;
    guint64 bytes, at; /* 64 KiB are written there, and the last MiB */
} LargeCase;

static const LargeCase large_cases[] = {
    {"/vmdk/qemu/large/monolithic-sparse", "monolithicSparse", "3T", 3 * TIB, 2500 * GIB},
    {"/vmdk/qemu/large/2gb-sparse", "twoGbMaxExtentSparse", "5G", 5 * GIB, 2 * GIB - 128 * KIB},
    {"/vmdk/qemu/large/monolithic-flat", "monolithicFlat", "5G", 5 * GIB, 2 * GIB - 32 * KIB},
    {"/vmdk/qemu/large/2gb-flat", "twoGbMaxExtentFlat", "5G", 5 * GIB, 2 * GIB - 32 * KIB},
};

static void check_block(Disk *disk, guint64 at, gint fill)
{
    g_autoptr(GError) error = NULL;
    guint8 block[16384], expected[sizeof block];

    memset(expected, fill, sizeof expected);
    g_assert_true(disk_pread(disk, block, sizeof block, at, &error));
    g_assert_cmpmem(block, sizeof block, expected, sizeof expected);
}

/* Sizes that no test could read: the cost of a look at them is that of what is in them. */
static void test_qemu_large(VmdkFixture *fixture, gconstpointer data)
{
    const LargeCase *this = data;
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autofree char *command = g_strdup_printf("qemu-img create -q -f vmdk -o subformat=%s x.vmdk %s;"
                                               "qemu-io -f vmdk -c 'write -q -P 7 %" G_GUINT64_FORMAT
                                               " 64k' -c 'write -q -P 8 %" G_GUINT64_FORMAT " 1M' x.vmdk",
                                               this->subformat, this->size, this->at, this->bytes - MIB);
    g_autoptr(GError) error = NULL;

    if (fixture_no_qemu())
        return;
    fixture_run(fixture, command);
    g_autoptr(Disk) disk = fixture_open(fixture, "x.vmdk");
    g_assert_cmpuint(disk_size(disk), ==, this->bytes);
    g_assert_true(disk_extents(disk, 0, this->bytes, extents, &error));
    g_assert_cmpuint(extents->len, <=, 7); /* QEMU leaves a block of zeros at the start of each flat file */
    const DiskExtent *extent = &g_array_index(extents, DiskExtent, 1);
    while (extent->offset < this->at)
        extent++;
    g_assert_cmpuint(extent->offset, ==, this->at);
    g_assert_cmpuint(extent->length, ==, 64 * KIB);
    g_assert_cmpint(extent->kind, ==, DISK_EXTENT_DATA);
    g_assert_cmpint(extent[1].kind, ==, DISK_EXTENT_HOLE);
    check_block(disk, this->at - 16384, 0);
    check_block(disk, this->at + 24576, 7); /* across the border of two files */
    check_block(disk, this->bytes - 16384, 8);
}

/* --- flat, and mixtures --- */

#define MIXED_HEAD "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n"

static void put_letters(const VmdkFixture *fixture, const char *name, char letter)
{
    g_autofree char *letters = g_strnfill(4 * SECTOR_SIZE, letter);

    fixture_put_text(fixture, name, letters);
}

static void test_mixture(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(MakeLayer) layer = make_layer_new_uniform(SECTOR_SIZE * 16, 4096, TRUE);
    g_autoptr(GError) error = NULL;
    guint8 whole[11 * SECTOR_SIZE];

    put_letters(fixture, "a", 'a');
    put_letters(fixture, "b", 'b');
    fixture_put_bytes(fixture, "s", make_cowd(layer, 0));
    fixture_put_text(fixture, "x.vmdk",
                     MIXED_HEAD "RW 2 FLAT \"a\" 1\nRW 1 ZERO\nRW 4 VMFS \"b\"\nRW 4 VMFSSPARSE \"s\"\n");
    g_autoptr(Disk) disk = fixture_open(fixture, "x.vmdk");
    g_assert_cmpuint(disk_size(disk), ==, sizeof whole);
    g_assert_true(disk_pread(disk, whole, sizeof whole, 0, &error));
    for (guint i = 0; i < 7 * SECTOR_SIZE; i++)
        g_assert_cmpint(whole[i], ==, i < 2 * SECTOR_SIZE ? 'a' : i < 3 * SECTOR_SIZE ? 0 : 'b');
    g_assert_cmpmem(whole + 7 * SECTOR_SIZE, 4 * SECTOR_SIZE, layer->data, 4 * SECTOR_SIZE);
}

static void test_refused_extents(VmdkFixture *fixture, gconstpointer data)
{
    static const struct {
        const char *line;
        VfErrorClass class;
        const char *part;
    } cases[] = {
        {"RW 1 VMFS \"vsan://52d4-bc\"\n", VF_ERROR_UNSUPPORTED, "vsan://52d4-bc"},
        {"RW 1 VMFSRDM \"x-rdm.vmdk\"\n", VF_ERROR_UNSUPPORTED, "VMFSRDM"},
        {"NOACCESS 1 FLAT \"a\" 0\n", VF_ERROR_UNSUPPORTED, "NOACCESS"},
        {"RW 5 FLAT \"a\" 0\n", VF_ERROR_INVALID, "2048 bytes"},
        {"RW 4 FLAT \"a\" 1\n", VF_ERROR_INVALID, "2048 bytes"},
        {"RW 4 FLAT \"missing\" 0\n", VF_ERROR_NOT_FOUND, "missing"},
        {"RW 17 VMFSSPARSE \"s\"\n", VF_ERROR_INVALID, "8192"},
        {"RW 1 VMFSSPARSE \"s\" 1\n", VF_ERROR_UNSUPPORTED, "middle"},
        {"RW 1 SPARSE \"s\"\n", VF_ERROR_INVALID, "KDMV"},
        {"RW 1 SESPARSE \"s\"\n", VF_ERROR_INVALID, "cafebabe"},
        {"RW 1 VMFSSPARSE \"a\"\n", VF_ERROR_INVALID, "COWD"},
        {"RW 1 SPARSE \"x.vmdk\"\n", VF_ERROR_INTEGRITY, "cut short"},
    };
    g_autoptr(MakeLayer) layer = make_layer_new_uniform(SECTOR_SIZE * 16, 4096, TRUE);

    put_letters(fixture, "a", 'a');
    fixture_put_bytes(fixture, "s", make_cowd(layer, 0));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat(MIXED_HEAD, cases[i].line, NULL);

        fixture_put_text(fixture, "x.vmdk", text);
        fixture_refused(fixture, "x.vmdk", cases[i].class, cases[i].part);
    }
}

/* A file that is only a part of a disk is not taken for the disk. */
static void test_refused_parts(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(MakeLayer) layer = make_layer_new_uniform(MIB, 4096, TRUE);

    fixture_put_bytes(fixture, "c.vmdk", make_cowd(layer, 0));
    fixture_put_bytes(fixture, "s.vmdk", make_sesparse(layer, 0));
    fixture_put_text(fixture, "junk.vmdk", "junk");
    fixture_refused(fixture, "c.vmdk", VF_ERROR_UNSUPPORTED, "open the descriptor");
    fixture_refused(fixture, "s.vmdk", VF_ERROR_UNSUPPORTED, "open the descriptor");
    fixture_refused(fixture, "junk.vmdk", VF_ERROR_INVALID, "not a VMDK descriptor");
    if (fixture_no_qemu())
        return;
    fixture_run(fixture, "qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse q.vmdk 1M");
    fixture_refused(fixture, "q-s001.vmdk", VF_ERROR_UNSUPPORTED, "open the descriptor");
}

/* --- chains that do not fit --- */

static void put_link(const VmdkFixture *fixture, const char *name, guint64 size, guint32 cid,
                     guint32 parent_cid, const char *parent)
{
    g_autofree char *text = make_descriptor("vmfs", "ZERO", "", size, cid, parent_cid, parent);
    g_autofree char *fixed = g_strndup(text, (gsize)(strstr(text, "ZERO") + 4 - text));

    fixture_put_text(fixture, name, fixed);
}

static void test_loop(VmdkFixture *fixture, gconstpointer data)
{
    put_link(fixture, "self.vmdk", MIB, 1, 1, "self.vmdk");
    put_link(fixture, "a.vmdk", MIB, 1, 1, "b.vmdk");
    put_link(fixture, "b.vmdk", MIB, 1, 1, "sub/../a.vmdk");
    fixture_refused(fixture, "self.vmdk", VF_ERROR_INVALID, "loop");
    fixture_refused(fixture, "a.vmdk", VF_ERROR_INVALID, "loop");
}

static void test_too_deep(VmdkFixture *fixture, gconstpointer data)
{
    for (guint i = 0; i <= VMDK_LINKS_MAX; i++) {
        g_autofree char *name = g_strdup_printf("%u.vmdk", i);
        g_autofree char *parent = g_strdup_printf("%u.vmdk", i + 1);

        put_link(fixture, name, MIB, 1, i < VMDK_LINKS_MAX ? 1 : VMDK_NO_PARENT,
                 i < VMDK_LINKS_MAX ? parent : NULL);
    }
    fixture_refused(fixture, "0.vmdk", VF_ERROR_UNSUPPORTED, "64");
    g_autoptr(Disk) disk = fixture_open(fixture, "1.vmdk");
    g_assert_cmpuint(disk_size(disk), ==, MIB);
}

static void test_unfit_parent(VmdkFixture *fixture, gconstpointer data)
{
    put_link(fixture, "a.vmdk", MIB, 2, 1, "b.vmdk");
    fixture_refused(fixture, "a.vmdk", VF_ERROR_NOT_FOUND, "the parent of");
    put_link(fixture, "b.vmdk", 2 * MIB, 1, VMDK_NO_PARENT, NULL);
    fixture_refused(fixture, "a.vmdk", VF_ERROR_INVALID, "2097152");
    put_link(fixture, "b.vmdk", MIB - SECTOR_SIZE, 1, VMDK_NO_PARENT, NULL);
    fixture_refused(fixture, "a.vmdk", VF_ERROR_INVALID, "1048064");
    put_link(fixture, "a.vmdk", MIB, 2, 1, NULL);
    fixture_refused(fixture, "a.vmdk", VF_ERROR_INVALID, "does not name it");
}

static void test_cids(VmdkFixture *fixture, gconstpointer data)
{
    const VmdkOptions strict = {.strict_cids = TRUE};
    g_autofree char *path = fixture_path(fixture, "a.vmdk");
    g_autoptr(GError) error = NULL;

    put_link(fixture, "a.vmdk", MIB, 2, 1, "b.vmdk");
    put_link(fixture, "b.vmdk", MIB, 9, VMDK_NO_PARENT, NULL);
    g_autoptr(Disk) lenient = vmdk_open(path, NULL, NULL, &error);
    g_assert_no_error(error);
    fixture_refused_with(path, &strict, VF_ERROR_INVALID, "00000009");
    put_link(fixture, "b.vmdk", MIB, 1, VMDK_NO_PARENT, NULL);
    g_autoptr(Disk) right = vmdk_open(path, NULL, &strict, &error);
    g_assert_no_error(error);
}

/* With a list, nothing is opened that is not on it. */
static void test_parent_list(VmdkFixture *fixture, gconstpointer data)
{
    g_autofree char *leaf = fixture_path(fixture, "a.vmdk");
    g_autofree char *right = fixture_path(fixture, "right.vmdk");
    const char *const given[] = {right, NULL}, *const too_many[] = {right, right, NULL},
                      *const none[] = {NULL};
    const VmdkOptions options = {.parents = given}, more = {.parents = too_many}, empty = {.parents = none};
    g_autoptr(GError) error = NULL;
    guint8 sector[SECTOR_SIZE];

    put_link(fixture, "a.vmdk", 4 * SECTOR_SIZE, 2, 1, "/etc/passwd");
    put_link(fixture, "right.vmdk", 4 * SECTOR_SIZE, 1, VMDK_NO_PARENT, NULL);
    g_autoptr(Disk) disk = vmdk_open(leaf, NULL, &options, &error);
    g_assert_no_error(error);
    g_assert_true(disk_pread(disk, sector, sizeof sector, 0, &error));
    fixture_refused_with(leaf, &more, VF_ERROR_INVALID, "has no parent");
    fixture_refused_with(leaf, &empty, VF_ERROR_INVALID, "none is given");
    fixture_refused_with(leaf, NULL, VF_ERROR_INVALID, "/etc/passwd");
}

static void test_no_file(VmdkFixture *fixture, gconstpointer data)
{
    fixture_run(fixture, "mkfifo pipe; mkdir directory");
    put_link(fixture, "a.vmdk", MIB, 2, 1, "pipe");
    fixture_refused(fixture, "a.vmdk", VF_ERROR_INVALID, "neither a file");
    put_link(fixture, "a.vmdk", MIB, 2, 1, "directory");
    fixture_refused(fixture, "a.vmdk", VF_ERROR_INVALID, "neither a file");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define WITH(path, data, function)                                                                           \
    g_test_add(path, VmdkFixture, data, fixture_set_up, function, fixture_tear_down)
    for (guint i = 0; i < G_N_ELEMENTS(qemu_cases); i++)
        WITH(qemu_cases[i].path, &qemu_cases[i], test_qemu);
    WITH("/vmdk/qemu/chain-sparse", "monolithicSparse", test_qemu_chain);
    WITH("/vmdk/qemu/chain-2gb-flat", "twoGbMaxExtentFlat", test_qemu_chain);
    for (guint i = 0; i < G_N_ELEMENTS(large_cases); i++)
        WITH(large_cases[i].path, &large_cases[i], test_qemu_large);
    WITH("/vmdk/mixture", NULL, test_mixture);
    WITH("/vmdk/refused/extents", NULL, test_refused_extents);
    WITH("/vmdk/refused/parts", NULL, test_refused_parts);
    WITH("/vmdk/chain/loop", NULL, test_loop);
    WITH("/vmdk/chain/too-deep", NULL, test_too_deep);
    WITH("/vmdk/chain/unfit-parent", NULL, test_unfit_parent);
    WITH("/vmdk/chain/no-file", NULL, test_no_file);
    WITH("/vmdk/chain/cids", NULL, test_cids);
    WITH("/vmdk/chain/parent-list", NULL, test_parent_list);
    return g_test_run();
}
