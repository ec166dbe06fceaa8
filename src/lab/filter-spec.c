#include "lab/filter-spec.h"

#include "lab/property.h"
#include "lab/schema.h"

typedef struct {
    char *type;
    gboolean all;
    GPtrArray *paths; /* char * */
} PropertySpec;

/* A TraversalSpec, or only its name: "go on as said there". */
typedef struct {
    char *name; /* NULL when it has none */
    char *type, *path;
    gboolean skip;
    GPtrArray *selects; /* Selection */
} Selection;

typedef struct {
    char *moref;
    gboolean skip;
    GPtrArray *selects; /* Selection */
} ObjectSpec;

struct FilterSpec {
    GPtrArray *properties; /* PropertySpec */
    GPtrArray *objects;    /* ObjectSpec */
    GHashTable *named;     /* name -> Selection with a path, borrowed */
};

static void property_spec_free(PropertySpec *spec)
{
    g_free(spec->type);
    g_ptr_array_unref(spec->paths);
    g_free(spec);
}

static void selection_free(Selection *selection)
{
    g_free(selection->name);
    g_free(selection->type);
    g_free(selection->path);
    g_ptr_array_unref(selection->selects);
    g_free(selection);
}

static void object_spec_free(ObjectSpec *spec)
{
    g_free(spec->moref);
    g_ptr_array_unref(spec->selects);
    g_free(spec);
}

void filter_spec_free(FilterSpec *spec)
{
    if (spec == NULL)
        return;
    g_ptr_array_unref(spec->properties);
    g_ptr_array_unref(spec->objects);
    g_hash_table_unref(spec->named);
    g_free(spec);
}

void filter_item_free(FilterItem *item)
{
    g_free(item->moref);
    g_ptr_array_unref(item->paths);
    g_free(item);
}

/* --- reading the request --- */

static gboolean is_true(XmlNode *node, const char *name)
{
    const char *text = xml_child_text(node, name);
    return text != NULL && (g_str_equal(text, "true") || g_str_equal(text, "1"));
}

static gboolean no_such_property(LabCall *call, const char *path)
{
    Value *value = value_new("InvalidProperty");
    value_set_text(value, "name", path);
    return lab_fault(&call->fault, value, "Invalid property: %s", path);
}

static gboolean no_such_type(LabCall *call, const char *type)
{
    Value *value = value_new("InvalidType");
    value_set_text(value, "argument", type);
    return lab_fault(&call->fault, value, "The type %s does not exist", type);
}

static void add_all(PropertySpec *spec)
{
    const SchemaType *type = schema_type(spec->type);
    for (guint i = 0; i < schema_n_fields(type); i++)
        g_ptr_array_add(spec->paths, g_strdup(schema_field(type, i)->name));
}

static gboolean read_property_spec(LabCall *call, XmlNode *node, FilterSpec *filter)
{
    const char *type = xml_child_text(node, "type");
    if (type == NULL || schema_type(type) == NULL)
        return no_such_type(call, type != NULL ? type : "");
    PropertySpec *spec = g_new0(PropertySpec, 1);
    spec->type = g_strdup(type);
    spec->paths = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(filter->properties, spec);
    if (is_true(node, "all"))
        add_all(spec);
    for (XmlNode *path = xml_child(node, "pathSet"); path != NULL; path = xml_next(path, "pathSet")) {
        if (schema_path(type, xml_text(path)) == NULL)
            return no_such_property(call, xml_text(path));
        g_ptr_array_add(spec->paths, g_strdup(xml_text(path)));
    }
    return TRUE;
}

static gboolean read_selections(LabCall *call, XmlNode *node, FilterSpec *filter, GPtrArray *selections);

static gboolean read_selection(LabCall *call, XmlNode *node, FilterSpec *filter, Selection *selection)
{
    selection->name = g_strdup(xml_child_text(node, "name"));
    selection->type = g_strdup(xml_child_text(node, "type"));
    selection->path = g_strdup(xml_child_text(node, "path"));
    selection->skip = is_true(node, "skip");
    if (selection->path == NULL)
        return selection->name != NULL || lab_fault_argument(&call->fault, "selectSet");
    if (selection->type == NULL || schema_type(selection->type) == NULL)
        return no_such_type(call, selection->type != NULL ? selection->type : "");
    if (schema_path(selection->type, selection->path) == NULL)
        return no_such_property(call, selection->path);
    if (selection->name != NULL)
        g_hash_table_insert(filter->named, selection->name, selection);
    return read_selections(call, node, filter, selection->selects);
}

