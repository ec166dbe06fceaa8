#include "disk/https.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/http-range.h"

#include <string.h>

#define DEFAULT_RETRIES 5
#define FIRST_PAUSE_MS  100
#define MAX_PAUSE_MS    10000
#define MAX_RETRY_AFTER 60 /* seconds */

typedef struct {
    Bytes bytes;
    HttpClient *client;
    char *url;
    HttpsOptions options; /* immutable, as is all above */
    Cancel *never;        /* what is slept on when there is no Cancel */
} HttpsBytes;

/* One request and what came of it. */
typedef struct {
    gsize got;         /* bytes that are known to be right, in failure too */
    guint status;      /* 0: no answer */
    guint retry_after; /* seconds */
    gint64 length;     /* of a HEAD */
} Reply;

/* --- what an answer means --- */

/* A host says in many words that a running machine has its hand on a file. */
static gboolean speaks_of_lock(const HttpAnswer *answer)
{
    static const char *const words[] = {"lock", "busy", "unable to open file", "in use"};
    g_autofree char *text = answer->body != NULL ? g_ascii_strdown(answer->body, -1) : NULL;

    for (guint i = 0; text != NULL && i < G_N_ELEMENTS(words); i++)
        if (strstr(text, words[i]) != NULL)
            return TRUE;
    return FALSE;
}

static VfErrorClass status_class(const HttpAnswer *answer)
{
    switch (answer->status) {
    case 401:
        return VF_ERROR_AUTH;
    case 403:
        return speaks_of_lock(answer) ? VF_ERROR_CONFLICT : VF_ERROR_AUTH;
    case 404:
        return VF_ERROR_NOT_FOUND;
    case 416:
        return VF_ERROR_INTEGRITY;
    case 500:
        return VF_ERROR_CONFLICT;
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
        return VF_ERROR_TRANSIENT;
    default:
        return answer->status < 400 ? VF_ERROR_UNSUPPORTED : VF_ERROR_SOURCE_IO;
    }
}

static const char *class_hint(VfErrorClass class)
{
    switch ((guint) class) {
    case VF_ERROR_CONFLICT:
        return ": the file is probably locked by a running machine; ask the host it runs on, or wait until "
               "it is off";
    case VF_ERROR_AUTH:
        return ": the privileges Datastore.Browse and Datastore.FileManagement are needed";
    case VF_ERROR_UNSUPPORTED:
        return ": no byte range of a file came back";
    default:
        return "";
    }
}

gboolean https_fail_status(const char *url, const HttpAnswer *answer, GError **error)
{
    VfErrorClass class = status_class(answer);

    return vf_fail(error, class, "%s: status %u%s", url, answer->status, class_hint(class));
}

/* Everything that says "these are other bytes than you asked for". */
static gboolean check_partial(const HttpsBytes *https, const HttpAnswer *answer, gsize length, guint64 offset,
                              GError **error)
{
    HttpRange range;

    if (!http_range_parse(answer->content_range, &range))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s: a partial answer with Content-Range \"%s\"",
                       https->url, answer->content_range != NULL ? answer->content_range : "");
    if (range.first != offset || range.last != offset + length - 1)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                       " were asked for, and \"%s\" came",
                       https->url, offset, offset + length - 1, answer->content_range);
    if (range.total != https->bytes.size)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: its size was %" G_GUINT64_FORMAT " bytes and is now %" G_GUINT64_FORMAT,
                       https->url, https->bytes.size, range.total);
    if (answer->content_length >= 0 && (guint64)answer->content_length != length)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: %" G_GSIZE_FORMAT " bytes were asked for, and %" G_GINT64_FORMAT " are announced",
                       https->url, length, answer->content_length);
    return TRUE;
}

/* --- requests --- */

/* Bytes count only when their headers are right; when the connection broke behind them, they count all the
 * same. */
static gboolean get_range(HttpsBytes *https, void *buffer, gsize length, guint64 offset, Reply *reply,
                          GError **error)
{
    g_autofree char *range =
        g_strdup_printf("Range: bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, offset, offset + length - 1);
    const char *const headers[] = {range, NULL};
    const HttpRequest request = {.method = "GET",
                                 .target = https->url,
                                 .headers = headers,
                                 .buffer = buffer,
                                 .buffer_length = length,
                                 .cancel = https->options.cancel};
    g_auto(HttpAnswer) answer = {0};
    g_autoptr(GError) problem = NULL;
    gboolean complete = http_request(https->client, &request, &answer, &problem);

    *reply = (Reply){.status = answer.status, .retry_after = answer.retry_after};
    if (answer.status != 0 && answer.status != 206)
        return https_fail_status(https->url, &answer, error);
    if (answer.status == 206 && !check_partial(https, &answer, length, offset, error))
        return FALSE;
    if (vf_error_is(problem, VF_ERROR_INVALID))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s: %s", https->url, problem->message);
    if (complete && answer.body_length != length)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: %" G_GSIZE_FORMAT " bytes came instead of %" G_GSIZE_FORMAT, https->url,
                       answer.body_length, length);
    reply->got = answer.status == 206 ? answer.body_length : 0;
    if (!complete)
        g_propagate_error(error, g_steal_pointer(&problem));
    return complete;
}

