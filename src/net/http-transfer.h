/* net/http-transfer.h: one request on one kept connection of libcurl.  Internal to net/: http-client.h is the
 * door.
 *
 * Thread rule: an HttpConnection is used by one thread at a time.
 */
#pragma once

#include "net/http-client.h"

typedef struct HttpConnection HttpConnection;

HttpConnection *http_connection_new(void);
void http_connection_free(HttpConnection *connection); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpConnection, http_connection_free)

/* What is the same for every request of a client, but for the pin and the cookie. */
typedef struct {
    const char *ca_file; /* NULL: the system's */
    const char *pin;     /* "sha256//..." of the public key, in place of CA and host name; NULL: none */
    gboolean insecure;   /* ask nobody */
    const char *proxy;   /* NULL: none */
    const char *cookie;  /* NULL: none */
    guint connect_timeout_ms;
    guint idle_timeout_ms;
} HttpRoute;

/* As http_request() but for what the pool does; `url` is complete, request->target is not looked at.
 * VF_ERROR_AUTH means the server's certificate and nothing else.  *ret_cookie is the newest cookie the answer
 * set, or NULL. */
gboolean http_transfer(HttpConnection *connection, const HttpRoute *route, const char *url,
                       const HttpRequest *request, HttpAnswer *answer, char **ret_cookie, GError **error);

/* Connects and shakes hands, believing nobody, and tells what was shown. */
TlsPeer *http_connection_look(HttpConnection *connection, const HttpRoute *route, const char *url,
                              const Cancel *cancel, GError **error);
