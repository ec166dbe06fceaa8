#include "net/http-client.h"

#include "base/clock.h"
#include "net/testing.h"

#include <string.h>

static void test_echo(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    const char *const headers[] = {"X-Test: tested", "Cookie: a=b; session=\"q=1\"; c=d",
                                   "Authorization: Basic dXNlcjpwYXNzOndvcmQ=", NULL};
    g_autofree char *complete = g_strconcat(testing->base, "/echo", NULL);
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

static void test_head(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    http_request(client, &(HttpRequest){.method = "HEAD", .target = "/file"}, &answer, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(answer.status, ==, 200);
    g_assert_cmpint(answer.content_length, ==, TESTING_FILE_SIZE);
    g_assert_cmpuint(answer.body_length, ==, 0);
    g_assert_true(answer.accept_ranges);
    g_assert_cmpstr(answer.content_type, ==, "application/octet-stream");
}

static void test_range(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    g_autofree char *buffer = g_malloc(1000), *message = NULL;
    const HttpRequest whole = {.target = "/file", .buffer = buffer, .buffer_length = 1000};
    const HttpRequest missing = {.target = "/nothing", .buffer = buffer, .buffer_length = 1000};

    read_range(client, 0, 1);
    read_range(client, 65535, 200000);
    read_range(client, TESTING_FILE_SIZE - (1 << 20), 1 << 20);
    /* A server that sends the whole file instead does not get to write behind the buffer. */
    assert_fails(client, &whole, VF_ERROR_INVALID, &message);
    g_assert_nonnull(strstr(message, "status 200"));
    /* And an error page is not data. */
    memset(buffer, 'x', 1000);
    assert_body(client, &missing, 404, "no such thing");
    g_assert_cmpint(buffer[0], ==, 'x');
}

static void test_cut(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    g_autofree char *buffer = g_malloc(TESTING_FILE_SIZE);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};
    const HttpRequest request = {
        .target = "/cut?after=700001", .buffer = buffer, .buffer_length = TESTING_FILE_SIZE};

    g_assert_false(http_request(client, &request, &answer, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpuint(answer.status, ==, 200);
    g_assert_cmpuint(answer.body_length, ==, 700001);
    g_assert_cmpint(answer.content_length, ==, TESTING_FILE_SIZE);
    g_assert_cmpint(buffer[700000], ==, 'c');
    assert_fails(client, &(HttpRequest){.target = "/closed"}, VF_ERROR_TRANSIENT, NULL);
    /* The pool has recovered. */
    read_range(client, 5, 10);
}

static void test_packed(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
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

static void test_unavailable(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    g_autoptr(GError) error = NULL;
    g_auto(HttpAnswer) answer = {0};

    g_assert_true(http_request(client, &(HttpRequest){.target = "/unavailable"}, &answer, &error));
    g_assert_cmpuint(answer.status, ==, 503);
    g_assert_cmpuint(answer.retry_after, ==, 7);
    g_assert_cmpstr(answer.body, ==, "come back later");
}

static void test_cookies(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
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

static void test_cancel(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client =
        testing_client(testing, &(HttpClientOptions){.trust = {.insecure = TRUE}, .max_connections = 1});
    g_autoptr(Cancel) cancel = cancel_new();
    double start = clock_monotonic();
    GThread *thread = g_thread_new("firer", testing_fire_soon, cancel);

    assert_fails(client, &(HttpRequest){.target = "/slow", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    g_thread_join(thread);
    g_assert_cmpfloat(clock_monotonic() - start, <, 10);
    assert_fails(client, &(HttpRequest){.target = "/echo", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    assert_body(client, &(HttpRequest){.target = "/nothing"}, 404, "no such thing");
}

static gpointer ask_slowly(gpointer client)
{
    assert_body(client, &(HttpRequest){.target = "/slow"}, 200, "at last");
    return NULL;
}

/* The one connection is taken, and the one who waits for it gives up. */
static void test_cancel_while_waiting(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client =
        testing_client(testing, &(HttpClientOptions){.trust = {.insecure = TRUE}, .max_connections = 1});
    g_autoptr(Cancel) cancel = cancel_new();
    GThread *slow = g_thread_new("slow", ask_slowly, client);
    GThread *firer;

    while (g_atomic_int_get(&testing->requests) == 0)
        g_usleep(1000);
    firer = g_thread_new("firer", testing_fire_soon, cancel);
    assert_fails(client, &(HttpRequest){.target = "/echo", .cancel = cancel}, VF_ERROR_CANCELLED, NULL);
    g_assert_cmpint(g_atomic_int_get(&testing->requests), ==, 1);
    cancel_fire(testing->stop);
    g_thread_join(slow);
    g_thread_join(firer);
}

static void test_idle(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client =
        testing_client(testing, &(HttpClientOptions){.trust = {.insecure = TRUE}, .idle_timeout_ms = 200});
    g_autofree char *message = NULL;

    assert_fails(client, &(HttpRequest){.target = "/slow"}, VF_ERROR_TRANSIENT, &message);
    g_assert_nonnull(strstr(message, "200 ms"));
}

static void test_nobody_there(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
    g_autoptr(HttpClient) believer =
        testing_client(testing, &(HttpClientOptions){.trust = {.insecure = TRUE}});

    g_clear_pointer(&testing->server, http_server_stop);
    assert_fails(client, &(HttpRequest){.target = "/echo"}, VF_ERROR_TRANSIENT, NULL);
    assert_fails(believer, &(HttpRequest){.target = "/echo"}, VF_ERROR_TRANSIENT, NULL);
}

static void test_refused(Testing *testing, gconstpointer data)
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
    g_autoptr(HttpClient) client = testing_pinned_client(testing);
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
    g_assert_cmpint(g_atomic_int_get(&testing->requests), ==, 0);

    /* A pin that nobody would look at. */
    g_assert_null(http_client_new(
        "http://host", &(HttpClientOptions){.trust = {.thumbprint = testing->peer->sha256}}, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

/* --- many at once --- */

static gpointer read_many(gpointer data)
{
    for (guint i = 0; i < 12; i++)
        read_range(data, i * 100001, 50000);
    return NULL;
}

static void test_threads(Testing *testing, gconstpointer data)
{
    g_autoptr(HttpClient) client = testing_client(
        testing, &(HttpClientOptions){.trust = {.thumbprint = testing->peer->sha256}, .max_connections = 3});
    GThread *threads[8];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("reader", read_many, client);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(g_atomic_int_get(&testing->requests), ==, 8 * 12);
}

static void add(const char *path, void (*function)(Testing *, gconstpointer))
{
    g_test_add(path, Testing, NULL, testing_set_up, function, testing_tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* What the environment says of proxies is nothing to us: every test would fail. */
    g_setenv("https_proxy", "http://127.0.0.1:1", TRUE);
    g_setenv("ALL_PROXY", "http://127.0.0.1:1", TRUE);
    add("/http-client/echo", test_echo);
    add("/http-client/head", test_head);
    add("/http-client/range", test_range);
    add("/http-client/cut", test_cut);
    add("/http-client/packed", test_packed);
    add("/http-client/unavailable", test_unavailable);
    add("/http-client/cookies", test_cookies);
    add("/http-client/cancel", test_cancel);
    add("/http-client/cancel-while-waiting", test_cancel_while_waiting);
    add("/http-client/idle", test_idle);
    add("/http-client/nobody-there", test_nobody_there);
    add("/http-client/refused", test_refused);
    add("/http-client/threads", test_threads);
    return g_test_run();
}
