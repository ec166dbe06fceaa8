#include "base/error.h"
#include "cli/select.h"
#include "cli/work.h"

#include <stdio.h>

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(GPtrArray) found = NULL;

    if (!options_parse(&options, self,
                       OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_IDS, NULL, argc,
                       argv, error) ||
        !session_open(&session, &options, error) || !session_open_store(&session, error))
        return FALSE;
    session_catch_signals(&session);
    found = select_existing(&session, &options, error);
    for (guint i = 0; found != NULL && i < found->len; i++) {
        const Selected *selected = found->pdata[i];
        MigrationContext context = work_context(&session);

        if (!migration_rollback(&context, selected->vm->id, error))
            return FALSE;
        printf("%s: rolled back; it runs at the source again if it ran there before\n", selected->vm->name);
    }
    return found != NULL;
}

const Command command_rollback = {
    .name = "rollback",
    .arguments = "[SPEC|ID|NAME...]",
    .summary = "after a cutover: remove the VM at the target, start the source again",
    .details = "What the VM wrote at the target since the cutover is not carried back. The images stay where "
               "they are.\n\n"
               "Example:\n"
               "  vmferry rollback web.yaml",
    .run = run,
};
