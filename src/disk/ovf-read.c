#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "base/xml.h"
#include "disk/ovf.h"

/* CIM resource types of an Item. */
enum {
    RESOURCE_CPU = 3,
    RESOURCE_MEMORY = 4,
    RESOURCE_IDE = 5,
    RESOURCE_SCSI = 6,
    RESOURCE_NETWORK = 10,
    RESOURCE_DISK = 17,
    RESOURCE_OTHER = 20, /* SATA, NVMe */
};

#define CPUS_MAX     8192u
#define MEMORY_MAX   ((guint64)1 << 50)
#define CAPACITY_MAX ((guint64)1 << 60)

typedef struct {
    const char *name;
    XmlNode *references, *disks, *hardware;
    Ovf *ovf;
} Parser;

static void disk_free(gpointer data)
{
    OvfDisk *disk = data;

    g_free(disk->key);
    g_free(disk->file);
    g_free(disk);
}

void ovf_free(Ovf *ovf)
{
    if (ovf == NULL)
        return;
    machine_free(ovf->machine);
    g_ptr_array_unref(ovf->disks);
    g_free(ovf);
}

static gboolean G_GNUC_PRINTF(4, 5)
    fail_at(const Parser *p, const XmlNode *node, GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, VF_ERROR_INVALID, "%s: line %u: %s", p->name, xml_line(node), reason);
}

/* --- numbers --- */

static gboolean parse_number(const char *text, guint64 max, guint64 *ret)
{
    return text != NULL && g_ascii_string_to_unsigned(text, 10, 0, max, ret, NULL);
}

/* "byte * 2^20", or a word of older envelopes. */
static gboolean parse_unit(const char *text, guint64 *ret)
{
    static const struct {
        const char *word;
        guint shift;
    } words[] = {{"byte", 0},       {"kilobytes", 10}, {"megabytes", 20}, {"gigabytes", 30},
                 {"terabytes", 40}, {"kb", 10},        {"mb", 20},        {"gb", 30}};
    g_autofree char *compact = g_ascii_strdown(text != NULL ? text : "byte", -1);
    guint64 shift;

    g_strdelimit(compact, " \t", '\0');
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcmp(compact, words[i].word) == 0 && strchr(text != NULL ? text : "", '^') == NULL) {
            *ret = (guint64)1 << words[i].shift;
            return TRUE;
        }
    if (text == NULL || !g_str_has_prefix(compact, "byte") || strstr(text, "2^") == NULL ||
        !parse_number(strstr(text, "2^") + 2, 50, &shift))
        return FALSE;
    *ret = (guint64)1 << shift;
    return TRUE;
}

static gboolean parse_amount(const char *number, const char *unit, guint64 max, guint64 *ret)
{
    guint64 value, factor;

    return parse_number(number, max, &value) && parse_unit(unit, &factor) && size_mul(value, factor, ret) &&
           *ret <= max;
}

/* --- disks and their files --- */

/* The element `name` in `section` whose attribute is `value`. */
static XmlNode *find_by(const XmlNode *section, const char *name, const char *attribute, const char *value)
{
    for (XmlNode *node = xml_child(section, name); node != NULL; node = xml_next(node, name))
        if (g_strcmp0(xml_attribute(node, attribute), value) == 0)
            return node;
    return NULL;
}

static gboolean check_file(const Parser *p, XmlNode *file, GError **error)
{
    const char *href = xml_attribute(file, "href");

    if (href == NULL || href[0] == '\0' || strchr(href, '/') != NULL)
        return fail_at(p, file, error, "the file \"%s\" does not lie beside the envelope",
                       href != NULL ? href : "");
    if (xml_attribute(file, "chunkSize") == NULL &&
        g_strcmp0(xml_attribute(file, "compression"), "gzip") != 0)
        return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s: line %u: the file %s is in pieces or compressed as a whole; unpack it first", p->name,
                   xml_line(file), href);
}

/* Says which file holds the disk of `node`. */
static gboolean find_file(const Parser *p, XmlNode *node, OvfDisk *disk, GError **error)
{
    const char *reference = xml_attribute(node, "fileRef");
    XmlNode *file;

    if (xml_attribute(node, "parentRef") != NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: line %u: the disk is the delta of another; export the VM without snapshots",
                       p->name, xml_line(node));
    if (reference == NULL)
        return TRUE;
    file = find_by(p->references, "File", "id", reference);
    if (file == NULL)
        return fail_at(p, node, error, "there is no file of id \"%s\"", reference);
    if (!check_file(p, file, error))
        return FALSE;
    disk->file = g_strdup(xml_attribute(file, "href"));
    if (xml_attribute(file, "size") != NULL &&
        !parse_number(xml_attribute(file, "size"), CAPACITY_MAX, &disk->size))
        return fail_at(p, file, error, "its size is no number");
    return TRUE;
}

/* --- controllers --- */

static guint resource_type(XmlNode *item)
{
    guint64 type = 0;

    parse_number(xml_child_text(item, "ResourceType"), G_MAXUINT, &type);
    return (guint)type;
}

