#include "vsphere/test-server.h"

#include "base/error.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/xml.h"
#include "net/http-server.h"

#include <glib/gstdio.h>
#include <string.h>

#define ENVELOPE_HEAD                                                                                        \
    "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "              \
    "xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" "                                                        \
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"                                               \
    "<s:Body>"
#define ENVELOPE_TAIL "</s:Body></s:Envelope>"

typedef struct {
    guint status;
    char *body;
} Answer;

struct Server {
    HttpServer *http;
    char *thumbprint;
    GMutex lock;
    GHashTable *answers;                /* lock; method -> GQueue of Answer */
    GPtrArray *asked;                   /* lock; method names */
    GHashTable *last;                   /* lock; method -> request */
    GHashTable *counts;                 /* lock; method -> number */
    char *action, *cookie;              /* lock */
    gboolean logged_in, forgets, packs; /* lock */
    guint sessions;                     /* lock */
};

static void answer_free(gpointer data)
{
    Answer *answer = data;

    g_free(answer->body);
    g_free(answer);
}

static void answers_free(gpointer data)
{
    g_queue_free_full(data, answer_free);
}

/* --- what it says --- */

void server_raw(Server *server, const char *method, guint status, const char *body)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GQueue *queue = g_hash_table_lookup(server->answers, method);
    Answer *answer = g_new(Answer, 1);

    if (queue == NULL) {
        queue = g_queue_new();
        g_hash_table_insert(server->answers, g_strdup(method), queue);
    }
    *answer = (Answer){.status = status, .body = g_strdup(body)};
    g_queue_push_tail(queue, answer);
}

static char *response(const char *method, const char *inner)
{
    return g_strdup_printf(ENVELOPE_HEAD "<%sResponse xmlns=\"urn:vim25\">%s</%sResponse>" ENVELOPE_TAIL,
                           method, inner, method);
}

static char *fault(const char *type, const char *inner)
{
    return g_strdup_printf(ENVELOPE_HEAD
                           "<s:Fault><faultcode>ServerFaultCode</faultcode><faultstring>no: %s"
                           "</faultstring><detail><%sFault xmlns=\"urn:vim25\" xsi:type=\"%s\">%s"
                           "</%sFault></detail></s:Fault>" ENVELOPE_TAIL,
                           type, type, type, inner, type);
}

void server_say(Server *server, const char *method, const char *inner)
{
    g_autofree char *body = response(method, inner);

    server_raw(server, method, 200, body);
}

void server_forget(Server *server, const char *method)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    g_hash_table_remove(server->answers, method);
}

void server_fault(Server *server, const char *method, const char *type, const char *inner)
{
    g_autofree char *body = fault(type, inner);

    server_raw(server, method, 500, body);
}

/* The last one stays. */
static Answer *queued(Server *server, const char *method)
{
    GQueue *queue = g_hash_table_lookup(server->answers, method);
    Answer *answer = queue != NULL ? g_queue_peek_head(queue) : NULL;
    Answer *copy;

    if (answer == NULL)
        return NULL;
    copy = g_new(Answer, 1);
    *copy = (Answer){.status = answer->status, .body = g_strdup(answer->body)};
    if (queue->length > 1)
        answer_free(g_queue_pop_head(queue));
    return copy;
}

static const char service_content[] =
    "<returnval><rootFolder type=\"Folder\">group-d1</rootFolder>"
    "<propertyCollector type=\"PropertyCollector\">pc</propertyCollector>"
    "<viewManager type=\"ViewManager\">vm</viewManager><about><name>test</name><fullName>Test vCenter "
    "8.0.3</fullName>"
    "<version>8.0.3</version><build>1</build><apiType>VirtualCenter</apiType><apiVersion>8.0.3.0</apiVersion>"
    "<instanceUuid>uuid-1</instanceUuid></about><sessionManager type=\"SessionManager\">sm</sessionManager>"
    "<authorizationManager type=\"AuthorizationManager\">am</authorizationManager></returnval>";

