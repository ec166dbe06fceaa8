#include "disk/https.h"

#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/http-range.h"
#include "net/http-server.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#define FILE_SIZE (3 * MIB + 100)

/* --- Content-Range --- */

static void test_content_range(void)
{
    static const char *const bad[] = {
        "",
        "bytes",
        "bytes ",
        "bytes */100",
        "bytes 0-9/*",
        "bytes 0-9",
        "bytes 9-0/100",
        "bytes 0-100/100",
        "bytes 0-9/100 ",
        "bytes 0-9/100x",
        "bytes -9/100",
        "bytes 0-/100",
        "bytes +0-9/100",
        "items 0-9/100",
        "bytes 0-18446744073709551616/18446744073709551617",
        "bytes=0-9/100",
        "bytes 0 - 9/100",
    };
    HttpRange range = {0};

    g_assert_true(http_range_parse("bytes 512-1023/20971520", &range));
    g_assert_cmpuint(range.first, ==, 512);
    g_assert_cmpuint(range.last, ==, 1023);
    g_assert_cmpuint(range.total, ==, 20971520);
    g_assert_true(http_range_parse("Bytes 0-0/1", &range));
    g_assert_true(http_range_parse("bytes 0-18446744073709551614/18446744073709551615", &range));
    g_assert_false(http_range_parse(NULL, &range));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("case %u", i);
        g_assert_false(http_range_parse(bad[i], &range));
    }
}

/* --- a server that can be told to do wrong --- */

typedef enum {
    RIGHT,
    IGNORES_RANGE,
    OTHER_RANGE,
    OTHER_TOTAL,
    NO_CONTENT_RANGE,
    SHORT_BODY,
    LONG_BODY,
    CUTS,         /* every body after 100000 bytes */
    CUTS_AT_ONCE, /* every body before its first byte */
    UNAVAILABLE,  /* 503 for the next `trouble` requests */
    LOGGED_OUT,   /* 401 until somebody logs in */
    FORBIDDEN,    /* 403 */
    LOCKED_403,
    LOCKED_500,
    MISSING,
    REDIRECTS,
    PAGE,
    BAD_MIDDLE, /* only the start may be read */
} Mode;

typedef struct {
    HttpServer *server;
    HttpClient *client;
    char *data, *url;
    gint mode, trouble, requests, logins; /* atomic */
} Fixture;

static Mode mode_of(Fixture *fixture)
{
    return (Mode)g_atomic_int_get(&fixture->mode);
}

typedef struct {
    Fixture *fixture;
    guint64 start, cut_after;
} Stream;

static gssize read_stream(gpointer data, guint64 position, char *buffer, gsize max)
{
    const Stream *stream = data;
    gsize length = (gsize)MIN(max, stream->cut_after - position);

    if (length == 0)
        return -1;
    memcpy(buffer, stream->fixture->data + stream->start + position, length);
    return (gssize)length;
}

static void answer_part(HttpExchange *exchange, Fixture *fixture, guint64 first, guint64 last)
{
    Mode mode = mode_of(fixture);
    guint64 shift = mode == OTHER_RANGE ? 512 : 0;
    guint64 length = mode == SHORT_BODY  ? last - first
                     : mode == LONG_BODY ? last - first + 2
                                         : last - first + 1;
    Stream stream = {.fixture = fixture, .start = first + shift, .cut_after = G_MAXUINT64};
    g_autofree char *range =
        g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, first + shift,
                        last + shift, (guint64)FILE_SIZE + (mode == OTHER_TOTAL ? 1 : 0));

    if (mode == CUTS || mode == CUTS_AT_ONCE)
        stream.cut_after = mode == CUTS ? 100000 : 0;
    if (mode != NO_CONTENT_RANGE)
        http_add_header(exchange, "Content-Range", range);
    http_answer_stream(exchange, 206, "application/octet-stream", length, read_stream,
                       g_memdup2(&stream, sizeof stream), g_free);
}

static gboolean refuse(HttpExchange *exchange, Fixture *fixture, guint64 first)
{
    static const struct {
        Mode mode;
        guint status;
        const char *text;
    } refusals[] = {
        {LOGGED_OUT, 401, "who are you"},
        {FORBIDDEN, 403, "no"},
        {LOCKED_403, 403, "Failed to lock the file"},
        {LOCKED_500, 500, "<html>error</html>"},
        {MISSING, 404, "not here"},
        {REDIRECTS, 302, "there"},
    };

    if (mode_of(fixture) == UNAVAILABLE && g_atomic_int_add(&fixture->trouble, -1) > 0) {
        http_answer_text(exchange, 503, "text/plain", "later");
        return TRUE;
    }
    if (mode_of(fixture) == BAD_MIDDLE && first > 0) {
        http_answer_text(exchange, 500, "text/plain", "Device or resource busy");
        return TRUE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++)
        if (refusals[i].mode == mode_of(fixture)) {
            http_answer_text(exchange, refusals[i].status, "text/html", refusals[i].text);
            return TRUE;
        }
    return FALSE;
}

