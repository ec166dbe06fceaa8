/* Each connection is a curl easy handle in a multi handle of its own.  The multi interface is what lets one
 * poll() watch the socket and the Cancel together: a cancelled request ends at once, not at libcurl's next
 * tick.
 *
 * The handle is reset for every request; connection, TLS session and DNS cache live in the multi handle and
 * stay.
 */
#include "net/http-transfer.h"

#include "base/error.h"
#include "base/size.h"

#include <curl/curl.h>
#include <string.h>

#define RECEIVE_BUFFER   (512 * KIB)
#define SEND_BUFFER      (256 * KIB)
#define DEFAULT_MAX_BODY (64 * MIB)
#define LONGEST_WAIT_MS  1000

struct HttpConnection {
    CURLM *multi;
    CURL *easy;
};

typedef struct {
    CURL *easy;
    const HttpRequest *request;
    HttpAnswer *answer;
    GString *body; /* unless the caller's buffer takes it */
    gsize max_body;
    gboolean too_large;
    gsize sent; /* of the request's body */
    char *cookie;
    gint64 started_at; /* monotonic microseconds, as below */
    curl_off_t moved;  /* bytes in both directions when we last looked */
    gint64 last_moved_at;
    char problem[CURL_ERROR_SIZE];
} Transfer;

typedef struct curl_slist HeaderList;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HeaderList, curl_slist_free_all)

static gpointer initialise(gpointer data)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        g_error("cannot initialise libcurl");
    return NULL;
}

HttpConnection *http_connection_new(void)
{
    static GOnce once = G_ONCE_INIT;
    HttpConnection *connection = g_new(HttpConnection, 1);

    g_once(&once, initialise, NULL);
    *connection = (HttpConnection){.multi = curl_multi_init(), .easy = curl_easy_init()};
    if (connection->multi == NULL || connection->easy == NULL)
        g_error("cannot make a libcurl handle");
    return connection;
}

void http_connection_free(HttpConnection *connection)
{
    if (connection == NULL)
        return;
    curl_easy_cleanup(connection->easy);
    curl_multi_cleanup(connection->multi);
    g_free(connection);
}

/* --- what comes in --- */

static guint current_status(CURL *easy)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (guint)status;
}

static gboolean goes_to_buffer(const Transfer *transfer)
{
    return transfer->request->buffer != NULL && current_status(transfer->easy) / 100 == 2;
}

static size_t take_data(char *data, size_t size, size_t count, void *user)
{
    Transfer *transfer = user;
    HttpAnswer *answer = transfer->answer;
    gsize length = size * count;
    gboolean to_buffer = goes_to_buffer(transfer);

    if (!range_within(answer->body_length, length,
                      to_buffer ? transfer->request->buffer_length : transfer->max_body)) {
        transfer->too_large = TRUE;
        return CURL_WRITEFUNC_ERROR;
    }
    if (to_buffer)
        memcpy((guint8 *)transfer->request->buffer + answer->body_length, data, length);
    else
        g_string_append_len(transfer->body, data, (gssize)length);
    answer->body_length += length;
    return length;
}

static void replace(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

static void take_field(Transfer *transfer, const char *name, const char *value)
{
    HttpAnswer *answer = transfer->answer;
    guint64 number = 0;

    if (g_ascii_strcasecmp(name, "Content-Type") == 0)
        replace(&answer->content_type, value);
    else if (g_ascii_strcasecmp(name, "Content-Range") == 0)
        replace(&answer->content_range, value);
    else if (g_ascii_strcasecmp(name, "Content-Length") == 0 &&
             g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL))
        answer->content_length = (gint64)number;
    else if (g_ascii_strcasecmp(name, "Accept-Ranges") == 0)
        answer->accept_ranges = g_ascii_strcasecmp(value, "bytes") == 0;
    else if (g_ascii_strcasecmp(name, "Retry-After") == 0 &&
             g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32, &number, NULL))
        answer->retry_after = (guint)number;
    else if (g_ascii_strcasecmp(name, "Set-Cookie") == 0 && strcspn(value, "=") > 0 &&
             strchr(value, '=') != NULL) {
        g_free(transfer->cookie);
        transfer->cookie = g_strchomp(g_strndup(value, strcspn(value, ";")));
    }
}

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    Transfer *transfer = user;
    g_autofree char *line = g_strndup(data, size * count);
    char *colon = strchr(line, ':');

    if (g_str_has_prefix(line, "HTTP/")) {
        /* An interim answer (100 Continue) may have come before. */
        http_answer_clear(transfer->answer);
    } else if (colon != NULL) {
        *colon = '\0';
        take_field(transfer, line, g_strstrip(colon + 1));
    }
    return size * count;
}

static int note_progress(void *user, curl_off_t download_total, curl_off_t downloaded,
                         curl_off_t upload_total, curl_off_t uploaded)
{
    Transfer *transfer = user;

    if (downloaded + uploaded != transfer->moved) {
        transfer->moved = downloaded + uploaded;
        transfer->last_moved_at = g_get_monotonic_time();
    }
    return 0;
}

