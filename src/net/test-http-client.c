#include "net/http-client.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "net/http-server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FILE_SIZE ((guint64)3 << 20)

/* "unpacked text " twenty times, as gzip packs it. */
static const guint8 packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0xcd, 0x2b,
                                0x48, 0x4c, 0xce, 0x4e, 0x4d, 0x51, 0x28, 0x49, 0xad, 0x28, 0x51, 0x28, 0x1d,
                                0xe5, 0x41, 0x79, 0x00, 0x58, 0xc8, 0x7d, 0x41, 0x18, 0x01, 0x00, 0x00};

static const char *const names[] = {"localhost", NULL};

/* --- the server
 * ----------------------------------------------------------------------------------------------- */

typedef struct {
    char *key, *certificate;
    TlsPeer *peer;
    HttpServer *server;
    char *base;
    Cancel *stop; /* ends what is slow on purpose */
    gint requests;
} Fixture;

static guint8 byte_at(guint64 position)
{
    return (guint8)(position * 2654435761u >> 13);
}

static gssize read_pattern(gpointer data, guint64 position, char *buffer, gsize max)
{
    guint64 start = *(guint64 *)data + position;

    for (gsize i = 0; i < max; i++)
        buffer[i] = (char)byte_at(start + i);
    return (gssize)max;
}

static gssize read_then_cut(gpointer data, guint64 position, char *buffer, gsize max)
{
    guint64 cut_at = *(guint64 *)data;
    gsize count = MIN(max, cut_at - position);

    memset(buffer, 'c', count);
    return count > 0 ? (gssize)count : -1;
}

static void answer_range(HttpExchange *exchange)
{
    const char *range = http_header(exchange, "Range");
    guint64 first = 0, last = FILE_SIZE - 1;
    g_autofree char *content_range = NULL;

    if (range != NULL)
        g_assert_cmpint(sscanf(range, "bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, &first, &last), ==,
                        2);
    content_range = g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                                    first, last, FILE_SIZE);
    http_add_header(exchange, "Accept-Ranges", "bytes");
    if (range != NULL)
        http_add_header(exchange, "Content-Range", content_range);
    http_answer_stream(exchange, range != NULL ? 206 : 200, "application/octet-stream", last - first + 1,
                       read_pattern, g_memdup2(&first, sizeof first), g_free);
}

static void answer_echo(HttpExchange *exchange)
{
    gsize length = 0;
    const char *body = http_body(exchange, &length);
    const char *query = http_query(exchange, "a b");
    const char *missing = http_query(exchange, "missing");
    const char *header = http_header(exchange, "x-test");
    const char *cookie = http_cookie(exchange, "session");
    g_autofree char *user = NULL, *password = NULL, *text = NULL;

    http_basic_auth(exchange, &user, &password);
    text =
        g_strdup_printf("%s|%s|%s|%s|%s|%s|%s|%s:%s|%zu:%s", http_method(exchange), http_path(exchange),
                        http_raw_path(exchange), query != NULL ? query : "-", missing != NULL ? missing : "-",
                        header != NULL ? header : "-", cookie != NULL ? cookie : "-",
                        user != NULL ? user : "-", password != NULL ? password : "-", length, body);
    http_answer_text(exchange, 200, "text/plain", text);
}

static void answer_cut(HttpExchange *exchange)
{
    guint64 after = g_ascii_strtoull(http_query(exchange, "after"), NULL, 10);

    http_answer_stream(exchange, 200, NULL, FILE_SIZE, read_then_cut, g_memdup2(&after, sizeof after),
                       g_free);
}

static void answer_packed(HttpExchange *exchange)
{
    g_assert_nonnull(strstr(http_header(exchange, "Accept-Encoding"), "gzip"));
    http_add_header(exchange, "Content-Encoding", "gzip");
    http_answer_data(exchange, 200, "text/plain", packed, sizeof packed);
}

static void answer_slowly(HttpExchange *exchange, const Cancel *stop)
{
    g_autoptr(GError) error = NULL;

    cancel_sleep(stop, 20000, &error);
    http_answer_text(exchange, 200, "text/plain", "at last");
}

static void answer_unavailable(HttpExchange *exchange)
{
    http_add_header(exchange, "Retry-After", "7");
    http_answer_text(exchange, 503, "text/plain", "come back later");
}