static const char *controller_of(XmlNode *item)
{
    static const struct {
        guint type;
        const char *part; /* of the subtype, lower case; the first that fits counts */
        const char *controller;
    } kinds[] = {
        {RESOURCE_IDE, "", "ide"},
        {RESOURCE_SCSI, "virtualscsi", "pvscsi"},
        {RESOURCE_SCSI, "lsilogicsas", "lsisas"},
        {RESOURCE_SCSI, "buslogic", "buslogic"},
        {RESOURCE_SCSI, "", "lsilogic"},
        {RESOURCE_OTHER, "ahci", "ahci"},
        {RESOURCE_OTHER, "nvme", "nvme"},
    };
    const char *subtype = xml_child_text(item, "ResourceSubType");
    g_autofree char *lower = g_ascii_strdown(subtype != NULL ? subtype : "", -1);
    guint type = item != NULL ? resource_type(item) : 0;

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (type == kinds[i].type && strstr(lower, kinds[i].part) != NULL)
            return kinds[i].controller;
    return "other";
}

static XmlNode *find_item(const Parser *p, const char *instance)
{
    for (XmlNode *item = xml_child(p->hardware, "Item"); item != NULL; item = xml_next(item, "Item"))
        if (instance != NULL && g_strcmp0(xml_child_text(item, "InstanceID"), instance) == 0)
            return item;
    return NULL;
}

/* Which one of its kind it is, where the envelope does not say. */
static gint bus_of(const Parser *p, XmlNode *controller)
{
    const char *address = xml_child_text(controller, "Address");
    guint64 bus = 0;

    if (parse_number(address, 100, &bus))
        return (gint)bus;
    for (XmlNode *item = xml_child(p->hardware, "Item"); item != NULL && item != controller;
         item = xml_next(item, "Item"))
        bus += resource_type(item) == resource_type(controller);
    return (gint)bus;
}

/* --- items --- */

/* "ovf:/disk/vmdisk1", "/disk/vmdisk1" */
static const char *disk_id_of(XmlNode *item)
{
    const char *resource = xml_child_text(item, "HostResource");
    const char *id = resource != NULL ? strstr(resource, "/disk/") : NULL;

    return id != NULL ? id + strlen("/disk/") : NULL;
}

static gboolean read_disk(const Parser *p, XmlNode *item, GError **error)
{
    const char *id = disk_id_of(item);
    XmlNode *node = id != NULL ? find_by(p->disks, "Disk", "diskId", id) : NULL;
    XmlNode *controller = find_item(p, xml_child_text(item, "Parent"));
    MachineDisk *disk;
    OvfDisk *file;
    guint64 unit = 0;

    if (node == NULL)
        return fail_at(p, item, error, "the disk \"%s\" is not described", id != NULL ? id : "");
    if (machine_disk(p->ovf->machine, id) != NULL)
        return fail_at(p, item, error, "the disk \"%s\" is attached twice", id);
    disk = machine_add_disk(p->ovf->machine);
    disk->key = g_strdup(id);
    disk->label = g_strdup(xml_child_text(item, "ElementName"));
    disk->controller = g_strdup(controller_of(controller));
    disk->bus = controller != NULL ? bus_of(p, controller) : 0;
    parse_number(xml_child_text(item, "AddressOnParent"), 1000, &unit);
    disk->unit = (gint)unit;
    if (!parse_amount(xml_attribute(node, "capacity"), xml_attribute(node, "capacityAllocationUnits"),
                      CAPACITY_MAX, &disk->size) ||
        disk->size == 0)
        return fail_at(p, node, error, "the capacity of the disk \"%s\" is not a size", id);
    file = g_new0(OvfDisk, 1);
    file->key = g_strdup(id);
    g_ptr_array_add(p->ovf->disks, file);
    return find_file(p, node, file, error);
}

static void read_nic(const Parser *p, XmlNode *item)
{
    static const char *const models[] = {"vmxnet3", "e1000e", "e1000", "pcnet32", NULL};
    const char *subtype = xml_child_text(item, "ResourceSubType");
    const char *automatic = xml_child_text(item, "AutomaticAllocation");
    const char *mac = xml_child_text(item, "Address");
    g_autofree char *lower = g_ascii_strdown(subtype != NULL ? subtype : "", -1);
    MachineNic *nic = machine_add_nic(p->ovf->machine);

    nic->key = g_strdup(xml_child_text(item, "InstanceID"));
    nic->label = g_strdup(xml_child_text(item, "ElementName"));
    nic->model = g_strdup(g_strv_contains(models, lower) ? lower : "other");
    nic->mac = mac != NULL ? g_ascii_strdown(mac, -1) : NULL;
    nic->network = g_strdup(xml_child_text(item, "Connection"));
    nic->connected = g_strcmp0(automatic, "false") != 0;
}

static gboolean read_cpus(const Parser *p, XmlNode *item, GError **error)
{
    guint64 cpus = 0, cores = 1;

    if (!parse_number(xml_child_text(item, "VirtualQuantity"), CPUS_MAX, &cpus) || cpus == 0)
        return fail_at(p, item, error, "the number of CPUs is no number");
    parse_number(xml_child_text(item, "CoresPerSocket"), cpus, &cores);
    p->ovf->machine->cpus = (guint)cpus;
    p->ovf->machine->cores_per_socket = (guint)MAX(cores, 1);
    return TRUE;
}

