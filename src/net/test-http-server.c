#include "net/http-server.h"

#include "base/error.h"
#include "base/io.h"
#include "net/http-client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define FILE_SIZE ((gsize)1 << 20)

typedef struct {
    char *key, *certificate, *folder, *path;
    guint8 *content; /* of the file at `path` */
    gint freed;      /* streams whose data were freed */
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    const char *const names[] = {"localhost", NULL};
    g_autoptr(GError) error = NULL;

    tls_make_certificate(names, &fixture->key, &fixture->certificate, &error);
    fixture->folder = g_dir_make_tmp("vmferry-server-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->folder, "file", NULL);
    fixture->content = g_malloc(FILE_SIZE);
    for (gsize i = 0; i < FILE_SIZE; i++)
        fixture->content[i] = (guint8)(i * 2654435761u >> 11);
    io_write_file(fixture->path, fixture->content, FILE_SIZE, 0600, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    unlink(fixture->path);
    rmdir(fixture->folder);
    g_free(fixture->key);
    g_free(fixture->certificate);
    g_free(fixture->folder);
    g_free(fixture->path);
    g_free(fixture->content);
}

static gssize read_zeros(gpointer data, guint64 position, char *buffer, gsize max)
{
    memset(buffer, 0, max);
    return (gssize)max;
}

static gssize read_nothing(gpointer data, guint64 position, char *buffer, gsize max)
{
    return 0;
}

static void count_free(gpointer data)
{
    g_atomic_int_inc((gint *)data);
}

static void handle(HttpExchange *exchange, gpointer data)
{
    Fixture *fixture = data;
    const char *path = http_path(exchange);

    if (strcmp(path, "/file") == 0)
        http_answer_file(exchange, 200, NULL, open(fixture->path, O_RDONLY | O_CLOEXEC), 1000,
                         FILE_SIZE - 2000);
    else if (strcmp(path, "/zeros") == 0)
        http_answer_stream(exchange, 200, NULL, (guint64)1 << 40, read_zeros, &fixture->freed, count_free);
    else if (strcmp(path, "/nothing") == 0)
        http_answer_stream(exchange, 200, NULL, 10, read_nothing, &fixture->freed, count_free);
    else if (strcmp(path, "/forged") == 0) {
        http_add_header(exchange, "X-Name", "a\r\nSet-Cookie: b=c");
        http_answer_text(exchange, 200, "text/plain", "");
    } else
        http_answer_data(exchange, 200, "text/plain", http_body(exchange, NULL), 3);
}

static HttpServer *start(Fixture *fixture, gboolean tls, const HttpServerOptions *others)
{
    g_autoptr(GError) error = NULL;
    HttpServerOptions options = others != NULL ? *others : (HttpServerOptions){0};
    HttpServer *server;

    options.handler = handle;
    options.data = fixture;
    options.key_pem = tls ? fixture->key : NULL;
    options.cert_pem = tls ? fixture->certificate : NULL;
    server = http_server_start(&options, &error);
    g_assert_no_error(error);
    return server;
}

static HttpClient *client_of(const HttpServer *server, const char *scheme)
{
    g_autofree char *base = g_strdup_printf("%s://127.0.0.1:%u", scheme, (guint)http_server_port(server));
    g_autoptr(GError) error = NULL;
    HttpClient *client = http_client_new(base, &(HttpClientOptions){.trust = {.insecure = TRUE}}, &error);

    g_assert_no_error(error);
    return client;
}

static guint status_of(HttpClient *client, const HttpRequest *request)
{
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    http_request(client, request, &answer, &error);
    g_assert_no_error(error);
    return answer.status;
}

/* By sendfile() and by our own reader. */
static void test_file(Fixture *fixture, gconstpointer data)
{
    const char *const schemes[] = {"http", "https"};

    for (guint i = 0; i < 2; i++) {
        g_autoptr(HttpServer) server = start(fixture, i == 1, NULL);
        g_autoptr(HttpClient) client = client_of(server, schemes[i]);
        g_autoptr(GError) error = NULL;
        g_auto(HttpAnswer) answer = {0};

        g_assert_true(http_request(client, &(HttpRequest){.target = "/file"}, &answer, &error));
        g_assert_cmpint(answer.content_length, ==, FILE_SIZE - 2000);
        g_assert_cmpmem(answer.body, answer.body_length, fixture->content + 1000, FILE_SIZE - 2000);
    }
}

static void test_body_limit(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpServer) server = start(fixture, TRUE, &(HttpServerOptions){.max_body = 1000});
    g_autoptr(HttpClient) client = client_of(server, "https");
    g_autofree char *body = g_strnfill(4 << 20, 'b');

    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/", .body = body, .body_length = 1000}), ==,
                     200);
    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/", .body = body, .body_length = 1001}), ==,
                     413);
    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/", .body = body, .body_length = 4 << 20}),
                     ==, 413);
    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/", .body = body, .body_length = 10}), ==,
                     200);
}

