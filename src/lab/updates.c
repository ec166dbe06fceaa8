/* Filters and waiting for them.
 *
 * A filter remembers what it reported last, object by object, property by property, in the form in which it
 * is written to the wire. To answer, every filter's objects are read again and compared: what is new is
 * "enter", what differs "modify", what is gone "leave".  With nothing to say the call sleeps until something
 * in the lab changes, or its time is over.
 *
 * One answer is remembered per collector: its version must be given back.  "" starts over and reports
 * everything; any other is InvalidCollectorVersion.
 */
#include "lab/collector.h"

#include "base/clock.h"
#include "lab/property.h"

#include <string.h>

#define POLL_USEC (G_USEC_PER_SEC / 2) /* some changes are made by a guest and announce themselves late */

typedef struct {
    LabObject object;
    LabCollector *collector;
    FilterSpec *spec;
    GHashTable *reported; /* moref -> GHashTable of path -> text as written */
} LabFilter;

static void filter_free(LabObject *object)
{
    LabFilter *filter = (LabFilter *)object;
    filter_spec_free(filter->spec);
    g_hash_table_unref(filter->reported);
    lab_object_fini(object);
    g_free(filter);
}

gboolean lab_create_filter(LabCall *call)
{
    XmlNode *node = xml_child(call->arguments, "spec");
    FilterSpec *spec = filter_spec_new(call, node);
    if (spec == NULL)
        return FALSE;
    LabFilter *filter = g_new0(LabFilter, 1);
    filter->object.free = filter_free;
    filter->collector = (LabCollector *)call->self;
    filter->spec = spec;
    filter->reported =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    lab_session_add_object(call->lab, call->session, &filter->object, "PropertyFilter", "PropertyFilter");
    g_ptr_array_add(filter->collector->filters, g_strdup(filter->object.moref));
    g_cond_broadcast(&call->lab->changed);
    call->result = lab_ref(&filter->object);
    return TRUE;
}

gboolean lab_destroy_filter(LabCall *call)
{
    LabFilter *filter = (LabFilter *)call->self;
    guint index;
    if (g_ptr_array_find_with_equal_func(filter->collector->filters, filter->object.moref, g_str_equal,
                                         &index))
        g_ptr_array_remove_index(filter->collector->filters, index);
    g_hash_table_remove(call->session->objects, filter->object.moref);
    return TRUE;
}

/* --- what changed --- */

static char *as_written(const Value *value)
{
    XmlWriter *writer = xml_writer_new(0, FALSE);
    value_write(value, writer, "val", "anyType");
    return xml_writer_finish(writer);
}

static Value *new_update(const char *kind, const char *type, const char *moref)
{
    Value *update = value_new("ObjectUpdate");
    value_set_text(update, "kind", kind);
    value_set_ref(update, "obj", type, moref);
    return update;
}

static void add_change(Value *update, const char *path, const char *op, const Value *value)
{
    Value *change = value_new("PropertyChange");
    value_set_text(change, "name", path);
    value_set_text(change, "op", op);
    value_set(change, "val", value_copy(value));
    value_append(update, "changeSet", change);
}

/* Paths that were reported and are unset now. */
static gboolean report_unset(GHashTable *known, const Value *content, Value *update)
{
    g_autoptr(GHashTable) now = g_hash_table_new(g_str_hash, g_str_equal);
    const Value *properties = value_get(content, "propSet");
    for (guint i = 0; properties != NULL && i < value_length(properties); i++)
        g_hash_table_add(now, (gpointer)value_get_text(value_get(value_item(properties, i), "name")));
    gboolean any = FALSE;
    GHashTableIter iterator;
    gpointer path;
    g_hash_table_iter_init(&iterator, known);
    while (g_hash_table_iter_next(&iterator, &path, NULL))
        if (!g_hash_table_contains(now, path)) {
            add_change(update, path, "remove", NULL);
            g_hash_table_iter_remove(&iterator);
            any = TRUE;
        }
    return any;
}

/* Compares with what was reported of the object, and takes over what is now.  NULL when nothing differs. */
static Value *object_update(LabFilter *filter, const Value *content)
{
    const Value *object = value_get(content, "obj");
    const char *moref = value_get_text(object);
    GHashTable *known = g_hash_table_lookup(filter->reported, moref);
    gboolean fresh = known == NULL;
    if (fresh) {
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(filter->reported, g_strdup(moref), known);
    }
    g_autoptr(Value) update = new_update(fresh ? "enter" : "modify", value_type(object), moref);
    gboolean differs = report_unset(known, content, update) || fresh;
    const Value *properties = value_get(content, "propSet");
    for (guint i = 0; properties != NULL && i < value_length(properties); i++) {
        const Value *property = value_item(properties, i);
        const char *path = value_get_text(value_get(property, "name"));
        char *text = as_written(value_get(property, "val"));
        if (g_strcmp0(text, g_hash_table_lookup(known, path)) == 0) {
            g_free(text);
            continue;
        }
        g_hash_table_insert(known, g_strdup(path), text);
        add_change(update, path, "assign", value_get(property, "val"));
        differs = TRUE;
    }
    return differs ? g_steal_pointer(&update) : NULL;
}

