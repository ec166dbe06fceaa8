/* An answer of vCenter, from the body to what the rest of the program sees: which decoder it meets depends on
 * its own response element. */
#include "fuzz.h"

#include "base/error.h"
#include "vsphere/areas.h"
#include "vsphere/fault.h"
#include "vsphere/property.h"
#include "vsphere/vm.h"

#include <string.h>

#define DISK_SIZE (10u << 20)

static const VimType *const wanted[] = {
    &vim_vm_type,
    &vim_vm_name_type,
    &vim_vm_power_type,
    &vim_snapshot_type,
    &vim_folder_type,
    &vim_datacenter_type,
    &vim_virtual_app_type,
    &vim_host_system_type,
    &vim_datastore_type,
    &vim_portgroup_type,
    &vim_opaque_network_type,
    &vim_task_type,
    &vim_authorization_manager_type,
    NULL,
};

static void check_vm(const VimVm *properties, Folders *folders)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) vm = vm_from_properties(properties, folders, "group-d1", &error);

    g_assert_true((vm != NULL) == (error == NULL));
    if (vm == NULL)
        return;
    g_assert_cmpuint(vm->disks->len, ==, vm->machine->disks->len);
    for (guint i = 0; i < vm->disks->len; i++) {
        const MachineDisk *disk = vm->machine->disks->pdata[i];

        g_assert_true(disk->boot == (i == 0));
        g_assert_cmpuint(disk->size % 512, ==, 0);
    }
}

static void check_properties(XmlNode *value)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(vim_free);
    g_autoptr(Folders) folders = NULL;
    g_autofree char *token = NULL;

    if (!property_decode(value, wanted, objects, &token, &error)) {
        g_assert_nonnull(error);
        return;
    }
    folders = folders_new(objects);
    for (guint i = 0; i < objects->len; i++) {
        const VimVm *vm = vim_cast(objects->pdata[i], &vim_vm_type);
        const VimTask *task = vim_cast(objects->pdata[i], &vim_task_type);
        g_autoptr(GError) failed = NULL;

        if (vm != NULL)
            check_vm(vm, folders);
        if (task != NULL && task->info != NULL && task->info->error != NULL)
            g_assert_false(fault_fail(task->info->error, &failed));
    }
}

/* Whatever is accepted moves on and stays on the disk. */
static void check_areas(XmlNode *value)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimDiskChangeInfo) info = vim_decode(&vim_disk_change_info_type, value, &error);
    g_autoptr(Extents) areas = extents_new();
    guint64 position = 0;
    guint count;

    if (info == NULL)
        return;
    if (!areas_add(info, DISK_SIZE, &position, areas, &error)) {
        g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
        return;
    }
    g_assert_cmpuint(position, >, 0);
    g_assert_cmpuint(position, <=, DISK_SIZE);
    count = extents_count(areas);
    g_assert_true(count == 0 || extents_get(areas, count - 1).end <= DISK_SIZE);
}

static void check_value(const char *method, XmlNode *value)
{
    g_autoptr(GError) error = NULL;

    if (strcmp(method, "RetrievePropertiesEx") == 0 || strcmp(method, "ContinueRetrievePropertiesEx") == 0)
        check_properties(value);
    else if (strcmp(method, "QueryChangedDiskAreas") == 0)
        check_areas(value);
    else if (strcmp(method, "RetrieveServiceContent") == 0)
        vim_free(vim_decode(&vim_service_content_type, value, &error));
    else
        vim_free(vim_decode(&vim_user_session_type, value, &error));
}

static char *method_of(const char *text, size_t length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(XmlDocument) document = xml_parse(text, length, 1 << 20, &error);
    const char *name =
        document != NULL ? xml_name(xml_child(xml_child(xml_root(document), "Body"), NULL)) : NULL;
    const char *tail = name != NULL ? g_strrstr(name, "Response") : NULL;

    return g_strndup(name != NULL ? name : "", tail != NULL ? (gsize)(tail - name) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    g_autofree char *method = method_of(text, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(SoapReply) reply = soap_reply_parse(method, text, size, &error);

    g_assert_true((reply != NULL) == (error == NULL));
    if (reply != NULL && soap_reply_value(reply) != NULL)
        check_value(method, soap_reply_value(reply));
    if (error != NULL)
        g_free(vsphere_fault(error));
    g_assert_nonnull(soap_choose_version(text, size));
    return 0;
}