static gboolean password_is_right(XmlNode *call)
{
    return g_strcmp0(xml_child_text(call, "userName"), SERVER_USER) == 0 &&
           g_strcmp0(xml_child_text(call, "password"), SERVER_PASSWORD) == 0;
}

static char *log_in(Server *server, XmlNode *call, guint *status)
{
    g_autofree char *inner = g_strdup_printf(
        "<returnval><key>session-%u</key><userName>u</userName></returnval>", ++server->sessions);

    if (!password_is_right(call)) {
        *status = 500;
        return fault("InvalidLogin", "");
    }
    server->logged_in = !server->forgets;
    return response("Login", inner);
}

static char *make_answer(Server *server, const char *method, XmlNode *call, guint *status)
{
    Answer *answer = queued(server, method);
    char *body;

    if (answer != NULL) {
        *status = answer->status;
        body = g_steal_pointer(&answer->body);
        answer_free(answer);
        if (server->logged_in || strcmp(method, "Login") == 0 ||
            strcmp(method, "RetrieveServiceContent") == 0)
            return body;
        g_free(body);
    }
    *status = 200;
    if (strcmp(method, "RetrieveServiceContent") == 0)
        return response(method, service_content);
    if (strcmp(method, "Login") == 0)
        return log_in(server, call, status);
    if (!server->logged_in) {
        *status = 500;
        return fault("NotAuthenticated", "<privilegeId>System.View</privilegeId>");
    }
    if (strcmp(method, "CurrentTime") == 0 || strcmp(method, "Logout") == 0 ||
        strcmp(method, "DestroyView") == 0 || strcmp(method, "CancelRetrievePropertiesEx") == 0)
        return response(method, "");
    *status = 500;
    return fault("MethodNotFound", "");
}

/* --- what it hears --- */

