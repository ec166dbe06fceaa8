#include "net/http-client.h"

#include "base/error.h"
#include "net/http-transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONNECT_TIMEOUT_MS 10000u
#define DEFAULT_IDLE_TIMEOUT_MS    60000u
#define DEFAULT_MAX_CONNECTIONS    8u
/* How often a request that waits for a connection looks at its Cancel. */
#define POOL_TICK_US 50000

struct HttpClient {
    char *base;
    char *proxy;
    TlsTrust trust;
    guint connect_timeout_ms;
    guint idle_timeout_ms;
    guint max_connections;

    GMutex look_lock;
    TlsPeer *peer; /* look_lock; set once */
    char *pin;     /* look_lock; set once */

    GMutex lock;
    GCond returned;
    GPtrArray *idle; /* lock; the one used last is at the end, and taken first */
    guint borrowed;  /* lock */
    char *cookie;    /* lock */
};

/* --- addresses --- */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CURLU, curl_url_cleanup)

/* A part of a URL, "" when it has none. */
static char *url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    char *copy;

    if (curl_url_get(url, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) != CURLUE_OK)
        return g_strdup("");
    copy = g_strdup(text);
    curl_free(text);
    return copy;
}

static gboolean part_is(CURLU *url, CURLUPart part, const char *value)
{
    g_autofree char *text = url_part(url, part);

    return strcmp(text, value) == 0;
}

/* NULL unless it is "http[s]://host[:port]" and nothing more. */
static CURLU *parse_base(const char *base)
{
    g_autoptr(CURLU) url = curl_url();

    if (curl_url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK || !part_is(url, CURLUPART_PATH, "/") ||
        !part_is(url, CURLUPART_QUERY, "") || !part_is(url, CURLUPART_FRAGMENT, "") ||
        !part_is(url, CURLUPART_USER, "") || !part_is(url, CURLUPART_PASSWORD, ""))
        return NULL;
    if (!part_is(url, CURLUPART_SCHEME, "https") && !part_is(url, CURLUPART_SCHEME, "http"))
        return NULL;
    return g_steal_pointer(&url);
}

static char *normalise_base(const char *base, GError **error)
{
    g_autoptr(CURLU) url = parse_base(base);
    g_autofree char *text = NULL;

    if (url == NULL) {
        vf_fail(error, VF_ERROR_INVALID,
                "\"%s\" is not a server's address; write https://HOST or https://HOST:PORT", base);
        return NULL;
    }
    text = url_part(url, CURLUPART_URL);
    return g_strndup(text, strlen(text) - strlen("/"));
}

static gboolean same_server(const char *one, const char *other)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    g_autoptr(CURLU) first = curl_url();
    g_autoptr(CURLU) second = curl_url();

    if (curl_url_set(first, CURLUPART_URL, one, 0) != CURLUE_OK ||
        curl_url_set(second, CURLUPART_URL, other, 0) != CURLUE_OK)
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *a = url_part(first, parts[i]);
        g_autofree char *b = url_part(second, parts[i]);

        if (g_ascii_strcasecmp(a, b) != 0)
            return FALSE;
    }
    return TRUE;
}

/* No control characters: they could end the header they stand in. */
static gboolean is_clean(const char *text)
{
    for (; *text != '\0'; text++)
        if (g_ascii_iscntrl(*text) && *text != '\t')
            return FALSE;
    return TRUE;
}

