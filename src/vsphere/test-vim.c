#include "base/error.h"
#include "vsphere/vim25.h"

#include <string.h>

static gpointer decode(const VimType *type, const char *xml, GError **error)
{
    g_autoptr(XmlDocument) document = xml_parse(xml, strlen(xml), 1 << 20, error);

    return document != NULL ? vim_decode(type, xml_root(document), error) : NULL;
}

#define XSI "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "

static void test_polymorphism(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimVirtualDevice) device = decode(
        &vim_virtual_device_type,
        "<d " XSI
        "xsi:type='x:VirtualDisk'><key>2000</key><backing xsi:type='VirtualDiskSeSparseBackingInfo'>"
        "<fileName>[a] b</fileName><changeId>c/1</changeId><parent><fileName>p</fileName></parent></backing>"
        "<unitNumber>0</unitNumber><capacityInKB>4294967296</capacityInKB></d>",
        &error);
    const VimVirtualDisk *disk = vim_cast(device, &vim_virtual_disk_type);

    g_assert_no_error(error);
    g_assert_nonnull(disk);
    g_assert_null(vim_cast(device, &vim_virtual_controller_type));
    g_assert_nonnull(vim_cast(device->backing, &vim_virtual_device_file_backing_info_type));
    g_assert_cmpint(disk->base.key, ==, 2000);
    g_assert_true(disk->base.has_unit_number && !disk->base.has_controller_key &&
                  !disk->has_capacity_in_bytes);
    g_assert_cmpint(disk->capacity_in_kb, ==, G_GINT64_CONSTANT(4294967296));
    g_assert_cmpstr(vim_get_string(device->backing, "changeId"), ==, "c/1");
    g_assert_cmpstr(vim_get_string(vim_get_object(device->backing, "parent"), "fileName"), ==, "p");
    g_assert_null(vim_get_string(device->backing, "sharing"));
    g_assert_null(vim_get_string(NULL, "fileName"));
}

static void test_unknown_type(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimVirtualDevice) device =
        decode(&vim_virtual_device_type,
               "<d " XSI "xsi:type='VirtualHologram'><key>7</key><glow>1</glow></d>", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(vim_type_name(device), ==, "VirtualHologram");
    g_assert_true(device->header.type == &vim_virtual_device_type);
}

static void test_lists(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimVirtualMachineFileLayoutExDiskUnit) unit =
        decode(&vim_virtual_machine_file_layout_ex_disk_unit_type,
               "<c><fileKey>3</fileKey><other/><fileKey>-4</fileKey></c>", &error);
    g_autoptr(VimVirtualMachineFileLayoutEx) layout =
        decode(&vim_virtual_machine_file_layout_ex_type, "<l/>", &error);

    g_assert_no_error(error);
    g_assert_cmpuint(unit->file_key->len, ==, 2);
    g_assert_cmpint(g_array_index(unit->file_key, gint32, 1), ==, -4);
    g_assert_cmpuint(layout->file->len + layout->disk->len, ==, 0);
}

static void test_enum(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimTaskInfo) done =
        decode(&vim_task_info_type, "<i><key>k</key><state>success</state></i>", &error);
    g_autoptr(VimTaskInfo) odd =
        decode(&vim_task_info_type, "<i><key>k</key><state>dreaming</state></i>", &error);

    g_assert_no_error(error);
    g_assert_cmpint(done->state, ==, VIM_TASK_INFO_STATE_SUCCESS);
    g_assert_cmpint(odd->state, ==, VIM_TASK_INFO_STATE_NONE);
}

static void test_refused(void)
{
    static const struct {
        const VimType *type;
        const char *xml;
        const char *says;
    } cases[] = {
        {&vim_virtual_device_type, "<d><deviceInfo/></d>", "VirtualDevice without key"},
        {&vim_virtual_device_type, "<d><key>7x</key></d>", "key"},
        {&vim_virtual_device_type, "<d><key></key></d>", "key"},
        {&vim_virtual_device_type, "<d><key>2147483648</key></d>", "key"},
        {&vim_virtual_device_type, "<d><key>1</key><key>1</key></d>", "two key"},
        {&vim_virtual_device_type, "<d " XSI "xsi:type='TaskInfo'><key>1</key></d>",
         "TaskInfo where VirtualDevice"},
        {&vim_virtual_machine_boot_options_type, "<b><efiSecureBootEnabled>maybe</efiSecureBootEnabled></b>",
         "maybe"},
        {&vim_disk_change_info_type,
         "<r><startOffset>0</startOffset><length>9</length><changedArea><start>1</start></changedArea></r>",
         "DiskChangeExtent without length"},
        {&vim_disk_change_info_type,
         "<r><startOffset>0</startOffset><length>9223372036854775808</length></r>", "length"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(decode(cases[i].type, cases[i].xml, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, cases[i].says));
    }
}

static void test_property(void)
{
    static const char xml[] = "<r><a>web</a><b><string>x</string><string>y</string></b></r>";
    g_autoptr(GError) error = NULL;
    g_autoptr(XmlDocument) document = xml_parse(xml, strlen(xml), sizeof xml, &error);
    XmlNode *name = xml_child(xml_root(document), "a"), *list = xml_child(xml_root(document), "b");
    g_autoptr(VimVm) vm = vim_new(&vim_vm_type);

    g_assert_true(vim_decode_property(vm, "name", name, &error));
    g_assert_true(vim_decode_property(vm, "disabledMethod", list, &error));
    g_assert_true(vim_decode_property(vm, "never.heard.of", list, &error));
    g_assert_cmpstr(vm->name, ==, "web");
    g_assert_cmpuint(vm->disabled_method->len, ==, 2);
    g_assert_false(vim_decode_property(vm, "name", name, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

/* The table that bsearch() trusts. */
static void test_table(void)
{
    for (guint i = 0; i < vim_n_types; i++) {
        g_assert_true(vim_type_find(vim_types[i]->name) == vim_types[i]);
        if (i > 0)
            g_assert_cmpstr(vim_types[i - 1]->name, <, vim_types[i]->name);
    }
    g_assert_null(vim_type_find("Nothing"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vim/polymorphism", test_polymorphism);
    g_test_add_func("/vim/unknown-type", test_unknown_type);
    g_test_add_func("/vim/lists", test_lists);
    g_test_add_func("/vim/enum", test_enum);
    g_test_add_func("/vim/refused", test_refused);
    g_test_add_func("/vim/property", test_property);
    g_test_add_func("/vim/table", test_table);
    return g_test_run();
}
