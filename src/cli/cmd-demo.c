#include "cli/options.h"

#include <stdio.h>

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};

    if (!options_parse(&options, self, 0, NULL, argc, argv, error))
        return FALSE;
    printf("The demo builds a small Linux, runs it behind a practice vSphere, migrates it warm and boots the "
           "result.\n"
           "It lives in the source tree: ./run demo\n");
    return TRUE;
}

const Command command_demo = {
    .name = "demo",
    .summary = "say how to see it work without VMware",
    .details = "Example:\n"
               "  ./run demo",
    .run = run,
};
