#include "lab/model.h"

#include "base/clock.h"
#include "lab/session.h"

#include <string.h>

void lab_fault_clear(LabFault *fault)
{
    value_free(fault->value);
    g_free(fault->message);
    *fault = (LabFault){0};
}

gboolean lab_fault(LabFault *fault, Value *value, const char *format, ...)
{
    lab_fault_clear(fault);
    va_list arguments;
    va_start(arguments, format);
    fault->message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fault->value = value;
    return FALSE;
}

gboolean lab_fault_plain(LabFault *fault, const char *type, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return lab_fault(fault, value_new(type), "%s", message);
}

gboolean lab_fault_argument(LabFault *fault, const char *property)
{
    Value *value = value_new("InvalidArgument");
    value_set_text(value, "invalidProperty", property);
    return lab_fault(fault, value, "A specified parameter was not correct: %s", property);
}

void lab_model_init(Lab *lab)
{
    g_mutex_init(&lab->lock);
    g_cond_init(&lab->changed);
    g_queue_init(&lab->tasks);
    lab->cancel = cancel_new();
    lab->objects = g_hash_table_new(g_str_hash, g_str_equal);
    lab->sessions = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)lab_session_unref);
    lab->denied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    lab->datacenters = g_ptr_array_new();
    lab->vms = g_ptr_array_new();
    lab->next_number = 1;
    lab->root = lab_folder_new(lab, "group-d", "Datacenters", NULL);
}

void lab_model_fini(Lab *lab)
{
    g_hash_table_unref(lab->sessions);
    GHashTableIter iterator;
    gpointer object;
    g_hash_table_iter_init(&iterator, lab->objects);
    while (g_hash_table_iter_next(&iterator, NULL, &object)) {
        g_hash_table_iter_steal(&iterator);
        ((LabObject *)object)->free(object);
    }
    g_hash_table_unref(lab->objects);
    g_hash_table_unref(lab->denied);
    json_decref(lab->saved);
    g_ptr_array_unref(lab->datacenters);
    g_ptr_array_unref(lab->vms);
    g_queue_clear(&lab->tasks);
    cancel_unref(lab->cancel);
    g_cond_clear(&lab->changed);
    g_mutex_clear(&lab->lock);
}

/* --- objects --- */

static void free_plain(LabObject *object)
{
    lab_object_fini(object);
    g_free(object);
}

void lab_object_init(Lab *lab, LabObject *object, const char *type, const char *moref, const char *name,
                     LabObject *parent)
{
    object->type = type;
    object->moref = g_strdup(moref);
    object->name = lab_escape_name(name);
    object->parent = parent;
    if (object->free == NULL)
        object->free = free_plain;
    if (parent != NULL && parent->children != NULL)
        g_ptr_array_add(parent->children, object);
    g_hash_table_insert(lab->objects, object->moref, object);
}

void lab_object_fini(LabObject *object)
{
    g_free(object->moref);
    g_free(object->name);
    if (object->children != NULL)
        g_ptr_array_unref(object->children);
}

char *lab_next_moref(Lab *lab, const char *prefix)
{
    for (;;) {
        char *moref = g_strdup_printf("%s%" G_GUINT64_FORMAT, prefix, lab->next_number++);
        if (!g_hash_table_contains(lab->objects, moref))
            return moref;
        g_free(moref);
    }
}

LabObject *lab_find(Lab *lab, const char *moref)
{
    return g_hash_table_lookup(lab->objects, moref);
}

char *lab_escape_name(const char *name)
{
    GString *escaped = g_string_new(NULL);
    for (const char *c = name; *c != '\0'; c++)
        if (*c == '%' || *c == '/' || *c == '\\')
            g_string_append_printf(escaped, "%%%02x", (guint)(guchar)*c);
        else
            g_string_append_c(escaped, *c);
    return g_string_free(escaped, FALSE);
}

LabObject *lab_child(const LabObject *folder, const char *name)
{
    for (guint i = 0; folder->children != NULL && i < folder->children->len; i++) {
        LabObject *child = g_ptr_array_index(folder->children, i);
        if (g_str_equal(child->name, name))
            return child;
    }
    return NULL;
}

