#include "lab/config.h"

#include "base/error.h"
#include "base/size.h"
#include "lab/state.h"
#include "lab/vm.h"

#include <string.h>

#define MAX_DISKS 64u

/* --- devices --- */

static gboolean read_controller(LabVm *vm, const TreeNode *node, GError **error)
{
    static const char *const KEYS[] = {"type", "bus", NULL};
    g_autofree char *kind = g_strdup("pvscsi");
    if (!lab_config_keys(node, KEYS, error) || !tree_to_string(tree_get(node, "type"), &kind, error))
        return FALSE;
    guint bus = (guint)lab_vm_free_bus(vm, kind);
    if (!tree_to_uint(tree_get(node, "bus"), 0, 3, &bus, error))
        return FALSE;
    return lab_vm_controller_new(vm, kind, (gint32)bus) != NULL ||
           tree_fail(
               node, error,
               "no controller \"%s\" on bus %u: types are pvscsi, lsilogic, lsisas, buslogic, ahci, ide and "
               "nvme, and each bus is taken once",
               kind, bus);
}

static gboolean read_controllers(LabVm *vm, const TreeNode *list, GError **error)
{
    for (guint i = 0; i < tree_length(list); i++)
        if (!read_controller(vm, tree_item(list, i), error))
            return FALSE;
    if (vm->controllers->len == 0)
        lab_vm_controller_new(vm, "pvscsi", 0);
    return TRUE;
}

static LabDatastore *find_datastore(LabDatacenter *datacenter, const TreeNode *node, LabDatastore *fallback,
                                    GError **error)
{
    g_autofree char *name = NULL;
    if (node == NULL)
        return fallback;
    if (!tree_to_string(node, &name, error))
        return NULL;
    g_autofree char *escaped = lab_escape_name(name);
    LabObject *datastore = lab_child(datacenter->datastore_folder, escaped);
    if (datastore == NULL)
        tree_fail(node, error, "there is no datastore \"%s\" in this datacenter", name);
    return (LabDatastore *)datastore;
}

static gboolean name_is_free(const LabVm *vm, const char *name)
{
    for (guint i = 0; i < vm->disks->len; i++)
        if (g_str_equal(((LabDisk *)g_ptr_array_index(vm->disks, i))->name, name))
            return FALSE;
    return TRUE;
}

/* As vSphere names them: "web", "web_1", "web_2". */
static char *next_disk_name(const LabVm *vm)
{
    char *name = g_strdup(vm->home);
    for (guint i = 1; !name_is_free(vm, name); i++) {
        g_free(name);
        name = g_strdup_printf("%s_%u", vm->home, i);
    }
    return name;
}

static gint32 next_unit(const LabVm *vm, const LabController *controller)
{
    gint32 unit = 0;
    for (guint i = 0; i < vm->disks->len; i++) {
        const LabDisk *disk = g_ptr_array_index(vm->disks, i);
        if (disk->controller == controller)
            unit = MAX(unit, disk->unit + 1);
    }
    return unit == 7 ? 8 : unit;
}

static LabDisk *place_disk(LabVm *vm, const TreeNode *node, const char *name, GError **error)
{
    guint index = 0, unit;
    if (!tree_to_uint(tree_get(node, "controller"), 0, vm->controllers->len - 1, &index, error))
        return NULL;
    LabController *controller = g_ptr_array_index(vm->controllers, index);
    unit = (guint)next_unit(vm, controller);
    if (!tree_to_uint(tree_get(node, "unit"), 0, 64, &unit, error))
        return NULL;
    LabDisk *disk = lab_vm_disk_new(vm, controller, (gint32)unit, name);
    if (disk == NULL)
        tree_fail(node, error, "unit %u of controller %u is taken or does not exist", unit, index);
    return disk;
}

