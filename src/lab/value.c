#include "lab/value.h"

#include "base/clock.h"
#include "lab/schema.h"

typedef enum { KIND_TEXT, KIND_REF, KIND_ARRAY, KIND_OBJECT } Kind;

struct Value {
    Kind kind;
    const char *type; /* interned */
    char *text;       /* of a text or a reference */
    GPtrArray *items; /* of an array */
    Value **fields;   /* of an object: one place per field of the schema */
};

static Value *make(Kind kind, const char *type)
{
    Value *value = g_new0(Value, 1);
    value->kind = kind;
    value->type = g_intern_string(type);
    return value;
}

Value *value_new(const char *type)
{
    const SchemaType *schema = schema_type(type);
    if (schema == NULL)
        g_error("lab: %s is not in the schema", type);
    Value *value = make(KIND_OBJECT, type);
    value->fields = g_new0(Value *, schema_n_fields(schema) + 1);
    return value;
}

Value *value_text(const char *type, const char *text)
{
    Value *value = make(KIND_TEXT, type);
    value->text = g_utf8_make_valid(text, -1);
    return value;
}

Value *value_ref(const char *type, const char *moref)
{
    Value *value = make(KIND_REF, type);
    value->text = g_strdup(moref);
    return value;
}

Value *value_array(const char *item_type)
{
    Value *value = make(KIND_ARRAY, item_type);
    value->items = g_ptr_array_new_with_free_func((GDestroyNotify)value_free);
    return value;
}

static guint n_fields(const Value *object)
{
    return schema_n_fields(schema_type(object->type));
}

Value *value_copy(const Value *value)
{
    if (value == NULL)
        return NULL;
    Value *copy = make(value->kind, value->type);
    copy->text = g_strdup(value->text);
    if (value->kind == KIND_ARRAY) {
        copy->items = g_ptr_array_new_with_free_func((GDestroyNotify)value_free);
        for (guint i = 0; i < value->items->len; i++)
            g_ptr_array_add(copy->items, value_copy(value_item(value, i)));
    }
    if (value->kind == KIND_OBJECT) {
        copy->fields = g_new0(Value *, n_fields(value) + 1);
        for (guint i = 0; i < n_fields(value); i++)
            copy->fields[i] = value_copy(value->fields[i]);
    }
    return copy;
}

void value_free(Value *value)
{
    if (value == NULL)
        return;
    for (guint i = 0; value->kind == KIND_OBJECT && i < n_fields(value); i++)
        value_free(value->fields[i]);
    g_free(value->fields);
    if (value->items != NULL)
        g_ptr_array_unref(value->items);
    g_free(value->text);
    g_free(value);
}

const char *value_type(const Value *value)
{
    return value->type;
}

const char *value_get_text(const Value *value)
{
    return value != NULL ? value->text : NULL;
}

gboolean value_is_ref(const Value *value)
{
    return value->kind == KIND_REF;
}

gboolean value_is_array(const Value *value)
{
    return value->kind == KIND_ARRAY;
}

guint value_length(const Value *array)
{
    return array->items->len;
}

const Value *value_item(const Value *array, guint index)
{
    return g_ptr_array_index(array->items, index);
}

const Value *value_get(const Value *object, const char *field)
{
    if (object == NULL || object->kind != KIND_OBJECT)
        return NULL;
    int index = schema_find(schema_type(object->type), field);
    return index >= 0 ? object->fields[index] : NULL;
}

const Value *value_walk(const Value *object, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    for (guint i = 0; parts[i] != NULL && object != NULL; i++)
        object = value_get(object, parts[i]);
    return object;
}

void value_add(Value *array, Value *value)
{
    g_assert(array->kind == KIND_ARRAY);
    if (value != NULL)
        g_ptr_array_add(array->items, value);
}

static const SchemaField *need_field(const Value *object, const char *name, Value ***ret_place)
{
    const SchemaType *schema = schema_type(object->type);
    int index = object->kind == KIND_OBJECT ? schema_find(schema, name) : -1;
    if (index < 0)
        g_error("lab: %s has no field %s", object->type, name);
    *ret_place = &object->fields[index];
    return schema_field(schema, (guint)index);
}

static gboolean fits(const SchemaField *field, const Value *value)
{
    if (field->reference)
        return value->kind == KIND_REF ||
               (value->kind == KIND_ARRAY && g_str_equal(value->type, "ManagedObjectReference"));
    return g_str_equal(field->type, "anyType") || schema_is(value->type, field->type);
}

