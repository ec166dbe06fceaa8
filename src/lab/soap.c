#include "lab/soap.h"

#include "base/log.h"
#include "lab/call.h"
#include "lab/collector.h"
#include "lab/property.h"
#include "lab/schema.h"

#include <string.h>

#define MAX_REQUEST ((gsize)4 << 20)
#define VIM         "urn:vim25"

/* What vCenter 8.0.3 lists, newest first. */
static const char *const VERSIONS[] = {
    "8.0.3.0", "8.0.2.0", "8.0.1.0", "8.0.0.1", "7.0.3.2", "7.0.3.0", "7.0.2.0", "7.0.1.1", "7.0.1.0",
    "7.0.0.2", "7.0",     "6.9.1",   "6.8.7",   "6.7.3",   "6.7.2",   "6.7.1",   "6.7",     "6.5",
    "6.0",     "5.5",     "5.1",     "5.0",     "4.1",     "4.0",     "2.5u2",   "2.5",     NULL};
#define ANCIENT 25

/* --- parameters --- */

const char *call_text(LabCall *call, const char *name)
{
    return xml_child_text(call->arguments, name);
}

gboolean call_boolean(LabCall *call, const char *name, gboolean *ret)
{
    const char *text = call_text(call, name);
    if (text == NULL)
        return TRUE;
    gboolean yes = g_str_equal(text, "true") || g_str_equal(text, "1");
    if (!yes && !g_str_equal(text, "false") && !g_str_equal(text, "0"))
        return lab_fault_argument(&call->fault, name);
    *ret = yes;
    return TRUE;
}

gboolean call_integer(LabCall *call, const char *name, gint64 *ret)
{
    const char *text = call_text(call, name);
    if (text == NULL)
        return TRUE;
    gint64 number;
    if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL))
        return lab_fault_argument(&call->fault, name);
    *ret = number;
    return TRUE;
}

static gboolean not_found(LabFault *fault, const char *type, const char *moref)
{
    Value *value = value_new("ManagedObjectNotFound");
    value_set_ref(value, "obj", type != NULL ? type : "ManagedObject", moref);
    return lab_fault(fault, value,
                     "The object '%s:%s' has already been deleted or has not been completely created",
                     type != NULL ? type : "ManagedObject", moref);
}

gboolean call_resolve(LabCall *call, XmlNode *reference, const char *type, LabObject **ret)
{
    const char *said = xml_attribute(reference, "type");
    const char *moref = xml_text(reference);
    LabObject *object = lab_session_object(call->lab, call->session, moref);
    if (object == NULL || (said != NULL && !schema_is(object->type, said)))
        return not_found(&call->fault, said, moref);
    if (!schema_is(object->type, type))
        return lab_fault_argument(&call->fault, xml_name(reference));
    *ret = object;
    return TRUE;
}

gboolean call_object(LabCall *call, const char *name, const char *type, LabObject **ret)
{
    XmlNode *reference = xml_child(call->arguments, name);
    return reference == NULL || call_resolve(call, reference, type, ret);
}

char **call_texts(LabCall *call, const char *name)
{
    GPtrArray *texts = g_ptr_array_new();
    for (XmlNode *node = xml_child(call->arguments, name); node != NULL; node = xml_next(node, name))
        g_ptr_array_add(texts, g_strdup(xml_text(node)));
    g_ptr_array_add(texts, NULL);
    return (char **)g_ptr_array_free(texts, FALSE);
}

/* --- the front door --- */

static const LabMethod *find_in(const LabMethod *methods, const char *name)
{
    for (; methods->name != NULL; methods++)
        if (g_str_equal(methods->name, name))
            return methods;
    return NULL;
}

static const LabMethod *find_method(const char *name)
{
    const LabMethod *const tables[] = {LAB_SERVICE_METHODS, LAB_COLLECTOR_METHODS, LAB_VM_METHODS,
                                       LAB_SNAPSHOT_METHODS};
    for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
        const LabMethod *method = find_in(tables[i], name);
        if (method != NULL)
            return method;
    }
    return NULL;
}

static gboolean parameter_is(const char *parameter, const char *name)
{
    gsize length = strcspn(parameter, "?*");
    return strlen(name) == length && strncmp(parameter, name, length) == 0;
}

static gboolean is_required(const char *parameter)
{
    return strpbrk(parameter, "?*") == NULL;
}

static gboolean missing(LabCall *call, const char *parameter)
{
    return lab_fault_plain(&call->fault, "InvalidRequest", "Required parameter %s is missing", parameter);
}

