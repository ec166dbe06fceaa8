#include "base/error.h"
#include "cli/select.h"
#include "cli/work.h"

typedef struct {
    gint readers, parallel_vms, parallel_disks;
    gboolean run_virt_v2v, override_run_virt_v2v;
    gint64 worker;
} RunOptions;

static gboolean check_number(const char *name, gint value, gint max, GError **error)
{
    return (value >= 0 && value <= max) ||
           vf_fail(error, VF_ERROR_INVALID,
                   "--%s %d is out of range; 1 to %d are allowed, 0 leaves it to the spec", name, value, max);
}

static void override(VmSpec *spec, const RunOptions *run)
{
    if (run->readers > 0)
        spec->readers = (guint)run->readers;
    if (run->parallel_disks > 0)
        spec->parallel_disks = (guint)run->parallel_disks;
    if (run->override_run_virt_v2v)
        spec->run_virt_v2v = run->run_virt_v2v;
}

static GArray *prepare_all(const Session *session, GPtrArray *specs, const RunOptions *run, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    MigrationContext context = work_context(session);

    for (guint i = 0; i < specs->len; i++) {
        VmSpec *spec = specs->pdata[i];
        gint64 id = 0;

        override(spec, run);
        if (!migration_prepare(&context, spec, &id, error))
            return NULL;
        g_array_append_val(ids, id);
    }
    return g_steal_pointer(&ids);
}

static gboolean run_specs(Session *session, const Options *options, const RunOptions *run, GError **error)
{
    g_autoptr(GPtrArray) specs = select_specs(session, options, error);
    g_autoptr(GArray) ids = NULL;
    guint parallel = run->parallel_vms > 0 ? (guint)run->parallel_vms : session->config->parallel_vms;

    if (specs == NULL || !session_open_store(session, error))
        return FALSE;
    ids = prepare_all(session, specs, run, error);
    return ids != NULL && work_run(session, options, ids, parallel, error);
}

static gboolean run_worker(Session *session, gint64 id, GError **error)
{
    if (!session_open_store(session, error))
        return FALSE;
    session_catch_signals(session);
    return work_run_one(session, id, error);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    RunOptions run = {0};
    const GOptionEntry own[] = {
        {"readers", 0, 0, G_OPTION_ARG_INT, &run.readers, "threads per disk, instead of what the spec says",
         "N"},
        {"run-virt-v2v", 0, 0, G_OPTION_ARG_NONE, &run.run_virt_v2v,
         "the value that --override-run-virt-v2v sets", NULL},
        {"override-run-virt-v2v", 0, 0, G_OPTION_ARG_NONE, &run.override_run_virt_v2v,
         "convert guests if --run-virt-v2v is given, and not otherwise, whatever specs say", NULL},
        {"parallel-vms", 0, 0, G_OPTION_ARG_INT, &run.parallel_vms,
         "VMs at the same time, instead of what the config says", "N"},
        {"parallel-disks", 0, 0, G_OPTION_ARG_INT, &run.parallel_disks, "disks of a VM at the same time",
         "N"},
        {"worker", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_INT64, &run.worker, "", "ID"},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS, own,
                       argc, argv, error) ||
        !check_number("readers", run.readers, 64, error) ||
        !check_number("parallel-vms", run.parallel_vms, 64, error) ||
        !check_number("parallel-disks", run.parallel_disks, 64, error) ||
        !session_open(&session, &options, error))
        return FALSE;
    return run.worker > 0 ? run_worker(&session, run.worker, error)
                          : run_specs(&session, &options, &run, error);
}

const Command command_run = {
    .name = "run",
    .arguments = "[SPEC...]",
    .summary = "migrate VMs: base copy, rounds of changes, cutover",
    .details = "A migration that was interrupted goes on where it was. Ctrl-C stops at a checkpoint; a "
               "second one at once.\n"
               "With several VMs each gets a process, and its words go to CONTROL_DIR/logs/ID.log.\n\n"
               "Example:\n"
               "  vmferry run web.yaml\n"
               "  vmferry run --spec web.yaml --spec db.yaml --parallel-vms 2",
    .run = run,
};
