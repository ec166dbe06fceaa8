#include "base/error.h"
#include "cli/session.h"
#include "lab/lab.h"

#include <poll.h>
#include <stdio.h>

static gboolean wait_for_signal(const Session *session)
{
    struct pollfd fired = {.fd = cancel_fd(session->cancel), .events = POLLIN};

    while (!cancel_fired(session->cancel))
        poll(&fired, 1, -1);
    return TRUE;
}

static gboolean serve(Session *session, const char *file, const LabOverrides *overrides,
                      const char *ready_file, GError **error)
{
    g_autoptr(Lab) lab = NULL;

    session_catch_signals(session);
    lab = lab_start(file, overrides, error);
    if (lab == NULL || (ready_file != NULL && !lab_write_ready_file(lab, ready_file, error)))
        return FALSE;
    printf("%s\nuser        %s\npassword    %s\nthumbprint  %s\nCtrl-C ends it.\n", lab_url(lab),
           lab_user(lab), lab_password(lab), lab_thumbprint(lab));
    fflush(stdout);
    return wait_for_signal(session);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {.cancel = cancel_new()};
    g_autofree char *directory = NULL;
    g_autofree char *ready_file = NULL;
    gint port = -1;
    const GOptionEntry own[] = {
        {"port", 'p', 0, G_OPTION_ARG_INT, &port,
         "where to listen, instead of what the file says; 0: any free port", "N"},
        {"directory", 'd', 0, G_OPTION_ARG_FILENAME, &directory,
         "where its datastores lie, instead of what the file says", "DIR"},
        {"ready-file", 0, 0, G_OPTION_ARG_FILENAME, &ready_file,
         "written when it listens: address, thumbprint, user and password as JSON", "FILE"},
        {NULL},
    };

    if (!options_parse(&options, self, 0, own, argc, argv, error))
        return FALSE;
    if (options.arguments == NULL || options.arguments[1] != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "one LAB.YAML is expected; vmferry lab --help");
    if (port < -1 || port > G_MAXUINT16)
        return vf_fail(error, VF_ERROR_INVALID, "--port %d is no port", port);
    return serve(&session, options.arguments[0], &(LabOverrides){.directory = directory, .port = port},
                 ready_file, error);
}

const Command command_lab = {
    .name = "lab",
    .arguments = "LAB.YAML",
    .summary = "a small vSphere on this machine, to practise on",
    .details = "docs/lab.md describes the file.\n\n"
               "Example:\n"
               "  vmferry lab --port 8989 lab.yaml",
    .run = run,
};