static char *make_url(const HttpClient *client, const HttpRequest *request, GError **error)
{
    const char *target = request->target;
    gboolean clean = is_clean(target) && strchr(target, ' ') == NULL;

    for (guint i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
        clean = clean && is_clean(request->headers[i]);
    if (clean && *target == '/')
        return g_strconcat(client->base, target, NULL);
    if (clean && same_server(client->base, target))
        return g_strdup(target);
    vf_fail(error, VF_ERROR_INVALID, "\"%s\" is no request that can be sent to %s", target, client->base);
    return NULL;
}

char *http_encode(const char *text, gboolean keep_slash)
{
    return g_uri_escape_string(text, keep_slash ? "/" : NULL, FALSE);
}

/* --- the client --- */

static gboolean copy_trust(const TlsTrust *trust, const char *base, TlsTrust *ret, GError **error)
{
    char *thumbprint = NULL;

    if ((trust->thumbprint != NULL || trust->ca_file != NULL) && !g_str_has_prefix(base, "https:"))
        return vf_fail(error, VF_ERROR_INVALID, "%s has no certificate to check; write https://", base);
    if (trust->ca_file != NULL && access(trust->ca_file, R_OK) != 0)
        return vf_fail_errno(error, VF_ERROR_INVALID, errno, "cannot read the CA file %s", trust->ca_file);
    if (trust->thumbprint != NULL) {
        thumbprint = tls_thumbprint_parse(trust->thumbprint, error);
        if (thumbprint == NULL)
            return FALSE;
    }
    *ret = (TlsTrust){
        .ca_file = g_strdup(trust->ca_file), .thumbprint = thumbprint, .insecure = trust->insecure};
    return TRUE;
}

static guint or_default(guint value, guint standard)
{
    return value > 0 ? value : standard;
}

HttpClient *http_client_new(const char *base, const HttpClientOptions *options, GError **error)
{
    static const HttpClientOptions none = {0};
    g_autofree char *normalised = normalise_base(base, error);
    TlsTrust trust;
    HttpClient *client;

    options = options != NULL ? options : &none;
    if (normalised == NULL || !copy_trust(&options->trust, normalised, &trust, error))
        return NULL;
    client = g_new0(HttpClient, 1);
    client->base = g_steal_pointer(&normalised);
    client->proxy = g_strdup(options->proxy);
    client->trust = trust;
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, DEFAULT_CONNECT_TIMEOUT_MS);
    client->idle_timeout_ms = or_default(options->idle_timeout_ms, DEFAULT_IDLE_TIMEOUT_MS);
    client->max_connections = or_default(options->max_connections, DEFAULT_MAX_CONNECTIONS);
    client->idle = g_ptr_array_new_with_free_func((GDestroyNotify)http_connection_free);
    g_mutex_init(&client->look_lock);
    g_mutex_init(&client->lock);
    g_cond_init(&client->returned);
    return client;
}

void http_client_free(HttpClient *client)
{
    if (client == NULL)
        return;
    g_assert(client->borrowed == 0);
    g_ptr_array_unref(client->idle);
    g_mutex_clear(&client->look_lock);
    g_mutex_clear(&client->lock);
    g_cond_clear(&client->returned);
    tls_peer_free(client->peer);
    g_free(client->trust.ca_file);
    g_free(client->trust.thumbprint);
    g_free(client->pin);
    g_free(client->proxy);
    g_free(client->cookie);
    g_free(client->base);
    g_free(client);
}

const char *http_client_base(const HttpClient *client)
{
    return client->base;
}

void http_client_set_cookie(HttpClient *client, const char *cookie)
{
    g_mutex_lock(&client->lock);
    g_free(client->cookie);
    client->cookie = g_strdup(cookie);
    g_mutex_unlock(&client->lock);
}

char *http_client_dup_cookie(HttpClient *client)
{
    char *cookie;

    g_mutex_lock(&client->lock);
    cookie = g_strdup(client->cookie);
    g_mutex_unlock(&client->lock);
    return cookie;
}

/* --- the pool --- */

static HttpConnection *borrow(HttpClient *client, const Cancel *cancel, GError **error)
{
    HttpConnection *connection = NULL;

    g_mutex_lock(&client->lock);
    while (client->borrowed == client->max_connections && !cancel_fired(cancel))
        g_cond_wait_until(&client->returned, &client->lock, g_get_monotonic_time() + POOL_TICK_US);
    if (cancel_check(cancel, error)) {
        client->borrowed++;
        connection = client->idle->len > 0 ? g_ptr_array_steal_index(client->idle, client->idle->len - 1)
                                           : http_connection_new();
    }
    g_mutex_unlock(&client->lock);
    return connection;
}

static void give_back(HttpClient *client, HttpConnection *connection)
{
    g_mutex_lock(&client->lock);
    client->borrowed--;
    g_ptr_array_add(client->idle, connection);
    g_cond_signal(&client->returned);
    g_mutex_unlock(&client->lock);
}

static HttpRoute route_of(const HttpClient *client, const char *pin, const char *cookie)
{
    return (HttpRoute){
        .ca_file = client->trust.ca_file,
        .pin = pin,
        .insecure = client->trust.insecure,
        .proxy = client->proxy,
        .cookie = cookie,
        .connect_timeout_ms = client->connect_timeout_ms,
        .idle_timeout_ms = client->idle_timeout_ms,
    };
}

/* --- trust --- */

