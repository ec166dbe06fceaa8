#include "vsphere/session.h"

#include "base/error.h"
#include "base/log.h"
#include "vsphere/call.h"

#include <string.h>

#define IDLE_TIMEOUT_MS   180000u /* the server thinks about large questions before it says a word */
#define KEEPALIVE_SECONDS 300

struct Vsphere {
    char *server; /* host:port */
    char *user;
    Secret *password;
    HttpClient *http;
    SoapClient *soap;
    VimServiceContent *content;
    VsphereAbout about;
    gboolean plain, encodes_twice;
    const Cancel *cancel; /* may be NULL */
    gint last_call;       /* atomic: seconds on the monotonic clock */
    GMutex login_lock;    /* guards what follows, and that one thread logs in at a time */
    char *session_key;    /* NULL: not logged in yet */
};

/* --- where to --- */

/* "host", "host:port", "[v6]", "[v6]:port" or a bare v6 address, which has more than one colon. */
static char *complete_server(const char *host, guint16 port)
{
    const char *end = *host == '[' ? strchr(host, ']') : host;
    const char *colon = end != NULL ? strchr(end, ':') : NULL;
    guint number = port != 0 ? port : 443;

    if (colon != NULL && *host != '[' && strchr(colon + 1, ':') != NULL)
        return g_strdup_printf("[%s]:%u", host, number);
    if (colon != NULL)
        return g_strdup(host);
    return g_strdup_printf("%s:%u", host, number);
}

static HttpClient *new_http(const char *server, const TlsTrust *trust, GError **error)
{
    g_autofree char *base = g_strconcat("https://", server, NULL);
    HttpClientOptions options = {.trust = *trust, .idle_timeout_ms = IDLE_TIMEOUT_MS};

    return http_client_new(base, &options, error);
}

/* --- calls --- */

static SoapReply *plain_call(Vsphere *vsphere, SoapRequest *request, GError **error)
{
    SoapReply *reply = soap_client_call(vsphere->soap, request, error);

    if (reply != NULL)
        g_atomic_int_set(&vsphere->last_call, (gint)(g_get_monotonic_time() / G_USEC_PER_SEC));
    return reply;
}

SoapReply *vsphere_call(Vsphere *vsphere, SoapRequest *request, GError **error)
{
    g_autoptr(GError) local = NULL;
    SoapReply *reply = plain_call(vsphere, request, &local);

    if (reply != NULL)
        return reply;
    if (!vsphere_fault_is(local, "NotAuthenticated")) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    if (!vsphere_relogin(vsphere, error))
        return NULL;
    return plain_call(vsphere, request, error);
}

void vsphere_call_farewell(Vsphere *vsphere, SoapRequest *request)
{
    g_autoptr(GError) ignored = NULL;
    g_autoptr(SoapReply) reply = plain_call(vsphere, request, &ignored);

    if (reply == NULL)
        log_debug("vsphere: %s", ignored->message);
}

static gboolean current_time(Vsphere *vsphere, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("CurrentTime", "ServiceInstance", "ServiceInstance", SOAP_REPEATABLE);
    g_autoptr(SoapReply) reply = plain_call(vsphere, request, error);

    return reply != NULL;
}

/* --- logging in --- */

/* With login_lock held. */
static gboolean login(Vsphere *vsphere, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("Login", "SessionManager", vsphere->content->session_manager, SOAP_REPEATABLE);
    XmlWriter *writer = soap_request_writer(request);
    g_autoptr(SoapReply) reply = NULL;
    g_autoptr(VimUserSession) session = NULL;

    xml_element(writer, "userName", vsphere->user);
    xml_element(writer, "password", secret_reveal(vsphere->password));
    reply = plain_call(vsphere, request, error);
    if (reply == NULL) {
        g_prefix_error(error, "logging in as \"%s\": ", vsphere->user);
        return FALSE;
    }
    if (soap_reply_value(reply) == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s: Login without a session", vsphere->server);
    session = vim_decode(&vim_user_session_type, soap_reply_value(reply), error);
    if (session == NULL)
        return FALSE;
    g_free(vsphere->session_key);
    vsphere->session_key = g_steal_pointer(&session->key);
    return TRUE;
}

gboolean vsphere_relogin(Vsphere *vsphere, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&vsphere->login_lock);
    g_autoptr(GError) local = NULL;

    /* Who waited for the lock finds the session that another thread made. */
    if (current_time(vsphere, &local))
        return TRUE;
    if (!vsphere_fault_is(local, "NotAuthenticated")) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    log_debug("vsphere: %s: the session is gone, logging in again", vsphere->server);
    return login(vsphere, error);
}