/* Elements come in the schema's order; none is unknown, none that is needed is missing. */
static gboolean check_parameters(LabCall *call, const char *parameters)
{
    g_auto(GStrv) known = g_strsplit(parameters, " ", -1);
    guint at = 0;
    for (XmlNode *node = xml_child(call->arguments, NULL); node != NULL; node = xml_next(node, NULL)) {
        if (xml_is(node, "_this"))
            continue;
        for (; known[at] != NULL && !parameter_is(known[at], xml_name(node)); at++)
            if (is_required(known[at]))
                return missing(call, known[at]);
        if (known[at] == NULL)
            return lab_fault_plain(&call->fault, "InvalidRequest", "Unexpected element tag \"%s\" seen",
                                   xml_name(node));
        at += !g_str_has_suffix(known[at], "*");
    }
    for (; known[at] != NULL; at++)
        if (is_required(known[at]))
            return missing(call, known[at]);
    return TRUE;
}

gboolean call_not_authenticated(LabCall *call)
{
    Value *value = value_new("NotAuthenticated");
    value_set(value, "object", lab_ref(call->lab->root));
    value_set_text(value, "privilegeId", "System.View");
    return lab_fault(&call->fault, value, "The session is not authenticated.");
}

static gboolean check_login(LabCall *call)
{
    return call->session->key != NULL || call_not_authenticated(call);
}

gboolean call_allowed(LabCall *call, const char *privilege)
{
    if (privilege == NULL || !g_hash_table_contains(call->lab->denied, privilege))
        return TRUE;
    Value *value = value_new("NoPermission");
    value_set(value, "object", lab_ref(call->self));
    value_set_text(value, "privilegeId", privilege);
    return lab_fault(&call->fault, value, "Permission to perform this operation was denied.");
}

static gboolean check_self(LabCall *call, const LabMethod *method)
{
    if (schema_is(call->self->type, method->type))
        return TRUE;
    Value *value = value_new("MethodNotFound");
    value_set(value, "receiver", lab_ref(call->self));
    value_set_text(value, "method", method->name);
    return lab_fault(&call->fault, value, "The method %s is not on %s", method->name, call->self->type);
}

static gboolean dispatch(LabCall *call, guint version)
{
    const char *name = xml_name(call->arguments);
    const LabMethod *method = find_method(name);
    if (method == NULL || method->since > version)
        return lab_fault_plain(&call->fault, "InvalidRequest", "Unable to resolve WSDL method name %s", name);
    XmlNode *reference = xml_child(call->arguments, "_this");
    if (reference == NULL)
        return lab_fault_plain(&call->fault, "InvalidRequest", "Required parameter _this is missing");
    /* Without a login nothing is said about which objects exist. */
    if (!method->anonymous && !check_login(call))
        return FALSE;
    const char *said = xml_attribute(reference, "type");
    const char *moref = xml_text(reference);
    call->self = lab_session_object(call->lab, call->session, moref);
    if (call->self == NULL || (said != NULL && !schema_is(call->self->type, said)))
        return not_found(&call->fault, said, moref);
    return check_self(call, method) && call_allowed(call, method->privilege) &&
           check_parameters(call, method->parameters) && method->run(call);
}

/* --- envelopes --- */

