#include "lab/property.h"

#include "base/clock.h"
#include "lab/schema.h"
#include "lab/task.h"
#include "lab/view.h"

#include <string.h>

const char *const LAB_PRIVILEGES[] = {
    "System.Anonymous",
    "System.Read",
    "System.View",
    "Global.CancelTask",
    "Global.DisableMethods",
    "Global.EnableMethods",
    "Global.Licenses",
    "Datastore.Browse",
    "Datastore.FileManagement",
    "Datastore.DeleteFile",
    "Datastore.AllocateSpace",
    "Network.Assign",
    "Sessions.TerminateSession",
    "Sessions.ValidateSession",
    "VirtualMachine.Config.ChangeTracking",
    "VirtualMachine.Config.DiskExtend",
    "VirtualMachine.Config.DiskLease",
    "VirtualMachine.Config.Rename",
    "VirtualMachine.Config.Settings",
    "VirtualMachine.Config.AddExistingDisk",
    "VirtualMachine.Config.AddNewDisk",
    "VirtualMachine.Config.Annotation",
    "VirtualMachine.Interact.PowerOff",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.Interact.Reset",
    "VirtualMachine.Provisioning.DiskRandomAccess",
    "VirtualMachine.Provisioning.DiskRandomRead",
    "VirtualMachine.Provisioning.GetVmFiles",
    "VirtualMachine.State.CreateSnapshot",
    "VirtualMachine.State.RemoveSnapshot",
    "VirtualMachine.State.RenameSnapshot",
    "VirtualMachine.State.RevertToSnapshot",
    "VApp.Export",
    "Cryptographer.Access",
    NULL,
};

Value *lab_ref(const LabObject *object)
{
    return object != NULL ? value_ref(object->type, object->moref) : NULL;
}

Value *lab_refs(const GPtrArray *objects)
{
    Value *refs = value_array("ManagedObjectReference");
    for (guint i = 0; i < objects->len; i++)
        value_add(refs, lab_ref(g_ptr_array_index(objects, i)));
    return refs;
}

Value *lab_fault_value(const LabFault *fault)
{
    if (fault->value == NULL)
        return NULL;
    Value *value = value_new("LocalizedMethodFault");
    value_set(value, "fault", value_copy(fault->value));
    value_set_text(value, "localizedMessage", fault->message);
    return value;
}

/* --- every managed entity --- */

static Value *entity_name(const LabReader *reader)
{
    return value_text("string", reader->object->name);
}

static Value *entity_parent(const LabReader *reader)
{
    return lab_ref(reader->object->parent);
}

static Value *entity_status(const LabReader *reader)
{
    return value_text("ManagedEntityStatus", "green");
}

static Value *entity_role(const LabReader *reader)
{
    Value *roles = value_array("int");
    value_add(roles, value_text("int", "-1"));
    return roles;
}

static Value *tasks_of(const LabReader *reader, const LabObject *entity)
{
    Value *refs = value_array("ManagedObjectReference");
    for (GList *link = reader->lab->tasks.head; link != NULL; link = link->next) {
        LabTask *task = link->data;
        if (entity == NULL || (task->vm != NULL && &task->vm->object == entity))
            value_add(refs, lab_ref(&task->object));
    }
    return refs;
}

static Value *entity_tasks(const LabReader *reader)
{
    return tasks_of(reader, reader->object);
}

static Value *manager_tasks(const LabReader *reader)
{
    return tasks_of(reader, NULL);
}

static Value *entity_disabled(const LabReader *reader)
{
    return value_array("string");
}

/* --- folders and datacenters --- */

static Value *folder_children(const LabReader *reader)
{
    return lab_refs(reader->object->children);
}

static Value *folder_types(const LabReader *reader)
{
    Value *types = value_array("string");
    value_add(types, value_text("string", "Folder"));
    value_add(types, value_text("string", reader->object->parent == NULL ? "Datacenter" : "VirtualMachine"));
    return types;
}

static const LabDatacenter *datacenter_of(const LabReader *reader)
{
    const LabObject *object = reader->object;
    while (!g_str_equal(object->type, "Datacenter"))
        object = object->parent;
    return (const LabDatacenter *)object;
}

static Value *datacenter_vm_folder(const LabReader *reader)
{
    return lab_ref(datacenter_of(reader)->vm_folder);
}

static Value *datacenter_host_folder(const LabReader *reader)
{
    return lab_ref(datacenter_of(reader)->host_folder);
}

