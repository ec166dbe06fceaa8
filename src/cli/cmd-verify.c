#include "base/error.h"
#include "cli/select.h"
#include "cli/work.h"

#include <stdio.h>

static void print_disk(const char *name, const Json *disk)
{
    if (json_get_boolean(disk, "ok"))
        printf("%s: disk %s: %" G_GINT64_FORMAT " blocks are what was read%s\n", name,
               json_get_string(disk, "key"), json_get_integer(disk, "blocks"),
               json_get_boolean(disk, "deep") ? ", and what the source holds" : "");
    else
        printf("%s: disk %s: %s\n", name, json_get_string(disk, "key"), json_get_string(disk, "error"));
}

static void print_report(const char *name, const Json *report)
{
    gsize i = 0;
    Json *disk = NULL;

    json_array_foreach(json_object_get(report, "disks"), i, disk) print_disk(name, disk);
}

static gboolean verify_one(const Session *session, const StoreVm *vm, gboolean deep, Json *all,
                           GError **error)
{
    MigrationContext context = work_context(session);
    Json *report = NULL;

    if (!migration_verify(&context, vm->id, deep, &report, error))
        return FALSE;
    json_set_string(report, "vm_name", vm->name);
    json_set_integer(report, "id", vm->id);
    json_array_append_new(all, report);
    return TRUE;
}

static gboolean conclude(const Options *options, const Json *all, GError **error)
{
    g_autofree char *text = options->json ? json_to_text(all) : NULL;
    gboolean ok = TRUE;
    gsize i = 0;
    Json *report = NULL;

    if (text != NULL)
        fputs(text, stdout);
    json_array_foreach((Json *)all, i, report)
    {
        ok = ok && json_get_boolean(report, "ok");
        if (text == NULL)
            print_report(json_get_string(report, "vm_name"), report);
    }
    return ok || vf_fail(error, VF_ERROR_INTEGRITY,
                         "the target is not what was read; do not use it, migrate again");
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(GPtrArray) found = NULL;
    g_autoptr(Json) all = json_array();
    gboolean deep = FALSE;
    const GOptionEntry own[] = {
        {"deep", 0, 0, G_OPTION_ARG_NONE, &deep, "read the source too, and compare", NULL},
        {NULL},
    };

    if (!options_parse(&options, self,
                       OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_IDS |
                           OPTIONS_JSON,
                       own, argc, argv, error) ||
        !session_open(&session, &options, error) || !session_open_store(&session, error))
        return FALSE;
    session_catch_signals(&session);
    found = select_existing(&session, &options, error);
    for (guint i = 0; found != NULL && i < found->len; i++) {
        const Selected *selected = found->pdata[i];

        if (!verify_one(&session, selected->vm, deep, all, error))
            return FALSE;
    }
    return found != NULL && conclude(&options, all, error);
}

const Command command_verify = {
    .name = "verify",
    .arguments = "[SPEC|ID|NAME...]",
    .summary = "read the target back and compare it with what was read from the source",
    .details = "Every block that was read has a checksum from that moment. --deep reads the source again as "
               "well: as it lies when\n"
               "the VM is off, otherwise from a snapshot that is removed at the end.\n\n"
               "Example:\n"
               "  vmferry verify web.yaml\n"
               "  vmferry verify --deep 7",
    .run = run,
};