static gboolean read_selections(LabCall *call, XmlNode *node, FilterSpec *filter, GPtrArray *selections)
{
    for (XmlNode *set = xml_child(node, "selectSet"); set != NULL; set = xml_next(set, "selectSet")) {
        Selection *selection = g_new0(Selection, 1);
        selection->selects = g_ptr_array_new_with_free_func((GDestroyNotify)selection_free);
        g_ptr_array_add(selections, selection);
        if (!read_selection(call, set, filter, selection))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_object_spec(LabCall *call, XmlNode *node, FilterSpec *filter)
{
    XmlNode *reference = xml_child(node, "obj");
    LabObject *object;
    if (reference == NULL)
        return lab_fault_argument(&call->fault, "obj");
    if (!call_resolve(call, reference,
                      xml_attribute(reference, "type") != NULL ? xml_attribute(reference, "type") : "",
                      &object))
        return FALSE;
    ObjectSpec *spec = g_new0(ObjectSpec, 1);
    spec->moref = g_strdup(object->moref);
    spec->skip = is_true(node, "skip");
    spec->selects = g_ptr_array_new_with_free_func((GDestroyNotify)selection_free);
    g_ptr_array_add(filter->objects, spec);
    return read_selections(call, node, filter, spec->selects);
}

FilterSpec *filter_spec_new(LabCall *call, XmlNode *node)
{
    g_autoptr(FilterSpec) filter = g_new0(FilterSpec, 1);
    filter->properties = g_ptr_array_new_with_free_func((GDestroyNotify)property_spec_free);
    filter->objects = g_ptr_array_new_with_free_func((GDestroyNotify)object_spec_free);
    filter->named = g_hash_table_new(g_str_hash, g_str_equal);
    for (XmlNode *set = xml_child(node, "propSet"); set != NULL; set = xml_next(set, "propSet"))
        if (!read_property_spec(call, set, filter))
            return NULL;
    for (XmlNode *set = xml_child(node, "objectSet"); set != NULL; set = xml_next(set, "objectSet"))
        if (!read_object_spec(call, set, filter))
            return NULL;
    return g_steal_pointer(&filter);
}

/* --- following it --- */

typedef struct {
    const FilterSpec *spec;
    Lab *lab;
    LabSession *session;
    GPtrArray *items;
    GHashTable *listed;  /* moref: is among the items */
    GHashTable *visited; /* "moref selection": has been followed */
} Walk;

static gint by_text(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

static void add_paths(GPtrArray *paths, const GPtrArray *more)
{
    for (guint i = 0; i < more->len; i++)
        if (!g_ptr_array_find_with_equal_func(paths, g_ptr_array_index(more, i), g_str_equal, NULL))
            g_ptr_array_add(paths, g_strdup(g_ptr_array_index(more, i)));
}

/* An object is listed when a propSet is meant for its type. */
static void list_object(Walk *walk, const LabObject *object)
{
    if (g_hash_table_contains(walk->listed, object->moref))
        return;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    gboolean wanted = FALSE;
    for (guint i = 0; i < walk->spec->properties->len; i++) {
        const PropertySpec *spec = g_ptr_array_index(walk->spec->properties, i);
        if (!schema_is(object->type, spec->type))
            continue;
        wanted = TRUE;
        add_paths(paths, spec->paths);
    }
    if (!wanted)
        return;
    g_ptr_array_sort(paths, by_text);
    FilterItem *item = g_new0(FilterItem, 1);
    item->moref = g_strdup(object->moref);
    item->paths = g_steal_pointer(&paths);
    g_ptr_array_add(walk->items, item);
    g_hash_table_add(walk->listed, item->moref);
}

static void visit(Walk *walk, LabObject *object, gboolean skip, const GPtrArray *selections);

static void follow_value(Walk *walk, const Value *value, const Selection *selection)
{
    if (value == NULL)
        return;
    if (value_is_array(value)) {
        for (guint i = 0; i < value_length(value); i++)
            follow_value(walk, value_item(value, i), selection);
        return;
    }
    LabObject *object =
        value_is_ref(value) ? lab_session_object(walk->lab, walk->session, value_get_text(value)) : NULL;
    if (object != NULL)
        visit(walk, object, selection->skip, selection->selects);
}

static void follow(Walk *walk, LabObject *object, const Selection *selection)
{
    if (selection->path == NULL)
        selection = g_hash_table_lookup(walk->spec->named, selection->name);
    if (selection == NULL || !schema_is(object->type, selection->type))
        return;
    if (!g_hash_table_add(walk->visited, g_strdup_printf("%s %p", object->moref, (const void *)selection)))
        return;
    LabReader reader;
    lab_reader_init(&reader, walk->lab, walk->session, object);
    follow_value(walk, lab_read_property(&reader, selection->path), selection);
    lab_reader_fini(&reader);
}

static void visit(Walk *walk, LabObject *object, gboolean skip, const GPtrArray *selections)
{
    if (!skip)
        list_object(walk, object);
    for (guint i = 0; i < selections->len; i++)
        follow(walk, object, g_ptr_array_index(selections, i));
}

void filter_spec_select(const FilterSpec *spec, Lab *lab, LabSession *session, GPtrArray *items)
{
    Walk walk = {.spec = spec, .lab = lab, .session = session, .items = items};
    walk.listed = g_hash_table_new(g_str_hash, g_str_equal);
    walk.visited = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < spec->objects->len; i++) {
        const ObjectSpec *start = g_ptr_array_index(spec->objects, i);
        LabObject *object = lab_session_object(lab, session, start->moref);
        if (object != NULL)
            visit(&walk, object, start->skip, start->selects);
    }
    g_hash_table_unref(walk.listed);
    g_hash_table_unref(walk.visited);
}