static LabObject *new_object(Lab *lab, gsize size, const char *type, const char *prefix, const char *name,
                             LabObject *parent, void (*free_object)(LabObject *))
{
    LabObject *object = g_malloc0(size);
    g_autofree char *moref = lab_next_moref(lab, prefix);
    object->free = free_object;
    lab_object_init(lab, object, type, moref, name, parent);
    return object;
}

LabObject *lab_folder_new(Lab *lab, const char *moref_prefix, const char *name, LabObject *parent)
{
    LabObject *folder = new_object(lab, sizeof *folder, "Folder", moref_prefix, name, parent, NULL);
    folder->children = g_ptr_array_new();
    return folder;
}

/* --- datacenters, hosts, datastores, networks --- */

static void datacenter_free(LabObject *object)
{
    LabDatacenter *datacenter = (LabDatacenter *)object;
    g_ptr_array_unref(datacenter->hosts);
    g_ptr_array_unref(datacenter->datastores);
    g_ptr_array_unref(datacenter->networks);
    g_free(datacenter->path);
    free_plain(object);
}

static char *path_below_root(const LabObject *object)
{
    char *path = g_strdup(object->name);
    for (const LabObject *up = object->parent; up != NULL && up->parent != NULL; up = up->parent) {
        char *longer = g_strconcat(up->name, "/", path, NULL);
        g_free(path);
        path = longer;
    }
    return path;
}

LabDatacenter *lab_datacenter_new(Lab *lab, const char *name, LabObject *parent)
{
    LabDatacenter *datacenter = (LabDatacenter *)new_object(lab, sizeof *datacenter, "Datacenter",
                                                            "datacenter-", name, parent, datacenter_free);
    LabObject *object = &datacenter->object;
    datacenter->vm_folder = lab_folder_new(lab, "group-v", "vm", object);
    datacenter->host_folder = lab_folder_new(lab, "group-h", "host", object);
    datacenter->datastore_folder = lab_folder_new(lab, "group-s", "datastore", object);
    datacenter->network_folder = lab_folder_new(lab, "group-n", "network", object);
    g_autofree char *cluster_name = g_strconcat(name, "-cluster", NULL);
    datacenter->cluster = new_object(lab, sizeof(LabObject), "ClusterComputeResource", "domain-c",
                                     cluster_name, datacenter->host_folder, NULL);
    datacenter->pool = new_object(lab, sizeof(LabObject), "ResourcePool", "resgroup-", "Resources",
                                  datacenter->cluster, NULL);
    datacenter->hosts = g_ptr_array_new();
    datacenter->datastores = g_ptr_array_new();
    datacenter->networks = g_ptr_array_new();
    datacenter->path = path_below_root(object);
    g_ptr_array_add(lab->datacenters, datacenter);
    return datacenter;
}

LabObject *lab_host_new(Lab *lab, LabDatacenter *datacenter, const char *name)
{
    LabObject *host = new_object(lab, sizeof *host, "HostSystem", "host-", name, datacenter->cluster, NULL);
    g_ptr_array_add(datacenter->hosts, host);
    return host;
}

LabObject *lab_network_new(Lab *lab, LabDatacenter *datacenter, const char *name)
{
    LabObject *network =
        new_object(lab, sizeof *network, "Network", "network-", name, datacenter->network_folder, NULL);
    g_ptr_array_add(datacenter->networks, network);
    return network;
}

static void datastore_free(LabObject *object)
{
    LabDatastore *datastore = (LabDatastore *)object;
    g_free(datastore->kind);
    g_free(datastore->uuid);
    g_free(datastore->directory);
    free_plain(object);
}

LabDatastore *lab_datastore_new(Lab *lab, LabDatacenter *datacenter, const char *name)
{
    LabDatastore *datastore = (LabDatastore *)new_object(lab, sizeof *datastore, "Datastore", "datastore-",
                                                         name, datacenter->datastore_folder, datastore_free);
    datastore->datacenter = datacenter;
    g_autofree char *place = g_uri_escape_string(datacenter->path, NULL, TRUE);
    datastore->directory = g_build_filename(lab->directory, place, datastore->object.name, NULL);
    g_ptr_array_add(datacenter->datastores, datastore);
    return datastore;
}

/* --- virtual machines --- */