void value_set(Value *object, const char *name, Value *value)
{
    if (value == NULL)
        return;
    Value **place;
    const SchemaField *field = need_field(object, name, &place);
    if (!fits(field, value) ||
        (field->array != (value->kind == KIND_ARRAY) && !g_str_equal(field->type, "anyType")))
        g_error("lab: %s.%s cannot be a %s", object->type, name, value->type);
    value_free(*place);
    *place = value;
}

void value_append(Value *object, const char *name, Value *value)
{
    if (value == NULL)
        return;
    Value **place;
    const SchemaField *field = need_field(object, name, &place);
    if (!field->array || !fits(field, value))
        g_error("lab: %s.%s cannot hold a %s", object->type, name, value->type);
    if (*place == NULL)
        *place = value_array(field->reference ? "ManagedObjectReference" : field->type);
    value_add(*place, value);
}

void value_set_text(Value *object, const char *name, const char *text)
{
    if (text == NULL)
        return;
    Value **place;
    const SchemaField *field = need_field(object, name, &place);
    value_set(object, name, value_text(g_str_equal(field->type, "anyType") ? "string" : field->type, text));
}

void value_setf(Value *object, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    value_set_text(object, name, text);
}

void value_set_int(Value *object, const char *name, gint64 number)
{
    value_setf(object, name, "%" G_GINT64_FORMAT, number);
}

void value_set_bool(Value *object, const char *name, gboolean flag)
{
    value_set_text(object, name, flag ? "true" : "false");
}

void value_set_time(Value *object, const char *name, gint64 microseconds)
{
    g_autofree char *text = clock_format(microseconds);
    value_set_text(object, name, text);
}

void value_set_ref(Value *object, const char *name, const char *type, const char *moref)
{
    if (moref != NULL)
        value_set(object, name, value_ref(type, moref));
}

/* An array as one element: <name xsi:type="ArrayOfString"><string>... */
static void write_boxed_array(const Value *array, XmlWriter *writer, const char *name)
{
    g_autofree char *head = g_strndup(array->type, 1);
    g_autofree char *upper = g_ascii_strup(head, 1);
    xml_open(writer, name);
    xml_setf(writer, "xsi:type", "ArrayOf%s%s", upper, array->type + 1);
    for (guint i = 0; i < array->items->len; i++)
        value_write(value_item(array, i), writer, array->type, array->type);
    xml_close(writer);
}

static void write_type(const Value *value, XmlWriter *writer, const char *declared)
{
    if (value->kind == KIND_REF) {
        xml_set(writer, "type", value->type);
        if (g_str_equal(declared, "anyType") || g_str_equal(declared, "ManagedObjectReference"))
            xml_set(writer, "xsi:type", "ManagedObjectReference");
    } else if (!g_str_equal(declared, value->type)) {
        xml_setf(writer, "xsi:type", "%s%s", schema_is_primitive(value->type) ? "xsd:" : "", value->type);
    }
}

static void write_fields(const Value *object, XmlWriter *writer)
{
    const SchemaType *schema = schema_type(object->type);
    for (guint i = 0; i < schema_n_fields(schema); i++) {
        const SchemaField *field = schema_field(schema, i);
        if (object->fields[i] != NULL)
            value_write(object->fields[i], writer, field->name, field->type);
    }
}

void value_write(const Value *value, XmlWriter *writer, const char *name, const char *declared)
{
    if (value->kind == KIND_ARRAY && g_str_equal(declared, "anyType")) {
        write_boxed_array(value, writer, name);
        return;
    }
    if (value->kind == KIND_ARRAY) {
        for (guint i = 0; i < value->items->len; i++)
            value_write(value_item(value, i), writer, name, declared);
        return;
    }
    value_write_root(value, writer, name, declared, NULL);
}

void value_write_root(const Value *value, XmlWriter *writer, const char *name, const char *declared,
                      const char *xmlns)
{
    xml_open(writer, name);
    if (xmlns != NULL)
        xml_set(writer, "xmlns", xmlns);
    write_type(value, writer, declared);
    if (value->kind == KIND_OBJECT)
        write_fields(value, writer);
    else
        xml_put_text(writer, value->text);
    xml_close(writer);
}
