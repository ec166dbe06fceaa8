#include "spec/machine.h"

#include "base/error.h"
#include "base/json.h"

#include <string.h>

/* What was stored by us is read back by us; larger is damage. */
#define MAX_JSON ((gsize)16 << 20)

static const char *const families[] = {"other", "linux", "windows", NULL};
static const char *const firmwares[] = {"bios", "uefi", NULL};

static void disk_free(gpointer data)
{
    MachineDisk *disk = data;

    g_free(disk->key);
    g_free(disk->uuid);
    g_free(disk->label);
    g_free(disk->controller);
    g_free(disk);
}

static void nic_free(gpointer data)
{
    MachineNic *nic = data;

    g_free(nic->key);
    g_free(nic->label);
    g_free(nic->model);
    g_free(nic->mac);
    g_free(nic->network);
    g_free(nic);
}

Machine *machine_new(void)
{
    Machine *machine = g_new0(Machine, 1);

    machine->disks = g_ptr_array_new_with_free_func(disk_free);
    machine->nics = g_ptr_array_new_with_free_func(nic_free);
    return machine;
}

void machine_free(Machine *machine)
{
    if (machine == NULL)
        return;
    g_free(machine->name);
    g_free(machine->id);
    g_free(machine->instance_uuid);
    g_free(machine->bios_uuid);
    g_free(machine->annotation);
    g_free(machine->guest_id);
    g_ptr_array_unref(machine->disks);
    g_ptr_array_unref(machine->nics);
    g_free(machine);
}

MachineDisk *machine_add_disk(Machine *machine)
{
    MachineDisk *disk = g_new0(MachineDisk, 1);

    g_ptr_array_add(machine->disks, disk);
    return disk;
}

MachineNic *machine_add_nic(Machine *machine)
{
    MachineNic *nic = g_new0(MachineNic, 1);

    g_ptr_array_add(machine->nics, nic);
    return nic;
}

const MachineDisk *machine_disk(const Machine *machine, const char *key)
{
    for (guint i = 0; i < machine->disks->len; i++) {
        const MachineDisk *disk = machine->disks->pdata[i];

        if (g_strcmp0(disk->key, key) == 0)
            return disk;
    }
    return NULL;
}

guint64 machine_total_size(const Machine *machine)
{
    guint64 total = 0;

    for (guint i = 0; i < machine->disks->len; i++) {
        const MachineDisk *disk = machine->disks->pdata[i];

        total = G_MAXUINT64 - total < disk->size ? G_MAXUINT64 : total + disk->size;
    }
    return total;
}

/* --- JSON --- */

static Json *disk_to_json(const MachineDisk *disk)
{
    Json *json = json_object();

    json_set_string(json, "key", disk->key);
    json_set_string(json, "uuid", disk->uuid);
    json_set_string(json, "label", disk->label);
    json_set_string(json, "controller", disk->controller);
    json_set_integer(json, "bus", disk->bus);
    json_set_integer(json, "unit", disk->unit);
    json_set_integer(json, "size", (gint64)disk->size);
    json_set_integer(json, "allocated", (gint64)disk->allocated);
    json_set_boolean(json, "boot", disk->boot);
    return json;
}

static Json *nic_to_json(const MachineNic *nic)
{
    Json *json = json_object();

    json_set_string(json, "key", nic->key);
    json_set_string(json, "label", nic->label);
    json_set_string(json, "model", nic->model);
    json_set_string(json, "mac", nic->mac);
    json_set_string(json, "network", nic->network);
    json_set_boolean(json, "connected", nic->connected);
    return json;
}

char *machine_to_json(const Machine *machine)
{
    g_autoptr(Json) json = json_object();
    Json *disks = json_array();
    Json *nics = json_array();

    json_set_string(json, "name", machine->name);
    json_set_string(json, "id", machine->id);
    json_set_string(json, "instance_uuid", machine->instance_uuid);
    json_set_string(json, "bios_uuid", machine->bios_uuid);
    json_set_string(json, "annotation", machine->annotation);
    json_set_string(json, "guest_id", machine->guest_id);
    json_set_string(json, "family", families[machine->family]);
    json_set_string(json, "firmware", firmwares[machine->firmware]);
    json_set_boolean(json, "secure_boot", machine->secure_boot);
    json_set_boolean(json, "tpm", machine->tpm);
    json_set_integer(json, "cpus", machine->cpus);
    json_set_integer(json, "cores_per_socket", machine->cores_per_socket);
    json_set_integer(json, "memory", (gint64)machine->memory);
    json_set_take(json, "disks", disks);
    json_set_take(json, "nics", nics);
    for (guint i = 0; i < machine->disks->len; i++)
        json_array_append_new(disks, disk_to_json(machine->disks->pdata[i]));
    for (guint i = 0; i < machine->nics->len; i++)
        json_array_append_new(nics, nic_to_json(machine->nics->pdata[i]));
    return json_to_line(json);
}

