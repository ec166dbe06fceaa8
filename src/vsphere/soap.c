#include "vsphere/soap.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "vsphere/fault.h"

#include <stdarg.h>
#include <string.h>

#define BODY_MAX        (64u << 20)
#define FIRST_WAIT_MS   250u
#define LONGEST_WAIT_MS 16000u
#define TICK_MS         1000u
#define PATIENCE_MS     120000u

/* --- requests --- */

struct SoapRequest {
    char *method;
    char *title;
    SoapManner manner;
    XmlWriter *writer; /* NULL once it is finished */
    char *text;        /* then */
};

static gpointer new_process_id(gpointer data)
{
    return g_uuid_string_random();
}

/* Ends in vpxd's log: by it a request is found there. */
static char *next_operation_id(void)
{
    static gint counter; /* atomic */
    static GOnce once = G_ONCE_INIT;
    const char *process = g_once(&once, new_process_id, NULL);

    return g_strdup_printf("vmferry-%.8s-%d", process, g_atomic_int_add(&counter, 1));
}

static void open_envelope(XmlWriter *writer)
{
    g_autofree char *operation = next_operation_id();

    xml_open(writer, "soapenv:Envelope");
    xml_set(writer, "xmlns:soapenv", "http://schemas.xmlsoap.org/soap/envelope/");
    xml_set(writer, "xmlns:xsd", "http://www.w3.org/2001/XMLSchema");
    xml_set(writer, "xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
    xml_open(writer, "soapenv:Header");
    xml_open(writer, "operationID");
    xml_set(writer, "xmlns", "urn:vim25");
    xml_put_text(writer, operation);
    xml_close(writer);
    xml_close(writer);
    xml_open(writer, "soapenv:Body");
}

SoapRequest *soap_request_new(const char *method, const char *type, const char *moref, SoapManner manner)
{
    SoapRequest *request = g_new0(SoapRequest, 1);

    request->method = g_strdup(method);
    request->title = g_strdup_printf("%s of %s", method, moref);
    request->manner = manner;
    request->writer = xml_writer_new(0, TRUE);
    open_envelope(request->writer);
    xml_open(request->writer, method);
    xml_set(request->writer, "xmlns", "urn:vim25");
    soap_put_ref(request, "_this", type, moref);
    return request;
}

void soap_request_free(SoapRequest *request)
{
    if (request == NULL)
        return;
    xml_writer_free(request->writer);
    if (request->text != NULL)
        secret_wipe(request->text, strlen(request->text));
    g_free(request->text);
    g_free(request->method);
    g_free(request->title);
    g_free(request);
}

const char *soap_request_title(const SoapRequest *request)
{
    return request->title;
}

void soap_request_set_title(SoapRequest *request, const char *format, ...)
{
    va_list arguments;

    g_free(request->title);
    va_start(arguments, format);
    request->title = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

XmlWriter *soap_request_writer(SoapRequest *request)
{
    return request->writer;
}

void soap_put_boolean(SoapRequest *request, const char *name, gboolean value)
{
    xml_element(request->writer, name, value ? "true" : "false");
}

void soap_put_ref(SoapRequest *request, const char *name, const char *type, const char *moref)
{
    if (moref == NULL)
        return;
    xml_open(request->writer, name);
    xml_set(request->writer, "type", type);
    xml_put_text(request->writer, moref);
    xml_close(request->writer);
}

static const char *request_text(SoapRequest *request)
{
    if (request->text == NULL) {
        xml_close(request->writer); /* method */
        xml_close(request->writer); /* Body */
        xml_close(request->writer); /* Envelope */
        request->text = xml_writer_finish(g_steal_pointer(&request->writer));
    }
    return request->text;
}

/* --- replies --- */

struct SoapReply {
    XmlDocument *document;
    XmlNode *response;
};

void soap_reply_free(SoapReply *reply)
{
    if (reply == NULL)
        return;
    xml_document_free(reply->document);
    g_free(reply);
}

XmlNode *soap_reply_value(const SoapReply *reply)
{
    return xml_child(reply->response, "returnval");
}

SoapReply *soap_reply_parse(const char *method, const char *body, gsize length, GError **error)
{
    g_autoptr(XmlDocument) document = xml_parse(body, length, BODY_MAX, error);
    g_autofree char *expected = g_strconcat(method, "Response", NULL);
    XmlNode *response;
    SoapReply *reply;

    if (document == NULL)
        return NULL;
    response = xml_child(xml_child(xml_root(document), "Body"), NULL);
    if (xml_is(response, "Fault")) {
        fault_fail_soap(response, error);
        return NULL;
    }
    if (!xml_is(response, expected)) {
        vf_fail(error, VF_ERROR_INVALID, "the answer is not %s", expected);
        return NULL;
    }
    reply = g_new(SoapReply, 1);
    *reply = (SoapReply){.document = g_steal_pointer(&document), .response = response};
    return reply;
}

/* --- the server --- */

struct SoapClient {
    HttpClient *http;
    const Cancel *cancel;
    const char *version;
    gint silent; /* atomic: the last attempt got no answer */
    GThread *owner;
    void (*tick)(gpointer data); /* by the owner only, as next_tick */
    gpointer tick_data;
    gint64 next_tick; /* monotonic */
};

/* Newest first.  The list ends where the decoders were checked; a newer server speaks these too. */
static const char *const known_versions[] = {
    "9.0.0.0", "8.0.3.0", "8.0.2.0", "8.0.1.0", "8.0.0.1", "7.0.3.0", "7.0.2.0", "7.0.1.0", "7.0.0.0",
    "7.0",     "6.7.3",   "6.7.2",   "6.7.1",   "6.7",     "6.5",     "6.0",     "5.5",
};

SoapClient *soap_client_new(HttpClient *http, const Cancel *cancel, void (*tick)(gpointer data),
                            gpointer tick_data)
{
    SoapClient *client = g_new0(SoapClient, 1);

    *client = (SoapClient){
        .http = http,
        .cancel = cancel,
        .version = "6.0",
        .owner = g_thread_self(),
        .tick = tick,
        .tick_data = tick_data,
    };
    return client;
}

void soap_client_free(SoapClient *client)
{
    g_free(client);
}

static void tick_if_due(SoapClient *client)
{
    gint64 now = g_get_monotonic_time();

    if (client->tick == NULL || client->owner != g_thread_self() || now < client->next_tick)
        return;
    client->next_tick = now + TICK_MS * 1000;
    client->tick(client->tick_data);
}

gboolean soap_client_pause(SoapClient *client, guint milliseconds, GError **error)
{
    while (milliseconds > 0) {
        guint slice = MIN(milliseconds, TICK_MS);

        tick_if_due(client);
        if (!cancel_sleep(client->cancel, slice, error))
            return FALSE;
        milliseconds -= slice;
    }
    return TRUE;
}

/* --- patience --- */

typedef struct {
    guint next_ms, waited_ms;
} Patience;

/* Sleeps, longer each time and never in step with others; FALSE when it is used up or when cancelled. */
static gboolean patience_wait(SoapClient *client, Patience *patience, guint retry_after, GError **error)
{
    guint wanted = MAX(patience->next_ms, MIN(retry_after, LONGEST_WAIT_MS / 1000) * 1000);
    guint wait_ms = wanted + (guint)g_random_int_range(0, (gint32)(wanted / 4 + 1));

    if (patience->waited_ms + wait_ms > PATIENCE_MS)
        return FALSE;
    patience->waited_ms += wait_ms;
    patience->next_ms = MIN(patience->next_ms * 2, LONGEST_WAIT_MS);
    return soap_client_pause(client, wait_ms, error);
}

/* One HTTP request.  *ret_busy: the server did not work on it. */
static gboolean attempt(SoapClient *client, const HttpRequest *request, HttpAnswer *answer,
                        gboolean *ret_busy, GError **error)
{
    gboolean answered = http_request(client->http, request, answer, error);

    g_atomic_int_set(&client->silent, !answered && vf_error_is(*error, VF_ERROR_TRANSIENT));
    *ret_busy = answered && answer->status >= 502 && answer->status <= 504;
    if (!*ret_busy)
        return answered;
    return vf_fail(error, VF_ERROR_TRANSIENT, "the server is not ready: HTTP status %u", answer->status);
}

/* `repeat_silence`: also when no answer came at all. */
static gboolean exchange(SoapClient *client, const HttpRequest *request, gboolean repeat_busy,
                         gboolean repeat_silence, HttpAnswer *answer, GError **error)
{
    Patience patience = {.next_ms = FIRST_WAIT_MS};

    for (;;) {
        g_autoptr(GError) local = NULL, stopped = NULL;
        gboolean busy = FALSE;

        if (attempt(client, request, answer, &busy, &local))
            return TRUE;
        if ((busy ? repeat_busy : repeat_silence) && vf_error_is(local, VF_ERROR_TRANSIENT) &&
            patience_wait(client, &patience, answer->retry_after, &stopped)) {
            log_debug("soap: again after %u ms: %s", patience.waited_ms, local->message);
            http_answer_clear(answer);
            continue;
        }
        g_propagate_error(error, stopped != NULL ? g_steal_pointer(&stopped) : g_steal_pointer(&local));
        return FALSE;
    }
}

/* --- version --- */

static gboolean speaks(XmlNode *namespace, const char *version)
{
    XmlNode *prior = xml_child(xml_child(namespace, "priorVersions"), "version");

    if (g_strcmp0(xml_child_text(namespace, "version"), version) == 0)
        return TRUE;
    while (prior != NULL && strcmp(xml_text(prior), version) != 0)
        prior = xml_next(prior, "version");
    return prior != NULL;
}

const char *soap_choose_version(const char *xml, gsize length)
{
    g_autoptr(GError) ignored = NULL;
    g_autoptr(XmlDocument) document = xml_parse(xml, length, BODY_MAX, &ignored);
    XmlNode *namespace = document != NULL ? xml_child(xml_root(document), "namespace") : NULL;

    while (namespace != NULL && g_strcmp0(xml_child_text(namespace, "name"), "urn:vim25") != 0)
    namespace = xml_next(namespace, "namespace");
    for (guint i = 0; namespace != NULL && i < G_N_ELEMENTS(known_versions); i++)
        if (speaks(namespace, known_versions[i]))
            return known_versions[i];
    return "6.0";
}

gboolean soap_client_negotiate(SoapClient *client, GError **error)
{
    HttpRequest request = {
        .method = "GET", .target = "/sdk/vimServiceVersions.xml", .cancel = client->cancel};
    g_auto(HttpAnswer) answer = {0};

    if (!exchange(client, &request, TRUE, FALSE, &answer, error))
        return FALSE;
    if (answer.status == 200 && answer.body != NULL)
        client->version = soap_choose_version(answer.body, answer.body_length);
    log_debug("soap: %s speaks urn:vim25/%s", http_client_base(client->http), client->version);
    return TRUE;
}

/* --- calls --- */

static gboolean check_status(const HttpAnswer *answer, GError **error)
{
    switch (answer->status) {
    case 200:
    case 500: /* a fault, which says more */
        return TRUE;
    case 401:
    case 403:
        return vf_fail(error, VF_ERROR_AUTH, "refused with HTTP status %u", answer->status);
    case 404:
        return vf_fail(error, VF_ERROR_NOT_FOUND,
                       "there is no /sdk: this is neither vCenter nor an ESXi host");
    default:
        return vf_fail(error, VF_ERROR_INTERNAL, "unexpected HTTP status %u", answer->status);
    }
}

static SoapReply *reply_from_answer(const SoapRequest *request, const HttpAnswer *answer, GError **error)
{
    if (!check_status(answer, error))
        return NULL;
    if (answer->status == 500 && answer->content_type != NULL &&
        strstr(answer->content_type, "xml") == NULL) {
        vf_fail(error, VF_ERROR_TRANSIENT, "HTTP status 500 without a SOAP fault");
        return NULL;
    }
    return soap_reply_parse(request->method, answer->body, answer->body_length, error);
}

static SoapReply *call(SoapClient *client, SoapRequest *request, GError **error)
{
    g_autofree char *action = g_strdup_printf("SOAPAction: \"urn:vim25/%s\"", client->version);
    const char *const headers[] = {"Content-Type: text/xml; charset=\"utf-8\"", action, NULL};
    const char *text = request_text(request);
    gboolean repeat = request->manner == SOAP_REPEATABLE;
    HttpRequest http = {
        .method = "POST",
        .target = "/sdk",
        .headers = headers,
        .body = text,
        .body_length = strlen(text),
        .max_body = BODY_MAX,
        .cancel = request->manner == SOAP_FAREWELL ? NULL : client->cancel,
    };
    g_auto(HttpAnswer) answer = {0};
    double begin = clock_monotonic();

    if (!exchange(client, &http, repeat, repeat, &answer, error))
        return NULL;
    log_debug("soap: %s: HTTP %u, %zu bytes, %.0f ms", request->title, answer.status, answer.body_length,
              (clock_monotonic() - begin) * 1000);
    return reply_from_answer(request, &answer, error);
}

SoapReply *soap_client_call(SoapClient *client, SoapRequest *request, GError **error)
{
    SoapReply *reply = NULL;

    if (request->manner == SOAP_FAREWELL && g_atomic_int_get(&client->silent))
        vf_fail(error, VF_ERROR_TRANSIENT, "the server does not answer");
    else
        reply = call(client, request, error);
    if (reply == NULL)
        g_prefix_error(error, "%s: %s: ", http_client_base(client->http), request->title);
    return reply;
}