static void handle(HttpExchange *exchange, gpointer data)
{
    Fixture *fixture = data;
    const char *range = http_header(exchange, "Range");
    guint64 first = 0, last = FILE_SIZE - 1;

    g_atomic_int_inc(&fixture->requests);
    if (range != NULL)
        g_assert_cmpint(sscanf(range, "bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, &first, &last), ==,
                        2);
    if (refuse(exchange, fixture, first))
        return;
    if (range != NULL && mode_of(fixture) != IGNORES_RANGE)
        answer_part(exchange, fixture, first, last);
    else
        http_answer_data(exchange, 200,
                         mode_of(fixture) == PAGE ? "text/html; charset=utf-8" : "application/octet-stream",
                         fixture->data, FILE_SIZE);
}

static gboolean log_in(gpointer data, GError **error)
{
    Fixture *fixture = data;

    g_atomic_int_inc(&fixture->logins);
    if (mode_of(fixture) == LOGGED_OUT)
        g_atomic_int_set(&fixture->mode, RIGHT);
    return TRUE;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    const HttpServerOptions options = {.handler = handle, .data = fixture};
    g_autoptr(GError) error = NULL;

    fixture->data = g_malloc(FILE_SIZE + KIB);
    for (guint i = 0; i < FILE_SIZE + KIB; i++)
        fixture->data[i] = (char)(i * 2654435761u >> 13);
    fixture->server = http_server_start(&options, &error);
    g_assert_no_error(error);
    g_autofree char *base = g_strdup_printf("http://127.0.0.1:%u", http_server_port(fixture->server));
    fixture->url = g_strconcat(base, "/folder/x-flat.vmdk?dsName=a%20b", NULL);
    fixture->client = http_client_new(base, NULL, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    http_client_free(fixture->client);
    http_server_stop(fixture->server);
    g_free(fixture->url);
    g_free(fixture->data);
}

static Bytes *open_with(Fixture *fixture, Mode mode, GError **error)
{
    const HttpsOptions options = {.relogin = log_in, .data = fixture, .retries = 3};

    g_atomic_int_set(&fixture->mode, (gint)mode);
    return bytes_open_https(fixture->client, fixture->url, &options, error);
}

static Bytes *open_right(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    Bytes *bytes = open_with(fixture, RIGHT, &error);

    g_assert_no_error(error);
    return bytes;
}

static void assert_reads(Fixture *fixture, Bytes *bytes, gsize length, guint64 offset)
{
    g_autofree char *buffer = g_malloc(length);
    g_autoptr(GError) error = NULL;

    bytes_pread(bytes, buffer, length, offset, &error);
    g_assert_no_error(error);
    g_assert_cmpint(memcmp(buffer, fixture->data + offset, length), ==, 0);
}

/* --- what is read --- */

static void test_read(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);

    g_assert_cmpuint(bytes_size(bytes), ==, FILE_SIZE);
    g_assert_cmpint(fixture->requests, ==, 3);
    assert_reads(fixture, bytes, FILE_SIZE, 0);
    assert_reads(fixture, bytes, 1, FILE_SIZE - 1);
    assert_reads(fixture, bytes, MIB, 512);
    g_assert_cmpint(fixture->requests, ==, 6);
}

typedef struct {
    Fixture *fixture;
    Bytes *bytes;
    guint number;
} Reader;

static gpointer read_much(gpointer data)
{
    const Reader *reader = data;

    for (guint i = 0; i < 40; i++)
        assert_reads(reader->fixture, reader->bytes, 64 * KIB, (reader->number * 40 + i) * 7 * KIB);
    return NULL;
}

static void test_threads(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);
    GThread *threads[6];
    Reader readers[6];

    for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
        readers[i] = (Reader){fixture, bytes, i};
        threads[i] = g_thread_new("reader", read_much, &readers[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

/* A body that is cut goes on where it stopped: so many requests and no more. */
static void test_cut(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);

    g_atomic_int_set(&fixture->mode, CUTS);
    g_atomic_int_set(&fixture->requests, 0);
    assert_reads(fixture, bytes, 450000, 1000);
    g_assert_cmpint(fixture->requests, ==, 5);
}

static void test_unavailable(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);

    g_atomic_int_set(&fixture->mode, UNAVAILABLE);
    g_atomic_int_set(&fixture->trouble, 3);
    assert_reads(fixture, bytes, MIB, 0);
}

static void test_relogin(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);

    g_atomic_int_set(&fixture->mode, LOGGED_OUT);
    assert_reads(fixture, bytes, MIB, 0);
    g_assert_cmpint(fixture->logins, ==, 1);
}

/* --- what is refused --- */