static Value *datacenter_datastore_folder(const LabReader *reader)
{
    return lab_ref(datacenter_of(reader)->datastore_folder);
}

static Value *datacenter_network_folder(const LabReader *reader)
{
    return lab_ref(datacenter_of(reader)->network_folder);
}

static Value *all_hosts(const LabReader *reader)
{
    return lab_refs(datacenter_of(reader)->hosts);
}

static Value *all_datastores(const LabReader *reader)
{
    return lab_refs(datacenter_of(reader)->datastores);
}

static Value *all_networks(const LabReader *reader)
{
    return lab_refs(datacenter_of(reader)->networks);
}

static Value *the_pool(const LabReader *reader)
{
    return lab_ref(datacenter_of(reader)->pool);
}

static Value *the_cluster(const LabReader *reader)
{
    return lab_ref(datacenter_of(reader)->cluster);
}

/* --- hosts, datastores, networks --- */

static gboolean vm_uses(const LabVm *vm, const LabObject *object)
{
    if (vm->host == object || vm->datacenter->pool == object || &vm->datastore->object == object)
        return TRUE;
    for (guint i = 0; i < vm->disks->len; i++)
        if (&((LabDisk *)g_ptr_array_index(vm->disks, i))->datastore->object == object)
            return TRUE;
    for (guint i = 0; i < vm->nics->len; i++)
        if (((LabNic *)g_ptr_array_index(vm->nics, i))->network == object)
            return TRUE;
    return FALSE;
}

static Value *users(const LabReader *reader)
{
    g_autoptr(GPtrArray) vms = g_ptr_array_new();
    for (guint i = 0; i < reader->lab->vms->len; i++)
        if (vm_uses(g_ptr_array_index(reader->lab->vms, i), reader->object))
            g_ptr_array_add(vms, g_ptr_array_index(reader->lab->vms, i));
    return lab_refs(vms);
}

static Value *host_runtime(const LabReader *reader)
{
    Value *runtime = value_new("HostRuntimeInfo");
    value_set_text(runtime, "connectionState", "connected");
    value_set_text(runtime, "powerState", "poweredOn");
    value_set_bool(runtime, "inMaintenanceMode", FALSE);
    return runtime;
}

static Value *about(const Lab *lab, const char *name, const char *product, const char *api_type)
{
    Value *value = value_new("AboutInfo");
    value_set_text(value, "name", name);
    value_setf(value, "fullName", "%s 8.0.3 build-24022515 (vmferry lab)", name);
    value_set_text(value, "vendor", "VMware, Inc.");
    value_set_text(value, "version", "8.0.3");
    value_set_text(value, "build", "24022515");
    value_set_text(value, "osType", "linux-x64");
    value_set_text(value, "productLineId", product);
    value_set_text(value, "apiType", api_type);
    value_set_text(value, "apiVersion", "8.0.3.0");
    if (g_str_equal(product, "vpx"))
        value_set_text(value, "instanceUuid", lab->instance_uuid);
    return value;
}

static Value *host_config(const LabReader *reader)
{
    Value *config = value_new("HostConfigInfo");
    value_set(config, "host", lab_ref(reader->object));
    value_set(config, "product", about(reader->lab, "VMware ESXi", "embeddedEsx", "HostAgent"));
    return config;
}

static Value *datastore_summary(const LabReader *reader)
{
    const LabDatastore *datastore = (const LabDatastore *)reader->object;
    guint64 used = 0;
    for (guint i = 0; i < reader->lab->vms->len; i++) {
        GPtrArray *disks = ((LabVm *)g_ptr_array_index(reader->lab->vms, i))->disks;
        for (guint d = 0; d < disks->len; d++)
            if (((LabDisk *)g_ptr_array_index(disks, d))->datastore == datastore)
                used += ((LabDisk *)g_ptr_array_index(disks, d))->size;
    }
    Value *summary = value_new("DatastoreSummary");
    value_set(summary, "datastore", lab_ref(reader->object));
    value_set_text(summary, "name", datastore->object.name);
    value_setf(summary, "url", "ds:///vmfs/volumes/%s/", datastore->uuid);
    value_set_int(summary, "capacity", (gint64)datastore->capacity);
    value_set_int(summary, "freeSpace", (gint64)(datastore->capacity - MIN(used, datastore->capacity)));
    value_set_bool(summary, "accessible", TRUE);
    value_set_bool(summary, "multipleHostAccess", TRUE);
    value_set_text(summary, "type", datastore->kind);
    value_set_text(summary, "maintenanceMode", "normal");
    return summary;
}