static XmlWriter *open_envelope(void)
{
    XmlWriter *writer = xml_writer_new(0, TRUE);
    xml_open(writer, "soapenv:Envelope");
    xml_set(writer, "xmlns:soapenc", "http://schemas.xmlsoap.org/soap/encoding/");
    xml_set(writer, "xmlns:soapenv", "http://schemas.xmlsoap.org/soap/envelope/");
    xml_set(writer, "xmlns:xsd", "http://www.w3.org/2001/XMLSchema");
    xml_set(writer, "xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
    xml_open(writer, "soapenv:Body");
    return writer;
}

static char *close_envelope(XmlWriter *writer)
{
    xml_close(writer);
    xml_close(writer);
    return xml_writer_finish(writer);
}

static char *encode_result(const LabCall *call)
{
    XmlWriter *writer = open_envelope();
    g_autofree char *name = g_strconcat(xml_name(call->arguments), "Response", NULL);
    xml_open(writer, name);
    xml_set(writer, "xmlns", VIM);
    if (call->result != NULL)
        value_write(call->result, writer, "returnval", value_type(call->result));
    xml_close(writer);
    return close_envelope(writer);
}

static char *encode_fault(const LabFault *fault)
{
    XmlWriter *writer = open_envelope();
    g_autofree char *name = g_strconcat(value_type(fault->value), "Fault", NULL);
    xml_open(writer, "soapenv:Fault");
    xml_element(writer, "faultcode", "ServerFaultCode");
    xml_element(writer, "faultstring", fault->message);
    xml_open(writer, "detail");
    value_write_root(fault->value, writer, name, "MethodFault", VIM);
    xml_close(writer);
    xml_close(writer);
    return close_envelope(writer);
}

static void answer_fault(HttpExchange *exchange, const LabFault *fault)
{
    g_autofree char *body = encode_fault(fault);
    log_debug("lab: %s: %s", value_type(fault->value), fault->message);
    http_answer_text(exchange, 500, "text/xml; charset=utf-8", body);
}

/* SOAPAction: "urn:vim25/6.7" -> 67; without one the server behaves as its oldest ancestor. */
static gboolean read_version(HttpExchange *exchange, guint *ret_version, LabFault *fault)
{
    const char *action = http_header(exchange, "SOAPAction");
    g_autofree char *bare = g_strdup(action != NULL ? action : "");
    g_strdelimit(bare, "\"", ' ');
    g_strstrip(bare);
    const char *slash = strchr(bare, '/');
    *ret_version = ANCIENT;
    if (slash == NULL)
        return TRUE;
    if (!g_str_has_prefix(bare, VIM) || !g_strv_contains(VERSIONS, slash + 1))
        return lab_fault_plain(fault, "InvalidRequest", "Unsupported version URI \"%s\"", bare);
    *ret_version = (guint)(g_ascii_digit_value(slash[1]) * 10 + g_ascii_digit_value(slash[3]));
    return TRUE;
}

static XmlNode *method_element(const XmlDocument *document)
{
    XmlNode *root = xml_root(document);
    XmlNode *body = xml_is(root, "Envelope") ? xml_child(root, "Body") : NULL;
    return xml_child(body, NULL);
}

static void answer_call(LabCall *call, HttpExchange *exchange, gboolean done)
{
    if (call->out_of_sessions) {
        http_answer_text(exchange, 503, "text/plain", "Out of HTTP sessions: Limited to max_sessions\n");
    } else if (done) {
        g_autofree char *body = encode_result(call);
        http_answer_text(exchange, 200, "text/xml; charset=utf-8", body);
    } else {
        answer_fault(exchange, &call->fault);
    }
}

/* The cookie comes with the first answer, before the login, and another one with the login. */
static LabSession *need_session(Lab *lab, HttpExchange *exchange)
{
    LabSession *session = lab_session_find(lab, http_cookie(exchange, LAB_COOKIE));
    return lab_session_ref(session != NULL ? session
                                           : lab_session_new(lab, http_header(exchange, "User-Agent")));
}

static gboolean is_news(const LabSession *session, const char *said)
{
    return !session->ended && (said == NULL || strstr(said, session->cookie) == NULL);
}

static void call_method(Lab *lab, HttpExchange *exchange, XmlNode *element, guint version)
{
    LabCall call = {.lab = lab, .arguments = element};
    lab_lock(lab);
    g_autoptr(LabSession) session = need_session(lab, exchange);
    call.session = session;
    lab_collector_ensure(session);
    gboolean done = dispatch(&call, version);
    if (is_news(session, http_cookie(exchange, LAB_COOKIE)))
        lab_session_tell(session, exchange);
    lab_unlock(lab);
    answer_call(&call, exchange, done);
    value_free(call.result);
    lab_fault_clear(&call.fault);
}

static void handle_post(Lab *lab, HttpExchange *exchange)
{
    gsize length;
    const char *body = http_body(exchange, &length);
    g_autoptr(GError) error = NULL;
    g_autoptr(XmlDocument) document = xml_parse(body, length, MAX_REQUEST, &error);
    XmlNode *element = document != NULL ? method_element(document) : NULL;
    g_auto(LabFault) fault = {0};
    guint version;
    if (element == NULL) {
        lab_fault_plain(&fault, "InvalidRequest", "XML document element count is invalid: %s",
                        error != NULL ? error->message : "no method in the body");
        answer_fault(exchange, &fault);
    } else if (!read_version(exchange, &version, &fault)) {
        answer_fault(exchange, &fault);
    } else {
        call_method(lab, exchange, element, version);
    }
}

static void answer_versions(HttpExchange *exchange)
{
    XmlWriter *writer = xml_writer_new(1, TRUE);
    xml_open(writer, "namespaces");
    xml_set(writer, "version", "1.0");
    xml_open(writer, "namespace");
    xml_element(writer, "name", VIM);
    xml_element(writer, "version", VERSIONS[0]);
    xml_open(writer, "priorVersions");
    for (guint i = 1; VERSIONS[i] != NULL; i++)
        xml_element(writer, "version", VERSIONS[i]);
    xml_close(writer);
    xml_close(writer);
    xml_close(writer);
    g_autofree char *body = xml_writer_finish(writer);
    http_answer_text(exchange, 200, "text/xml", body);
}

void lab_soap_handle(Lab *lab, HttpExchange *exchange)
{
    const char *path = http_path(exchange), *method = http_method(exchange);
    if (g_str_equal(path, "/sdk/vimServiceVersions.xml") && g_str_equal(method, "GET"))
        answer_versions(exchange);
    else if (!g_str_equal(path, "/sdk") && !g_str_equal(path, "/sdk/"))
        http_answer_text(exchange, 404, "text/plain", "404 Not Found\n");
    else if (!g_str_equal(method, "POST"))
        http_answer_text(exchange, 405, "text/plain", "405 Method Not Allowed\n");
    else
        handle_post(lab, exchange);
}
