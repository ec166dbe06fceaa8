#include "vsphere/property.h"

#include "base/error.h"
#include "base/log.h"
#include "vsphere/fault.h"

#include <string.h>

#define PAGE_OBJECTS 100
#define OBJECTS_MAX  1000000u

/* --- decoding --- */

/* Of a type that nobody asked for: NULL. */
static const VimType *wanted_type(const VimType *const *wanted, const char *name)
{
    if (name == NULL)
        return NULL;
    while (*wanted != NULL && strcmp((*wanted)->name, name) != 0 &&
           !g_strv_contains((*wanted)->subtypes, name))
        wanted++;
    return *wanted;
}

static gboolean decode_missing(VimManaged *object, XmlNode *missing, GError **error)
{
    g_autoptr(VimLocalizedMethodFault) fault = NULL;
    XmlNode *node = xml_child(missing, "fault");

    if (object->missing != NULL || node == NULL)
        return TRUE;
    fault = vim_decode(&vim_localized_method_fault_type, node, error);
    if (fault == NULL)
        return FALSE;
    fault_fail(fault, &object->missing);
    g_prefix_error(&object->missing, "%s of %s: ", xml_child_text(missing, "path"), object->moref);
    return TRUE;
}

static gboolean decode_content(VimManaged *object, XmlNode *content, GError **error)
{
    for (XmlNode *set = xml_child(content, "propSet"); set != NULL; set = xml_next(set, "propSet")) {
        const char *path = xml_child_text(set, "name");
        XmlNode *value = xml_child(set, "val");

        if (path == NULL || value == NULL)
            return vf_fail(error, VF_ERROR_INVALID, "%s: a property without name or value", object->moref);
        if (!vim_decode_property(object, path, value, error)) {
            g_prefix_error(error, "%s of %s: ", path, object->moref);
            return FALSE;
        }
    }
    for (XmlNode *set = xml_child(content, "missingSet"); set != NULL; set = xml_next(set, "missingSet"))
        if (!decode_missing(object, set, error))
            return FALSE;
    return TRUE;
}

static gboolean decode_object(XmlNode *content, const VimType *const *wanted, GPtrArray *objects,
                              GError **error)
{
    XmlNode *moref = xml_child(content, "obj");
    const VimType *type = wanted_type(wanted, xml_attribute(moref, "type"));
    VimManaged *object;

    if (moref == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "properties of no object");
    if (type == NULL)
        return TRUE;
    object = vim_new(type);
    object->moref = g_strdup(xml_text(moref));
    g_ptr_array_add(objects, object);
    return decode_content(object, content, error);
}

gboolean property_decode(XmlNode *value, const VimType *const *wanted, GPtrArray *objects, char **ret_token,
                         GError **error)
{
    for (XmlNode *content = xml_child(value, "objects"); content != NULL;
         content = xml_next(content, "objects"))
        if (!decode_object(content, wanted, objects, error))
            return FALSE;
    *ret_token = g_strdup(xml_child_text(value, "token"));
    return TRUE;
}

/* --- asking --- */

static void put_wanted(XmlWriter *writer, const VimType *type, gboolean detail, gboolean plain)
{
    xml_open(writer, "propSet");
    xml_element(writer, "type", type->name);
    xml_element(writer, "all", "false");
    for (guint i = 0; i < type->n_fields; i++) {
        const VimField *field = &type->fields[i];

        if ((!field->detail || detail) && (!field->optional || !plain))
            xml_element(writer, "pathSet", field->name);
    }
    xml_close(writer);
}

static void put_way(XmlWriter *writer, const PropertyWay *way)
{
    xml_open(writer, "selectSet");
    xml_set(writer, "xsi:type", "TraversalSpec");
    xml_element(writer, "name", way->name);
    xml_element(writer, "type", way->type);
    xml_element(writer, "path", way->path);
    xml_element(writer, "skip", "false");
    for (const char *const *next = way->then; next != NULL && *next != NULL; next++) {
        xml_open(writer, "selectSet");
        xml_element(writer, "name", *next);
        xml_close(writer);
    }
    xml_close(writer);
}

