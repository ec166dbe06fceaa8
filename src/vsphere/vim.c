#include "vsphere/vim.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static int compare_name(gconstpointer name, gconstpointer entry)
{
    const VimType *const *type = entry;

    return strcmp(name, (*type)->name);
}

const VimType *vim_type_find(const char *name)
{
    const VimType *const *found = bsearch(name, vim_types, vim_n_types, sizeof *vim_types, compare_name);

    return found != NULL ? *found : NULL;
}

gboolean vim_extends(const VimType *type, const VimType *base)
{
    while (type != NULL && type != base)
        type = type->base;
    return type != NULL;
}

gconstpointer vim_cast(gconstpointer object, const VimType *type)
{
    const VimObject *header = object;

    return object != NULL && vim_extends(header->type, type) ? object : NULL;
}

const char *vim_type_name(gconstpointer object)
{
    const VimObject *header = object;

    return header->unknown_type != NULL ? header->unknown_type : header->type->name;
}

static gpointer member(gconstpointer object, gsize offset)
{
    return G_STRUCT_MEMBER_P(object, offset);
}

/* --- making and freeing --- */

static gpointer new_list(const VimField *field)
{
    if (field->kind == VIM_INT)
        return g_array_new(FALSE, FALSE, sizeof(gint32));
    return g_ptr_array_new_with_free_func(field->kind == VIM_OBJECT ? vim_free : g_free);
}

gpointer vim_new(const VimType *type)
{
    VimObject *object = g_malloc0(type->size);

    object->type = type;
    for (const VimType *level = type; level != NULL; level = level->base)
        for (guint i = 0; i < level->n_fields; i++)
            if (level->fields[i].list)
                *(gpointer *)member(object, level->fields[i].offset) = new_list(&level->fields[i]);
    return object;
}

static void free_field(gpointer object, const VimField *field)
{
    gpointer *place = member(object, field->offset);

    if (field->list && field->kind == VIM_INT)
        g_array_unref(*place);
    else if (field->list)
        g_ptr_array_unref(*place);
    else if (field->kind == VIM_OBJECT)
        vim_free(*place);
    else if (field->kind == VIM_STRING)
        g_free(*place);
}

void vim_free(gpointer object)
{
    VimObject *header = object;

    if (object == NULL)
        return;
    for (const VimType *level = header->type; level != NULL; level = level->base)
        for (guint i = 0; i < level->n_fields; i++)
            free_field(object, &level->fields[i]);
    if (header->type->managed) {
        VimManaged *managed = object;

        g_free(managed->moref);
        g_clear_error(&managed->missing);
    }
    g_free(header->unknown_type);
    g_free(object);
}

/* --- decoding --- */

static gboolean decode_number(const VimField *field, XmlNode *node, gint64 *ret, GError **error)
{
    gint64 min = field->kind == VIM_INT ? G_MININT32 : G_MININT64;
    gint64 max = field->kind == VIM_INT ? G_MAXINT32 : G_MAXINT64;
    g_autoptr(GError) local = NULL;

    if (g_ascii_string_to_signed(xml_text(node), 10, min, max, ret, &local))
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID, "%s: %s", field->name, local->message);
}

static gboolean decode_boolean(const VimField *field, XmlNode *node, gboolean *ret, GError **error)
{
    const char *text = xml_text(node);

    *ret = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (*ret || strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID, "%s: \"%.20s\" is neither true nor false", field->name, text);
}

static int enum_value(const char *const *values, const char *text)
{
    for (int i = 0; values[i] != NULL; i++)
        if (strcmp(values[i], text) == 0)
            return i + 1;
    return 0;
}

/* Into the place of a single field. */
static gboolean decode_value(gpointer object, const VimField *field, XmlNode *node, GError **error)
{
    gpointer place = member(object, field->offset);
    gint64 number;

    switch (field->kind) {
    case VIM_STRING:
        *(char **)place = g_strdup(xml_text(node));
        return TRUE;
    case VIM_BOOLEAN:
        return decode_boolean(field, node, place, error);
    case VIM_ENUM:
        *(int *)place = enum_value(field->values, xml_text(node));
        return TRUE;
    case VIM_OBJECT:
        *(gpointer *)place = vim_decode(field->object, node, error);
        return *(gpointer *)place != NULL;
    case VIM_INT:
    case VIM_LONG:
        break;
    }
    if (!decode_number(field, node, &number, error))
        return FALSE;
    if (field->kind == VIM_INT)
        *(gint32 *)place = (gint32)number;
    else
        *(gint64 *)place = number;
    if (field->has_offset != 0)
        *(gboolean *)member(object, field->has_offset) = TRUE;
    return TRUE;
}

