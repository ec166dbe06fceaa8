#include "base/io.h"
#include "net/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- trust --- */

static void test_thumbprints(Testing *testing, gconstpointer data)
{
    g_autofree char *lower = g_ascii_strdown(testing->peer->sha1, -1);
    g_autofree char *wrong = g_strdup(testing->peer->sha256);
    g_autoptr(HttpClient) by_sha1 =
        testing_client(testing, &(HttpClientOptions){.trust = {.thumbprint = lower}});
    g_autoptr(HttpClient) by_sha256 = testing_pinned_client(testing);
    g_autoptr(HttpClient) mistaken = NULL;
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;

    assert_body(by_sha1, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    assert_body(by_sha256, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    g_assert_cmpstr(http_client_peer(by_sha256, &error)->sha1, ==, testing->peer->sha1);

    wrong[0] = wrong[0] == 'A' ? 'B' : 'A';
    mistaken = testing_client(testing, &(HttpClientOptions){.trust = {.thumbprint = wrong}});
    assert_fails(mistaken, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, &message);
    g_assert_nonnull(strstr(message, wrong));
    g_assert_nonnull(strstr(message, testing->peer->sha1));
    g_assert_nonnull(strstr(message, testing->peer->sha256));
    g_assert_nonnull(strstr(message, "`thumbprint`"));
    g_assert_cmpint(g_atomic_int_get(&testing->requests), ==, 2);
}

static void test_unknown_ca(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_client(testing, NULL);
    g_autofree char *message = NULL;

    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, &message);
    g_assert_nonnull(strstr(message, testing->peer->sha1));
    g_assert_nonnull(strstr(message, testing->peer->sha256));
    g_assert_nonnull(strstr(message, "`ca_file`"));
    g_assert_cmpint(g_atomic_int_get(&testing->requests), ==, 0);
}

static void test_ca_file(Testing *testing, gconstpointer data)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-http-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "ca.pem", NULL);
    g_autofree char *by_address =
        g_strdup_printf("https://127.0.0.1:%u", (guint)http_server_port(testing->server));
    const HttpClientOptions options = {.trust = {.ca_file = path}};
    g_autoptr(HttpClient) client = NULL;
    g_autoptr(HttpClient) misnamed = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(http_client_new(testing->base, &options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_true(io_write_file(path, testing->certificate, strlen(testing->certificate), 0600, &error));
    client = testing_client(testing, &options);
    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    misnamed = http_client_new(by_address, &options, &error);
    assert_fails(misnamed, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, NULL);
    unlink(path);
    rmdir(folder);
}

/* Somebody else takes over the port after the pin was checked. */
static void test_changed_key(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    guint16 port = http_server_port(testing->server);
    g_autofree char *message = NULL;

    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    http_server_stop(testing->server);
    testing_make_certificate(testing);
    testing_start(testing, port);
    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_AUTH, &message);
    g_assert_nonnull(strstr(message, "its key is not the one"));
    g_assert_nonnull(strstr(message, testing->peer->sha256));
    g_assert_cmpint(g_atomic_int_get(&testing->requests), ==, 1);
}

/* --- servers that are not what they should be --- */

typedef struct {
    int listener;
    gint requests; /* those with a body that arrived whole */
} RawServer;