static SoapRequest *first_page(Vsphere *vsphere, const PropertyQuery *query)
{
    SoapRequest *request = soap_request_new("RetrievePropertiesEx", "PropertyCollector",
                                            vsphere_content(vsphere)->property_collector, SOAP_REPEATABLE);
    XmlWriter *writer = soap_request_writer(request);

    soap_request_set_title(request, "reading %s %s", query->type, query->moref);
    xml_open(writer, "specSet");
    for (const VimType *const *type = query->wanted; *type != NULL; type++)
        put_wanted(writer, *type, query->detail, vsphere_plain(vsphere));
    xml_open(writer, "objectSet");
    soap_put_ref(request, "obj", query->type, query->moref);
    soap_put_boolean(request, "skip", query->skip_start);
    for (guint i = 0; i < query->n_ways; i++)
        put_way(writer, &query->ways[i]);
    xml_close(writer);
    xml_close(writer);
    xml_open(writer, "options");
    xml_elementf(writer, "maxObjects", "%d", PAGE_OBJECTS);
    xml_close(writer);
    return request;
}

static SoapRequest *token_request(Vsphere *vsphere, const char *method, const char *token, SoapManner manner)
{
    SoapRequest *request =
        soap_request_new(method, "PropertyCollector", vsphere_content(vsphere)->property_collector, manner);

    xml_element(soap_request_writer(request), "token", token);
    return request;
}

/* *token is the next page's: it may have come although the page was bad. */
static gboolean read_page(Vsphere *vsphere, SoapRequest *request, const PropertyQuery *query,
                          GPtrArray *objects, char **token, GError **error)
{
    g_autoptr(SoapReply) reply = vsphere_call(vsphere, request, error);

    if (reply == NULL)
        return FALSE;
    g_clear_pointer(token, g_free);
    if (!property_decode(soap_reply_value(reply), query->wanted, objects, token, error)) {
        g_prefix_error(error, "%s: %s: ", vsphere_server(vsphere), soap_request_title(request));
        return FALSE;
    }
    if (objects->len > OBJECTS_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "more than %u objects", OBJECTS_MAX);
    return TRUE;
}

static void give_up_pages(Vsphere *vsphere, const char *token)
{
    g_autoptr(SoapRequest) request =
        token_request(vsphere, "CancelRetrievePropertiesEx", token, SOAP_FAREWELL);

    vsphere_call_farewell(vsphere, request);
}

/* A token serves once, but a page whose answer was lost in the network is asked for again with the same one;
 * what the server then says decides. */
static GPtrArray *read_pages(Vsphere *vsphere, const PropertyQuery *query, GError **error)
{
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(vim_free);
    g_autoptr(SoapRequest) request = first_page(vsphere, query);
    g_autofree char *token = NULL;

    while (read_page(vsphere, request, query, objects, &token, error)) {
        if (token == NULL)
            return g_steal_pointer(&objects);
        soap_request_free(request);
        request = token_request(vsphere, "ContinueRetrievePropertiesEx", token, SOAP_REPEATABLE);
    }
    if (token != NULL)
        give_up_pages(vsphere, token);
    return NULL;
}

/* Pages and views belong to a session and end with it: what failed for that alone is asked again in the new
 * one. */
static gboolean is_another_session(Vsphere *vsphere, const char *key, const GError *failure)
{
    g_autofree char *now = vsphere_dup_session_key(vsphere);

    return g_strcmp0(key, now) != 0 && !vsphere_fault_is(failure, "NotAuthenticated");
}

/* TRUE when the same question may be answered if it is asked once more: an object along a way can go while it
 * is being read, as finished tasks do, and then is no longer on the way. */
static gboolean is_worth_repeating(Vsphere *vsphere, const PropertyQuery *query, const GError *failure)
{
    if (vsphere_fault_is(failure, "ManagedObjectNotFound"))
        return query->n_ways > 0;
    if (!vsphere_fault_is(failure, "InvalidProperty") || vsphere_plain(vsphere))
        return FALSE;
    log_debug("vsphere: doing without optional properties: %s", failure->message);
    vsphere_set_plain(vsphere);
    return TRUE;
}

