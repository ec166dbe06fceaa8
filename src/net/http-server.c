/* libmicrohttpd calls answer_request() several times for one request: first with the headers, then with each
 * piece of the body, then once more with none.  That last call is where our handler runs.  What belongs to
 * the request hangs in *context from the first call until request_completed().
 *
 * The path is handed to us undecoded (keep_escapes()), because only then can it be decoded exactly once and
 * still be seen as it came.
 */
#include "net/http-server.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/size.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define DEFAULT_MAX_BODY        (1 * MIB)
#define DEFAULT_MAX_CONNECTIONS 128u
/* A handler that takes longer than this loses its connection, so it is generous. */
#define IDLE_TIMEOUT_SECONDS 900u
#define STREAM_BLOCK         (256 * KIB)

struct HttpServer {
    struct MHD_Daemon *daemon;
    guint16 port;
    gboolean tls;
    gsize max_body;
    HttpHandler handler;
    gpointer data;
};

struct HttpExchange {
    const HttpServer *server;
    struct MHD_Connection *connection;
    const char *method;
    const char *raw_path;
    char *path;
    GString *body;
    gboolean body_too_large;
    GPtrArray *strings; /* decoded on demand, kept until the end */
    GPtrArray *headers; /* name, value, name, value, ... */
    struct MHD_Response *response;
    guint status;
    gboolean cut;
};

/* --- the request --- */

static HttpExchange *exchange_new(const HttpServer *server, struct MHD_Connection *connection,
                                  const char *method, const char *raw_path)
{
    HttpExchange *exchange = g_new0(HttpExchange, 1);

    exchange->server = server;
    exchange->connection = connection;
    exchange->method = method;
    exchange->raw_path = raw_path;
    exchange->path = g_uri_unescape_string(raw_path, NULL);
    exchange->body = g_string_new(NULL);
    exchange->strings = g_ptr_array_new_with_free_func(g_free);
    exchange->headers = g_ptr_array_new_with_free_func(g_free);
    return exchange;
}

static void exchange_free(HttpExchange *exchange)
{
    g_free(exchange->path);
    g_string_free(exchange->body, TRUE);
    g_ptr_array_unref(exchange->strings);
    g_ptr_array_unref(exchange->headers);
    g_clear_pointer(&exchange->response, MHD_destroy_response);
    g_free(exchange);
}

static const char *keep_string(HttpExchange *exchange, char *text)
{
    if (text != NULL)
        g_ptr_array_add(exchange->strings, text);
    return text;
}

const char *http_method(const HttpExchange *exchange)
{
    return exchange->method;
}

const char *http_path(const HttpExchange *exchange)
{
    return exchange->path;
}

const char *http_raw_path(const HttpExchange *exchange)
{
    return exchange->raw_path;
}

typedef struct {
    const char *name;
    gboolean found;
    char *value; /* decoded */
} QuerySearch;

static enum MHD_Result match_argument(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
    QuerySearch *search = data;
    g_autofree char *decoded = g_uri_unescape_string(key, NULL);

    if (g_strcmp0(decoded, search->name) != 0)
        return MHD_YES;
    search->value = g_uri_unescape_string(value != NULL ? value : "", NULL);
    return MHD_NO;
}

const char *http_query(HttpExchange *exchange, const char *name)
{
    QuerySearch search = {.name = name};

    MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, match_argument, &search);
    return keep_string(exchange, search.value);
}