static int raw_connect(guint16 port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

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

static void test_at_most_once(Testing *testing, gconstpointer data)
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
static void test_no_handshake(Testing *testing, gconstpointer data)
{
    RawServer server = {0};
    g_autofree char *base = g_strdup_printf("https://127.0.0.1:%u", (guint)raw_listen(&server));
    HttpClientOptions options = {.trust = {.thumbprint = testing->peer->sha1}, .connect_timeout_ms = 200};
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpClient) impatient = http_client_new(base, &options, &error);
    g_autoptr(HttpClient) patient = NULL;
    g_autoptr(Cancel) cancel = cancel_new();
    GThread *thread = g_thread_new("firer", testing_fire_soon, cancel);

    options.connect_timeout_ms = 60000;
    patient = http_client_new(base, &options, &error);
    g_assert_null(http_client_peer(impatient, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    assert_fails(impatient, &(HttpRequest){.target = "/"}, VF_ERROR_TRANSIENT, NULL);
    assert_fails(patient, &(HttpRequest){.target = "/", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    g_thread_join(thread);
    close(server.listener);
}

static void test_no_tls(Testing *testing, gconstpointer data)
{
    g_autofree char *base = NULL;
    g_autoptr(HttpClient) client = NULL;
    g_autoptr(GError) error = NULL;

    http_server_stop(testing->server);
    testing->server =
        http_server_start(&(HttpServerOptions){.handler = testing_handle, .data = testing}, &error);
    base = g_strdup_printf("https://127.0.0.1:%u", (guint)http_server_port(testing->server));
    client = http_client_new(base, NULL, &error);
    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_TRANSIENT, NULL);
}

/* --- through a proxy --- */

/* Hands bytes over in both directions until one side ends. */
static void relay(int one, int other)
{
    struct pollfd ends[] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    char chunk[16384];
    ssize_t got = 1;

    while (got > 0 && poll(ends, 2, 30000) > 0)
        for (guint i = 0; i < 2 && got > 0; i++)
            if (ends[i].revents != 0) {
                got = read(ends[i].fd, chunk, sizeof chunk);
                if (got > 0)
                    g_assert_cmpint(send(ends[1 - i].fd, chunk, (gsize)got, MSG_NOSIGNAL), ==, got);
            }
}

/* One tunnel after the other, wherever it is asked to go: to the port that stands in the request. */
static gpointer serve_tunnels(gpointer data)
{
    static const char answer[] = "HTTP/1.1 200 Connected\r\n\r\n";
    RawServer *proxy = data;
    int fd;

    while ((fd = accept(proxy->listener, NULL, NULL)) >= 0) {
        char request[1024] = "";
        guint port = 0;

        g_assert_cmpint(read(fd, request, sizeof request - 1), >, 0);
        if (sscanf(request, "CONNECT vcenter.invalid:%u ", &port) == 1) {
            g_auto(Fd) server = raw_connect((guint16)port);

            g_assert_cmpint(write(fd, answer, strlen(answer)), ==, (gssize)strlen(answer));
            g_atomic_int_inc(&proxy->requests);
            relay(fd, server);
        }
        close(fd);
    }
    return NULL;
}

/* The certificate is looked at through the proxy, too, which is the only one that knows the name. */
static void test_proxy(Testing *testing, gconstpointer data)
{
    RawServer proxy = {0};
    g_autofree char *address = g_strdup_printf("http://127.0.0.1:%u", (guint)raw_listen(&proxy));
    g_autofree char *base =
        g_strdup_printf("https://vcenter.invalid:%u", (guint)http_server_port(testing->server));
    GThread *thread = g_thread_new("proxy", serve_tunnels, &proxy);
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpClient) client = http_client_new(
        base, &(HttpClientOptions){.trust = {.thumbprint = testing->peer->sha256}, .proxy = address}, &error);

    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
    g_assert_cmpint(g_atomic_int_get(&proxy.requests), ==, 2);
    g_clear_pointer(&client, http_client_free);
    shutdown(proxy.listener, SHUT_RDWR);
    g_thread_join(thread);
    close(proxy.listener);
}

static void add(const char *path, void (*function)(Testing *, gconstpointer))
{
    g_test_add(path, Testing, NULL, testing_set_up, function, testing_tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/http-trust/thumbprints", test_thumbprints);
    add("/http-trust/unknown-ca", test_unknown_ca);
    add("/http-trust/ca-file", test_ca_file);
    add("/http-trust/changed-key", test_changed_key);
    add("/http-trust/at-most-once", test_at_most_once);
    add("/http-trust/no-handshake", test_no_handshake);
    add("/http-trust/no-tls", test_no_tls);
    add("/http-trust/proxy", test_proxy);
    return g_test_run();
}