LabDisk *lab_config_disk(LabVm *vm, const TreeNode *node, GError **error)
{
    static const char *const MODES[] = {"persistent",
                                        "independent_persistent",
                                        "nonpersistent",
                                        "undoable",
                                        "append",
                                        "independent_nonpersistent",
                                        NULL};
    static const char *const SHARING[] = {"sharingNone", "sharingMultiWriter", NULL};
    static const char *const RDM[] = {"physicalMode", "virtualMode", NULL};
    g_autofree char *name = next_disk_name(vm);
    gint mode = 0, sharing = 0, rdm = -1;
    guint64 size = 0;
    if (!tree_to_string(tree_get(node, "name"), &name, error) ||
        !tree_to_size(tree_get(node, "size"), SECTOR_SIZE, 62 * TIB, &size, error) ||
        !tree_to_enum(tree_get(node, "mode"), MODES, &mode, error) ||
        !tree_to_enum(tree_get(node, "sharing"), SHARING, &sharing, error) ||
        !tree_to_enum(tree_get(node, "rdm"), RDM, &rdm, error))
        return NULL;
    if (!name_is_free(vm, name) || strchr(name, '/') != NULL) {
        tree_fail(node, error, "\"%s\" is no name for a disk, or taken", name);
        return NULL;
    }
    LabDatastore *datastore =
        find_datastore(vm->datacenter, tree_get(node, "datastore"), vm->datastore, error);
    LabDisk *disk = datastore != NULL ? place_disk(vm, node, name, error) : NULL;
    if (disk == NULL)
        return NULL;
    g_autofree char *seed = g_strdup_printf("%s/%d", vm->instance_uuid, disk->key);
    g_free(disk->uuid);
    g_free(disk->mode);
    disk->uuid = lab_stable_uuid(seed);
    disk->mode = g_strdup(MODES[mode]);
    disk->sharing = g_strdup(SHARING[sharing]);
    disk->rdm = rdm >= 0 ? g_strdup(RDM[rdm]) : NULL;
    disk->size = size;
    disk->datastore = datastore;
    return disk;
}

/* A relative image is meant from where lab.yaml lies. */
static char *file_beside(const TreeNode *node)
{
    if (node == NULL)
        return NULL;
    g_autofree char *base = g_path_get_dirname(tree_name(node));
    g_autofree char *absolute = g_canonicalize_filename(base, NULL);
    return g_canonicalize_filename(tree_text(node) != NULL ? tree_text(node) : "", absolute);
}

static gboolean read_disk(LabVm *vm, const TreeNode *node, LabDiskConfig *config, GError **error)
{
    static const char *const KEYS[] = {"controller", "unit", "size",    "name",         "datastore", "image",
                                       "mode",       "rdm",  "sharing", "fill_percent", NULL};
    if (!lab_config_keys(node, KEYS, error) ||
        !tree_to_uint(tree_get(node, "fill_percent"), 0, 100, &config->fill_percent, error))
        return FALSE;
    if (tree_get(node, "size") == NULL && tree_get(node, "image") == NULL)
        return tree_fail(node, error, "a disk needs a size or an image");
    LabDisk *disk = lab_config_disk(vm, node, error);
    if (disk == NULL)
        return FALSE;
    config->key = disk->key;
    config->name = disk->name;
    config->size = disk->size;
    config->image = file_beside(tree_get(node, "image"));
    return TRUE;
}

static gboolean read_nic(LabVm *vm, const TreeNode *node, GError **error)
{
    static const char *const KEYS[] = {"type", "network", "mac", NULL};
    static const char *const KINDS[] = {"vmxnet3", "e1000", "e1000e", "pcnet32", NULL};
    g_autofree char *network = NULL, *mac = NULL;
    gint kind = 0;
    if (!lab_config_keys(node, KEYS, error) || !tree_to_enum(tree_get(node, "type"), KINDS, &kind, error) ||
        !tree_to_string(tree_get(node, "network"), &network, error) ||
        !tree_to_string(tree_get(node, "mac"), &mac, error))
        return FALSE;
    g_autofree char *escaped = network != NULL ? lab_escape_name(network) : NULL;
    LabObject *found = escaped != NULL ? lab_child(vm->datacenter->network_folder, escaped)
                                       : g_ptr_array_index(vm->datacenter->networks, 0);
    if (found == NULL)
        return tree_fail(node, error, "there is no network \"%s\" in this datacenter", network);
    lab_vm_nic_new(vm, KINDS[kind], found, mac);
    return TRUE;
}

static gboolean read_nics(LabVm *vm, const TreeNode *list, GError **error)
{
    for (guint i = 0; i < tree_length(list); i++)
        if (!read_nic(vm, tree_item(list, i), error))
            return FALSE;
    return TRUE;
}

/* --- what writes to it --- */

