#include "base/error.h"
#include "cli/select.h"
#include "cli/work.h"
#include "migration/stage.h"

/* What failed goes back to where it failed; what a crash left goes on from where it is. */
static gboolean make_ready(const MigrationContext *context, const Selected *selected, gint64 *ret_id,
                           GError **error)
{
    Stage stage;

    if (selected->vm == NULL)
        return migration_prepare(context, selected->spec, ret_id, error);
    *ret_id = selected->vm->id;
    if (!stage_parse(selected->vm->stage, &stage))
        return vf_fail(error, VF_ERROR_INTERNAL, "%s is in the unknown stage %s", selected->vm->name,
                       selected->vm->stage);
    return stage != STAGE_FAILED || migration_retry(context, selected->vm->id, error);
}

static GArray *make_all_ready(const Session *session, GPtrArray *found, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    MigrationContext context = work_context(session);

    for (guint i = 0; i < found->len; i++) {
        gint64 id = 0;

        if (!make_ready(&context, found->pdata[i], &id, error))
            return NULL;
        g_array_append_val(ids, id);
    }
    return g_steal_pointer(&ids);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(GPtrArray) found = NULL;
    g_autoptr(GArray) ids = NULL;

    if (!options_parse(&options, self,
                       OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_IDS, NULL, argc,
                       argv, error) ||
        !session_open(&session, &options, error) || !session_open_store(&session, error))
        return FALSE;
    found = select_migrations(&session, &options, FALSE, error);
    ids = found != NULL ? make_all_ready(&session, found, error) : NULL;
    return ids != NULL && work_run(&session, &options, ids, session.config->parallel_vms, error);
}

const Command command_retry = {
    .name = "retry",
    .arguments = "[SPEC|ID|NAME...]",
    .summary = "go on with a migration that failed or was interrupted",
    .details = "It goes on in the stage in which it failed, with the spec that it was started with.\n\n"
               "Example:\n"
               "  vmferry retry web.yaml\n"
               "  vmferry retry 7",
    .run = run,
};
