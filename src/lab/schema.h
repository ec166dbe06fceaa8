/* lab/schema.h: the part of the vim25 schema that the lab speaks: which type has which fields, in which
 * order, of which type.
 *
 * Values are built and written by it (value.h), and a property path is valid when it can be walked here: so
 * what the lab says has the order and the types of the schema, and what does not exist is refused as
 * InvalidProperty.
 *
 * Thread rule: immutable after the first call; any thread.
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *name;
    const char *type; /* "string", "VirtualDisk", an enumeration's name; of a reference its managed type */
    gboolean array;
    gboolean reference; /* to a managed object */
} SchemaField;

typedef struct SchemaType SchemaType;

/* NULL when `name` is a primitive, an enumeration, or unknown. */
const SchemaType *schema_type(const char *name);
const char *schema_type_name(const SchemaType *type);
/* TRUE when `name` is `base` or derives from it. */
gboolean schema_is(const char *name, const char *base);
gboolean schema_is_primitive(const char *name); /* of XML Schema: "string", "int", ... */

/* Inherited fields come first, as on the wire. */
guint schema_n_fields(const SchemaType *type);
const SchemaField *schema_field(const SchemaType *type, guint index);
int schema_find(const SchemaType *type, const char *field); /* -1 when there is none */

/* The field at the end of a property path ("config.hardware.device"), or NULL. */
const SchemaField *schema_path(const char *type, const char *path);
