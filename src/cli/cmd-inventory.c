#include "base/json.h"
#include "base/size.h"
#include "cli/session.h"
#include "cli/table.h"
#include "vsphere/inventory.h"

#include <stdio.h>
#include <string.h>

/* --- VMs --- */

static Json *disks_to_json(const VsphereVm *vm)
{
    Json *list = json_array();

    for (guint i = 0; i < vm->machine->disks->len; i++) {
        const MachineDisk *disk = vm->machine->disks->pdata[i];
        const VsphereDisk *backing = vm->disks->pdata[i];
        Json *row = json_object();

        json_set_string(row, "key", disk->key);
        json_set_string(row, "label", disk->label);
        json_set_string(row, "controller", disk->controller);
        json_set_integer(row, "bus", disk->bus);
        json_set_integer(row, "unit", disk->unit);
        json_set_integer(row, "size", (gint64)disk->size);
        json_set_string(row, "path", backing->path);
        json_set_string(row, "mode", backing->mode);
        json_array_append_new(list, row);
    }
    return list;
}

static Json *nics_to_json(const Machine *machine)
{
    Json *list = json_array();

    for (guint i = 0; i < machine->nics->len; i++) {
        const MachineNic *nic = machine->nics->pdata[i];
        Json *row = json_object();

        json_set_string(row, "key", nic->key);
        json_set_string(row, "label", nic->label);
        json_set_string(row, "model", nic->model);
        json_set_string(row, "mac", nic->mac);
        json_set_string(row, "network", nic->network);
        json_array_append_new(list, row);
    }
    return list;
}

static Json *vm_to_json(const VsphereVm *vm)
{
    Json *json = json_object();

    json_set_string(json, "name", vm->machine->name);
    json_set_string(json, "path", vm->path);
    json_set_string(json, "moref", vm->moref);
    json_set_string(json, "instance_uuid", vm->machine->instance_uuid);
    json_set_string(json, "host", vm->host);
    json_set_string(json, "power_state", vm->power_state);
    json_set_string(json, "guest_id", vm->machine->guest_id);
    json_set_string(json, "tools", vm->tools_running);
    json_set_string(json, "hardware_version", vm->hardware_version);
    json_set_boolean(json, "template", vm->template);
    json_set_integer(json, "cpus", vm->machine->cpus);
    json_set_integer(json, "memory", (gint64)vm->machine->memory);
    json_set_boolean(json, "cbt_supported", vm->cbt_supported);
    json_set_boolean(json, "cbt_enabled", vm->cbt_enabled);
    json_set_integer(json, "snapshots", vm->snapshots->len);
    json_set_take(json, "disks", disks_to_json(vm));
    json_set_take(json, "nics", nics_to_json(vm->machine));
    return json;
}

/* "guestToolsRunning" -> "running" */
static char *tools_word(const char *tools)
{
    static const char prefix[] = "guestTools";
    char *word = NULL;

    if (tools == NULL)
        return NULL;
    word = g_strdup(g_str_has_prefix(tools, prefix) ? tools + strlen(prefix) : tools);
    *word = g_ascii_tolower(*word);
    return word;
}

/* "poweredOn" -> "on" */
static char *power_word(const char *state)
{
    if (state == NULL || !g_str_has_prefix(state, "powered"))
        return g_strdup(state);
    return g_ascii_strdown(state + strlen("powered"), -1);
}

static void add_vm(Table *table, const VsphereVm *vm)
{
    g_autofree char *power = power_word(vm->power_state);
    g_autofree char *cpus = g_strdup_printf("%u", vm->machine->cpus);
    g_autofree char *memory = size_format(vm->machine->memory);
    g_autofree char *disks = g_strdup_printf("%u", vm->machine->disks->len);
    g_autofree char *size = size_format(machine_total_size(vm->machine));
    g_autofree char *tools = tools_word(vm->tools_running);
    g_autofree char *snapshots = g_strdup_printf("%u", vm->snapshots->len);
    const char *cbt = vm->cbt_enabled ? "on" : vm->cbt_supported ? "off" : "none";
    const char *const cells[] = {vm->path, vm->moref, power, cpus, memory,
                                 disks,    size,      tools, cbt,  snapshots};

    table_add(table, cells);
}