static void remember(Server *server, HttpExchange *exchange, const char *method)
{
    const char *cookie = http_header(exchange, "Cookie");
    gpointer count = g_hash_table_lookup(server->counts, method);

    g_ptr_array_add(server->asked, g_strdup(method));
    g_hash_table_insert(server->last, g_strdup(method), g_strdup(http_body(exchange, NULL)));
    g_hash_table_insert(server->counts, g_strdup(method), GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
    g_free(server->action);
    server->action = g_strdup(http_header(exchange, "SOAPAction"));
    g_free(server->cookie);
    server->cookie = g_strdup(cookie);
}

static void send_packed(HttpExchange *exchange, guint status, const char *body)
{
    g_autofree char *directory = g_dir_make_tmp("vmferry-test-XXXXXX", NULL);
    g_autofree char *plain = g_build_filename(directory, "answer", NULL);
    g_autofree char *packed = g_strconcat(plain, ".gz", NULL);
    const char *const argv[] = {"gzip", plain, NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    gsize length;

    g_file_set_contents(plain, body, -1, &error);
    g_assert_no_error(error);
    proc_run(argv, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    g_file_get_contents(packed, &bytes, &length, &error);
    g_assert_no_error(error);
    g_unlink(packed);
    g_rmdir(directory);
    http_add_header(exchange, "Content-Encoding", "gzip");
    http_answer_data(exchange, status, "text/xml; charset=utf-8", bytes, length);
}

static void send_answer(Server *server, HttpExchange *exchange, guint status, const char *body)
{
    gboolean html = g_str_has_prefix(body, "<html");

    if (status == 0) {
        http_answer_cut(exchange);
        return;
    }
    if (http_cookie(exchange, "vmware_soap_session") == NULL)
        http_add_header(exchange, "Set-Cookie", "vmware_soap_session=\"c0ffee\"; Path=/; HttpOnly; Secure");
    if (server->packs)
        send_packed(exchange, status, body);
    else
        http_answer_text(exchange, status, html ? "text/html" : "text/xml; charset=utf-8", body);
}

static void handle_soap(Server *server, HttpExchange *exchange)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    g_autoptr(GError) error = NULL;
    gsize length = 0;
    const char *text = http_body(exchange, &length);
    g_autoptr(XmlDocument) document = xml_parse(text, length, 1 << 20, &error);
    g_autofree char *body = NULL;
    XmlNode *call;
    guint status;

    g_assert_no_error(error);
    call = xml_child(xml_child(xml_root(document), "Body"), NULL);
    g_assert_nonnull(xml_child(call, "_this"));
    remember(server, exchange, xml_name(call));
    body = make_answer(server, xml_name(call), call, &status);
    send_answer(server, exchange, status, body);
}

static void handle(HttpExchange *exchange, gpointer data)
{
    if (strcmp(http_path(exchange), "/sdk") == 0)
        handle_soap(data, exchange);
    else if (strcmp(http_path(exchange), "/sdk/vimServiceVersions.xml") == 0)
        http_answer_text(
            exchange, 200, "text/xml",
            "<namespaces version=\"1.0\"><namespace><name>urn:vim25</name><version>8.0.3.0</version>"
            "<priorVersions><version>8.0.2.0</version></priorVersions></namespace></namespaces>");
    else
        http_answer_text(exchange, 404, "text/html", "<html>no</html>");
}

/* --- the server --- */

static void make_tables(Server *server)
{
    server->answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, answers_free);
    server->asked = g_ptr_array_new_with_free_func(g_free);
    server->last = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    server->counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

Server *server_start(void)
{
    static const char *const names[] = {"127.0.0.1", NULL};
    Server *server = g_new0(Server, 1);
    g_autoptr(GError) error = NULL;
    g_autofree char *key = NULL, *certificate = NULL;
    g_autoptr(TlsPeer) peer = NULL;

    g_mutex_init(&server->lock);
    make_tables(server);
    tls_make_certificate(names, &key, &certificate, &error);
    g_assert_no_error(error);
    peer = tls_peer_from_pem(certificate, &error);
    g_assert_no_error(error);
    server->thumbprint = g_strdup(peer->sha256);
    server->http = http_server_start(
        &(HttpServerOptions){.key_pem = key, .cert_pem = certificate, .handler = handle, .data = server},
        &error);
    g_assert_no_error(error);
    return server;
}

void server_stop(Server *server)
{
    http_server_stop(server->http);
    g_hash_table_unref(server->answers);
    g_hash_table_unref(server->last);
    g_hash_table_unref(server->counts);
    g_ptr_array_unref(server->asked);
    g_free(server->thumbprint);
    g_free(server->action);
    g_free(server->cookie);
    g_mutex_clear(&server->lock);
    g_free(server);
}

void server_pack(Server *server)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    server->packs = TRUE;
}

void server_expire(Server *server, gboolean for_good)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    server->logged_in = FALSE;
    server->forgets = for_good;
}

static Vsphere *open_session(Server *server, const char *password, VsphereOptions options, GError **error)
{
    g_autoptr(Secret) secret = secret_new(password);
    g_autofree char *host = g_strdup_printf("127.0.0.1:%u", http_server_port(server->http));

    options.host = host;
    options.user = SERVER_USER;
    options.password = secret;
    options.trust = (TlsTrust){.thumbprint = server->thumbprint};
    return vsphere_open(&options, error);
}

Vsphere *server_open(Server *server, const char *password, const Cancel *cancel, GError **error)
{
    return open_session(server, password, (VsphereOptions){.cancel = cancel}, error);
}

Vsphere *server_open_ticking(Server *server, void (*tick)(gpointer data), gpointer data, GError **error)
{
    return open_session(server, SERVER_PASSWORD, (VsphereOptions){.tick = tick, .tick_data = data}, error);
}

char *server_asked(Server *server)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    char *text;

    g_ptr_array_add(server->asked, NULL);
    text = g_strjoinv(" ", (char **)server->asked->pdata);
    g_ptr_array_set_size(server->asked, 0);
    return text;
}

guint server_count(Server *server, const char *method)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    return GPOINTER_TO_UINT(g_hash_table_lookup(server->counts, method));
}

char *server_last(Server *server, const char *method)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    return g_strdup(g_hash_table_lookup(server->last, method));
}

char *server_last_action(Server *server)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    return g_strdup(server->action);
}

char *server_last_cookie(Server *server)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    return g_strdup(server->cookie);
}