static const struct {
    Mode mode;
    VfErrorClass while_reading, at_opening;
} refused[] = {
    {IGNORES_RANGE, VF_ERROR_UNSUPPORTED, VF_ERROR_UNSUPPORTED},
    {OTHER_RANGE, VF_ERROR_INTEGRITY, VF_ERROR_INTEGRITY},
    {OTHER_TOTAL, VF_ERROR_INTEGRITY, VF_ERROR_INTEGRITY},
    {NO_CONTENT_RANGE, VF_ERROR_INTEGRITY, VF_ERROR_INTEGRITY},
    {SHORT_BODY, VF_ERROR_INTEGRITY, VF_ERROR_INTEGRITY},
    {LONG_BODY, VF_ERROR_INTEGRITY, VF_ERROR_INTEGRITY},
    {CUTS_AT_ONCE, VF_ERROR_TRANSIENT, VF_ERROR_TRANSIENT},
    {FORBIDDEN, VF_ERROR_AUTH, VF_ERROR_AUTH},
    {LOCKED_403, VF_ERROR_CONFLICT, VF_ERROR_CONFLICT},
    {LOCKED_500, VF_ERROR_CONFLICT, VF_ERROR_CONFLICT},
    {MISSING, VF_ERROR_NOT_FOUND, VF_ERROR_NOT_FOUND},
    {REDIRECTS, VF_ERROR_UNSUPPORTED, VF_ERROR_UNSUPPORTED},
};

static void test_refused_reading(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);
    g_autofree char *buffer = g_malloc(MIB);

    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("mode %u", refused[i].mode);
        g_atomic_int_set(&fixture->mode, (gint)refused[i].mode);
        g_assert_false(bytes_pread(bytes, buffer, MIB, 1024, &error));
        g_assert_error(error, VF_ERROR, (gint)refused[i].while_reading);
    }
}

static void test_refused_opening(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) problem = NULL;

        g_test_message("mode %u", refused[i].mode);
        g_assert_null(open_with(fixture, refused[i].mode, &problem));
        g_assert_error(problem, VF_ERROR, (gint)refused[i].at_opening);
    }
    g_assert_null(open_with(fixture, BAD_MIDDLE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_null(open_with(fixture, PAGE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_gives_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Bytes) bytes = open_right(fixture);
    g_autoptr(GError) error = NULL;
    char buffer[512];

    g_atomic_int_set(&fixture->mode, UNAVAILABLE);
    g_atomic_int_set(&fixture->trouble, 100);
    g_atomic_int_set(&fixture->requests, 0);
    g_assert_false(bytes_pread(bytes, buffer, sizeof buffer, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpint(fixture->requests, ==, 4);
}

static void test_cancel(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Cancel) cancel = cancel_new();
    const HttpsOptions options = {.cancel = cancel};
    g_autoptr(GError) error = NULL;
    char buffer[512];

    g_autoptr(Bytes) bytes = bytes_open_https(fixture->client, fixture->url, &options, &error);
    g_assert_no_error(error);
    cancel_fire(cancel);
    g_assert_false(bytes_pread(bytes, buffer, sizeof buffer, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
}

/* --- a server that we did not write --- */

static Bytes *open_patiently(HttpClient *client, const char *url, GError **error)
{
    const HttpsOptions options = {.retries = 8};

    return bytes_open_https(client, url, &options, error);
}

static void test_busybox(Fixture *fixture, gconstpointer data)
{
    g_autofree char *program = proc_find("busybox");
    g_autofree char *directory = g_dir_make_tmp("https-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "disk", NULL);
    g_autofree char *where = g_strdup_printf("127.0.0.1:%d", g_random_int_range(20000, 30000));
    const char *const argv[] = {"busybox", "httpd", "-f", "-p", where, "-h", directory, NULL};
    g_autofree char *base = g_strdup_printf("http://%s", where);
    g_autofree char *url = g_strconcat(base, "/disk", NULL);
    g_autoptr(GError) error = NULL;

    if (program == NULL) {
        g_test_skip("busybox is not installed");
        return;
    }
    g_assert_true(g_file_set_contents(path, fixture->data, FILE_SIZE, &error));
    g_autoptr(Proc) server = proc_spawn(argv, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(HttpClient) client = http_client_new(base, NULL, &error);
    g_autoptr(Bytes) bytes = open_patiently(client, url, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(bytes_size(bytes), ==, FILE_SIZE);
    assert_reads(fixture, bytes, FILE_SIZE, 0);
    assert_reads(fixture, bytes, 4096, 1234);
    g_unlink(path);
    g_rmdir(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/https/content-range", test_content_range);
#define WITH(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
    WITH("/https/read", test_read);
    WITH("/https/threads", test_threads);
    WITH("/https/cut", test_cut);
    WITH("/https/unavailable", test_unavailable);
    WITH("/https/relogin", test_relogin);
    WITH("/https/refused-reading", test_refused_reading);
    WITH("/https/refused-opening", test_refused_opening);
    WITH("/https/gives-up", test_gives_up);
    WITH("/https/cancel", test_cancel);
    WITH("/https/busybox", test_busybox);
    return g_test_run();
}