/* --- what goes out --- */

/* For options whose loss would be worse than the end of the program. */
static void must(CURLcode code)
{
    if (code != CURLE_OK)
        g_error("libcurl lacks an option that vmferry needs: %s", curl_easy_strerror(code));
}

static void set_route(CURL *easy, const HttpRoute *route, const char *url)
{
    gboolean verify = route->pin == NULL && !route->insecure;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    must(curl_easy_setopt(easy, CURLOPT_URL, url));
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, route->proxy != NULL ? route->proxy : "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)route->connect_timeout_ms);
    must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L));
    must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L));
    if (route->pin != NULL)
        must(curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, route->pin));
    if (verify && route->ca_file != NULL) {
        must(curl_easy_setopt(easy, CURLOPT_CAINFO, route->ca_file));
        must(curl_easy_setopt(easy, CURLOPT_CAPATH, NULL));
    }
}

static gboolean has_header(const HttpRequest *request, const char *name)
{
    for (guint i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
        if (g_ascii_strncasecmp(request->headers[i], name, strlen(name)) == 0)
            return TRUE;
    return FALSE;
}

/* The caller's, less what libcurl would add by itself. */
static HeaderList *make_headers(const HttpRequest *request)
{
    HeaderList *list = curl_slist_append(NULL, "Expect:");

    if (!has_header(request, "Content-Type:"))
        list = curl_slist_append(list, "Content-Type:");
    for (guint i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
        list = curl_slist_append(list, request->headers[i]);
    if (list == NULL)
        g_error("no memory for a header");
    return list;
}

static size_t give_body(char *buffer, size_t size, size_t count, void *user)
{
    Transfer *transfer = user;
    gsize length = MIN(size * count, transfer->request->body_length - transfer->sent);

    memcpy(buffer, (const guint8 *)transfer->request->body + transfer->sent, length);
    transfer->sent += length;
    return length;
}

/* libcurl goes back to the start when a kept connection dies under a request, to send it again by itself. The
 * server may have carried it out already, and only the caller knows whether twice is too often. */
static int refuse_to_send_again(void *user, curl_off_t offset, int origin)
{
    return CURL_SEEKFUNC_FAIL;
}

static void set_body(Transfer *transfer)
{
    CURL *easy = transfer->easy;
    gsize length = transfer->request->body != NULL ? transfer->request->body_length : 0;

    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, refuse_to_send_again);
}

static void set_method(Transfer *transfer)
{
    const HttpRequest *request = transfer->request;
    const char *method = request->method != NULL ? request->method : "GET";
    gboolean with_body = request->body != NULL || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;

    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(transfer->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (with_body)
        set_body(transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_request(Transfer *transfer, const HttpRoute *route, HeaderList *headers)
{
    CURL *easy = transfer->easy;
    const HttpRequest *request = transfer->request;

    set_method(transfer);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_COOKIE, route->cookie);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    /* A range of a packed answer is no range of the file. */
    if (request->buffer == NULL && !has_header(request, "Range:"))
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, note_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->problem);
}

/* --- running it --- */

static VfErrorClass class_of(CURLcode code)
{
    static const struct {
        CURLcode code;
        VfErrorClass class;
    } others[] = {
        {CURLE_PEER_FAILED_VERIFICATION, VF_ERROR_AUTH},  {CURLE_SSL_CACERT_BADFILE, VF_ERROR_INVALID},
        {CURLE_URL_MALFORMAT, VF_ERROR_INVALID},          {CURLE_UNSUPPORTED_PROTOCOL, VF_ERROR_INVALID},
        {CURLE_BAD_CONTENT_ENCODING, VF_ERROR_INVALID},   {CURLE_WEIRD_SERVER_REPLY, VF_ERROR_INVALID},
        {CURLE_OUT_OF_MEMORY, VF_ERROR_INTERNAL},         {CURLE_FAILED_INIT, VF_ERROR_INTERNAL},
        {CURLE_BAD_FUNCTION_ARGUMENT, VF_ERROR_INTERNAL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].code == code)
            return others[i].class;
    return VF_ERROR_TRANSIENT;
}

static gboolean check_result(const Transfer *transfer, CURLcode code, GError **error)
{
    if (transfer->too_large)
        return vf_fail(error, VF_ERROR_INVALID,
                       "the answer (status %u) is larger than the %zu bytes that are expected",
                       transfer->answer->status,
                       goes_to_buffer(transfer) ? transfer->request->buffer_length : transfer->max_body);
    /* The text of an earlier try on a stale connection may still stand in `problem`. */
    if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        return vf_fail(error, VF_ERROR_AUTH, "its key is not the one that was accepted");
    if (code == CURLE_SEND_FAIL_REWIND)
        return vf_fail(
            error, VF_ERROR_TRANSIENT,
            "the connection was lost after the request had gone out; it may have been carried out");
    if (code != CURLE_OK)
        return vf_fail(error, class_of(code), "%s",
                       *transfer->problem != '\0' ? transfer->problem : curl_easy_strerror(code));
    return TRUE;
}

/* FALSE when the request must end now.  Until the connection stands, libcurl's own time-out watches. */
static gboolean may_go_on(const Transfer *transfer, const HttpRoute *route, int *ret_wait_ms, GError **error)
{
    double connected_after = 0;
    gint64 wait_ms = LONGEST_WAIT_MS;

    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME, &connected_after);
    if (connected_after > 0) {
        gint64 connected_at = transfer->started_at + (gint64)(connected_after * G_USEC_PER_SEC);
        gint64 idle_us = g_get_monotonic_time() - MAX(transfer->last_moved_at, connected_at);

        wait_ms = route->idle_timeout_ms - idle_us / 1000;
    }
    if (wait_ms <= 0)
        return vf_fail(error, VF_ERROR_TRANSIENT, "nothing was heard for %u ms", route->idle_timeout_ms);
    *ret_wait_ms = (int)MIN(wait_ms, LONGEST_WAIT_MS);
    return cancel_check(transfer->request->cancel, error);
}

static gboolean drive(HttpConnection *connection, Transfer *transfer, const HttpRoute *route,
                      CURLcode *ret_code, GError **error)
{
    struct curl_waitfd cancelled = {.fd = cancel_fd(transfer->request->cancel), .events = CURL_WAIT_POLLIN};
    guint extra = cancelled.fd >= 0 ? 1 : 0;
    int running = 1, wait_ms = 0, left = 0;
    CURLMsg *message;

    for (;;) {
        CURLMcode code = curl_multi_perform(connection->multi, &running);

        if (code != CURLM_OK)
            return vf_fail(error, VF_ERROR_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
        if (running == 0)
            break;
        if (!may_go_on(transfer, route, &wait_ms, error))
            return FALSE;
        curl_multi_poll(connection->multi, &cancelled, extra, wait_ms, NULL);
    }
    message = curl_multi_info_read(connection->multi, &left);
    *ret_code = message != NULL ? message->data.result : CURLE_FAILED_INIT;
    return TRUE;
}

/* Adds the handle, drives it to its end and takes it out again: out in the middle, its connection is closed.
 */
static gboolean run(HttpConnection *connection, Transfer *transfer, const HttpRoute *route, GError **error)
{
    CURLcode code = CURLE_FAILED_INIT;
    gboolean driven;

    transfer->started_at = g_get_monotonic_time();
    transfer->last_moved_at = transfer->started_at;
    curl_multi_add_handle(connection->multi, connection->easy);
    driven = drive(connection, transfer, route, &code, error);
    transfer->answer->status = current_status(connection->easy);
    curl_multi_remove_handle(connection->multi, connection->easy);
    return driven && check_result(transfer, code, error);
}

gboolean http_transfer(HttpConnection *connection, const HttpRoute *route, const char *url,
                       const HttpRequest *request, HttpAnswer *answer, char **ret_cookie, GError **error)
{
    g_autoptr(HeaderList) headers = make_headers(request);
    Transfer transfer = {
        .easy = connection->easy,
        .request = request,
        .answer = answer,
        .body = g_string_new(NULL),
        .max_body = request->max_body > 0 ? request->max_body : DEFAULT_MAX_BODY,
    };
    gboolean success, to_buffer;

    curl_easy_reset(connection->easy);
    set_route(connection->easy, route, url);
    set_request(&transfer, route, headers);
    success = run(connection, &transfer, route, error);
    to_buffer = goes_to_buffer(&transfer);
    answer->body = g_string_free(transfer.body, to_buffer);
    *ret_cookie = transfer.cookie;
    return success;
}

TlsPeer *http_connection_look(HttpConnection *connection, const HttpRoute *route, const char *url,
                              const Cancel *cancel, GError **error)
{
    const HttpRequest nothing = {.cancel = cancel};
    g_auto(HttpAnswer) answer = {0};
    HttpRoute believing = *route;
    Transfer transfer = {.easy = connection->easy, .request = &nothing, .answer = &answer};
    struct curl_certinfo *shown = NULL;

    believing.pin = NULL;
    believing.insecure = TRUE;
    curl_easy_reset(connection->easy);
    set_route(connection->easy, &believing, url);
    curl_easy_setopt(connection->easy, CURLOPT_CONNECT_ONLY, 1L);
    must(curl_easy_setopt(connection->easy, CURLOPT_CERTINFO, 1L));
    curl_easy_setopt(connection->easy, CURLOPT_ERRORBUFFER, transfer.problem);
    if (!run(connection, &transfer, &believing, error))
        return NULL;
    curl_easy_getinfo(connection->easy, CURLINFO_CERTINFO, &shown);
    for (struct curl_slist *line = shown != NULL && shown->num_of_certs > 0 ? shown->certinfo[0] : NULL;
         line != NULL; line = line->next)
        if (g_str_has_prefix(line->data, "Cert:"))
            return tls_peer_from_pem(line->data + strlen("Cert:"), error);
    vf_fail(error, VF_ERROR_INVALID, "no certificate was shown");
    return NULL;
}