static gboolean read_item(const Parser *p, XmlNode *item, GError **error)
{
    switch (resource_type(item)) {
    case RESOURCE_CPU:
        return read_cpus(p, item, error);
    case RESOURCE_MEMORY:
        return parse_amount(xml_child_text(item, "VirtualQuantity"), xml_child_text(item, "AllocationUnits"),
                            MEMORY_MAX, &p->ovf->machine->memory) ||
               fail_at(p, item, error, "the size of the memory is not a size");
    case RESOURCE_NETWORK:
        read_nic(p, item);
        return TRUE;
    case RESOURCE_DISK:
        return read_disk(p, item, error);
    default:
        return TRUE;
    }
}

/* --- the system --- */

static void read_config(Machine *machine, XmlNode *hardware)
{
    for (XmlNode *node = xml_child(hardware, "Config"); node != NULL; node = xml_next(node, "Config")) {
        const char *key = xml_attribute(node, "key");
        const char *value = xml_attribute(node, "value");

        if (g_strcmp0(key, "firmware") == 0)
            machine->firmware = g_strcmp0(value, "efi") == 0 ? MACHINE_FIRMWARE_UEFI : MACHINE_FIRMWARE_BIOS;
        if (g_strcmp0(key, "bootOptions.efiSecureBootEnabled") == 0)
            machine->secure_boot = g_strcmp0(value, "true") == 0;
    }
}

/* vSphere's own word says most; else there is CIM's number. */
static MachineFamily family_of(const char *guest_id)
{
    static const char *const linuxes[] = {"linux",  "debian", "ubuntu",    "rhel",   "centos", "sles",
                                          "suse",   "fedora", "rockylinu", "alma",   "oracle", "photon",
                                          "coreos", "redhat", "amazon",    "asianux"};
    g_autofree char *lower = g_ascii_strdown(guest_id != NULL ? guest_id : "", -1);

    if (g_str_has_prefix(lower, "win"))
        return MACHINE_FAMILY_WINDOWS;
    for (guint i = 0; i < G_N_ELEMENTS(linuxes); i++)
        if (strstr(lower, linuxes[i]) != NULL)
            return MACHINE_FAMILY_LINUX;
    return MACHINE_FAMILY_OTHER;
}

static void read_identity(Machine *machine, XmlNode *system)
{
    XmlNode *os = xml_child(system, "OperatingSystemSection");
    const char *name = xml_child_text(system, "Name");
    const char *annotation = xml_child_text(xml_child(system, "AnnotationSection"), "Annotation");
    const char *id = xml_attribute(system, "id");

    machine->id = g_strdup(id != NULL ? id : "vm");
    machine->name = g_strdup(name != NULL && name[0] != '\0' ? name : machine->id);
    machine->annotation = annotation != NULL && annotation[0] != '\0' ? g_strdup(annotation) : NULL;
    machine->guest_id = g_strdup(os != NULL ? xml_attribute(os, "osType") : NULL);
    machine->family = family_of(machine->guest_id);
}

static gboolean read_hardware(const Parser *p, GError **error)
{
    for (XmlNode *item = xml_child(p->hardware, "Item"); item != NULL; item = xml_next(item, "Item"))
        if (!read_item(p, item, error))
            return FALSE;
    if (p->ovf->machine->disks->len > 0)
        ((MachineDisk *)g_ptr_array_index(p->ovf->machine->disks, 0))->boot = TRUE;
    read_config(p->ovf->machine, p->hardware);
    return TRUE;
}

static gboolean read_envelope(Parser *p, XmlNode *root, GError **error)
{
    XmlNode *system = xml_child(root, "VirtualSystem");

    if (!xml_is(root, "Envelope"))
        return fail_at(p, root, error, "this is not an OVF envelope but <%s>", xml_name(root));
    if (xml_child(root, "VirtualSystemCollection") != NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s holds a vApp of several VMs; export them one by one",
                       p->name);
    p->references = xml_child(root, "References");
    p->disks = xml_child(root, "DiskSection");
    p->hardware = xml_child(system, "VirtualHardwareSection");
    if (p->hardware == NULL)
        return fail_at(p, root, error, "there is no VirtualSystem with a VirtualHardwareSection");
    read_identity(p->ovf->machine, system);
    return read_hardware(p, error);
}

Ovf *ovf_parse(const char *text, gsize length, const char *name, GError **error)
{
    g_autoptr(XmlDocument) document = xml_parse(text, length, OVF_MAX, error);
    g_autoptr(Ovf) ovf = NULL;
    Parser parser = {.name = name};

    if (document == NULL) {
        g_prefix_error(error, "%s: ", name);
        return NULL;
    }
    parser.ovf = ovf = g_new0(Ovf, 1);
    ovf->machine = machine_new();
    ovf->disks = g_ptr_array_new_with_free_func(disk_free);
    return read_envelope(&parser, xml_root(document), error) ? g_steal_pointer(&ovf) : NULL;
}