/* What the server shows now. */
static TlsPeer *look(const HttpClient *client, const Cancel *cancel, GError **error)
{
    g_autoptr(HttpConnection) connection = http_connection_new();
    HttpRoute route = route_of(client, NULL, NULL);
    TlsPeer *peer = http_connection_look(connection, &route, client->base, cancel, error);

    if (peer == NULL)
        g_prefix_error(error, "%s: ", client->base);
    return peer;
}

/* Under look_lock. */
static const TlsPeer *look_once(HttpClient *client, const Cancel *cancel, GError **error)
{
    if (client->peer == NULL)
        client->peer = look(client, cancel, error);
    return client->peer;
}

const TlsPeer *http_client_peer(HttpClient *client, GError **error)
{
    const TlsPeer *peer;

    g_mutex_lock(&client->look_lock);
    peer = look_once(client, NULL, error);
    g_mutex_unlock(&client->look_lock);
    return peer;
}

static gboolean fail_untrusted(const HttpClient *client, const TlsPeer *peer, const char *reason,
                               GError **error)
{
    return vf_fail(
        error, VF_ERROR_AUTH,
        "the certificate of %s is not trusted: %s. It shows SHA-256 %s, SHA-1 %s (subject %s, issuer %s). If "
        "the "
        "server's own console says the same, accept it with `thumbprint`; or name the file of its CA's "
        "certificate with `ca_file`",
        client->base, reason, peer->sha256, peer->sha1, peer->subject, peer->issuer);
}

/* Under look_lock: the pin that holds later connections to the key that was seen, once the certificate is the
 * right one. */
static gboolean pin_once(HttpClient *client, const Cancel *cancel, GError **error)
{
    const TlsPeer *peer;

    if (client->pin != NULL || client->trust.thumbprint == NULL)
        return TRUE;
    peer = look_once(client, cancel, error);
    if (peer == NULL)
        return FALSE;
    if (!tls_peer_matches(peer, client->trust.thumbprint)) {
        g_autofree char *reason = g_strdup_printf("its thumbprint is not %s", client->trust.thumbprint);

        return fail_untrusted(client, peer, reason, error);
    }
    client->pin = g_strconcat("sha256//", peer->spki_sha256, NULL);
    return TRUE;
}

static gboolean ensure_pin(HttpClient *client, const Cancel *cancel, GError **error)
{
    gboolean success;

    g_mutex_lock(&client->look_lock);
    success = pin_once(client, cancel, error);
    g_mutex_unlock(&client->look_lock);
    return success;
}

/* What libcurl says of a certificate helps nobody who has to decide: say what is shown, too.  After a change
 * of the key that is not what was shown at first. */
static void explain_untrusted(const HttpClient *client, GError **error)
{
    g_autoptr(GError) reason = g_steal_pointer(error);
    g_autoptr(GError) ignored = NULL;
    g_autoptr(TlsPeer) peer = look(client, NULL, &ignored);

    if (peer != NULL)
        fail_untrusted(client, peer, reason->message, error);
    else
        *error = g_steal_pointer(&reason);
}

/* --- requests --- */

void http_answer_clear(HttpAnswer *answer)
{
    g_free(answer->body);
    g_free(answer->content_type);
    g_free(answer->content_range);
    *answer = (HttpAnswer){.content_length = -1};
}

static gboolean transfer(HttpClient *client, HttpConnection *connection, const char *url,
                         const HttpRequest *request, HttpAnswer *answer, GError **error)
{
    g_autofree char *sent = http_client_dup_cookie(client);
    g_autofree char *received = NULL;
    HttpRoute route = route_of(client, client->pin, sent);
    gboolean success = http_transfer(connection, &route, url, request, answer, &received, error);

    if (received != NULL)
        http_client_set_cookie(client, received);
    return success;
}

gboolean http_request(HttpClient *client, const HttpRequest *request, HttpAnswer *answer, GError **error)
{
    g_autofree char *url = make_url(client, request, error);
    HttpConnection *connection;
    gboolean success;

    *answer = (HttpAnswer){.content_length = -1};
    if (url == NULL || !ensure_pin(client, request->cancel, error))
        return FALSE;
    connection = borrow(client, request->cancel, error);
    if (connection == NULL)
        return FALSE;
    success = transfer(client, connection, url, request, answer, error);
    give_back(client, connection);
    if (!success && vf_error_is(*error, VF_ERROR_AUTH))
        explain_untrusted(client, error);
    else if (!success)
        g_prefix_error(error, "%s: ", client->base);
    return success;
}
