#include "disk/vmdk-flat.h"

#include "base/error.h"

#include <glib/gstdio.h>
#include <string.h>

#define HEADER "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"

static VmdkDescriptor *parse(const char *text, GError **error)
{
    return vmdk_descriptor_parse(text, strlen(text), "web.vmdk", error);
}

static VmdkDescriptor *parse_ok(const char *text)
{
    g_autoptr(GError) error = NULL;
    VmdkDescriptor *descriptor = parse(text, &error);

    g_assert_no_error(error);
    return descriptor;
}

/* --- the descriptor --------------------------------------------------------------------------- */

static void test_esxi(void)
{
    g_autoptr(VmdkDescriptor) descriptor = parse_ok("# Disk DescriptorFile\r\n"
                                                    "version=3\r\n"
                                                    "encoding=\"UTF-8\"\r\n"
                                                    "CID=7d0f2a91\r\n"
                                                    "parentCID=ffffffff\r\n"
                                                    "createType=\"vmfs\"\r\n"
                                                    "\r\n"
                                                    "# Extent description\r\n"
                                                    "RW 20971520 VMFS \"web server-flat.vmdk\"\r\n"
                                                    "# Change Tracking File\r\n"
                                                    "changeTrackPath=\"web server-ctk.vmdk\"\r\n"
                                                    "#DDB\r\n"
                                                    "ddb.adapterType = \"lsilogic\"\r\n"
                                                    "DDB.UUID = \"60 00 C2 91 a5\"\r\n");
    const VmdkExtent *extent = g_ptr_array_index(descriptor->extents, 0);

    g_assert_cmpstr(descriptor->create_type, ==, "vmfs");
    g_assert_cmphex(descriptor->cid, ==, 0x7d0f2a91);
    g_assert_cmphex(descriptor->parent_cid, ==, G_MAXUINT32);
    g_assert_null(descriptor->parent_hint);
    g_assert_cmpstr(descriptor->change_track_path, ==, "web server-ctk.vmdk");
    g_assert_cmpstr(descriptor->adapter_type, ==, "lsilogic");
    g_assert_cmpstr(descriptor->uuid, ==, "60 00 C2 91 a5");
    g_assert_cmpuint(descriptor->size, ==, 20971520u * (guint64)512);
    g_assert_cmpuint(descriptor->extents->len, ==, 1);
    g_assert_true(extent->readable);
    g_assert_cmpstr(extent->type, ==, "VMFS");
    g_assert_cmpstr(extent->file, ==, "web server-flat.vmdk");
    g_assert_cmpuint(extent->file_offset, ==, 0);
}

static void test_extents(void)
{
    g_autoptr(VmdkDescriptor) descriptor = parse_ok(HEADER "RW 63 FLAT \"a-f001.vmdk\" 0\n"
                                                           "rdonly=1\n"
                                                           "RDONLY 100 zero\n"
                                                           "NOACCESS 7 FLAT \"a-f002.vmdk\" 128\n");
    const VmdkExtent *const *extents = (gpointer)descriptor->extents->pdata;

    g_assert_cmpuint(descriptor->extents->len, ==, 3);
    g_assert_cmpuint(descriptor->size, ==, 170 * 512);
    g_assert_cmpstr(extents[1]->type, ==, "ZERO");
    g_assert_null(extents[1]->file);
    g_assert_false(extents[2]->readable);
    g_assert_cmpuint(extents[2]->file_offset, ==, 128 * 512);
}