const char *http_header(HttpExchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/* libmicrohttpd would take the quotes off a value; ours is what the client sent. */
const char *http_cookie(HttpExchange *exchange, const char *name)
{
    const char *header = http_header(exchange, MHD_HTTP_HEADER_COOKIE);
    g_auto(GStrv) parts = g_strsplit(header != NULL ? header : "", ";", 100);
    gsize length = strlen(name);

    for (guint i = 0; parts[i] != NULL; i++) {
        const char *part = g_strstrip(parts[i]);

        if (strncmp(part, name, length) == 0 && part[length] == '=')
            return keep_string(exchange, g_strdup(part + length + 1));
    }
    return NULL;
}

const char *http_body(const HttpExchange *exchange, gsize *ret_length)
{
    if (ret_length != NULL)
        *ret_length = exchange->body->len;
    return exchange->body->str;
}

gboolean http_basic_auth(HttpExchange *exchange, char **ret_user, char **ret_password)
{
    const char *header = http_header(exchange, MHD_HTTP_HEADER_AUTHORIZATION);
    g_autofree char *text = NULL;
    gsize length = 0;
    char *colon;

    if (header == NULL || g_ascii_strncasecmp(header, "Basic ", 6) != 0)
        return FALSE;
    text = (char *)g_base64_decode(header + 6, &length);
    text = g_realloc(text, length + 1);
    text[length] = '\0';
    colon = strchr(text, ':');
    if (strlen(text) != length || colon == NULL)
        return FALSE;
    *ret_user = g_strndup(text, (gsize)(colon - text));
    *ret_password = g_strdup(colon + 1);
    return TRUE;
}

/* --- the answer --- */

void http_add_header(HttpExchange *exchange, const char *name, const char *value)
{
    g_ptr_array_add(exchange->headers, g_strdup(name));
    g_ptr_array_add(exchange->headers, g_strdup(value));
}

/* Takes over `response`. */
static void set_response(HttpExchange *exchange, guint status, const char *content_type,
                         struct MHD_Response *response)
{
    g_assert(response != NULL && exchange->response == NULL && !exchange->cut);
    exchange->status = status;
    exchange->response = response;
    if (content_type != NULL)
        http_add_header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (guint i = 0; i < exchange->headers->len; i += 2) {
        const char *name = g_ptr_array_index(exchange->headers, i);

        if (MHD_add_response_header(response, name, g_ptr_array_index(exchange->headers, i + 1)) != MHD_YES)
            log_debug("http-server: header %s of an answer cannot be sent and is left out", name);
    }
}

void http_answer_text(HttpExchange *exchange, guint status, const char *content_type, const char *text)
{
    http_answer_data(exchange, status, content_type, text, strlen(text));
}

void http_answer_data(HttpExchange *exchange, guint status, const char *content_type, const void *data,
                      gsize length)
{
    set_response(exchange, status, content_type,
                 MHD_create_response_from_buffer(length, (void *)data, MHD_RESPMEM_MUST_COPY));
}

typedef struct {
    HttpReader read;
    gpointer data;
    GDestroyNotify free_data;
    guint64 length;
} Stream;

/* A reader that has nothing before the announced end would be asked again at once and for ever: that is a cut
 * too. */
static ssize_t read_stream(void *data, uint64_t position, char *buffer, size_t max)
{
    Stream *stream = data;
    gssize got = stream->read(stream->data, position, buffer, MIN(max, stream->length - position));

    return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_stream(void *data)
{
    Stream *stream = data;

    if (stream->free_data != NULL)
        stream->free_data(stream->data);
    g_free(stream);
}

void http_answer_stream(HttpExchange *exchange, guint status, const char *content_type, guint64 length,
                        HttpReader reader, gpointer data, GDestroyNotify free_data)
{
    Stream *stream = g_new(Stream, 1);

    *stream = (Stream){.read = reader, .data = data, .free_data = free_data, .length = length};
    set_response(exchange, status, content_type,
                 MHD_create_response_from_callback(length, STREAM_BLOCK, read_stream, stream, free_stream));
}

typedef struct {
    Fd fd;
    guint64 offset;
} FilePart;

static gssize read_file_part(gpointer data, guint64 position, char *buffer, gsize max)
{
    const FilePart *part = data;

    return io_pread(part->fd, buffer, max, part->offset + position);
}

static void free_file_part(gpointer data)
{
    FilePart *part = data;

    fd_close(&part->fd);
    g_free(part);
}

/* sendfile() does not encrypt, and libmicrohttpd then reads files 4 KiB at a time: under TLS we read them
 * ourselves. */
void http_answer_file(HttpExchange *exchange, guint status, const char *content_type, int fd, guint64 offset,
                      guint64 length)
{
    FilePart *part;

    if (!exchange->server->tls) {
        set_response(exchange, status, content_type,
                     MHD_create_response_from_fd_at_offset64(length, fd, offset));
        return;
    }
    part = g_new(FilePart, 1);
    *part = (FilePart){.fd = fd, .offset = offset};
    http_answer_stream(exchange, status, content_type, length, read_file_part, part, free_file_part);
}

void http_answer_cut(HttpExchange *exchange)
{
    g_assert(exchange->response == NULL);
    exchange->cut = TRUE;
}

/* --- libmicrohttpd's side --- */

static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void take_body(HttpExchange *exchange, const char *data, gsize length)
{
    if (!range_within(exchange->body->len, length, exchange->server->max_body))
        exchange->body_too_large = TRUE;
    else
        g_string_append_len(exchange->body, data, (gssize)length);
}

static void make_answer(HttpExchange *exchange)
{
    if (exchange->body_too_large)
        http_answer_text(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "text/plain", "the body is too large\n");
    else if (exchange->path == NULL)
        http_answer_text(exchange, MHD_HTTP_BAD_REQUEST, "text/plain", "the path is not properly encoded\n");
    else
        exchange->server->handler(exchange, exchange->server->data);
    if (exchange->response == NULL && !exchange->cut)
        http_answer_text(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "text/plain", "no answer\n");
}

static enum MHD_Result answer_request(void *data, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload_data,
                                      size_t *upload_data_size, void **context)
{
    HttpExchange *exchange = *context;

    if (exchange == NULL) {
        *context = exchange_new(data, connection, method, url);
        return MHD_YES;
    }
    if (*upload_data_size > 0) {
        /* A body that is too large is read to its end all the same, or the client would see a reset, not the
         * 413. */
        take_body(exchange, upload_data, *upload_data_size);
        *upload_data_size = 0;
        return MHD_YES;
    }
    make_answer(exchange);
    return exchange->cut ? MHD_NO : MHD_queue_response(connection, exchange->status, exchange->response);
}

static void request_completed(void *data, struct MHD_Connection *connection, void **context,
                              enum MHD_RequestTerminationCode code)
{
    g_clear_pointer((HttpExchange **)context, exchange_free);
}

static G_GNUC_PRINTF(2, 0) void log_message(void *data, const char *format, va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);

    log_debug("http-server: %s", g_strchomp(text));
}

/* --- start and stop --- */

static gboolean bind_and_listen(int fd, const struct addrinfo *address, const char *name, GError **error)
{
    const int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
        return vf_fail_errno(error, errno == EACCES ? VF_ERROR_AUTH : VF_ERROR_CONFLICT, errno,
                             "cannot listen on %s", name);
    return TRUE;
}

/* A listening socket, or -1. */
static int open_listener(const HttpServerOptions *options, GError **error)
{
    const char *host = options->address != NULL ? options->address : "127.0.0.1";
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    g_autofree char *port = g_strdup_printf("%u", (guint)options->port);
    g_autofree char *name = g_strdup_printf("%s port %s", host, port);
    struct addrinfo *address = NULL;
    g_auto(Fd) fd = -1;
    gboolean listening = FALSE;

    if (getaddrinfo(host, port, &hints, &address) != 0) {
        vf_fail(error, VF_ERROR_INVALID,
                "\"%s\" is not an address to listen on; write an IPv4 or IPv6 address", host);
        return -1;
    }
    fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        vf_fail_errno(error, VF_ERROR_INTERNAL, errno, "cannot make a socket for %s", name);
    else
        listening = bind_and_listen(fd, address, name, error);
    freeaddrinfo(address);
    return listening ? fd_steal(&fd) : -1;
}

static guint16 bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static struct MHD_Daemon *start_daemon(HttpServer *server, const HttpServerOptions *options, int listener)
{
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key_pem},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->cert_pem},
        {MHD_OPTION_END, 0, NULL},
    };
    guint flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                  MHD_USE_ERROR_LOG | (server->tls ? MHD_USE_TLS : 0);

    return MHD_start_daemon(flags, 0, NULL, NULL, answer_request, server, MHD_OPTION_EXTERNAL_LOGGER,
                            log_message, NULL, MHD_OPTION_LISTEN_SOCKET, listener,
                            MHD_OPTION_NOTIFY_COMPLETED, request_completed, NULL,
                            MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_TIMEOUT,
                            IDLE_TIMEOUT_SECONDS, MHD_OPTION_CONNECTION_LIMIT,
                            options->max_connections > 0 ? options->max_connections : DEFAULT_MAX_CONNECTIONS,
                            MHD_OPTION_ARRAY, server->tls ? tls : &tls[2], MHD_OPTION_END);
}

HttpServer *http_server_start(const HttpServerOptions *options, GError **error)
{
    int listener = open_listener(options, error);
    HttpServer *server;

    g_assert((options->key_pem == NULL) == (options->cert_pem == NULL));
    if (listener < 0)
        return NULL;
    server = g_new(HttpServer, 1);
    *server = (HttpServer){
        .port = bound_port(listener),
        .tls = options->key_pem != NULL,
        .max_body = options->max_body > 0 ? options->max_body : DEFAULT_MAX_BODY,
        .handler = options->handler,
        .data = options->data,
    };
    /* From here on the listener is libmicrohttpd's: it closes it even when it fails. */
    server->daemon = start_daemon(server, options, listener);
    if (server->daemon == NULL) {
        g_free(server);
        vf_fail(error, VF_ERROR_INVALID, "cannot start the HTTP server; check its key and certificate");
        return NULL;
    }
    return server;
}

void http_server_stop(HttpServer *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->daemon);
    g_free(server);
}

guint16 http_server_port(const HttpServer *server)
{
    return server->port;
}