static void answer_cookies(HttpExchange *exchange)
{
    http_add_header(exchange, "Set-Cookie", "old=1; Path=/");
    http_add_header(exchange, "Set-Cookie", "session=\"52 a-b=c\"; Path=/; HttpOnly");
    http_answer_text(exchange, 200, "text/plain", "");
}

static void handle(HttpExchange *exchange, gpointer data)
{
    Fixture *fixture = data;
    const char *path = http_path(exchange);

    g_atomic_int_inc(&fixture->requests);
    if (g_str_has_prefix(path, "/echo"))
        answer_echo(exchange);
    else if (strcmp(path, "/file") == 0)
        answer_range(exchange);
    else if (strcmp(path, "/cut") == 0)
        answer_cut(exchange);
    else if (strcmp(path, "/packed") == 0)
        answer_packed(exchange);
    else if (strcmp(path, "/slow") == 0)
        answer_slowly(exchange, fixture->stop);
    else if (strcmp(path, "/unavailable") == 0)
        answer_unavailable(exchange);
    else if (strcmp(path, "/cookies") == 0)
        answer_cookies(exchange);
    else if (strcmp(path, "/closed") == 0)
        http_answer_cut(exchange);
    else if (strcmp(path, "/silent") != 0)
        http_answer_text(exchange, 404, "text/plain", "no such thing");
}

static void start_server(Fixture *fixture, guint16 port)
{
    g_autoptr(GError) error = NULL;

    fixture->server = http_server_start(&(HttpServerOptions){.port = port,
                                                             .key_pem = fixture->key,
                                                             .cert_pem = fixture->certificate,
                                                             .handler = handle,
                                                             .data = fixture},
                                        &error);
    g_assert_no_error(error);
}

static void make_certificate(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&fixture->key, g_free);
    g_clear_pointer(&fixture->certificate, g_free);
    g_clear_pointer(&fixture->peer, tls_peer_free);
    tls_make_certificate(names, &fixture->key, &fixture->certificate, &error);
    fixture->peer = tls_peer_from_pem(fixture->certificate, &error);
    g_assert_no_error(error);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    make_certificate(fixture);
    fixture->stop = cancel_new();
    start_server(fixture, 0);
    fixture->base = g_strdup_printf("https://localhost:%u", (guint)http_server_port(fixture->server));
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    cancel_fire(fixture->stop);
    http_server_stop(fixture->server);
    cancel_unref(fixture->stop);
    tls_peer_free(fixture->peer);
    g_free(fixture->base);
    g_free(fixture->key);
    g_free(fixture->certificate);
}

/* --- the client
 * ----------------------------------------------------------------------------------------------- */

static HttpClient *client_with(const Fixture *fixture, const HttpClientOptions *options)
{
    g_autoptr(GError) error = NULL;
    HttpClient *client = http_client_new(fixture->base, options, &error);

    g_assert_no_error(error);
    return client;
}

/* One that holds the server to its certificate. */
static HttpClient *pinned_client(const Fixture *fixture)
{
    return client_with(fixture, &(HttpClientOptions){.trust = {.thumbprint = fixture->peer->sha256}});
}

