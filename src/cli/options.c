#include "cli/options.h"

#include "base/error.h"
#include "base/log.h"

void options_clear(Options *options)
{
    g_clear_pointer(&options->config, g_free);
    g_clear_pointer(&options->control_dir, g_free);
    g_clear_pointer(&options->specs, g_strfreev);
    g_clear_pointer(&options->vms, g_strfreev);
    g_clear_pointer(&options->vm_ids, g_strfreev);
    g_clear_pointer(&options->arguments, g_strfreev);
}

static void add_shared(GOptionContext *context, Options *options, OptionSet set)
{
    const struct {
        OptionSet set;
        GOptionEntry entry;
    } rows[] = {
        {OPTIONS_CONFIG,
         {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config,
          "config file (default: ./config.yaml, ../config.yaml, /etc/vmferry/config.yaml)", "FILE"}},
        {OPTIONS_CONFIG, {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "say more", NULL}},
        {OPTIONS_STORE,
         {"control-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->control_dir,
          "where the state is kept, instead of what the config says", "DIR"}},
        {OPTIONS_SPECS,
         {"spec", 's', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->specs, "a spec; may be repeated", "FILE"}},
        {OPTIONS_VMS,
         {"vm", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->vms, "only the VM of this name; may be repeated",
          "NAME"}},
        {OPTIONS_IDS,
         {"vm-id", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->vm_ids,
          "only the migration of this number, or of the VM with this moref; may be repeated", "ID"}},
        {OPTIONS_JSON, {"json", 0, 0, G_OPTION_ARG_NONE, &options->json, "print JSON", NULL}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const GOptionEntry entries[] = {rows[i].entry, {NULL}};

        if (set & rows[i].set)
            g_option_context_add_main_entries(context, entries, NULL);
    }
}

gboolean options_parse(Options *options, const Command *command, OptionSet set, const GOptionEntry *own,
                       int argc, char **argv, GError **error)
{
    const GOptionEntry rest[] = {
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->arguments, "", ""}, {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new(command->arguments);
    g_autofree char *program = g_strconcat("vmferry ", command->name, NULL);
    g_autoptr(GError) why = NULL;

    g_set_prgname(program);
    g_option_context_set_summary(context, command->summary);
    g_option_context_set_description(context, command->details);
    if (own != NULL)
        g_option_context_add_main_entries(context, own, NULL);
    add_shared(context, options, set);
    if (command->arguments != NULL)
        g_option_context_add_main_entries(context, rest, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &why))
        return vf_fail(error, VF_ERROR_INVALID, "%s; vmferry %s --help lists the options", why->message,
                       command->name);
    if (argc > 1)
        return vf_fail(error, VF_ERROR_INVALID, "%s takes no argument %s; vmferry %s --help", command->name,
                       argv[1], command->name);
    if (options->verbose)
        log_set_level(LOG_DEBUG);
    return TRUE;
}
