/* lab/value.h: a value of the vim25 data model: a primitive, a reference, an array or a data object.
 *
 * A field is set by name and checked against the schema: an unknown one, or one of the wrong type, is a fault
 * of ours and aborts.  Written, its fields have the schema's order, whatever the order in which they were
 * set, and say xsi:type where it differs from the declared type.
 *
 * Thread rule: a value belongs to one thread, or is guarded by its owner.
 */
#pragma once

#include "base/xml.h"

#include <glib.h>

typedef struct Value Value;

Value *value_new(const char *type);                    /* a data object without fields */
Value *value_text(const char *type, const char *text); /* a primitive or an enumeration */
Value *value_ref(const char *type, const char *moref);
Value *value_array(const char *item_type); /* "VirtualDevice"; "ManagedObjectReference" for references */
Value *value_copy(const Value *value);
void value_free(Value *value); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Value, value_free)

const char *value_type(const Value *value);
const char *value_get_text(const Value *value); /* of a primitive; the moref of a reference; else NULL */
gboolean value_is_ref(const Value *value);
gboolean value_is_array(const Value *value);
guint value_length(const Value *array);
const Value *value_item(const Value *array, guint index);
/* NULL when the field is unset or unknown. */
const Value *value_get(const Value *object, const char *field);
/* "hardware.device" -> what is there, or NULL. */
const Value *value_walk(const Value *object, const char *path);

/* These take over `value`; NULL leaves the field unset. */
void value_add(Value *array, Value *value);
void value_set(Value *object, const char *field, Value *value);
/* To an array field. */
void value_append(Value *object, const char *field, Value *value);

/* Of the type that the schema says the field has. */
void value_set_text(Value *object, const char *field, const char *text); /* NULL: unset */
void value_setf(Value *object, const char *field, const char *format, ...) G_GNUC_PRINTF(3, 4);
void value_set_int(Value *object, const char *field, gint64 number);
void value_set_bool(Value *object, const char *field, gboolean flag);
void value_set_time(Value *object, const char *field, gint64 microseconds);
void value_set_ref(Value *object, const char *field, const char *type,
                   const char *moref); /* NULL moref: unset */

/* <name>...</name>; an array is repeated elements, or with `declared` "anyType" one ArrayOf... element. */
void value_write(const Value *value, XmlWriter *writer, const char *name, const char *declared);
/* The same with a default namespace, for the outermost element. */
void value_write_root(const Value *value, XmlWriter *writer, const char *name, const char *declared,
                      const char *xmlns);
