#include "base/error.h"
#include "cli/select.h"
#include "cli/table.h"
#include "cli/work.h"

#include <stdio.h>

static Json *to_json(const VsphereVm *vm, const Findings *findings)
{
    Json *json = json_object();

    json_set_string(json, "vm_name", vm->machine->name);
    json_set_string(json, "vm_moref", vm->moref);
    json_set_string(json, "vm_path", vm->path);
    json_set_boolean(json, "ok", findings_count(findings, FINDING_BLOCKER) == 0);
    json_set_integer(json, "blockers", findings_count(findings, FINDING_BLOCKER));
    json_set_take(json, "findings", findings_to_json(findings));
    return json;
}

static void print_finding(const Finding *finding)
{
    g_autofree char *object = table_printable(finding->object != NULL ? finding->object : "");
    g_autofree char *message = table_printable(finding->message);
    g_autofree char *advice = table_printable(finding->advice != NULL ? finding->advice : "");

    printf("  %-8s %s%s%s\n", finding_severity_name(finding->severity), object, *object != '\0' ? ": " : "",
           message);
    if (*advice != '\0')
        printf("  %-8s   -> %s\n", "", advice);
}

static void print_text(const VsphereVm *vm, const Findings *findings)
{
    g_autofree char *path = table_printable(vm->path);
    guint blockers = findings_count(findings, FINDING_BLOCKER);

    if (blockers > 0)
        printf("%s (%s): %u in the way\n", path, vm->moref, blockers);
    else
        printf("%s (%s): nothing in the way\n", path, vm->moref);
    for (guint i = 0; i < findings_length(findings); i++)
        print_finding(findings_get(findings, i));
}

/* Adds the blockers to *blockers. */
static gboolean check_one(const Session *session, const VmSpec *spec, Json *all, guint *blockers,
                          GError **error)
{
    MigrationContext context = work_context(session);
    g_autoptr(Findings) findings = NULL;
    g_autoptr(VsphereVm) vm = NULL;

    if (!migration_preflight(&context, spec, &findings, &vm, error))
        return FALSE;
    *blockers += findings_count(findings, FINDING_BLOCKER);
    if (all != NULL)
        json_array_append_new(all, to_json(vm, findings));
    else
        print_text(vm, findings);
    return TRUE;
}

static gboolean check_all(const Session *session, const Options *options, GError **error)
{
    g_autoptr(GPtrArray) specs = select_specs(session, options, error);
    g_autoptr(Json) all = options->json ? json_array() : NULL;
    g_autofree char *text = NULL;
    guint blockers = 0;

    for (guint i = 0; specs != NULL && i < specs->len; i++) {
        if (!check_one(session, specs->pdata[i], all, &blockers, error))
            return FALSE;
    }
    if (specs == NULL)
        return FALSE;
    text = all != NULL ? json_to_text(all) : NULL;
    if (text != NULL)
        fputs(text, stdout);
    return blockers == 0 || vf_fail(error, VF_ERROR_CONFLICT, "%u thing%s in the way of a migration",
                                    blockers, blockers == 1 ? " stands" : "s stand");
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};

    if (!options_parse(&options, self, OPTIONS_CONFIG | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_JSON, NULL,
                       argc, argv, error) ||
        !session_open(&session, &options, error))
        return FALSE;
    session_catch_signals(&session);
    return check_all(&session, &options, error);
}

const Command command_preflight = {
    .name = "preflight",
    .arguments = "[SPEC...]",
    .summary = "say what stands in the way of a migration, and what to do about it",
    .details = "Nothing is touched. The exit code is 0 when nothing stands in the way.\n\n"
               "Example:\n"
               "  vmferry preflight web.yaml",
    .run = run,
};