static gboolean append_item(gpointer object, const VimField *field, XmlNode *node, GError **error)
{
    gpointer list = *(gpointer *)member(object, field->offset);
    gint64 number;
    gpointer item;

    switch (field->kind) {
    case VIM_INT:
        if (!decode_number(field, node, &number, error))
            return FALSE;
        g_array_append_vals(list, &(gint32){(gint32)number}, 1);
        return TRUE;
    case VIM_OBJECT:
        item = vim_decode(field->object, node, error);
        if (item == NULL)
            return FALSE;
        g_ptr_array_add(list, item);
        return TRUE;
    case VIM_STRING:
    case VIM_BOOLEAN:
    case VIM_LONG:
    case VIM_ENUM:
        break;
    }
    g_ptr_array_add(list, g_strdup(xml_text(node)));
    return TRUE;
}

static gboolean decode_required(XmlNode *node, const VimType *level, const VimField *field, GError **error)
{
    if (field->optional || field->list)
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID, "line %u: %s without %s", xml_line(node), level->name,
                   field->name);
}

static gboolean decode_field(gpointer object, const VimType *level, const VimField *field, XmlNode *node,
                             GError **error)
{
    XmlNode *child = xml_child(node, field->name);

    if (child == NULL)
        return decode_required(node, level, field, error);
    if (!field->list) {
        if (xml_next(child, field->name) != NULL)
            return vf_fail(error, VF_ERROR_INVALID, "line %u: %s has two %s", xml_line(node), level->name,
                           field->name);
        return decode_value(object, field, child, error);
    }
    for (; child != NULL; child = xml_next(child, field->name))
        if (!append_item(object, field, child, error))
            return FALSE;
    return TRUE;
}

static gboolean decode_fields(gpointer object, const VimType *level, XmlNode *node, GError **error)
{
    if (level->base != NULL && !decode_fields(object, level->base, node, error))
        return FALSE;
    for (guint i = 0; i < level->n_fields; i++)
        if (!decode_field(object, level, &level->fields[i], node, error))
            return FALSE;
    return TRUE;
}

gpointer vim_decode(const VimType *declared, XmlNode *node, GError **error)
{
    const char *name = xml_xsi_type(node);
    const VimType *known = name != NULL ? vim_type_find(name) : declared;
    VimObject *object;

    if (known != NULL && !vim_extends(known, declared)) {
        vf_fail(error, VF_ERROR_INVALID, "line %u: %s where %s belongs", xml_line(node), name,
                declared->name);
        return NULL;
    }
    object = vim_new(known != NULL ? known : declared);
    if (known == NULL)
        object->unknown_type = g_strdup(name);
    if (!decode_fields(object, object->type, node, error)) {
        vim_free(object);
        return NULL;
    }
    return object;
}

static const VimField *find_field(const VimType *type, const char *name)
{
    for (; type != NULL; type = type->base)
        for (guint i = 0; i < type->n_fields; i++)
            if (strcmp(type->fields[i].name, name) == 0)
                return &type->fields[i];
    return NULL;
}

static gboolean is_filled(gconstpointer object, const VimField *field)
{
    gconstpointer *place = member(object, field->offset);

    return (field->kind == VIM_STRING || field->kind == VIM_OBJECT) && *place != NULL;
}

gboolean vim_decode_property(gpointer managed, const char *path, XmlNode *value, GError **error)
{
    const VimObject *header = managed;
    const VimField *field = find_field(header->type, path);

    if (field == NULL)
        return TRUE;
    if (!field->list) {
        if (is_filled(managed, field))
            return vf_fail(error, VF_ERROR_INVALID, "property %s is there twice", path);
        return decode_value(managed, field, value, error);
    }
    for (XmlNode *item = xml_child(value, NULL); item != NULL; item = xml_next(item, NULL))
        if (!append_item(managed, field, item, error))
            return FALSE;
    return TRUE;
}

/* --- by name --- */

static gconstpointer get(gconstpointer object, const char *name, VimKind kind)
{
    const VimObject *header = object;
    const VimField *field = object != NULL ? find_field(header->type, name) : NULL;

    if (field == NULL || field->kind != kind || field->list)
        return NULL;
    return *(gconstpointer *)member(object, field->offset);
}

const char *vim_get_string(gconstpointer object, const char *name)
{
    return get(object, name, VIM_STRING);
}

gconstpointer vim_get_object(gconstpointer object, const char *name)
{
    return get(object, name, VIM_OBJECT);
}