static gboolean read_writer(const TreeNode *node, LabWriterConfig *writer, GError **error)
{
    static const char *const KEYS[] = {"rate", "working_set", "block", "pattern", "seed", NULL};
    static const char *const PATTERNS[] = {"scattered", "sequential", NULL};
    gint pattern = 0;
    guint64 block = 4096;
    writer->seed = 1;
    if (!lab_config_keys(node, KEYS, error) ||
        !tree_to_size(tree_get(node, "rate"), 0, TIB, &writer->write_rate, error) ||
        !tree_to_size(tree_get(node, "working_set"), 0, 62 * TIB, &writer->working_set, error) ||
        !tree_to_size(tree_get(node, "block"), SECTOR_SIZE, MIB, &block, error) ||
        !tree_to_enum(tree_get(node, "pattern"), PATTERNS, &pattern, error) ||
        !tree_to_uint(tree_get(node, "seed"), 0, G_MAXUINT32, &writer->seed, error))
        return FALSE;
    writer->block = (guint32)block;
    writer->sequential = pattern == 1;
    return TRUE;
}

static gboolean read_guest(const TreeNode *node, LabWriterConfig *writer, GError **error)
{
    static const char *const KEYS[] = {"kernel", "initrd", "append", "memory", "cpus", "uefi", NULL};
    if (node == NULL)
        return TRUE;
    g_autofree char *append = NULL;
    guint64 memory = 256 * MIB;
    writer->guest = TRUE;
    writer->cpus = 1;
    writer->kernel = file_beside(tree_get(node, "kernel"));
    writer->initrd = file_beside(tree_get(node, "initrd"));
    if (!lab_config_keys(node, KEYS, error) || !tree_to_string(tree_get(node, "append"), &append, error) ||
        !tree_to_size(tree_get(node, "memory"), 16 * MIB, TIB, &memory, error) ||
        !tree_to_uint(tree_get(node, "cpus"), 1, 64, &writer->cpus, error) ||
        !tree_to_boolean(tree_get(node, "uefi"), &writer->uefi, error))
        return FALSE;
    writer->append = g_steal_pointer(&append);
    writer->memory_mib = (guint)(memory / MIB);
    return TRUE;
}

static void writer_clear(LabWriterConfig *writer)
{
    g_free((char *)writer->kernel);
    g_free((char *)writer->initrd);
    g_free((char *)writer->append);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LabWriterConfig, writer_clear)

static gboolean open_backing(LabVm *vm, const TreeNode *node, GError **error)
{
    LabDiskConfig disks[MAX_DISKS] = {0};
    g_auto(LabWriterConfig) writer = {0};
    const TreeNode *list = tree_get(node, "disks");
    guint n = tree_length(list);
    gboolean read = n <= MAX_DISKS || tree_fail(list, error, "more than %u disks", MAX_DISKS);
    for (guint i = 0; read && i < n; i++)
        read = read_disk(vm, tree_item(list, i), &disks[i], error);
    read = read && read_writer(tree_get(node, "writer"), &writer, error) &&
           read_guest(tree_get(node, "guest"), &writer, error);
    vm->backing = read ? lab_backing_open(vm->directory, disks, n, &writer, error) : NULL;
    for (guint i = 0; i < MIN(n, MAX_DISKS); i++)
        g_free((char *)disks[i].image);
    if (read && vm->backing == NULL)
        g_prefix_error(error, "VM %s: ", vm->object.name);
    return vm->backing != NULL;
}

/* --- what it is --- */