void lab_disk_free(LabDisk *disk)
{
    if (disk == NULL)
        return;
    g_free(disk->name);
    g_free(disk->mode);
    g_free(disk->sharing);
    g_free(disk->rdm);
    g_free(disk->uuid);
    g_free(disk->file);
    g_free(disk->change_id);
    g_strfreev(disk->parents);
    g_free(disk);
}

LabDisk *lab_disk_copy(const LabDisk *disk)
{
    LabDisk *copy = g_memdup2(disk, sizeof *disk);
    copy->name = g_strdup(disk->name);
    copy->mode = g_strdup(disk->mode);
    copy->sharing = g_strdup(disk->sharing);
    copy->rdm = g_strdup(disk->rdm);
    copy->uuid = g_strdup(disk->uuid);
    copy->file = g_strdup(disk->file);
    copy->change_id = g_strdup(disk->change_id);
    copy->parents = g_strdupv(disk->parents);
    return copy;
}

static void nic_free(LabNic *nic)
{
    g_free(nic->kind);
    g_free(nic->mac);
    g_free(nic);
}

static void vm_free(LabObject *object)
{
    LabVm *vm = (LabVm *)object;
    lab_backing_free(vm->backing);
    char *texts[] = {vm->home,     vm->directory,  vm->instance_uuid,    vm->uuid,    vm->guest_id,
                     vm->firmware, vm->annotation, vm->connection_state, vm->question};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_strfreev(vm->extras);
    g_ptr_array_unref(vm->controllers);
    g_ptr_array_unref(vm->disks);
    g_ptr_array_unref(vm->nics);
    g_ptr_array_unref(vm->snapshots);
    g_ptr_array_unref(vm->orphans);
    free_plain(object);
}

LabVm *lab_vm_new(Lab *lab, LabDatacenter *datacenter, LabObject *folder, const char *moref, const char *name)
{
    LabVm *vm = g_new0(LabVm, 1);
    g_autofree char *made = moref == NULL ? lab_next_moref(lab, "vm-") : NULL;
    vm->object.free = vm_free;
    lab_object_init(lab, &vm->object, "VirtualMachine", moref != NULL ? moref : made, name, folder);
    vm->datacenter = datacenter;
    vm->controllers = g_ptr_array_new_with_free_func(g_free);
    vm->disks = g_ptr_array_new_with_free_func((GDestroyNotify)lab_disk_free);
    vm->nics = g_ptr_array_new_with_free_func((GDestroyNotify)nic_free);
    vm->snapshots = g_ptr_array_new();
    vm->orphans = g_ptr_array_new_with_free_func(g_free);
    vm->next_snapshot = 1;
    g_ptr_array_add(lab->vms, vm);
    return vm;
}

/* How vSphere numbers the devices of each kind of controller. */
static const struct {
    const char *kind;
    gint32 controller_key, disk_key; /* of bus 0, unit 0 */
    gint32 units;                    /* per bus */
    gint32 buses;
    gint32 own_unit; /* taken by the controller itself; -1: none */
} NUMBERING[] = {
    {"ide", 200, 3000, 2, 2, -1},      {"pvscsi", 1000, 2000, 16, 4, 7},   {"lsilogic", 1000, 2000, 16, 4, 7},
    {"lsisas", 1000, 2000, 16, 4, 7},  {"buslogic", 1000, 2000, 16, 4, 7}, {"ahci", 15000, 16000, 30, 4, -1},
    {"nvme", 31000, 32000, 15, 4, -1},
};

static int numbering(const char *kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(NUMBERING); i++)
        if (g_str_equal(NUMBERING[i].kind, kind))
            return (int)i;
    return -1;
}

static gboolean key_is_taken(const LabVm *vm, gint32 key)
{
    for (guint i = 0; i < vm->controllers->len; i++)
        if (((LabController *)g_ptr_array_index(vm->controllers, i))->key == key)
            return TRUE;
    return FALSE;
}

gint32 lab_vm_free_bus(const LabVm *vm, const char *kind)
{
    int row = numbering(kind);
    gint32 bus = 0;
    while (row >= 0 && key_is_taken(vm, NUMBERING[row].controller_key + bus))
        bus++;
    return bus;
}