static void test_header_injection(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpServer) server = start(fixture, FALSE, NULL);
    g_autoptr(HttpClient) client = client_of(server, "http");

    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/forged"}), ==, 200);
    g_assert_null(http_client_dup_cookie(client));
}

/* A reader that is stuck is a cut, not a busy loop. */
static void test_stuck_reader(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpServer) server = start(fixture, FALSE, NULL);
    g_autoptr(HttpClient) client = client_of(server, "http");
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    g_assert_false(http_request(client, &(HttpRequest){.target = "/nothing"}, &answer, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_clear_pointer(&server, http_server_stop);
    g_assert_cmpint(g_atomic_int_get(&fixture->freed), ==, 1);
}

static int connect_raw(const HttpServer *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(server)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

static void send_raw(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
}

/* Clients that go away in the middle of a file and of a stream: no SIGPIPE, and what belongs to them is
 * freed. */
static void test_vanishing_client(Fixture *fixture, gconstpointer data)
{
    const char *const requests[] = {"GET /zeros HTTP/1.1\r\nHost: x\r\n\r\n",
                                    "GET /file HTTP/1.1\r\nHost: x\r\n\r\n"};
    g_autoptr(HttpServer) server = start(fixture, FALSE, NULL);
    char byte;

    for (guint i = 0; i < 20; i++) {
        g_auto(Fd) fd = connect_raw(server);

        send_raw(fd, requests[i % 2]);
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    }
    g_clear_pointer(&server, http_server_stop);
    g_assert_cmpint(g_atomic_int_get(&fixture->freed), ==, 10);
}

/* Neither garbage nor silence stops the server from serving or from stopping. */
static void test_bad_clients(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpServer) server = start(fixture, FALSE, NULL);
    g_autoptr(HttpClient) client = client_of(server, "http");
    g_auto(Fd) silent = connect_raw(server);
    g_auto(Fd) garbage = connect_raw(server);
    g_auto(Fd) half = connect_raw(server);
    char buffer[64] = "";

    send_raw(garbage, "\x16\x03\x01\xff\r\n\r\n");
    send_raw(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/", .body = "abc", .body_length = 3}), ==,
                     200);
    send_raw(silent, "GET / HTTP/1.1\r\nbad header\r\nHost: x\r\n\r\n");
    g_assert_cmpint(read(silent, buffer, 12), >=, 0);
    g_clear_pointer(&server, http_server_stop);
}

static void test_start_errors(Fixture *fixture, gconstpointer data)
{
    g_autoptr(HttpServer) server = start(fixture, FALSE, NULL);
    HttpServerOptions options = {.handler = handle, .port = http_server_port(server)};
    g_autoptr(GError) error = NULL;

    g_assert_null(http_server_start(&options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "127.0.0.1 port"));
    g_clear_error(&error);

    options = (HttpServerOptions){.handler = handle, .address = "not an address"};
    g_assert_null(http_server_start(&options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);

    options = (HttpServerOptions){.handler = handle, .key_pem = "no key", .cert_pem = "no certificate"};
    g_assert_null(http_server_start(&options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_ipv6(Fixture *fixture, gconstpointer data)
{
    HttpServerOptions options = {.handler = handle, .data = fixture, .address = "::1"};
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpServer) server = http_server_start(&options, &error);
    g_autoptr(HttpClient) client = NULL;
    g_autofree char *base = NULL;

    if (server == NULL) {
        g_test_skip("no IPv6 here");
        return;
    }
    base = g_strdup_printf("http://[::1]:%u", (guint)http_server_port(server));
    client = http_client_new(base, NULL, &error);
    g_assert_cmpuint(status_of(client, &(HttpRequest){.target = "/", .body = "abc", .body_length = 3}), ==,
                     200);
}

static void add(const char *path, void (*function)(Fixture *, gconstpointer))
{
    g_test_add(path, Fixture, NULL, set_up, function, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/http-server/file", test_file);
    add("/http-server/body-limit", test_body_limit);
    add("/http-server/header-injection", test_header_injection);
    add("/http-server/stuck-reader", test_stuck_reader);
    add("/http-server/vanishing-client", test_vanishing_client);
    add("/http-server/bad-clients", test_bad_clients);
    add("/http-server/start-errors", test_start_errors);
    add("/http-server/ipv6", test_ipv6);
    return g_test_run();
}