GPtrArray *property_read(Vsphere *vsphere, const PropertyQuery *query, GError **error)
{
    g_autofree char *session = vsphere_dup_session_key(vsphere);
    g_autoptr(GError) local = NULL;
    GPtrArray *objects = read_pages(vsphere, query, &local);

    if (objects != NULL)
        return objects;
    if (is_another_session(vsphere, session, local) || is_worth_repeating(vsphere, query, local))
        return read_pages(vsphere, query, error);
    g_propagate_error(error, g_steal_pointer(&local));
    return NULL;
}

/* --- views --- */

static char *create_view(Vsphere *vsphere, const VimType *const *wanted, GError **error)
{
    const VimServiceContent *content = vsphere_content(vsphere);
    g_autoptr(SoapRequest) request =
        soap_request_new("CreateContainerView", "ViewManager", content->view_manager, SOAP_REPEATABLE);
    XmlWriter *writer = soap_request_writer(request);
    g_autoptr(SoapReply) reply = NULL;

    soap_put_ref(request, "container", "Folder", content->root_folder);
    for (; *wanted != NULL; wanted++)
        xml_element(writer, "type", (*wanted)->name);
    soap_put_boolean(request, "recursive", TRUE);
    reply = vsphere_call(vsphere, request, error);
    if (reply == NULL)
        return NULL;
    if (soap_reply_value(reply) == NULL) {
        vf_fail(error, VF_ERROR_INVALID, "%s: CreateContainerView without a view", vsphere_server(vsphere));
        return NULL;
    }
    return g_strdup(xml_text(soap_reply_value(reply)));
}

static void destroy_view(Vsphere *vsphere, const char *view)
{
    g_autoptr(SoapRequest) request = soap_request_new("DestroyView", "ContainerView", view, SOAP_FAREWELL);

    vsphere_call_farewell(vsphere, request);
}

static GPtrArray *read_through_view(Vsphere *vsphere, const VimType *const *wanted, GError **error)
{
    static const PropertyWay view_way = {.name = "view", .type = "ContainerView", .path = "view"};
    g_autofree char *view = create_view(vsphere, wanted, error);
    GPtrArray *objects;

    if (view == NULL)
        return NULL;
    objects = property_read(vsphere,
                            &(PropertyQuery){.type = "ContainerView",
                                             .moref = view,
                                             .skip_start = TRUE,
                                             .ways = &view_way,
                                             .n_ways = 1,
                                             .wanted = wanted},
                            error);
    destroy_view(vsphere, view);
    return objects;
}

GPtrArray *property_read_all(Vsphere *vsphere, const VimType *const *wanted, GError **error)
{
    g_autofree char *session = vsphere_dup_session_key(vsphere);
    g_autoptr(GError) local = NULL;
    GPtrArray *objects = read_through_view(vsphere, wanted, &local);

    if (objects != NULL)
        return objects;
    if (is_another_session(vsphere, session, local))
        return read_through_view(vsphere, wanted, error);
    g_propagate_error(error, g_steal_pointer(&local));
    return NULL;
}

gpointer property_read_one(Vsphere *vsphere, const VimType *type, const char *moref, GError **error)
{
    const VimType *const wanted[] = {type, NULL};
    PropertyQuery query = {.type = type->name, .moref = moref, .detail = TRUE, .wanted = wanted};
    g_autoptr(GPtrArray) objects = property_read(vsphere, &query, error);
    VimManaged *object;

    if (objects == NULL)
        return NULL;
    if (objects->len != 1) {
        vf_fail(error, VF_ERROR_NOT_FOUND, "%s: there is no %s %s", vsphere_server(vsphere), type->name,
                moref);
        return NULL;
    }
    object = g_ptr_array_index(objects, 0);
    if (object->missing != NULL) {
        g_propagate_error(error, g_steal_pointer(&object->missing));
        return NULL;
    }
    return g_ptr_array_steal_index(objects, 0);
}