static void assert_body(HttpClient *client, const HttpRequest *request, guint status, const char *body)
{
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    http_request(client, request, &answer, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(answer.status, ==, status);
    g_assert_cmpstr(answer.body, ==, body);
    g_assert_cmpuint(answer.body_length, ==, strlen(body));
}

static void assert_fails(HttpClient *client, const HttpRequest *request, VfErrorClass class,
                         char **ret_message)
{
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    g_assert_false(http_request(client, request, &answer, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, VF_ERROR, (int)class);
    if (ret_message != NULL)
        *ret_message = g_strdup(error->message);
}

static void test_echo(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    const char *const headers[] = {"X-Test: tested", "Cookie: a=b; session=\"q=1\"; c=d",
                                   "Authorization: Basic dXNlcjpwYXNzOndvcmQ=", NULL};
    g_autofree char *complete = g_strconcat(fixture->base, "/echo", NULL);
    g_autofree char *encoded = http_encode("/echo/[ds1] a+b/\xc3\xa9%.vmdk", TRUE);
    g_autofree char *whole = http_encode("a/b c", FALSE);

    assert_body(client, &(HttpRequest){.target = "/echo?x=y&a%20b=1%2B1+2&z"}, 200,
                "GET|/echo|/echo|1+1 2|-|-|-|-:-|0:");
    assert_body(
        client,
        &(HttpRequest){
            .method = "POST", .target = complete, .headers = headers, .body = "payload", .body_length = 7},
        200, "POST|/echo|/echo|-|-|tested|\"q=1\"|user:pass:word|7:payload");
    assert_body(client, &(HttpRequest){.method = "PUT", .target = "/echo"}, 200,
                "PUT|/echo|/echo|-|-|-|-|-:-|0:");
    g_assert_cmpstr(encoded, ==, "/echo/%5Bds1%5D%20a%2Bb/%C3%A9%25.vmdk");
    g_assert_cmpstr(whole, ==, "a%2Fb%20c");
    assert_body(client, &(HttpRequest){.target = encoded}, 200,
                "GET|/echo/[ds1] a+b/\xc3\xa9%.vmdk|/echo/%5Bds1%5D%20a%2Bb/%C3%A9%25.vmdk|-|-|-|-|-:-|0:");
    /* Dots are not for us to resolve, and what is encoded twice is decoded once. */
    assert_body(client, &(HttpRequest){.target = "/echo/../x%252F"}, 200,
                "GET|/echo/../x%2F|/echo/../x%252F|-|-|-|-|-:-|0:");
    assert_body(client, &(HttpRequest){.target = "/echo%zz"}, 400, "the path is not properly encoded\n");
    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    assert_body(client, &(HttpRequest){.target = "/silent"}, 500, "no answer\n");
}

static void test_head(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    http_request(client, &(HttpRequest){.method = "HEAD", .target = "/file"}, &answer, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(answer.status, ==, 200);
    g_assert_cmpint(answer.content_length, ==, FILE_SIZE);
    g_assert_cmpuint(answer.body_length, ==, 0);
    g_assert_true(answer.accept_ranges);
    g_assert_cmpstr(answer.content_type, ==, "application/octet-stream");
}

static void read_range(HttpClient *client, guint64 offset, gsize length)
{
    g_autofree char *range =
        g_strdup_printf("Range: bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, offset, offset + length - 1);
    const char *const headers[] = {range, NULL};
    g_autofree guint8 *buffer = g_malloc0(length + 1);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    http_request(
        client,
        &(HttpRequest){.target = "/file", .headers = headers, .buffer = buffer, .buffer_length = length},
        &answer, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(answer.status, ==, 206);
    g_assert_null(answer.body);
    g_assert_cmpuint(answer.body_length, ==, length);
    g_assert_true(g_str_has_prefix(answer.content_range, "bytes "));
    for (gsize i = 0; i < length; i++)
        if (buffer[i] != byte_at(offset + i))
            g_error("byte %zu differs", i);
    g_assert_cmpuint(buffer[length], ==, 0);
}

static void test_range(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autofree char *buffer = g_malloc(1000), *message = NULL;
    const HttpRequest whole = {.target = "/file", .buffer = buffer, .buffer_length = 1000};
    const HttpRequest missing = {.target = "/nothing", .buffer = buffer, .buffer_length = 1000};

    read_range(client, 0, 1);
    read_range(client, 65535, 200000);
    read_range(client, FILE_SIZE - (1 << 20), 1 << 20);
    /* A server that sends the whole file instead does not get to write behind the buffer. */
    assert_fails(client, &whole, VF_ERROR_INVALID, &message);
    g_assert_nonnull(strstr(message, "status 200"));
    /* And an error page is not data. */
    memset(buffer, 'x', 1000);
    assert_body(client, &missing, 404, "no such thing");
    g_assert_cmpint(buffer[0], ==, 'x');
}

static void test_cut(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autofree char *buffer = g_malloc(FILE_SIZE);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};
    const HttpRequest request = {.target = "/cut?after=700001", .buffer = buffer, .buffer_length = FILE_SIZE};

    g_assert_false(http_request(client, &request, &answer, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpuint(answer.status, ==, 200);
    g_assert_cmpuint(answer.body_length, ==, 700001);
    g_assert_cmpint(answer.content_length, ==, FILE_SIZE);
    g_assert_cmpint(buffer[700000], ==, 'c');
    assert_fails(client, &(HttpRequest){.target = "/closed"}, VF_ERROR_TRANSIENT, NULL);
    /* The pool has recovered. */
    read_range(client, 5, 10);
}

static void test_packed(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    GString *expected = g_string_new(NULL);

    for (guint i = 0; i < 20; i++)
        g_string_append(expected, "unpacked text ");
    assert_body(client, &(HttpRequest){.target = "/packed"}, 200, expected->str);
    /* The limit is on what comes out, not on what comes in. */
    assert_fails(client, &(HttpRequest){.target = "/packed", .max_body = expected->len - 1}, VF_ERROR_INVALID,
                 NULL);
    assert_body(client, &(HttpRequest){.target = "/packed", .max_body = expected->len}, 200, expected->str);
    g_string_free(expected, TRUE);
}

static void test_unavailable(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    g_assert_true(http_request(client, &(HttpRequest){.target = "/unavailable"}, &answer, &error));
    g_assert_cmpuint(answer.status, ==, 503);
    g_assert_cmpuint(answer.retry_after, ==, 7);
    g_assert_cmpstr(answer.body, ==, "come back later");
}

static void test_cookies(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autofree char *none = http_client_dup_cookie(client);
    g_autofree char *cookie = NULL;

    g_assert_null(none);
    assert_body(client, &(HttpRequest){.target = "/cookies"}, 200, "");
    cookie = http_client_dup_cookie(client);
    g_assert_cmpstr(cookie, ==, "session=\"52 a-b=c\"");
    assert_body(client, &(HttpRequest){.target = "/echo"}, 200, "GET|/echo|/echo|-|-|-|\"52 a-b=c\"|-:-|0:");
    http_client_set_cookie(client, "session=two");
    assert_body(client, &(HttpRequest){.target = "/echo"}, 200, "GET|/echo|/echo|-|-|-|two|-:-|0:");
    http_client_set_cookie(client, NULL);
    assert_body(client, &(HttpRequest){.target = "/echo"}, 200, "GET|/echo|/echo|-|-|-|-|-:-|0:");
}

static gpointer fire_soon(gpointer data)
{
    g_usleep(50000);
    cancel_fire(data);
    return NULL;
}

static void test_cancel(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client =
        client_with(fixture, &(HttpClientOptions){.trust = {.insecure = TRUE}, .max_connections = 1});
    g_autoptr(Cancel) cancel = cancel_new();
    double start = clock_monotonic();
    GThread *thread = g_thread_new("firer", fire_soon, cancel);

    assert_fails(client, &(HttpRequest){.target = "/slow", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    g_thread_join(thread);
    g_assert_cmpfloat(clock_monotonic() - start, <, 10);
    assert_fails(client, &(HttpRequest){.target = "/echo", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
}

static void test_idle(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client =
        client_with(fixture, &(HttpClientOptions){.trust = {.insecure = TRUE}, .idle_timeout_ms = 200});
    g_autofree char *message = NULL;

    assert_fails(client, &(HttpRequest){.target = "/slow"}, VF_ERROR_TRANSIENT, &message);
    g_assert_nonnull(strstr(message, "200 ms"));
}

static void test_nobody_there(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autoptr(HttpClient) believer = client_with(fixture, &(HttpClientOptions){.trust = {.insecure = TRUE}});

    g_clear_pointer(&fixture->server, http_server_stop);
    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_TRANSIENT, NULL);
    assert_fails(believer, &(HttpRequest){.target = "/echo"}, VF_ERROR_TRANSIENT, NULL);
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    static const char *const bases[] = {"",
                                        "localhost:1:2",
                                        "ftp://host",
                                        "https://host/path",
                                        "https://u:p@host",
                                        "https://host?q",
                                        "https://",
                                        "https://host:99999"};
    static const char *const targets[] = {
        "", "echo", "/echo\r\nX: y", "/ech o", "http://localhost/echo", "https://elsewhere/echo"};
    const char *const headers[] = {"X: a\r\nY: b", NULL};
    g_autoptr(HttpClient) client = pinned_client(fixture);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(bases); i++) {
        g_test_message("%s", bases[i]);
        g_assert_null(http_client_new(bases[i], NULL, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
        g_clear_error(&error);
    }
    for (guint i = 0; i < G_N_ELEMENTS(targets); i++)
        assert_fails(client, &(HttpRequest){.target = targets[i]}, VF_ERROR_INVALID, NULL);
    assert_fails(client, &(HttpRequest){.target = "/echo", .headers = headers}, VF_ERROR_INVALID, NULL);
    g_assert_cmpint(g_atomic_int_get(&fixture->requests), ==, 0);

    /* A pin that nobody would look at. */
    g_assert_null(http_client_new(
        "http://host", &(HttpClientOptions){.trust = {.thumbprint = fixture->peer->sha256}}, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

/* --- trust
 * ---------------------------------------------------------------------------------------------------- */

static void test_thumbprints(Fixture *fixture, gconstpointer data)
{
    g_autofree char *lower = g_ascii_strdown(fixture->peer->sha1, -1);
    g_autofree char *wrong = g_strdup(fixture->peer->sha256);
    g_autoptr(HttpClient) by_sha1 =
        client_with(fixture, &(HttpClientOptions){.trust = {.thumbprint = lower}});
    g_autoptr(HttpClient) by_sha256 = pinned_client(fixture);
    g_autoptr(HttpClient) mistaken = NULL;
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;

    assert_body(by_sha1, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    assert_body(by_sha256, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    g_assert_cmpstr(http_client_peer(by_sha256, &error)->sha1, ==, fixture->peer->sha1);

    wrong[0] = wrong[0] == 'A' ? 'B' : 'A';
    mistaken = client_with(fixture, &(HttpClientOptions){.trust = {.thumbprint = wrong}});
    assert_fails(mistaken, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, &message);
    g_assert_nonnull(strstr(message, wrong));
    g_assert_nonnull(strstr(message, fixture->peer->sha1));
    g_assert_nonnull(strstr(message, fixture->peer->sha256));
    g_assert_nonnull(strstr(message, "`thumbprint`"));
    g_assert_cmpint(g_atomic_int_get(&fixture->requests), ==, 2);
}

static void test_unknown_ca(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = client_with(fixture, NULL);
    g_autofree char *message = NULL;

    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, &message);
    g_assert_nonnull(strstr(message, fixture->peer->sha1));
    g_assert_nonnull(strstr(message, fixture->peer->sha256));
    g_assert_nonnull(strstr(message, "`ca_file`"));
    g_assert_cmpint(g_atomic_int_get(&fixture->requests), ==, 0);
}

static void test_ca_file(Fixture *fixture, gconstpointer data)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-http-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "ca.pem", NULL);
    g_autofree char *by_address =
        g_strdup_printf("https://127.0.0.1:%u", (guint)http_server_port(fixture->server));
    const HttpClientOptions options = {.trust = {.ca_file = path}};
    g_autoptr(HttpClient) client = NULL;
    g_autoptr(HttpClient) misnamed = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(http_client_new(fixture->base, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_true(io_write_file(path, fixture->certificate, strlen(fixture->certificate), 0600, &error));
    client = client_with(fixture, &options);
    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    misnamed = http_client_new(by_address, &options, &error);
    assert_fails(misnamed, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, NULL);
    unlink(path);
    rmdir(folder);
}

/* Somebody else takes over the port after the pin was checked. */
static void test_changed_key(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = pinned_client(fixture);
    guint16 port = http_server_port(fixture->server);
    g_autofree char *message = NULL;

    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    http_server_stop(fixture->server);
    make_certificate(fixture);
    start_server(fixture, port);
    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, &message);
    g_assert_nonnull(strstr(message, "its key is not the one"));
    g_assert_nonnull(strstr(message, fixture->peer->sha256));
    g_assert_cmpint(g_atomic_int_get(&fixture->requests), ==, 1);
}

/* --- servers that are not what they should be
 * ------------------------------------------------------------------ */

typedef struct {
    int listener;
    gint requests; /* those with a body that arrived whole */
} RawServer;

static guint16 raw_listen(RawServer *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(server->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(server->listener, 10), ==, 0);
    g_assert_cmpint(getsockname(server->listener, (struct sockaddr *)&address, &length), ==, 0);
    return ntohs(address.sin_port);
}

/* TRUE once a whole request, which ends with "end", has come. */
static gboolean raw_receive(int fd)
{
    GString *text = g_string_new(NULL);
    gboolean whole = FALSE;
    char chunk[4096];
    ssize_t got;

    while (!whole && (got = read(fd, chunk, sizeof chunk)) > 0) {
        g_string_append_len(text, chunk, got);
        whole = g_str_has_suffix(text->str, "end");
    }
    g_string_free(text, TRUE);
    return whole;
}

/* Answers the first request of each connection, and hangs up when the second has come. */
static gpointer raw_serve(gpointer data)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    RawServer *server = data;
    int fd;

    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        if (raw_receive(fd)) {
            g_atomic_int_inc(&server->requests);
            g_assert_cmpint(write(fd, answer, strlen(answer)), ==, (gssize)strlen(answer));
            g_atomic_int_add(&server->requests, raw_receive(fd));
        }
        close(fd);
    }
    return NULL;
}

static void test_at_most_once(Fixture *fixture, gconstpointer data)
{
    RawServer server = {0};
    g_autofree char *base = g_strdup_printf("http://127.0.0.1:%u", (guint)raw_listen(&server));
    GThread *thread = g_thread_new("server", raw_serve, &server);
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpClient) client = http_client_new(base, NULL, &error);
    const HttpRequest request = {.method = "POST", .target = "/", .body = "the end", .body_length = 7};
    g_autofree char *message = NULL;

    assert_body(client, &request, 200, "ok");
    assert_fails(client, &request, VF_ERROR_TRANSIENT, &message);
    g_assert_cmpint(g_atomic_int_get(&server.requests), ==, 2);
    assert_body(client, &request, 200, "ok");
    g_clear_pointer(&client, http_client_free);
    shutdown(server.listener, SHUT_RDWR);
    g_thread_join(thread);
    close(server.listener);
}

/* It accepts and says nothing. */
static void test_no_handshake(Fixture *fixture, gconstpointer data)
{
    RawServer server = {0};
    g_autofree char *base = g_strdup_printf("https://127.0.0.1:%u", (guint)raw_listen(&server));
    HttpClientOptions options = {.trust = {.thumbprint = fixture->peer->sha1}, .connect_timeout_ms = 200};
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpClient) impatient = http_client_new(base, &options, &error);
    g_autoptr(HttpClient) patient = NULL;
    g_autoptr(Cancel) cancel = cancel_new();
    GThread *thread = g_thread_new("firer", fire_soon, cancel);

    options.connect_timeout_ms = 60000;
    patient = http_client_new(base, &options, &error);
    g_assert_null(http_client_peer(impatient, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    assert_fails(impatient, &(HttpRequest){.target = "/"}, VF_ERROR_TRANSIENT, NULL);
    assert_fails(patient, &(HttpRequest){.target = "/", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    g_thread_join(thread);
    close(server.listener);
}

static void test_no_tls(Fixture *fixture, gconstpointer data)
{
    g_autofree char *base = NULL;
    g_autoptr(HttpClient) client = NULL;
    g_autoptr(GError) error = NULL;

    http_server_stop(fixture->server);
    fixture->server = http_server_start(&(HttpServerOptions){.handler = handle, .data = fixture}, &error);
    base = g_strdup_printf("https://127.0.0.1:%u", (guint)http_server_port(fixture->server));
    client = http_client_new(base, NULL, &error);
    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_TRANSIENT, NULL);
}

/* --- many at once
 * --------------------------------------------------------------------------------------------- */

static gpointer read_many(gpointer data)
{
    for (guint i = 0; i < 12; i++)
        read_range(data, i * 100001, 50000);
    return NULL;
}

static void test_threads(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpClient) client = client_with(
        fixture, &(HttpClientOptions){.trust = {.thumbprint = fixture->peer->sha256}, .max_connections = 3});
    GThread *threads[8];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("reader", read_many, client);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(g_atomic_int_get(&fixture->requests), ==, 8 * 12);
}

static void add(const char *path, void (*function)(Fixture *, gconstpointer))
{
    g_test_add(path, Fixture, NULL, set_up, function, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* What the environment says of proxies is nothing to us: every test would fail. */
    g_setenv("https_proxy", "http://127.0.0.1:1", TRUE);
    g_setenv("ALL_PROXY", "http://127.0.0.1:1", TRUE);
    add("/http/echo", test_echo);
    add("/http/head", test_head);
    add("/http/range", test_range);
    add("/http/cut", test_cut);
    add("/http/packed", test_packed);
    add("/http/unavailable", test_unavailable);
    add("/http/cookies", test_cookies);
    add("/http/cancel", test_cancel);
    add("/http/idle", test_idle);
    add("/http/nobody-there", test_nobody_there);
    add("/http/refused", test_refused);
    add("/http/thumbprints", test_thumbprints);
    add("/http/unknown-ca", test_unknown_ca);
    add("/http/ca-file", test_ca_file);
    add("/http/changed-key", test_changed_key);
    add("/http/at-most-once", test_at_most_once);
    add("/http/no-handshake", test_no_handshake);
    add("/http/no-tls", test_no_tls);
    add("/http/threads", test_threads);
    return g_test_run();
}