static Value *datastore_info(const LabReader *reader)
{
    const LabDatastore *datastore = (const LabDatastore *)reader->object;
    gboolean vmfs = g_str_equal(datastore->kind, "VMFS");
    Value *info = value_new(vmfs ? "VmfsDatastoreInfo" : "DatastoreInfo");
    value_set_text(info, "name", datastore->object.name);
    value_setf(info, "url", "ds:///vmfs/volumes/%s/", datastore->uuid);
    value_set_int(info, "freeSpace", (gint64)datastore->capacity);
    value_set_int(info, "maxFileSize", (gint64)1 << 46);
    if (vmfs) {
        Value *volume = value_new("HostVmfsVolume");
        value_set_text(volume, "type", "VMFS");
        value_set_text(volume, "name", datastore->object.name);
        value_set_int(volume, "capacity", (gint64)datastore->capacity);
        value_set_int(volume, "blockSizeMb", 1);
        value_set_int(volume, "maxBlocks", 63963136);
        value_set_int(volume, "majorVersion", 6);
        value_set_text(volume, "version", "6.82");
        value_set_text(volume, "uuid", datastore->uuid);
        value_set_bool(volume, "vmfsUpgradable", FALSE);
        value_set(info, "vmfs", volume);
    }
    return info;
}

static Value *datastore_hosts(const LabReader *reader)
{
    Value *mounts = value_array("DatastoreHostMount");
    const LabDatastore *datastore = (const LabDatastore *)reader->object;
    GPtrArray *hosts = datastore->datacenter->hosts;
    for (guint i = 0; i < hosts->len; i++) {
        Value *mount = value_new("DatastoreHostMount"), *info = value_new("HostMountInfo");
        value_setf(info, "path", "/vmfs/volumes/%s", datastore->uuid);
        value_set_text(info, "accessMode", "readWrite");
        value_set_bool(info, "mounted", TRUE);
        value_set_bool(info, "accessible", TRUE);
        value_set(mount, "key", lab_ref(g_ptr_array_index(hosts, i)));
        value_set(mount, "mountInfo", info);
        value_add(mounts, mount);
    }
    return mounts;
}

static Value *network_summary(const LabReader *reader)
{
    Value *summary = value_new("NetworkSummary");
    value_set(summary, "network", lab_ref(reader->object));
    value_set_text(summary, "name", reader->object->name);
    value_set_bool(summary, "accessible", TRUE);
    return summary;
}

/* --- services --- */

Value *lab_service_content(const Lab *lab)
{
    static const char *const MANAGERS[][3] = {
        {"propertyCollector", "PropertyCollector", "propertyCollector"},
        {"viewManager", "ViewManager", "ViewManager"},
        {"sessionManager", "SessionManager", "SessionManager"},
        {"authorizationManager", "AuthorizationManager", "AuthorizationManager"},
        {"taskManager", "TaskManager", "TaskManager"},
        {"searchIndex", "SearchIndex", "SearchIndex"},
    };
    Value *content = value_new("ServiceContent");
    value_set(content, "rootFolder", lab_ref(lab->root));
    value_set(content, "about", about(lab, "VMware vCenter Server", "vpx", "VirtualCenter"));
    for (guint i = 0; i < G_N_ELEMENTS(MANAGERS); i++)
        value_set_ref(content, MANAGERS[i][0], MANAGERS[i][1], MANAGERS[i][2]);
    return content;
}

static Value *service_content(const LabReader *reader)
{
    return lab_service_content(reader->lab);
}

static Value *service_clock(const LabReader *reader)
{
    g_autofree char *now = clock_format(clock_now());
    return value_text("dateTime", now);
}

static Value *current_session(const LabReader *reader)
{
    return lab_session_value(reader->lab, reader->session);
}

static Value *default_locale(const LabReader *reader)
{
    return value_text("string", "en");
}