static void test_padding_and_encoding(void)
{
    const char text[] = HEADER "parentFileNameHint=\"gr\xfc\xdf.vmdk\"\nRW 1 VMFS \"x\"\n\0\0\0\0garbage";
    g_autoptr(GError) error = NULL;
    g_autoptr(VmdkDescriptor) descriptor = vmdk_descriptor_parse(text, sizeof text, "x", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(descriptor->parent_hint, ==, "grüß.vmdk");
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "",
        "KDMV\1",
        HEADER,
        "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\nRW 1 VMFS \"x\"\n",
        "# Disk DescriptorFile\nparentCID=ffffffff\ncreateType=\"vmfs\"\nRW 1 VMFS \"x\"\n",
        "# Disk DescriptorFile\nCID=1\ncreateType=\"vmfs\"\nRW 1 VMFS \"x\"\n",
        HEADER "CID=1\nRW 1 VMFS \"x\"\n",
        HEADER "createType=\"vmfs\"\nRW 1 VMFS \"x\"\n",
        HEADER "RW 1 VMFS \"../other/x-flat.vmdk\"\n",
        HEADER "RW 1 VMFS \"/vmfs/volumes/ds/x-flat.vmdk\"\n",
        HEADER "RW 1 VMFS \"..\"\n",
        HEADER "RW 1 VMFS \"a\\b\"\n",
        HEADER "RW 1 VMFS \"x\n",
        HEADER "RW 1 VMFS \"\"\n",
        HEADER "RW 1 VMFS\n",
        HEADER "RW 1\n",
        HEADER "RW\n",
        HEADER "RW 0 VMFS \"x\"\n",
        HEADER "RW -1 VMFS \"x\"\n",
        HEADER "RW 1x VMFS \"x\"\n",
        HEADER "RW 1 FLAT \"x\" y\n",
        HEADER "RW 36028797018963968 VMFS \"x\"\n",
        HEADER "RW 36028797018963967 VMFS \"x\"\nRW 1 VMFS \"x\"\n",
        HEADER "RW 1 FLAT \"x\" 36028797018963967\n",
        HEADER "what is this\nRW 1 VMFS \"x\"\n",
    };

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("case %u", i);
        g_assert_null(parse(bad[i], &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "web.vmdk"));
    }
}

static void test_names_line(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(parse(HEADER "RW 1 VMFS \"../x\"\n", &error));
    g_assert_cmpstr(error->message, ==,
                    "web.vmdk: line 6: file name \"../x\" leaves the directory of the descriptor");
}

static void test_too_long(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strnfill(VMDK_DESCRIPTOR_MAX + 1, '#');

    memcpy(text, HEADER, strlen(HEADER));
    g_assert_null(parse(text, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

/* --- the disk --------------------------------------------------------------------------------- */

/* "a", "b", ... are files of 4 sectors full of that letter. */
static Bytes *open_letter(const char *file, gpointer data, GError **error)
{
    char contents[4 * 512];

    memset(contents, file[0], sizeof contents);
    return bytes_open_memory(contents, sizeof contents, file);
}

static Disk *open_flat(const char *text, GError **error)
{
    g_autoptr(VmdkDescriptor) descriptor = parse_ok(text);

    return vmdk_flat_open(descriptor, "web.vmdk", open_letter, NULL, error);
}

static void test_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = open_flat(HEADER "RW 2 FLAT \"a\" 1\nRW 1 ZERO\nRW 4 VMFS \"b\"\n", &error);
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    char whole[7 * 512], part[3 * 512];

    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, sizeof whole);
    g_assert_false(disk_is_writable(disk));
    g_assert_true(disk_pread(disk, whole, sizeof whole, 0, &error));
    for (guint i = 0; i < sizeof whole; i++)
        g_assert_cmpint(whole[i], ==, i < 2 * 512 ? 'a' : i < 3 * 512 ? 0 : 'b');
    g_assert_true(disk_pread(disk, part, sizeof part, 512, &error));
    g_assert_cmpmem(part, sizeof part, whole + 512, sizeof part);

    g_assert_true(disk_extents(disk, 0, sizeof whole, extents, &error));
    g_assert_cmpuint(extents->len, ==, 3);
    g_assert_cmpint(g_array_index(extents, DiskExtent, 0).kind, ==, DISK_EXTENT_DATA);
    g_assert_cmpint(g_array_index(extents, DiskExtent, 1).kind, ==, DISK_EXTENT_HOLE);
    g_assert_cmpuint(g_array_index(extents, DiskExtent, 2).offset, ==, 3 * 512);
}

static void assert_refused(const char *text, VfErrorClass class, const char *part)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(open_flat(text, &error));
    g_assert_error(error, VF_ERROR, (gint) class);
    g_assert_nonnull(strstr(error->message, part));
}