LabController *lab_vm_controller_new(LabVm *vm, const char *kind, gint32 bus)
{
    int row = numbering(kind);
    if (row < 0 || bus < 0 || bus >= NUMBERING[row].buses)
        return NULL;
    gint32 key = NUMBERING[row].controller_key + bus;
    if (key_is_taken(vm, key))
        return NULL;
    LabController *controller = g_new0(LabController, 1);
    *controller = (LabController){.kind = NUMBERING[row].kind, .key = key, .bus = bus};
    g_ptr_array_add(vm->controllers, controller);
    return controller;
}

LabDisk *lab_disk_find(GPtrArray *disks, gint32 key)
{
    for (guint i = 0; i < disks->len; i++) {
        LabDisk *disk = g_ptr_array_index(disks, i);
        if (disk->key == key)
            return disk;
    }
    return NULL;
}

LabDisk *lab_vm_disk(LabVm *vm, gint32 key)
{
    return lab_disk_find(vm->disks, key);
}

LabDisk *lab_vm_disk_new(LabVm *vm, LabController *controller, gint32 unit, const char *name)
{
    int row = numbering(controller->kind);
    gint32 key = NUMBERING[row].disk_key + controller->bus * NUMBERING[row].units + unit;
    if (unit < 0 || unit >= NUMBERING[row].units || unit == NUMBERING[row].own_unit ||
        lab_vm_disk(vm, key) != NULL)
        return NULL;
    LabDisk *disk = g_new0(LabDisk, 1);
    *disk = (LabDisk){.key = key, .unit = unit, .controller = controller, .datastore = vm->datastore};
    disk->name = g_strdup(name);
    disk->mode = g_strdup("persistent");
    disk->uuid = g_uuid_string_random();
    disk->file = g_strconcat(name, ".vmdk", NULL);
    g_ptr_array_add(vm->disks, disk);
    return disk;
}

gboolean lab_disk_snapshots(const LabDisk *disk)
{
    return !g_str_has_prefix(disk->mode, "independent") && g_strcmp0(disk->rdm, "physicalMode") != 0;
}

LabNic *lab_vm_nic_new(LabVm *vm, const char *kind, LabObject *network, const char *mac)
{
    LabNic *nic = g_new0(LabNic, 1);
    *nic = (LabNic){.key = 4000 + (gint32)vm->nics->len, .network = network};
    nic->kind = g_strdup(kind);
    nic->mac = mac != NULL ? g_strdup(mac)
                           : g_strdup_printf("00:50:56:%02x:%02x:%02x", g_str_hash(vm->object.moref) & 0x3f,
                                             (g_str_hash(vm->object.moref) >> 8) & 0xff, vm->nics->len);
    g_ptr_array_add(vm->nics, nic);
    return nic;
}

/* --- snapshots --- */

static void snapshot_free(LabObject *object)
{
    LabSnapshot *snapshot = (LabSnapshot *)object;
    g_free(snapshot->title);
    g_free(snapshot->description);
    g_ptr_array_unref(snapshot->disks);
    free_plain(object);
}

LabSnapshot *lab_snapshot_new(Lab *lab, LabVm *vm, const char *moref, const char *title)
{
    LabSnapshot *snapshot = g_new0(LabSnapshot, 1);
    snapshot->object.free = snapshot_free;
    lab_object_init(lab, &snapshot->object, "VirtualMachineSnapshot", moref, title, NULL);
    snapshot->vm = vm;
    snapshot->above = vm->current;
    snapshot->title = g_strdup(title);
    snapshot->number = vm->next_snapshot++;
    snapshot->created = clock_now();
    snapshot->disks = g_ptr_array_new_with_free_func((GDestroyNotify)lab_disk_free);
    g_ptr_array_add(vm->snapshots, snapshot);
    vm->current = snapshot;
    return snapshot;
}

void lab_snapshot_drop(Lab *lab, LabSnapshot *snapshot)
{
    LabVm *vm = snapshot->vm;
    for (guint i = 0; i < vm->snapshots->len; i++) {
        LabSnapshot *other = g_ptr_array_index(vm->snapshots, i);
        if (other->above == snapshot)
            other->above = snapshot->above;
    }
    if (vm->current == snapshot)
        vm->current = snapshot->above;
    g_ptr_array_remove(vm->snapshots, snapshot);
    g_hash_table_remove(lab->objects, snapshot->object.moref);
    snapshot->object.free(&snapshot->object);
}