static Value *privilege_list(const LabReader *reader)
{
    Value *list = value_array("AuthorizationPrivilege");
    for (guint i = 0; LAB_PRIVILEGES[i] != NULL; i++) {
        Value *privilege = value_new("AuthorizationPrivilege");
        const char *dot = strrchr(LAB_PRIVILEGES[i], '.');
        g_autofree char *group = g_strndup(LAB_PRIVILEGES[i], (gsize)(dot - LAB_PRIVILEGES[i]));
        value_set_text(privilege, "privId", LAB_PRIVILEGES[i]);
        value_set_bool(privilege, "onParent", FALSE);
        value_set_text(privilege, "name", dot + 1);
        value_set_text(privilege, "privGroupName", group);
        value_add(list, privilege);
    }
    return list;
}

static Value *view_view(const LabReader *reader)
{
    return lab_view_value(reader->lab, (const LabView *)reader->object);
}

static Value *view_container(const LabReader *reader)
{
    return lab_ref(((const LabView *)reader->object)->container);
}

static Value *task_info(const LabReader *reader)
{
    return lab_task_info((const LabTask *)reader->object);
}

/* --- the table --- */

static const LabPropertyRow ROWS[] = {
    {"ManagedEntity", "name", entity_name},
    {"ManagedEntity", "parent", entity_parent},
    {"ManagedEntity", "overallStatus", entity_status},
    {"ManagedEntity", "configStatus", entity_status},
    {"ManagedEntity", "effectiveRole", entity_role},
    {"ManagedEntity", "recentTask", entity_tasks},
    {"ManagedEntity", "disabledMethod", entity_disabled},
    {"Folder", "childEntity", folder_children},
    {"Folder", "childType", folder_types},
    {"Datacenter", "vmFolder", datacenter_vm_folder},
    {"Datacenter", "hostFolder", datacenter_host_folder},
    {"Datacenter", "datastoreFolder", datacenter_datastore_folder},
    {"Datacenter", "networkFolder", datacenter_network_folder},
    {"Datacenter", "datastore", all_datastores},
    {"Datacenter", "network", all_networks},
    {"ComputeResource", "host", all_hosts},
    {"ComputeResource", "datastore", all_datastores},
    {"ComputeResource", "network", all_networks},
    {"ComputeResource", "resourcePool", the_pool},
    {"ResourcePool", "owner", the_cluster},
    {"ResourcePool", "vm", users},
    {"HostSystem", "runtime", host_runtime},
    {"HostSystem", "config", host_config},
    {"HostSystem", "datastore", all_datastores},
    {"HostSystem", "network", all_networks},
    {"HostSystem", "vm", users},
    {"Datastore", "summary", datastore_summary},
    {"Datastore", "info", datastore_info},
    {"Datastore", "host", datastore_hosts},
    {"Datastore", "vm", users},
    {"Network", "summary", network_summary},
    {"Network", "host", all_hosts},
    {"Network", "vm", users},
    {"ServiceInstance", "content", service_content},
    {"ServiceInstance", "serverClock", service_clock},
    {"SessionManager", "currentSession", current_session},
    {"SessionManager", "defaultLocale", default_locale},
    {"AuthorizationManager", "privilegeList", privilege_list},
    {"TaskManager", "recentTask", manager_tasks},
    {"ManagedObjectView", "view", view_view},
    {"ContainerView", "container", view_container},
    {"Task", "info", task_info},
    {NULL, NULL, NULL},
};

static LabProperty find_row(const LabPropertyRow *rows, const char *type, const char *name)
{
    for (; rows->type != NULL; rows++)
        if (g_str_equal(rows->name, name) && schema_is(type, rows->type))
            return rows->make;
    return NULL;
}

void lab_reader_init(LabReader *reader, Lab *lab, LabSession *session, LabObject *object)
{
    *reader = (LabReader){.lab = lab, .session = session, .object = object};
    reader->made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)value_free);
}

void lab_reader_fini(LabReader *reader)
{
    g_hash_table_unref(reader->made);
}

const Value *lab_read_property(LabReader *reader, const char *path)
{
    const char *dot = strchr(path, '.');
    g_autofree char *name = dot != NULL ? g_strndup(path, (gsize)(dot - path)) : g_strdup(path);
    gpointer made = NULL;
    if (!g_hash_table_lookup_extended(reader->made, name, NULL, &made)) {
        LabProperty make = find_row(ROWS, reader->object->type, name);
        if (make == NULL)
            make = find_row(LAB_VM_PROPERTIES, reader->object->type, name);
        made = make != NULL ? make(reader) : NULL;
        g_hash_table_insert(reader->made, g_strdup(name), made);
    }
    return dot != NULL ? value_walk(made, dot + 1) : made;
}
