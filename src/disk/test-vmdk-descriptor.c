#include "disk/vmdk-descriptor.h"

#include "base/error.h"

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmdk-descriptor/esxi", test_esxi);
    g_test_add_func("/vmdk-descriptor/extents", test_extents);
    g_test_add_func("/vmdk-descriptor/padding-and-encoding", test_padding_and_encoding);
    g_test_add_func("/vmdk-descriptor/refused", test_refused);
    g_test_add_func("/vmdk-descriptor/names-line", test_names_line);
    g_test_add_func("/vmdk-descriptor/too-long", test_too_long);
    return g_test_run();
}
