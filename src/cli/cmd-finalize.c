#include "base/error.h"
#include "cli/select.h"
#include "migration/migration.h"
#include "migration/stage.h"

#include <stdio.h>
#include <string.h>

/* The request, and how it is called in what is printed. */
typedef struct {
    Request request;
    const char *words;
} Wish;

static gboolean wish_of(gboolean now, const char *shutdown, Wish *ret_wish, GError **error)
{
    static const Wish force = {REQUEST_SHUTDOWN_FORCE, "power off"};
    static const Wish done = {REQUEST_SHUTDOWN_DONE, "going on with the VM shut down"};
    static const Wish finalize = {REQUEST_FINALIZE, "finalize"};
    static const Wish finalize_now = {REQUEST_FINALIZE_NOW, "finalize now"};

    if (shutdown != NULL && strcmp(shutdown, "force") != 0 && strcmp(shutdown, "done") != 0)
        return vf_fail(error, VF_ERROR_INVALID, "--shutdown %s: force or done is expected", shutdown);
    if (shutdown != NULL)
        *ret_wish = strcmp(shutdown, "force") == 0 ? force : done;
    else
        *ret_wish = now ? finalize_now : finalize;
    return TRUE;
}

static gboolean ask_for(Store *store, const StoreVm *vm, const Wish *wish, GError **error)
{
    g_autofree char *worker = NULL;
    gboolean already = FALSE;

    if (strcmp(vm->stage, stage_name(STAGE_DONE)) == 0) {
        printf("%s: already completed\n", vm->name);
        return TRUE;
    }
    if (!migration_request(store, vm->id, request_name(wish->request), &already, error))
        return FALSE;
    printf("%s: %s %s\n", vm->name, wish->words, already ? "already requested" : "requested");
    worker = store_lease_holder(store, vm->id, error);
    if (worker == NULL && *error == NULL)
        printf("%s: no worker is running; vmferry retry %" G_GINT64_FORMAT " starts one\n", vm->name, vm->id);
    return *error == NULL;
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(GPtrArray) found = NULL;
    g_autofree char *shutdown = NULL;
    gboolean now = FALSE;
    Wish wish = {REQUEST_FINALIZE, NULL};
    const GOptionEntry own[] = {
        {"now", 0, 0, G_OPTION_ARG_NONE, &now, "without another warm round before the shutdown", NULL},
        {"shutdown", 0, 0, G_OPTION_ARG_FILENAME, &shutdown,
         "answer a migration that waits for the VM to be shut down: force powers it off, done says that it "
         "is off",
         "force|done"},
        {NULL},
    };

    if (!options_parse(&options, self,
                       OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_IDS, own, argc,
                       argv, error) ||
        !wish_of(now, shutdown, &wish, error) || !session_open(&session, &options, error) ||
        !session_open_store(&session, error))
        return FALSE;
    found = select_existing(&session, &options, error);
    for (guint i = 0; found != NULL && i < found->len; i++) {
        const Selected *selected = found->pdata[i];

        if (!ask_for(session.store, selected->vm, &wish, error))
            return FALSE;
    }
    return found != NULL;
}

const Command command_finalize = {
    .name = "finalize",
    .arguments = "[SPEC|ID|NAME...]",
    .summary = "cut over: shut the source down, last round, start at the target",
    .details = "The worker sees the request at once. Asking twice changes nothing.\n\n"
               "Example:\n"
               "  vmferry finalize web.yaml\n"
               "  vmferry finalize --now --vm web01\n"
               "  vmferry finalize --shutdown force 7",
    .run = run,
};
