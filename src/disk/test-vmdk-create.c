#include "disk/vmdk-create.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/format.h"

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static Disk *create(const char *path, guint64 size, const char *subformat, GError **error)
{
    VmdkCreateOptions options = {.subformat = subformat};

    return vmdk_create(path, size, &options, error);
}

static void run_qemu_img(const char *arguments)
{
    g_autofree char *command = g_strdup_printf("qemu-img %s", arguments);
    g_autofree char *output = NULL;
    g_autoptr(GError) error = NULL;
    gint status;

    g_assert_true(g_spawn_command_line_sync(command, &output, NULL, &status, &error));
    g_test_message("%s: %s", command, output);
    g_assert_true(g_spawn_check_wait_status(status, &error));
    g_assert_no_error(error);
}

static gboolean have_qemu_img(void)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");

    if (program == NULL)
        g_test_skip("qemu-img is not installed");
    return program != NULL;
}

/* --- flat --- */

static void test_flat(gconstpointer subformat)
{
    g_autofree char *path = path_of(subformat);
    g_autofree char *vmdk = g_strconcat(path, ".vmdk", NULL);
    g_autofree char *flat = g_strconcat(path, "-flat.vmdk", NULL);
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) again = NULL;
    Disk *disk = create(vmdk, 5 * GIB, subformat, &error);
    guint8 block[4096], seen[4096];
    GStatBuf status;

    g_assert_no_error(error);
    memset(block, 7, sizeof block);
    g_assert_true(disk_pwrite(disk, block, sizeof block, 3 * GIB, &error));
    g_assert_true(disk_close(disk, &error));

    g_assert_true(g_file_get_contents(vmdk, &text, NULL, &error));
    line = g_strdup_printf("RW 10485760 %s \"%s-flat.vmdk\"",
                           strcmp(subformat, "monolithicFlat") == 0 ? "FLAT" : "VMFS", (char *)subformat);
    g_assert_nonnull(strstr(text, line));
    g_assert_true((strstr(text, "thinProvisioned") != NULL) == (strcmp(subformat, "vmfsThin") == 0));
    g_assert_nonnull(strstr(text, "ddb.geometry.cylinders = \"652\""));
    g_assert_cmpint(g_stat(flat, &status), ==, 0);
    g_assert_cmpuint((guint64)status.st_size, ==, 5 * GIB);

    again = format_open(vmdk, NULL, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(again), ==, 5 * GIB);
    g_assert_true(disk_pread(again, seen, sizeof seen, 3 * GIB, &error));
    g_assert_cmpmem(seen, sizeof seen, block, sizeof block);

    if (have_qemu_img()) {
        g_autofree char *arguments = g_strdup_printf("compare -f vmdk -F raw %s %s", vmdk, flat);

        run_qemu_img(arguments);
    }
}

static void test_conflict(void)
{
    g_autofree char *vmdk = path_of("there.vmdk");
    g_autoptr(GError) error = NULL;
    Disk *disk = create(vmdk, MIB, "vmfs", &error);

    g_assert_no_error(error);
    g_assert_true(disk_close(disk, &error));
    g_assert_null(create(vmdk, MIB, "vmfs", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
}

static void assert_refused(guint64 size, VmdkCreateOptions options, const char *part)
{
    g_autofree char *path = path_of("refused.vmdk");
    g_autoptr(GError) error = NULL;

    g_assert_null(vmdk_create(path, size, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, part));
    g_assert_true(g_str_has_prefix(error->message, path));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_options(void)
{
    assert_refused(0, (VmdkCreateOptions){0}, "62 TiB");
    assert_refused(VMDK_SIZE_MAX + 1, (VmdkCreateOptions){0}, "62 TiB");
    assert_refused(MIB, (VmdkCreateOptions){.subformat = "seSparse"}, "\"seSparse\"");
    assert_refused(MIB, (VmdkCreateOptions){.adapter_type = "virtio"}, "\"virtio\"");
    assert_refused(MIB, (VmdkCreateOptions){.hw_version = 3}, "hwversion is 3");
    assert_refused(MIB, (VmdkCreateOptions){.level = 13}, "level is 13");
}

static void test_text(void)
{
    VmdkCreateOptions ide = {.adapter_type = "ide", .hw_version = 21};
    VmdkText type = {
        .create_type = "vmfs", .access = "RW", .extent_type = "VMFS", .file = "a b", .size = 600 * MIB};
    g_autofree char *scsi_text = vmdk_text(&type);
    g_autofree char *again = vmdk_text(&type);
    g_autofree char *ide_text = NULL;

    g_assert_nonnull(strstr(scsi_text, "\nRW 1228800 VMFS \"a b\"\n"));
    g_assert_nonnull(strstr(scsi_text, "adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"600\"\n"
                                       "ddb.geometry.heads = \"64\"\nddb.geometry.sectors = \"32\"\n"));
    g_assert_true(g_regex_match_simple(
        "\nCID=([0-9a-f]{8})\n(.*\n)*ddb.longContentID = \"[0-9a-f]{24}\\1\"\n", scsi_text, 0, 0));
    g_assert_true(g_regex_match_simple("ddb.uuid = \"60 00 C2 9[0-9a-f]( [0-9a-f]{2}){4}-"
                                       "[0-9a-f]{2}( [0-9a-f]{2}){7}\"\n",
                                       scsi_text, 0, 0));
    g_assert_cmpstr(scsi_text, !=, again);
    type.options = &ide;
    ide_text = vmdk_text(&type);
    g_assert_nonnull(strstr(ide_text, "adapterType = \"ide\"\nddb.geometry.cylinders = \"1219\"\n"
                                      "ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\n"));
    g_assert_nonnull(strstr(ide_text, "virtualHWVersion = \"21\""));
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
    int result;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("vmferry-vmdk-create-XXXXXX", NULL);
    g_test_add_func("/vmdk-create/text", test_text);
    g_test_add_func("/vmdk-create/options", test_options);
    g_test_add_func("/vmdk-create/conflict", test_conflict);
    g_test_add_data_func("/vmdk-create/vmfs", "vmfs", test_flat);
    g_test_add_data_func("/vmdk-create/vmfs-thin", "vmfsThin", test_flat);
    g_test_add_data_func("/vmdk-create/monolithic-flat", "monolithicFlat", test_flat);
    result = g_test_run();
    remove_folder();
    return result;
}