gboolean vsphere_keepalive(Vsphere *vsphere, GError **error)
{
    gint64 now = g_get_monotonic_time() / G_USEC_PER_SEC;

    if (now - g_atomic_int_get(&vsphere->last_call) < KEEPALIVE_SECONDS)
        return TRUE;
    return vsphere_relogin(vsphere, error);
}

/* --- opening and closing --- */

static gboolean read_content(Vsphere *vsphere, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("RetrieveServiceContent", "ServiceInstance", "ServiceInstance", SOAP_REPEATABLE);
    g_autoptr(SoapReply) reply = plain_call(vsphere, request, error);
    VimServiceContent *content = NULL;

    if (reply == NULL)
        return FALSE;
    if (soap_reply_value(reply) == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s: no ServiceContent", vsphere->server);
    content = vim_decode(&vim_service_content_type, soap_reply_value(reply), error);
    if (content == NULL)
        return FALSE;
    vsphere->content = content;
    if (content->session_manager == NULL || content->view_manager == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: %s has no session or view manager", vsphere->server,
                       content->about->full_name);
    return TRUE;
}

static void fill_about(Vsphere *vsphere)
{
    const VimAboutInfo *info = vsphere->content->about;

    vsphere->about = (VsphereAbout){
        .name = info->name,
        .full_name = info->full_name,
        .version = info->version,
        .build = info->build,
        .api_version = info->api_version,
        .instance_uuid = info->instance_uuid,
        .is_vcenter = strcmp(info->api_type, "VirtualCenter") == 0,
    };
}

static gboolean start_session(Vsphere *vsphere, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&vsphere->login_lock);

    if (!soap_client_negotiate(vsphere->soap, error)) {
        g_prefix_error(error, "%s: ", vsphere->server);
        return FALSE;
    }
    if (!read_content(vsphere, error))
        return FALSE;
    fill_about(vsphere);
    return login(vsphere, error);
}

Vsphere *vsphere_open(const VsphereOptions *options, GError **error)
{
    g_autoptr(Vsphere) vsphere = g_new0(Vsphere, 1);

    g_mutex_init(&vsphere->login_lock);
    vsphere->server = complete_server(options->host, options->port);
    vsphere->user = g_strdup(options->user);
    vsphere->password = secret_ref(options->password);
    vsphere->cancel = options->cancel;
    vsphere->http = new_http(vsphere->server, &options->trust, error);
    if (vsphere->http == NULL)
        return NULL;
    vsphere->soap = soap_client_new(vsphere->http, options->cancel, options->tick, options->tick_data);
    return start_session(vsphere, error) ? g_steal_pointer(&vsphere) : NULL;
}

static void logout(Vsphere *vsphere)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("Logout", "SessionManager", vsphere->content->session_manager, SOAP_FAREWELL);

    vsphere_call_farewell(vsphere, request);
}

void vsphere_free(Vsphere *vsphere)
{
    if (vsphere == NULL)
        return;
    if (vsphere->session_key != NULL)
        logout(vsphere);
    vim_free(vsphere->content);
    soap_client_free(vsphere->soap);
    http_client_free(vsphere->http);
    secret_unref(vsphere->password);
    g_free(vsphere->session_key);
    g_free(vsphere->user);
    g_free(vsphere->server);
    g_mutex_clear(&vsphere->login_lock);
    g_free(vsphere);
}

/* --- what is known about it --- */

const VsphereAbout *vsphere_about(const Vsphere *vsphere)
{
    return &vsphere->about;
}

const char *vsphere_server(const Vsphere *vsphere)
{
    return vsphere->server;
}

HttpClient *vsphere_http(Vsphere *vsphere)
{
    return vsphere->http;
}

const VimServiceContent *vsphere_content(const Vsphere *vsphere)
{
    return vsphere->content;
}

gboolean vsphere_pause(Vsphere *vsphere, guint milliseconds, GError **error)
{
    return soap_client_pause(vsphere->soap, milliseconds, error);
}

char *vsphere_dup_session_key(Vsphere *vsphere)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&vsphere->login_lock);

    return g_strdup(vsphere->session_key);
}

gboolean vsphere_plain(const Vsphere *vsphere)
{
    return vsphere->plain;
}

void vsphere_set_plain(Vsphere *vsphere)
{
    vsphere->plain = TRUE;
}

const Cancel *vsphere_cancel(const Vsphere *vsphere)
{
    return vsphere->cancel;
}

gboolean vsphere_encodes_twice(const Vsphere *vsphere)
{
    return vsphere->encodes_twice;
}

void vsphere_set_encodes_twice(Vsphere *vsphere, gboolean twice)
{
    vsphere->encodes_twice = twice;
}