static void report_gone(LabFilter *filter, GHashTable *seen, Value *filter_update)
{
    GHashTableIter iterator;
    gpointer moref;
    g_hash_table_iter_init(&iterator, filter->reported);
    while (g_hash_table_iter_next(&iterator, &moref, NULL))
        if (!g_hash_table_contains(seen, moref)) {
            /* What has gone has no type any more; tasks are what goes most. */
            const char *type = g_str_has_prefix(moref, "snapshot-") ? "VirtualMachineSnapshot" : "Task";
            value_append(filter_update, "objectSet", new_update("leave", type, moref));
            g_hash_table_iter_remove(&iterator);
        }
}

static Value *filter_update(Lab *lab, LabSession *session, LabFilter *filter)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)filter_item_free);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(Value) result = value_new("PropertyFilterUpdate");
    value_set(result, "filter", lab_ref(&filter->object));
    filter_spec_select(filter->spec, lab, session, items);
    for (guint i = 0; i < items->len; i++) {
        const FilterItem *item = g_ptr_array_index(items, i);
        g_autoptr(Value) content = lab_object_content(lab, session, item);
        if (content == NULL)
            continue;
        g_hash_table_add(seen, item->moref);
        value_append(result, "objectSet", object_update(filter, content));
    }
    report_gone(filter, seen, result);
    return value_get(result, "objectSet") != NULL ? g_steal_pointer(&result) : NULL;
}

static Value *update_set(LabCall *call, LabCollector *collector)
{
    g_autoptr(Value) set = value_new("UpdateSet");
    for (guint i = 0; i < collector->filters->len; i++) {
        LabFilter *filter = (LabFilter *)lab_session_object(call->lab, call->session,
                                                            g_ptr_array_index(collector->filters, i));
        value_append(set, "filterSet", filter_update(call->lab, call->session, filter));
    }
    if (value_get(set, "filterSet") == NULL)
        return NULL;
    value_setf(set, "version", "%" G_GUINT64_FORMAT, ++collector->version);
    return g_steal_pointer(&set);
}

/* --- waiting --- */

static void forget_reports(LabCall *call, LabCollector *collector)
{
    for (guint i = 0; i < collector->filters->len; i++) {
        LabFilter *filter = (LabFilter *)lab_session_object(call->lab, call->session,
                                                            g_ptr_array_index(collector->filters, i));
        g_hash_table_remove_all(filter->reported);
    }
}

static gboolean check_version(LabCall *call, LabCollector *collector)
{
    const char *version = call_text(call, "version");
    if (version == NULL || version[0] == '\0') {
        forget_reports(call, collector);
        return TRUE;
    }
    g_autofree char *last = g_strdup_printf("%" G_GUINT64_FORMAT, collector->version);
    return g_str_equal(version, last) ||
           lab_fault_plain(&call->fault, "InvalidCollectorVersion", "The version %s is not known.", version);
}

/* `deadline` 0: for ever.  Session and collector may end while the lock is given up. */
static gboolean wait_for_updates(LabCall *call, gint64 deadline)
{
    LabCollector *collector = (LabCollector *)call->self;
    g_autofree char *moref = g_strdup(collector->object.moref);
    if (!check_version(call, collector))
        return FALSE;
    collector->cancelled = FALSE;
    while ((call->result = update_set(call, collector)) == NULL) {
        gint64 now = g_get_monotonic_time();
        if (deadline != 0 && now >= deadline)
            return TRUE;
        gint64 until = now + POLL_USEC;
        g_cond_wait_until(&call->lab->changed, &call->lab->lock,
                          deadline != 0 ? MIN(until, deadline) : until);
        call->session->last_active = clock_now();
        if (call->session->ended)
            return call_not_authenticated(call);
        collector = g_hash_table_lookup(call->session->objects, moref);
        if (collector == NULL || collector->cancelled || cancel_fired(call->lab->cancel))
            return lab_fault_plain(&call->fault, "RequestCanceled", "The wait was canceled.");
    }
    return TRUE;
}

gboolean lab_wait_for_updates(LabCall *call)
{
    return wait_for_updates(call, 0);
}

gboolean lab_wait_for_updates_ex(LabCall *call)
{
    XmlNode *options = xml_child(call->arguments, "options");
    const char *text = xml_child_text(options, "maxWaitSeconds");
    gint64 seconds;
    if (text == NULL)
        return wait_for_updates(call, 0);
    if (!g_ascii_string_to_signed(text, 10, 0, G_MAXINT32, &seconds, NULL))
        return lab_fault_argument(&call->fault, "maxWaitSeconds");
    return wait_for_updates(call, g_get_monotonic_time() + seconds * G_USEC_PER_SEC);
}

gboolean lab_cancel_wait(LabCall *call)
{
    ((LabCollector *)call->self)->cancelled = TRUE;
    g_cond_broadcast(&call->lab->changed);
    return TRUE;
}