static gboolean read_identity(LabVm *vm, const TreeNode *node, GError **error)
{
    static const char *const FIRMWARE[] = {"bios", "efi", NULL};
    gint firmware = 0;
    guint64 memory = 1024 * MIB;
    g_autofree char *seed = g_strdup_printf("%s/%s", vm->datacenter->path, vm->object.moref);
    g_autofree char *bios_seed = g_strconcat(seed, "/bios", NULL);
    vm->instance_uuid = lab_stable_uuid(seed);
    vm->uuid = lab_stable_uuid(bios_seed);
    vm->guest_id = g_strdup("otherLinux64Guest");
    vm->annotation = g_strdup("");
    vm->connection_state = g_strdup("connected");
    vm->cpus = 1;
    vm->hardware_version = 19;
    if (!tree_to_string(tree_get(node, "instance_uuid"), &vm->instance_uuid, error) ||
        !tree_to_string(tree_get(node, "uuid"), &vm->uuid, error) ||
        !tree_to_string(tree_get(node, "guest_id"), &vm->guest_id, error) ||
        !tree_to_string(tree_get(node, "annotation"), &vm->annotation, error) ||
        !tree_to_string(tree_get(node, "connection_state"), &vm->connection_state, error) ||
        !tree_to_string(tree_get(node, "question"), &vm->question, error) ||
        !tree_to_enum(tree_get(node, "firmware"), FIRMWARE, &firmware, error) ||
        !tree_to_boolean(tree_get(node, "secure_boot"), &vm->secure_boot, error) ||
        !tree_to_uint(tree_get(node, "cpus"), 1, 768, &vm->cpus, error) ||
        !tree_to_size(tree_get(node, "memory"), 4 * MIB, 24 * TIB, &memory, error) ||
        !tree_to_uint(tree_get(node, "hardware_version"), 3, 30, &vm->hardware_version, error))
        return FALSE;
    vm->firmware = g_strdup(FIRMWARE[firmware]);
    vm->memory_mib = (guint)(memory / MIB);
    return TRUE;
}

static gboolean read_extras(LabVm *vm, const TreeNode *list, GError **error)
{
    static const char *const KINDS[] = {"usb-controller", "usb",    "pci-passthrough", "tpm", "cdrom",
                                        "floppy",         "serial", "sound",           NULL};
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < tree_length(list); i++) {
        gint kind = 0;
        if (!tree_to_enum(tree_item(list, i), KINDS, &kind, error))
            return FALSE;
        g_ptr_array_add(names, g_strdup(KINDS[kind]));
    }
    g_ptr_array_add(names, NULL);
    vm->extras = (GStrv)g_ptr_array_steal(names, NULL);
    return TRUE;
}

static gboolean read_traits(LabVm *vm, const TreeNode *node, gboolean *ret_enable_cbt, GError **error)
{
    static const char *const TOOLS[] = {"running", "notRunning", NULL};
    static const char *const QUIESCE[] = {"ok", "refuse", NULL};
    static const char *const CBT[] = {"supported", "unsupported", "enabled", NULL};
    gint tools = 0, quiesce = 0, cbt = vm->hardware_version < 7;
    if (!tree_to_enum(tree_get(node, "tools"), TOOLS, &tools, error) ||
        !tree_to_enum(tree_get(node, "quiesce"), QUIESCE, &quiesce, error) ||
        !tree_to_enum(tree_get(node, "cbt"), CBT, &cbt, error) ||
        !tree_to_boolean(tree_get(node, "template"), &vm->is_template, error) ||
        !tree_to_boolean(tree_get(node, "encrypted"), &vm->encrypted, error) ||
        !tree_to_boolean(tree_get(node, "fault_tolerant"), &vm->fault_tolerant, error))
        return FALSE;
    vm->has_tools = tools == 0;
    vm->refuses_quiesce = quiesce == 1;
    vm->cbt_support = cbt == 1 ? LAB_CBT_UNSUPPORTED : LAB_CBT_SUPPORTED;
    *ret_enable_cbt = cbt == 2;
    return read_extras(vm, tree_get(node, "devices"), error);
}

/* --- putting it together --- */

static gboolean home_is_free(Lab *lab, const LabVm *vm, const char *home)
{
    for (guint i = 0; i < lab->vms->len; i++) {
        const LabVm *other = g_ptr_array_index(lab->vms, i);
        if (other != vm && other->datacenter == vm->datacenter && g_strcmp0(other->home, home) == 0)
            return FALSE;
    }
    return TRUE;
}

/* Its directory has its name, or with VMs of one name in several folders "web_1". */
static void choose_home(Lab *lab, LabVm *vm)
{
    vm->home = g_strdup(vm->object.name);
    for (guint i = 1; !home_is_free(lab, vm, vm->home); i++) {
        g_free(vm->home);
        vm->home = g_strdup_printf("%s_%u", vm->object.name, i);
    }
    vm->directory = g_build_filename(vm->datastore->directory, vm->home, NULL);
}