/* The answer to a HEAD has no body to say why. */
static gboolean fail_head(HttpsBytes *https, const HttpAnswer *head, GError **error)
{
    char sector[SECTOR_SIZE];
    g_autoptr(GError) reason = NULL;
    Reply reply;

    if (head->status == 403 && !get_range(https, sector, sizeof sector, 0, &reply, &reason) &&
        reply.status == 403) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return FALSE;
    }
    return https_fail_status(https->url, head, error);
}

static gboolean get_head(HttpsBytes *https, Reply *reply, GError **error)
{
    /* With a buffer of its own a request does not ask for a packed answer, whose length would be another. */
    char none;
    const HttpRequest request = {
        .method = "HEAD", .target = https->url, .buffer = &none, .cancel = https->options.cancel};
    g_auto(HttpAnswer) answer = {0};
    gboolean complete = http_request(https->client, &request, &answer, error);

    *reply =
        (Reply){.status = answer.status, .retry_after = answer.retry_after, .length = answer.content_length};
    if (!complete)
        return FALSE;
    if (answer.status != 200)
        return fail_head(https, &answer, error);
    if (answer.content_type != NULL && g_str_has_prefix(answer.content_type, "text/html"))
        return vf_fail(error, VF_ERROR_INVALID, "%s: a page, not a file", https->url);
    if (answer.content_length < 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: the server does not say how long it is", https->url);
    return TRUE;
}

/* --- patience --- */

typedef struct {
    guint failures; /* since the last byte that came */
    gboolean logged_in_again;
} Patience;

static gboolean pause_before_retry(HttpsBytes *https, const Patience *patience, guint retry_after,
                                   GError **error)
{
    guint pause_ms = MIN(FIRST_PAUSE_MS << MIN(patience->failures - 1, 10), MAX_PAUSE_MS);
    guint asked_ms = MIN(retry_after, MAX_RETRY_AFTER) * 1000;

    return cancel_sleep(https->options.cancel != NULL ? https->options.cancel : https->never,
                        MAX(pause_ms, asked_ms), error);
}

/* Takes `problem`.  TRUE when the request may be made again. */
static gboolean may_repeat(HttpsBytes *https, Patience *patience, const Reply *reply, GError *problem,
                           GError **error)
{
    gboolean refused = vf_error_is(problem, VF_ERROR_AUTH) && (reply->status == 401 || reply->status == 403);

    if (refused && https->options.relogin != NULL && !patience->logged_in_again) {
        g_error_free(problem);
        patience->logged_in_again = TRUE;
        return https->options.relogin(https->options.data, error);
    }
    patience->failures = reply->got > 0 ? 1 : patience->failures + 1;
    if (!vf_error_is(problem, VF_ERROR_TRANSIENT) || patience->failures > https->options.retries) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    g_error_free(problem);
    return pause_before_retry(https, patience, reply->retry_after, error);
}

static gboolean https_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    HttpsBytes *https = (HttpsBytes *)bytes;
    Patience patience = {0};

    for (gsize done = 0; done < length;) {
        GError *problem = NULL;
        Reply reply;

        gboolean ok = get_range(https, (char *)buffer + done, length - done, offset + done, &reply, &problem);
        done += reply.got;
        if (!ok && !may_repeat(https, &patience, &reply, problem, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_size(HttpsBytes *https, GError **error)
{
    Patience patience = {0};

    for (;;) {
        GError *problem = NULL;
        Reply reply;

        if (get_head(https, &reply, &problem)) {
            https->bytes.size = (guint64)reply.length;
            return TRUE;
        }
        if (!may_repeat(https, &patience, &reply, problem, error))
            return FALSE;
    }
}

/* --- opening --- */

static void https_free(Bytes *bytes)
{
    HttpsBytes *https = (HttpsBytes *)bytes;

    cancel_unref(https->never);
    g_free(https->bytes.name);
    g_free(https->url);
    g_free(https);
}

static const BytesOps https_ops = {.pread = https_pread, .free = https_free};

/* A host may open a file and still not let its middle be read. */
static gboolean probe(HttpsBytes *https, GError **error)
{
    guint64 size = https->bytes.size;
    char sector[SECTOR_SIZE];
    gsize length = (gsize)MIN(size, sizeof sector);
    guint64 middle = round_down(size / 2, SECTOR_SIZE);

    return size == 0 || (https_pread(&https->bytes, sector, length, 0, error) &&
                         https_pread(&https->bytes, sector, MIN(length, size - middle), middle, error));
}

Bytes *bytes_open_https(HttpClient *client, const char *url, const HttpsOptions *options, GError **error)
{
    HttpsBytes *https = g_new0(HttpsBytes, 1);
    g_autoptr(Bytes) bytes = &https->bytes;

    https->bytes.ops = &https_ops;
    https->bytes.name = g_strdup(url);
    https->client = client;
    https->url = g_strdup(url);
    https->never = cancel_new();
    if (options != NULL)
        https->options = *options;
    if (https->options.retries == 0)
        https->options.retries = DEFAULT_RETRIES;
    if (!read_size(https, error) || !probe(https, error))
        return NULL;
    return g_steal_pointer(&bytes);
}