static void test_not_flat(void)
{
    assert_refused("# Disk DescriptorFile\nCID=1\nparentCID=1\ncreateType=\"vmfsSparse\"\n"
                   "parentFileNameHint=\"web.vmdk\"\nRW 1 VMFSSPARSE \"web-000001-delta.vmdk\"\n",
                   VF_ERROR_UNSUPPORTED, "snapshot chain");
    assert_refused("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"seSparse\"\n"
                   "RW 1 SESPARSE \"x\"\n",
                   VF_ERROR_UNSUPPORTED, "seSparse");
    assert_refused(HEADER "RW 1 VMFS \"vsan://52d4-bc\"\n", VF_ERROR_UNSUPPORTED, "vsan://52d4-bc");
    assert_refused(HEADER "RW 1 VMFSRDM \"x-rdm.vmdk\"\n", VF_ERROR_UNSUPPORTED, "VMFSRDM");
    assert_refused(HEADER "NOACCESS 1 FLAT \"a\" 0\n", VF_ERROR_UNSUPPORTED, "NOACCESS");
    assert_refused(HEADER "RW 5 FLAT \"a\" 0\n", VF_ERROR_INVALID, "2048 bytes");
    assert_refused(HEADER "RW 4 FLAT \"a\" 1\n", VF_ERROR_INVALID, "2048 bytes");
}

/* --- what QEMU writes ------------------------------------------------------------------------- */

static Bytes *open_beside(const char *file, gpointer data, GError **error)
{
    g_autofree char *path = g_build_filename(data, file, NULL);

    return bytes_open_file(path, BYTES_READ, error);
}

static void test_qemu(gconstpointer subformat)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");
    g_autofree char *directory = g_dir_make_tmp("vmdk-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "q.vmdk", NULL);
    g_autofree char *command =
        g_strdup_printf("sh -c 'cd %s && qemu-img create -q -f vmdk -o subformat=%s q.vmdk 5G && "
                        "qemu-io -c \"write -P 7 2G 64k\" -c \"write -P 9 5242814k 64k\" q.vmdk >/dev/null'",
                        directory, (const char *)subformat);
    g_autofree char *text = NULL;
    g_autofree char *cleanup = g_strdup_printf("rm -r %s", directory);
    gint status;
    gsize length;
    char block[4096], expected[4096];

    if (program == NULL) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    g_autoptr(GError) error = NULL;
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, &error));
    g_assert_true(g_spawn_check_wait_status(status, &error));
    g_assert_true(g_file_get_contents(path, &text, &length, &error));

    g_autoptr(VmdkDescriptor) descriptor = vmdk_descriptor_parse(text, length, path, &error);
    g_assert_no_error(error);
    g_autoptr(Disk) disk = vmdk_flat_open(descriptor, path, open_beside, directory, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, (guint64)5 << 30);
    g_assert_true(disk_pread(disk, block, sizeof block, (guint64)2 << 30, &error));
    memset(expected, 7, sizeof expected);
    g_assert_cmpmem(block, sizeof block, expected, sizeof expected);
    g_assert_true(disk_pread(disk, block, sizeof block, (guint64)5242814 << 10, &error));
    memset(expected, 9, sizeof expected);
    g_assert_cmpmem(block, sizeof block, expected, sizeof expected);
    g_assert_true(g_spawn_command_line_sync(cleanup, NULL, NULL, &status, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmdk/descriptor/esxi", test_esxi);
    g_test_add_func("/vmdk/descriptor/extents", test_extents);
    g_test_add_func("/vmdk/descriptor/padding-and-encoding", test_padding_and_encoding);
    g_test_add_func("/vmdk/descriptor/refused", test_refused);
    g_test_add_func("/vmdk/descriptor/names-line", test_names_line);
    g_test_add_func("/vmdk/descriptor/too-long", test_too_long);
    g_test_add_func("/vmdk/flat/read", test_read);
    g_test_add_func("/vmdk/flat/not-flat", test_not_flat);
    g_test_add_data_func("/vmdk/flat/qemu-monolithic", "monolithicFlat", test_qemu);
    g_test_add_data_func("/vmdk/flat/qemu-2gb", "twoGbMaxExtentFlat", test_qemu);
    return g_test_run();
}
