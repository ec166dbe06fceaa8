/* net/http-client.h: the HTTP client of the whole program; the only user of libcurl.
 *
 * An HttpClient is one server: base URL, trust, cookies, a pool of kept connections.  Nothing follows
 * redirects, nothing uses a proxy unless told, "Expect: 100-continue" is never sent, answers in gzip are
 * unpacked. A pinned certificate is checked before the first byte of a request goes out, and every later
 * connection is held to the same public key.
 *
 * Errors: no connection, time-out, reset: VF_ERROR_TRANSIENT; a certificate that is not trusted:
 * VF_ERROR_AUTH, with both thumbprints of what the server showed and how to accept it.  A status of 400 and
 * above is no error here.
 *
 * A request with a body goes out at most once: when a kept connection dies under it the error is
 * VF_ERROR_TRANSIENT, and the caller, who knows whether twice is too often, decides.  Others are sent again
 * silently.
 *
 * Thread rule: http_request() may be called from many threads at once; each takes a connection of the pool
 * for the time of the request.
 */
#pragma once

#include "base/cancel.h"
#include "net/tls-trust.h"

#include <glib.h>

typedef struct HttpClient HttpClient;

typedef struct {
    TlsTrust trust;           /* copied */
    guint connect_timeout_ms; /* 0: 10000 */
    guint idle_timeout_ms;    /* no byte for so long: time-out.  0: 60000 */
    guint max_connections;    /* requests beyond it wait.  0: 8 */
    const char *proxy;        /* NULL: none, whatever the environment says */
} HttpClientOptions;

/* `base`: "https://host[:port]".  Connects to nothing yet.  `options` may be NULL. */
HttpClient *http_client_new(const char *base, const HttpClientOptions *options, GError **error);
void http_client_free(HttpClient *client); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpClient, http_client_free)
const char *http_client_base(const HttpClient *client);

/* What the server shows, looked at once and kept.  Owned by the client. */
const TlsPeer *http_client_peer(HttpClient *client, GError **error);

/* The cookie sent with every request, verbatim "name=value", or NULL.  Set-Cookie answers replace it by
 * themselves. */
void http_client_set_cookie(HttpClient *client, const char *cookie);
char *http_client_dup_cookie(HttpClient *client);

typedef struct {
    const char *method;         /* "GET", "POST", "HEAD", ... */
    const char *target;         /* path and query, encoded; or a complete URL with the client's own base */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    const void *body;
    gsize body_length;
    /* Where the answer's body goes: into `buffer` when it is not NULL, at most `buffer_length` bytes;
     * otherwise into HttpAnswer.body, at most `max_body` (0: 64 MiB).  More than that is VF_ERROR_INVALID. */
    void *buffer;
    gsize buffer_length;
    gsize max_body;
    const Cancel *cancel; /* may be NULL */
} HttpRequest;

typedef struct {
    guint status;
    char *body;             /* NUL-terminated; NULL when a buffer was given and status is 2xx */
    gsize body_length;      /* bytes received, in the buffer too */
    char *content_type;     /* NULL when absent */
    char *content_range;    /* NULL when absent */
    gint64 content_length;  /* as announced; -1 when absent */
    gboolean accept_ranges; /* "Accept-Ranges: bytes" */
    guint retry_after;      /* seconds; 0 when absent */
} HttpAnswer;
void http_answer_clear(HttpAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HttpAnswer, http_answer_clear)

/* On an error in mid body, answer->status and body_length say how far it came, so that the caller can go on
 * there: this is the one function that fills its output on failure too (and without clearing it first);
 * clear it in any case. */
gboolean http_request(HttpClient *client, const HttpRequest *request, HttpAnswer *answer, GError **error);

/* Percent-encodes all but unreserved characters; "/" is kept when `keep_slash`. */
char *http_encode(const char *text, gboolean keep_slash);
