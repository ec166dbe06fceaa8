#include "vsphere/inventory.h"

#include "base/error.h"
#include "vsphere/property.h"
#include "vsphere/vm.h"

#include <string.h>

/* --- VMs --- */

static int compare_paths(gconstpointer a, gconstpointer b)
{
    const VsphereVm *const *left = a;
    const VsphereVm *const *right = b;

    return strcmp((*left)->path, (*right)->path);
}

GPtrArray *vsphere_list_vms(Vsphere *vsphere, gboolean with_templates, GError **error)
{
    static const VimType *const wanted[] = {
        &vim_vm_type,          &vim_folder_type,    &vim_datacenter_type,     &vim_virtual_app_type,
        &vim_host_system_type, &vim_portgroup_type, &vim_opaque_network_type, NULL,
    };
    g_autoptr(GPtrArray) objects = property_read_all(vsphere, wanted, error);
    g_autoptr(Folders) folders = objects != NULL ? folders_new(objects) : NULL;
    g_autoptr(GPtrArray) vms = g_ptr_array_new_with_free_func((GDestroyNotify)vsphere_vm_free);

    for (guint i = 0; objects != NULL && i < objects->len; i++) {
        const VimVm *properties = vim_cast(objects->pdata[i], &vim_vm_type);
        VsphereVm *vm;

        if (properties == NULL || (properties->template && !with_templates))
            continue;
        vm = vm_from_properties(properties, folders, vsphere_content(vsphere)->root_folder, error);
        if (vm == NULL)
            return NULL;
        g_ptr_array_add(vms, vm);
    }
    if (objects == NULL)
        return NULL;
    g_ptr_array_sort(vms, compare_paths);
    return g_steal_pointer(&vms);
}

/* The VM, all that is above it, its networks and its tasks: in one question. */
static GPtrArray *read_around(Vsphere *vsphere, const char *moref, GError **error)
{
    static const VimType *const wanted[] = {
        &vim_vm_type,
        &vim_folder_type,
        &vim_datacenter_type,
        &vim_virtual_app_type,
        &vim_host_system_type,
        &vim_portgroup_type,
        &vim_opaque_network_type,
        &vim_task_type,
        NULL,
    };
    static const char *const up[] = {"up", NULL};
    static const char *const from_app[] = {"up-from-app", "app-in-app", NULL};
    static const PropertyWay ways[] = {
        {"up", "ManagedEntity", "parent", up},
        {"app", "VirtualMachine", "parentVApp", from_app},
        {"up-from-app", "VirtualApp", "parentFolder", up},
        {"app-in-app", "VirtualApp", "parentVApp", from_app},
        {"network", "VirtualMachine", "network", NULL},
        {"task", "VirtualMachine", "recentTask", NULL},
    };

    return property_read(vsphere,
                         &(PropertyQuery){.type = "VirtualMachine",
                                          .moref = moref,
                                          .detail = TRUE,
                                          .ways = ways,
                                          .n_ways = G_N_ELEMENTS(ways),
                                          .wanted = wanted},
                         error);
}

/* A way may not lead through "runtime.host", so the host is a question of its own.  Who may not see it does
 * without its name. */
static gboolean add_host(Vsphere *vsphere, GPtrArray *objects, Folders *folders, const VimVm *properties,
                         GError **error)
{
    g_autoptr(GError) local = NULL;
    VimManaged *host;

    if (properties->host == NULL)
        return TRUE;
    host = property_read_one(vsphere, &vim_host_system_type, properties->host, &local);
    if (host != NULL) {
        g_ptr_array_add(objects, host);
        g_hash_table_insert(folders, host->moref, host);
        return TRUE;
    }
    if (vf_error_is(local, VF_ERROR_AUTH) || vf_error_is(local, VF_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* A configuration that cannot be read looks like a VM without disks. */
static gboolean check_readable(const VimVm *properties, const char *moref, GError **error)
{
    if (properties == NULL)
        return vf_fail(error, VF_ERROR_NOT_FOUND, "there is no VM %s", moref);
    if (properties->managed.missing != NULL) {
        g_propagate_error(error, g_error_copy(properties->managed.missing));
        return FALSE;
    }
    if (properties->vm_path_name != NULL && properties->device->len > 0)
        return TRUE;
    return vf_fail(
        error, VF_ERROR_CONFLICT,
        "vCenter cannot read the configuration of VM %s (%s), it is %s; bring its host or datastore back",
        moref, properties->name, properties->connection_state);
}

VsphereVm *vsphere_get_vm(Vsphere *vsphere, const char *moref, const char *instance_uuid, GError **error)
{
    g_autoptr(GPtrArray) objects = read_around(vsphere, moref, error);
    g_autoptr(Folders) folders = objects != NULL ? folders_new(objects) : NULL;
    const VimVm *properties = NULL;

    if (objects == NULL)
        return NULL;
    properties = vim_cast(g_hash_table_lookup(folders, moref), &vim_vm_type);
    if (!check_readable(properties, moref, error)) {
        g_prefix_error(error, "%s: ", vsphere_server(vsphere));
        return NULL;
    }
    if (instance_uuid != NULL && g_strcmp0(properties->instance_uuid, instance_uuid) != 0) {
        vf_fail(error, VF_ERROR_INTEGRITY,
                "%s: %s is now VM \"%s\" with instance uuid %s, not the one with %s", vsphere_server(vsphere),
                moref, properties->name, properties->instance_uuid, instance_uuid);
        return NULL;
    }
    if (!add_host(vsphere, objects, folders, properties, error))
        return NULL;
    return vm_from_properties(properties, folders, vsphere_content(vsphere)->root_folder, error);
}

/* --- datastores --- */

static void datastore_free(gpointer data)
{
    VsphereDatastore *datastore = data;

    g_free(datastore->name);
    g_free(datastore->moref);
    g_free(datastore->type);
    g_free(datastore->datacenter_path);
    g_free(datastore->url);
    g_free(datastore);
}

static VsphereDatastore *datastore_new(const VimDatastore *properties, Folders *folders, const char *root)
{
    const VimDatastoreSummary *summary = properties->summary;
    VsphereDatastore *datastore = g_new0(VsphereDatastore, 1);

    datastore->moref = g_strdup(properties->managed.moref);
    datastore->name = folders_name(folders, datastore->moref);
    datastore->datacenter_path = folders_datacenter_path(folders, &properties->managed, root);
    if (summary != NULL) {
        datastore->capacity = (guint64)MAX(summary->capacity, 0);
        datastore->free = (guint64)MAX(summary->free_space, 0);
        datastore->type = g_strdup(summary->type);
        datastore->url = g_strdup(summary->url);
        datastore->accessible = summary->accessible;
    }
    return datastore;
}

GPtrArray *vsphere_list_datastores(Vsphere *vsphere, GError **error)
{
    static const VimType *const wanted[] = {&vim_datastore_type, &vim_folder_type, &vim_datacenter_type,
                                            NULL};
    g_autoptr(GPtrArray) objects = property_read_all(vsphere, wanted, error);
    g_autoptr(Folders) folders = objects != NULL ? folders_new(objects) : NULL;
    GPtrArray *datastores;

    if (objects == NULL)
        return NULL;
    datastores = g_ptr_array_new_with_free_func(datastore_free);
    for (guint i = 0; i < objects->len; i++) {
        const VimDatastore *properties = vim_cast(objects->pdata[i], &vim_datastore_type);

        if (properties != NULL && properties->name != NULL)
            g_ptr_array_add(datastores,
                            datastore_new(properties, folders, vsphere_content(vsphere)->root_folder));
    }
    return datastores;
}
