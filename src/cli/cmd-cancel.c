#include "base/error.h"
#include "base/json.h"
#include "cli/select.h"
#include "cli/work.h"
#include "migration/stage.h"

#include <stdio.h>
#include <string.h>

#define LOOK_AGAIN_MS 200

static gboolean ask_worker(Store *store, const StoreVm *vm, gboolean delete_files, GError **error)
{
    g_autoptr(Json) arguments = json_object();
    g_autofree char *text = NULL;
    gboolean already = FALSE;
    Stage stage;

    json_set_boolean(arguments, "delete_files", delete_files);
    text = json_to_line(arguments);
    if (!stage_parse(vm->stage, &stage))
        return vf_fail(error, VF_ERROR_INTERNAL, "%s is in the unknown stage %s", vm->name, vm->stage);
    return request_allowed(stage, REQUEST_CANCEL, error) &&
           store_request_add(store, vm->id, request_name(REQUEST_CANCEL), text, &already, error);
}

/* Until the worker has let go of it. */
static gboolean wait_for_worker(const Session *session, gint64 id, GError **error)
{
    for (;;) {
        g_autofree char *worker = store_lease_holder(session->store, id, error);

        if (worker == NULL)
            return *error == NULL;
        if (!cancel_sleep(session->cancel, LOOK_AGAIN_MS, error))
            return FALSE;
    }
}

static gboolean check_cancelled(Store *store, gint64 id, GError **error)
{
    g_autoptr(StoreVm) vm = store_vm_get(store, id, error);

    if (vm == NULL)
        return FALSE;
    if (strcmp(vm->stage, stage_name(STAGE_CANCELLED)) != 0)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s is in stage %s%s%s, not cancelled", vm->name, vm->stage,
                       vm->error != NULL ? ": " : "", vm->error != NULL ? vm->error : "");
    printf("%s: cancelled\n", vm->name);
    return TRUE;
}

static gboolean cancel_one(const Session *session, const StoreVm *vm, gboolean delete_files, GError **error)
{
    MigrationContext context = work_context(session);
    g_autofree char *worker = store_lease_holder(session->store, vm->id, error);

    if (worker == NULL && *error != NULL)
        return FALSE;
    if (worker != NULL &&
        !(ask_worker(session->store, vm, delete_files, error) && wait_for_worker(session, vm->id, error)))
        return FALSE;
    if (worker == NULL && !migration_cancel(&context, vm->id, delete_files, error))
        return FALSE;
    return check_cancelled(session->store, vm->id, error);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(GPtrArray) found = NULL;
    gboolean delete_files = FALSE;
    const GOptionEntry own[] = {
        {"delete-files", 0, 0, G_OPTION_ARG_NONE, &delete_files, "delete the images at the target too", NULL},
        {NULL},
    };

    if (!options_parse(&options, self,
                       OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_IDS, own, argc,
                       argv, error) ||
        !session_open(&session, &options, error) || !session_open_store(&session, error))
        return FALSE;
    session_catch_signals(&session);
    found = select_existing(&session, &options, error);
    for (guint i = 0; found != NULL && i < found->len; i++) {
        const Selected *selected = found->pdata[i];

        if (!cancel_one(&session, selected->vm, delete_files, error))
            return FALSE;
    }
    return found != NULL;
}

const Command command_cancel = {
    .name = "cancel",
    .arguments = "[SPEC|ID|NAME...]",
    .summary = "give a migration up and clean up behind it",
    .details =
        "Its snapshots are removed, and the source is started again if vmferry had shut it down. The images "
        "stay unless\n"
        "--delete-files is given. A worker that is running stops by itself; the command waits for it.\n\n"
        "Example:\n"
        "  vmferry cancel --delete-files web.yaml",
    .run = run,
};
