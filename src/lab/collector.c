#include "lab/collector.h"

#include "lab/property.h"
#include "lab/schema.h"

static void collector_free(LabObject *object)
{
    LabCollector *collector = (LabCollector *)object;
    g_hash_table_unref(collector->pending);
    g_ptr_array_unref(collector->filters);
    lab_object_fini(object);
    g_free(collector);
}

static LabCollector *collector_new(void)
{
    LabCollector *collector = g_new0(LabCollector, 1);
    collector->object.free = collector_free;
    collector->object.type = "PropertyCollector";
    collector->pending =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    collector->filters = g_ptr_array_new_with_free_func(g_free);
    return collector;
}

void lab_collector_ensure(LabSession *session)
{
    if (g_hash_table_contains(session->objects, LAB_DEFAULT_COLLECTOR))
        return;
    LabCollector *collector = collector_new();
    collector->object.moref = g_strdup(LAB_DEFAULT_COLLECTOR);
    g_hash_table_insert(session->objects, collector->object.moref, collector);
}

static LabCollector *self(LabCall *call)
{
    return (LabCollector *)call->self;
}

/* --- retrieval --- */

Value *lab_object_content(Lab *lab, LabSession *session, const FilterItem *item)
{
    LabObject *object = lab_session_object(lab, session, item->moref);
    if (object == NULL)
        return NULL;
    LabReader reader;
    lab_reader_init(&reader, lab, session, object);
    Value *content = value_new("ObjectContent");
    value_set(content, "obj", lab_ref(object));
    for (guint i = 0; i < item->paths->len; i++) {
        const char *path = g_ptr_array_index(item->paths, i);
        const Value *found = lab_read_property(&reader, path);
        if (found == NULL)
            continue;
        Value *property = value_new("DynamicProperty");
        value_set_text(property, "name", path);
        value_set(property, "val", value_copy(found));
        value_append(content, "propSet", property);
    }
    lab_reader_fini(&reader);
    return content;
}

/* All objects that the call's specSets select, or NULL with the fault. */
static GPtrArray *select_all(LabCall *call)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)filter_item_free);
    for (XmlNode *set = xml_child(call->arguments, "specSet"); set != NULL; set = xml_next(set, "specSet")) {
        g_autoptr(FilterSpec) spec = filter_spec_new(call, set);
        if (spec == NULL)
            return NULL;
        filter_spec_select(spec, call->lab, call->session, items);
    }
    return g_steal_pointer(&items);
}

/* Takes up to `max` items off the front; what is left waits under the token that the result carries. */
static Value *take_page(LabCall *call, GPtrArray *items, guint max)
{
    if (items->len == 0) {
        g_ptr_array_unref(items);
        return NULL;
    }
    Value *result = value_new("RetrieveResult");
    guint n = MIN(items->len, max);
    for (guint i = 0; i < n; i++)
        value_append(result, "objects",
                     lab_object_content(call->lab, call->session, g_ptr_array_index(items, i)));
    g_ptr_array_remove_range(items, 0, n);
    if (items->len > 0) {
        char *token = g_strdup_printf("%" G_GUINT64_FORMAT, call->lab->next_number++);
        value_set_text(result, "token", token);
        g_hash_table_insert(self(call)->pending, token, items);
    } else {
        g_ptr_array_unref(items);
    }
    return result;
}

static guint page_limit(LabCall *call, gint64 asked)
{
    return asked > 0 ? (guint)MIN(asked, call->lab->page_size) : call->lab->page_size;
}

static gboolean retrieve_properties_ex(LabCall *call)
{
    XmlNode *options = xml_child(call->arguments, "options");
    const char *text = xml_child_text(options, "maxObjects");
    gint64 max = 0;
    if (text != NULL && !g_ascii_string_to_signed(text, 10, 1, G_MAXINT32, &max, NULL))
        return lab_fault_argument(&call->fault, "maxObjects");
    GPtrArray *items = select_all(call);
    if (items == NULL)
        return FALSE;
    call->result = take_page(call, items, page_limit(call, max));
    return TRUE;
}

static gboolean continue_retrieve(LabCall *call)
{
    gpointer token = NULL, items = NULL;
    if (!g_hash_table_steal_extended(self(call)->pending, call_text(call, "token"), &token, &items))
        return lab_fault_argument(&call->fault, "token");
    g_free(token);
    call->result = take_page(call, items, call->lab->page_size);
    return TRUE;
}

static gboolean cancel_retrieve(LabCall *call)
{
    return g_hash_table_remove(self(call)->pending, call_text(call, "token")) ||
           lab_fault_argument(&call->fault, "token");
}

static gboolean retrieve_properties(LabCall *call)
{
    g_autoptr(GPtrArray) items = select_all(call);
    if (items == NULL)
        return FALSE;
    call->result = value_array("ObjectContent");
    for (guint i = 0; i < items->len; i++)
        value_add(call->result, lab_object_content(call->lab, call->session, g_ptr_array_index(items, i)));
    return TRUE;
}

/* --- collectors of one's own --- */

static gboolean create_collector(LabCall *call)
{
    LabCollector *collector = collector_new();
    lab_session_add_object(call->lab, call->session, &collector->object, "PropertyCollector",
                           "PropertyCollector");
    call->result = lab_ref(&collector->object);
    return TRUE;
}

static gboolean destroy_collector(LabCall *call)
{
    if (g_str_equal(call->self->moref, LAB_DEFAULT_COLLECTOR))
        return lab_fault_plain(&call->fault, "NotSupported",
                               "The session's own collector cannot be destroyed.");
    for (guint i = 0; i < self(call)->filters->len; i++)
        g_hash_table_remove(call->session->objects, g_ptr_array_index(self(call)->filters, i));
    g_hash_table_remove(call->session->objects, call->self->moref);
    g_cond_broadcast(&call->lab->changed);
    return TRUE;
}

const LabMethod LAB_COLLECTOR_METHODS[] = {
    {"RetrievePropertiesEx", "PropertyCollector", retrieve_properties_ex, "specSet* options", .since = 41},
    {"ContinueRetrievePropertiesEx", "PropertyCollector", continue_retrieve, "token", .since = 41},
    {"CancelRetrievePropertiesEx", "PropertyCollector", cancel_retrieve, "token", .since = 41},
    {"RetrieveProperties", "PropertyCollector", retrieve_properties, "specSet*", .since = 20},
    {"CreatePropertyCollector", "PropertyCollector", create_collector, "", .since = 41},
    {"DestroyPropertyCollector", "PropertyCollector", destroy_collector, "", .since = 41},
    {"CreateFilter", "PropertyCollector", lab_create_filter, "spec partialUpdates", .since = 20},
    {"DestroyPropertyFilter", "PropertyFilter", lab_destroy_filter, "", .since = 20},
    {"WaitForUpdates", "PropertyCollector", lab_wait_for_updates, "version?", .since = 20},
    {"WaitForUpdatesEx", "PropertyCollector", lab_wait_for_updates_ex, "version? options?", .since = 41},
    {"CancelWaitForUpdates", "PropertyCollector", lab_cancel_wait, "", .since = 20},
    {NULL},
};