static gint index_of(const char *const *words, const char *word)
{
    for (gint i = 0; words[i] != NULL; i++) {
        if (g_strcmp0(words[i], word) == 0)
            return i;
    }
    return -1;
}

static gboolean integer_within(const Json *json, const char *key, gint64 max, gint64 *ret, GError **error)
{
    gint64 value = json_get_integer(json, key);

    if (!json_is_integer(json_object_get(json, key)) || value < 0 || value > max)
        return vf_fail(error, VF_ERROR_INVALID,
                       "stored machine: %s is not a number from 0 to %" G_GINT64_FORMAT, key, max);
    *ret = value;
    return TRUE;
}

static gboolean disk_from_json(Machine *machine, const Json *json, GError **error)
{
    gint64 bus = 0;
    gint64 unit = 0;
    gint64 size = 0;
    gint64 allocated = 0;
    MachineDisk *disk = NULL;

    if (json_get_string(json, "key") == NULL || machine_disk(machine, json_get_string(json, "key")) != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "stored machine: a disk has no key of its own");
    if (!integer_within(json, "bus", G_MAXINT, &bus, error) ||
        !integer_within(json, "unit", G_MAXINT, &unit, error) ||
        !integer_within(json, "size", G_MAXINT64, &size, error) ||
        !integer_within(json, "allocated", G_MAXINT64, &allocated, error))
        return FALSE;
    disk = machine_add_disk(machine);
    *disk = (MachineDisk){
        .key = g_strdup(json_get_string(json, "key")),
        .uuid = g_strdup(json_get_string(json, "uuid")),
        .label = g_strdup(json_get_string(json, "label")),
        .controller = g_strdup(json_get_string(json, "controller")),
        .bus = (gint)bus,
        .unit = (gint)unit,
        .size = (guint64)size,
        .allocated = (guint64)allocated,
        .boot = json_get_boolean(json, "boot"),
    };
    return TRUE;
}

static void nic_from_json(Machine *machine, const Json *json)
{
    MachineNic *nic = machine_add_nic(machine);

    *nic = (MachineNic){
        .key = g_strdup(json_get_string(json, "key")),
        .label = g_strdup(json_get_string(json, "label")),
        .model = g_strdup(json_get_string(json, "model")),
        .mac = g_strdup(json_get_string(json, "mac")),
        .network = g_strdup(json_get_string(json, "network")),
        .connected = json_get_boolean(json, "connected"),
    };
}

static gboolean hardware_from_json(Machine *machine, const Json *json, GError **error)
{
    gint family = index_of(families, json_get_string(json, "family"));
    gint firmware = index_of(firmwares, json_get_string(json, "firmware"));
    gint64 cpus = 0;
    gint64 cores = 0;
    gint64 memory = 0;

    if (family < 0 || firmware < 0)
        return vf_fail(error, VF_ERROR_INVALID, "stored machine: family or firmware is not known");
    if (!integer_within(json, "cpus", G_MAXUINT, &cpus, error) ||
        !integer_within(json, "cores_per_socket", G_MAXUINT, &cores, error) ||
        !integer_within(json, "memory", G_MAXINT64, &memory, error))
        return FALSE;
    machine->family = (MachineFamily)family;
    machine->firmware = (MachineFirmware)firmware;
    machine->cpus = (guint)cpus;
    machine->cores_per_socket = (guint)cores;
    machine->memory = (guint64)memory;
    machine->secure_boot = json_get_boolean(json, "secure_boot");
    machine->tpm = json_get_boolean(json, "tpm");
    return TRUE;
}

static gboolean devices_from_json(Machine *machine, const Json *json, GError **error)
{
    gsize i = 0;
    Json *device = NULL;

    json_array_foreach(json_object_get(json, "disks"), i, device)
    {
        if (!disk_from_json(machine, device, error))
            return FALSE;
    }
    json_array_foreach(json_object_get(json, "nics"), i, device) nic_from_json(machine, device);
    return TRUE;
}

Machine *machine_from_json(const char *text, GError **error)
{
    g_autoptr(Json) json = json_parse(text, strlen(text), MAX_JSON, "stored machine", error);
    g_autoptr(Machine) machine = machine_new();

    if (json == NULL)
        return NULL;
    machine->name = g_strdup(json_get_string(json, "name"));
    machine->id = g_strdup(json_get_string(json, "id"));
    machine->instance_uuid = g_strdup(json_get_string(json, "instance_uuid"));
    machine->bios_uuid = g_strdup(json_get_string(json, "bios_uuid"));
    machine->annotation = g_strdup(json_get_string(json, "annotation"));
    machine->guest_id = g_strdup(json_get_string(json, "guest_id"));
    if (!hardware_from_json(machine, json, error) || !devices_from_json(machine, json, error))
        return NULL;
    return g_steal_pointer(&machine);
}
