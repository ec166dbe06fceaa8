#include "net/testing.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* "unpacked text " twenty times, as gzip packs it. */
static const guint8 packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0xcd, 0x2b,
                                0x48, 0x4c, 0xce, 0x4e, 0x4d, 0x51, 0x28, 0x49, 0xad, 0x28, 0x51, 0x28, 0x1d,
                                0xe5, 0x41, 0x79, 0x00, 0x58, 0xc8, 0x7d, 0x41, 0x18, 0x01, 0x00, 0x00};

static const char *const names[] = {"localhost", NULL};

/* --- the server --- */

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
    guint64 first = 0, last = TESTING_FILE_SIZE - 1;
    g_autofree char *content_range = NULL;

    if (range != NULL)
        g_assert_cmpint(sscanf(range, "bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, &first, &last), ==,
                        2);
    content_range = g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                                    first, last, TESTING_FILE_SIZE);
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

    http_answer_stream(exchange, 200, NULL, TESTING_FILE_SIZE, read_then_cut, g_memdup2(&after, sizeof after),
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

void testing_handle(HttpExchange *exchange, gpointer data)
{
    Testing *testing = data;
    const char *path = http_path(exchange);

    g_atomic_int_inc(&testing->requests);
    if (g_str_has_prefix(path, "/echo"))
        answer_echo(exchange);
    else if (strcmp(path, "/file") == 0)
        answer_range(exchange);
    else if (strcmp(path, "/cut") == 0)
        answer_cut(exchange);
    else if (strcmp(path, "/packed") == 0)
        answer_packed(exchange);
    else if (strcmp(path, "/slow") == 0)
        answer_slowly(exchange, testing->stop);
    else if (strcmp(path, "/unavailable") == 0)
        answer_unavailable(exchange);
    else if (strcmp(path, "/cookies") == 0)
        answer_cookies(exchange);
    else if (strcmp(path, "/closed") == 0)
        http_answer_cut(exchange);
    else if (strcmp(path, "/silent") != 0)
        http_answer_text(exchange, 404, "text/plain", "no such thing");
}

void testing_start(Testing *testing, guint16 port)
{
    g_autoptr(GError) error = NULL;

    testing->server = http_server_start(&(HttpServerOptions){.port = port,
                                                             .key_pem = testing->key,
                                                             .cert_pem = testing->certificate,
                                                             .handler = testing_handle,
                                                             .data = testing},
                                        &error);
    g_assert_no_error(error);
}

void testing_make_certificate(Testing *testing)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&testing->key, g_free);
    g_clear_pointer(&testing->certificate, g_free);
    g_clear_pointer(&testing->peer, tls_peer_free);
    tls_make_certificate(names, &testing->key, &testing->certificate, &error);
    testing->peer = tls_peer_from_pem(testing->certificate, &error);
    g_assert_no_error(error);
}

void testing_set_up(Testing *testing, gconstpointer data)
{
    testing_make_certificate(testing);
    testing->stop = cancel_new();
    testing_start(testing, 0);
    testing->base = g_strdup_printf("https://localhost:%u", (guint)http_server_port(testing->server));
}

void testing_tear_down(Testing *testing, gconstpointer data)
{
    cancel_fire(testing->stop);
    http_server_stop(testing->server);
    cancel_unref(testing->stop);
    tls_peer_free(testing->peer);
    g_free(testing->base);
    g_free(testing->key);
    g_free(testing->certificate);
}

/* --- the client --- */

HttpClient *testing_client(const Testing *testing, const HttpClientOptions *options)
{
    g_autoptr(GError) error = NULL;
    HttpClient *client = http_client_new(testing->base, options, &error);

    g_assert_no_error(error);
    return client;
}

HttpClient *testing_pinned_client(const Testing *testing)
{
    return testing_client(testing, &(HttpClientOptions){.trust = {.thumbprint = testing->peer->sha256}});
}

void assert_body(HttpClient *client, const HttpRequest *request, guint status, const char *body)
{
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    http_request(client, request, &answer, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(answer.status, ==, status);
    g_assert_cmpstr(answer.body, ==, body);
    g_assert_cmpuint(answer.body_length, ==, strlen(body));
}

void assert_fails(HttpClient *client, const HttpRequest *request, VfErrorClass class, char **ret_message)
{
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    g_assert_false(http_request(client, request, &answer, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, VF_ERROR, (int)class);
    if (ret_message != NULL)
        *ret_message = g_strdup(error->message);
}

void read_range(HttpClient *client, guint64 offset, gsize length)
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

gpointer testing_fire_soon(gpointer data)
{
    g_usleep(50000);
    cancel_fire(data);
    return NULL;
}