static gboolean add_snapshot(Lab *lab, LabVm *vm, const TreeNode *node, GError **error)
{
    g_autofree char *title = NULL, *moref = lab_next_moref(lab, "snapshot-");
    if (!tree_to_string(node, &title, error) || !lab_backing_snapshot(vm->backing, moref, FALSE, error))
        return FALSE;
    LabSnapshot *snapshot = lab_snapshot_new(lab, vm, moref, title);
    for (guint i = 0; i < vm->disks->len; i++)
        g_ptr_array_add(snapshot->disks, lab_disk_copy(g_ptr_array_index(vm->disks, i)));
    lab_vm_refresh(vm);
    return TRUE;
}

static gboolean bring_to_life(Lab *lab, LabVm *vm, const TreeNode *node, gboolean enable_cbt, GError **error)
{
    static const char *const POWER[] = {"on", "off", NULL};
    const TreeNode *snapshots = tree_get(node, "snapshots");
    gint power = 1;
    if (!tree_to_enum(tree_get(node, "power"), POWER, &power, error))
        return FALSE;
    if (power == 0 && vm->is_template)
        return tree_fail(tree_get(node, "power"), error, "a template cannot be on");
    gboolean on = power == 0;
    lab_state_apply(lab, vm, &on, &enable_cbt);
    lab_vm_refresh(vm);
    if (enable_cbt)
        lab_backing_set_tracking(vm->backing, TRUE);
    vm->cbt = enable_cbt;
    for (guint i = 0; i < tree_length(snapshots); i++)
        if (!add_snapshot(lab, vm, tree_item(snapshots, i), error))
            return FALSE;
    if (on && !lab_backing_power_on(vm->backing, error))
        return FALSE;
    vm->on = on;
    lab_vm_refresh(vm);
    return TRUE;
}

static LabVm *new_vm(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error)
{
    g_autofree char *name = NULL, *folder = g_strdup(""), *moref = NULL;
    if (tree_get(node, "name") == NULL) {
        tree_fail(node, error, "needs a name");
        return NULL;
    }
    if (!tree_to_string(tree_get(node, "name"), &name, error) ||
        !tree_to_string(tree_get(node, "folder"), &folder, error) ||
        !tree_to_string(tree_get(node, "moref"), &moref, error))
        return NULL;
    LabObject *parent = lab_folder_path(lab, datacenter->vm_folder, "group-v", folder);
    g_autofree char *escaped = lab_escape_name(name);
    if (name[0] == '\0' || name[0] == '.' || lab_child(parent, escaped) != NULL ||
        (moref != NULL && lab_find(lab, moref) != NULL)) {
        tree_fail(node, error, "the name \"%s\" or its moref is taken, or is no name", name);
        return NULL;
    }
    return lab_vm_new(lab, datacenter, parent, moref, name);
}

gboolean lab_config_vm(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error)
{
    static const char *const KEYS[] = {"name",
                                       "folder",
                                       "moref",
                                       "instance_uuid",
                                       "uuid",
                                       "guest_id",
                                       "firmware",
                                       "secure_boot",
                                       "cpus",
                                       "memory",
                                       "hardware_version",
                                       "power",
                                       "tools",
                                       "template",
                                       "annotation",
                                       "controllers",
                                       "disks",
                                       "nics",
                                       "writer",
                                       "guest",
                                       "quiesce",
                                       "cbt",
                                       "snapshots",
                                       "datastore",
                                       "devices",
                                       "encrypted",
                                       "fault_tolerant",
                                       "question",
                                       "connection_state",
                                       NULL};
    gboolean enable_cbt = FALSE;
    if (!lab_config_keys(node, KEYS, error))
        return FALSE;
    LabVm *vm = new_vm(lab, datacenter, node, error);
    if (vm == NULL)
        return FALSE;
    vm->host = g_ptr_array_index(datacenter->hosts, lab->vms->len % datacenter->hosts->len);
    vm->datastore = find_datastore(datacenter, tree_get(node, "datastore"),
                                   g_ptr_array_index(datacenter->datastores, 0), error);
    if (vm->datastore == NULL)
        return FALSE;
    choose_home(lab, vm);
    return read_identity(vm, node, error) && read_traits(vm, node, &enable_cbt, error) &&
           read_controllers(vm, tree_get(node, "controllers"), error) && open_backing(vm, node, error) &&
           read_nics(vm, tree_get(node, "nics"), error) && bring_to_life(lab, vm, node, enable_cbt, error);
}
