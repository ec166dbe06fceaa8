#include "base/error.h"
#include "cli/display.h"
#include "cli/status.h"
#include "migration/stage.h"

#include <stdio.h>

#define WATCH_MS 1000

static Json *collect(const Session *session, GPtrArray *found, GError **error)
{
    g_autoptr(Json) array = json_array();

    for (guint i = 0; i < found->len; i++) {
        Json *one = status_to_json(session, found->pdata[i], error);

        if (one == NULL)
            return NULL;
        json_array_append_new(array, one);
    }
    return g_steal_pointer(&array);
}

static gboolean print_once(const Session *session, const Options *options, GError **error)
{
    g_autoptr(GPtrArray) found = select_migrations(session, options, TRUE, error);
    g_autoptr(Json) array = found != NULL ? collect(session, found, error) : NULL;
    g_autofree char *text = NULL;

    if (array == NULL)
        return FALSE;
    text = options->json ? json_to_text(array) : status_to_text(array);
    fputs(text, stdout);
    return TRUE;
}

/* Nothing more will happen by itself. */
static gboolean is_at_rest(const Json *vm)
{
    Stage stage;

    return stage_parse(json_get_string(vm, "current_stage"), &stage) &&
           (stage_is_over(stage) || stage == STAGE_FAILED);
}

/* *ret_rest is TRUE when all that are shown are at rest. */
static gboolean show(const Session *session, const Options *options, Display *display, gboolean *ret_rest,
                     GError **error)
{
    g_autoptr(GPtrArray) found = select_migrations(session, options, TRUE, error);
    g_autoptr(Json) array = found != NULL ? collect(session, found, error) : NULL;
    gsize i = 0;
    Json *vm = NULL;

    if (array == NULL)
        return FALSE;
    *ret_rest = TRUE;
    json_array_foreach(array, i, vm)
    {
        *ret_rest = *ret_rest && is_at_rest(vm);
        /* The document of a worker that is gone may be older than the stage. */
        json_set_string(vm, "stage", json_get_string(vm, "current_stage"));
        display_set(display, json_get_integer(vm, "id"), json_get_string(vm, "vm_name"), vm);
    }
    display_draw(display);
    return TRUE;
}

static gboolean watch(Session *session, const Options *options, GError **error)
{
    g_autoptr(Display) display = display_new(stdout);
    gboolean rest = FALSE;

    session_catch_signals(session);
    while (!rest) {
        g_autoptr(GError) stopped = NULL;

        if (!show(session, options, display, &rest, error))
            return FALSE;
        /* Who stops watching has seen what he wanted. */
        if (!rest && !cancel_sleep(session->cancel, WATCH_MS, &stopped))
            return TRUE;
    }
    return TRUE;
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    gboolean keep_watching = FALSE;
    const GOptionEntry own[] = {
        {"watch", 'w', 0, G_OPTION_ARG_NONE, &keep_watching, "show it until it is over, or Ctrl-C", NULL},
        {NULL},
    };

    if (!options_parse(&options, self,
                       OPTIONS_CONFIG | OPTIONS_STORE | OPTIONS_SPECS | OPTIONS_VMS | OPTIONS_IDS |
                           OPTIONS_JSON,
                       own, argc, argv, error) ||
        !session_open(&session, &options, error) || !session_open_store(&session, error))
        return FALSE;
    return keep_watching ? watch(&session, &options, error) : print_once(&session, &options, error);
}

const Command command_status = {
    .name = "status",
    .arguments = "[SPEC|ID|NAME...]",
    .summary = "show how far migrations are",
    .details = "Without a spec or an id: all of them, newest first. DOWNTIME is predicted, and measured once "
               "it is done.\n"
               "--json prints an array of objects; docs/progress.md explains the keys.\n\n"
               "Example:\n"
               "  vmferry status\n"
               "  vmferry status --watch web.yaml\n"
               "  vmferry status --vm-id vm-3312 --json",
    .run = run,
};
