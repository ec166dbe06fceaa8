/* net/http-server.h: the HTTP(S) server; the only user of libmicrohttpd.
 *
 * Each request is given to one handler, on a thread of the server's own: thread per connection, so a handler
 * may block.  Bodies above the limit are answered 413 without calling it.
 */
#pragma once

#include <glib.h>

typedef struct HttpServer HttpServer;
typedef struct HttpExchange HttpExchange;

typedef void (*HttpHandler)(HttpExchange *exchange, gpointer data);

typedef struct {
    const char *address; /* "127.0.0.1"; NULL: loopback */
    guint16 port;        /* 0: any; http_server_port() tells */
    const char *key_pem; /* both or neither: TLS */
    const char *cert_pem;
    gsize max_body;        /* 0: 1 MiB */
    guint max_connections; /* 0: 128 */
    HttpHandler handler;
    gpointer data;
} HttpServerOptions;

/* VF_ERROR_CONFLICT when the port is taken. */
HttpServer *http_server_start(const HttpServerOptions *options, GError **error);
void http_server_stop(HttpServer *server); /* waits for its threads and frees; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpServer, http_server_stop)
guint16 http_server_port(const HttpServer *server);

/* Of the request.  Strings live until the handler returns. */
const char *http_method(const HttpExchange *exchange);
const char *http_path(const HttpExchange *exchange);               /* decoded once, without the query */
const char *http_raw_path(const HttpExchange *exchange);           /* as it came */
const char *http_query(HttpExchange *exchange, const char *name);  /* decoded; NULL when absent */
const char *http_header(HttpExchange *exchange, const char *name); /* NULL when absent */
const char *http_cookie(HttpExchange *exchange, const char *name);
const char *http_body(const HttpExchange *exchange, gsize *ret_length);
/* User name and password of an Authorization: Basic header; FALSE when there is none. */
gboolean http_basic_auth(HttpExchange *exchange, char **ret_user, char **ret_password);

/* The answer.  Headers first, then exactly one of the http_answer_* calls; none means 500. */
void http_add_header(HttpExchange *exchange, const char *name, const char *value);
void http_answer_text(HttpExchange *exchange, guint status, const char *content_type, const char *text);
void http_answer_data(HttpExchange *exchange, guint status, const char *content_type, const void *data,
                      gsize length);
/* `length` bytes of `fd` from `offset` (sendfile where possible); takes over the descriptor.  Content-Length
 * is set. */
void http_answer_file(HttpExchange *exchange, guint status, const char *content_type, int fd, guint64 offset,
                      guint64 length);
/* Bytes made as they are sent: `read` fills up to `max` bytes at `position` and returns how many, or -1 to
 * cut the connection in mid body.  `free_data` is called at the end. */
typedef gssize (*HttpReader)(gpointer data, guint64 position, char *buffer, gsize max);
void http_answer_stream(HttpExchange *exchange, guint status, const char *content_type, guint64 length,
                        HttpReader reader, gpointer data, GDestroyNotify free_data);
/* Closes the connection without an answer. */
void http_answer_cut(HttpExchange *exchange);
