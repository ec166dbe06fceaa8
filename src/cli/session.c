#include "cli/session.h"

#include "base/error.h"

#include <signal.h>

gboolean session_open(Session *session, const Options *options, GError **error)
{
    g_autoptr(GError) why = NULL;

    session->config = config_load(options->config, &why);
    if (session->config == NULL && options->control_dir != NULL)
        session->config = config_load("/dev/null", error);
    else if (session->config == NULL)
        g_propagate_error(error, g_steal_pointer(&why));
    if (session->config == NULL)
        return FALSE;
    if (options->control_dir != NULL) {
        g_free(session->config->control_dir);
        session->config->control_dir = g_strdup(options->control_dir);
    }
    session->cancel = cancel_new();
    return TRUE;
}

gboolean session_open_store(Session *session, GError **error)
{
    session->store = store_open(session->config->control_dir, error);
    return session->store != NULL;
}

void session_close(Session *session)
{
    g_clear_pointer(&session->store, store_free);
    g_clear_pointer(&session->config, config_free);
    g_clear_pointer(&session->cancel, cancel_unref);
}

Vsphere *session_connect(const Session *session, GError **error)
{
    const VcenterConfig *vcenter = &session->config->vcenter;
    const VsphereOptions options = {
        .host = vcenter->host,
        .port = vcenter->port,
        .user = vcenter->user,
        .password = vcenter->password,
        .trust = {.ca_file = vcenter->ca_file,
                  .thumbprint = vcenter->thumbprint,
                  .insecure = vcenter->insecure},
        .cancel = session->cancel,
    };

    if (vcenter->host == NULL || vcenter->user == NULL || vcenter->password == NULL) {
        vf_fail(error, VF_ERROR_INVALID, "vcenter.%s is missing in the config",
                vcenter->host == NULL   ? "host"
                : vcenter->user == NULL ? "user"
                                        : "password");
        return NULL;
    }
    return vsphere_open(&options, error);
}

/* A signal handler is told nothing but the signal, so what it fires must be found from here. */
static Cancel *fired_by_signals;

static void on_signal(int number)
{
    cancel_fire(fired_by_signals);
}

void session_catch_signals(Session *session)
{
    /* Reset by its first use: who asks twice means it. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    fired_by_signals = cancel_ref(session->cancel);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