static gboolean print_vms(Vsphere *vsphere, gboolean with_templates, gboolean as_json, GError **error)
{
    static const char *const headers[] = {"PATH",  "MOREF", "POWER", ">CPUS",      ">MEMORY", ">DISKS",
                                          ">SIZE", "TOOLS", "CBT",   ">SNAPSHOTS", NULL};
    g_autoptr(GPtrArray) vms = vsphere_list_vms(vsphere, with_templates, error);
    g_autoptr(Table) table = table_new(headers);
    g_autoptr(Json) array = json_array();
    g_autofree char *text = NULL;

    if (vms == NULL)
        return FALSE;
    for (guint i = 0; i < vms->len; i++) {
        add_vm(table, vms->pdata[i]);
        json_array_append_new(array, vm_to_json(vms->pdata[i]));
    }
    text = as_json ? json_to_text(array) : table_to_text(table);
    fputs(text, stdout);
    return TRUE;
}

/* --- datastores --- */

static Json *datastore_to_json(const VsphereDatastore *datastore)
{
    Json *json = json_object();

    json_set_string(json, "name", datastore->name);
    json_set_string(json, "moref", datastore->moref);
    json_set_string(json, "datacenter", datastore->datacenter_path);
    json_set_string(json, "type", datastore->type);
    json_set_integer(json, "capacity", (gint64)datastore->capacity);
    json_set_integer(json, "free", (gint64)datastore->free);
    json_set_boolean(json, "accessible", datastore->accessible);
    return json;
}

static void add_datastore(Table *table, const VsphereDatastore *datastore)
{
    g_autofree char *capacity = size_format(datastore->capacity);
    g_autofree char *unused = size_format(datastore->free);
    const char *const cells[] = {
        datastore->name, datastore->moref, datastore->datacenter_path,          datastore->type,
        capacity,        unused,           datastore->accessible ? "yes" : "no"};

    table_add(table, cells);
}

static gboolean print_datastores(Vsphere *vsphere, gboolean as_json, GError **error)
{
    static const char *const headers[] = {"DATASTORE", "MOREF", "DATACENTER", "TYPE",
                                          ">CAPACITY", ">FREE", "ACCESSIBLE", NULL};
    g_autoptr(GPtrArray) datastores = vsphere_list_datastores(vsphere, error);
    g_autoptr(Table) table = table_new(headers);
    g_autoptr(Json) array = json_array();
    g_autofree char *text = NULL;

    if (datastores == NULL)
        return FALSE;
    for (guint i = 0; i < datastores->len; i++) {
        add_datastore(table, datastores->pdata[i]);
        json_array_append_new(array, datastore_to_json(datastores->pdata[i]));
    }
    text = as_json ? json_to_text(array) : table_to_text(table);
    fputs(text, stdout);
    return TRUE;
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(Vsphere) vsphere = NULL;
    gboolean datastores = FALSE;
    gboolean templates = FALSE;
    const GOptionEntry own[] = {
        {"datastores", 0, 0, G_OPTION_ARG_NONE, &datastores, "datastores instead of VMs", NULL},
        {"templates", 0, 0, G_OPTION_ARG_NONE, &templates, "templates too", NULL},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_CONFIG | OPTIONS_JSON, own, argc, argv, error) ||
        !session_open(&session, &options, error))
        return FALSE;
    session_catch_signals(&session);
    vsphere = session_connect(&session, error);
    if (vsphere == NULL)
        return FALSE;
    return datastores ? print_datastores(vsphere, options.json, error)
                      : print_vms(vsphere, templates, options.json, error);
}

const Command command_inventory = {
    .name = "inventory",
    .summary = "list the VMs or datastores of the vCenter in the config",
    .details = "Example:\n"
               "  vmferry inventory\n"
               "  vmferry inventory --datastores --json",
    .run = run,
};
