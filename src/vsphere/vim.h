/* vsphere/vim.h: vim25 data as C structs, decoded from XML by the tables that vim25.py makes of vim25.types.
 *
 * Every struct begins with the struct of what it extends, and at the bottom with a VimObject, so a pointer to
 * one is a pointer to all that it extends.  Which it really is says vim_cast().  Fields keep their order and
 * are named in snake case; strings and objects that were not there are NULL, lists that were not there are
 * empty, never NULL.
 *
 * What a server says beyond the tables is passed over: elements nobody asked for, and types derived from
 * ours, which decode as the nearest type that is known: the one that was declared.
 *
 * Ownership: an object owns all below it; vim_free() ends it.  Thread rule: one thread at a time.
 */
#pragma once

#include "base/xml.h"

#include <glib.h>

typedef struct VimType VimType;

typedef enum { VIM_STRING, VIM_BOOLEAN, VIM_INT, VIM_LONG, VIM_ENUM, VIM_OBJECT } VimKind;

typedef struct {
    const char *name; /* element, or path of a property */
    VimKind kind;
    gboolean list, optional, detail;
    gsize offset;
    gsize has_offset;          /* 0: there is no has_ member */
    const VimType *object;     /* VIM_OBJECT */
    const char *const *values; /* VIM_ENUM: value n is names[n - 1] */
} VimField;

struct VimType {
    const char *name;    /* on the wire */
    const VimType *base; /* NULL: none */
    gsize size;
    const VimField *fields; /* its own; those of `base` come before them */
    guint n_fields;
    gboolean managed;
    const char *const *subtypes; /* of a managed one: NULL-terminated */
};

/* Of vim25.types, sorted by name; managed ones not among them. */
extern const VimType *const vim_types[];
extern const guint vim_n_types;

typedef struct {
    const VimType *type;
    char *unknown_type; /* xsi:type when it is none of ours */
} VimObject;

/* Properties of a managed object that were asked for. */
typedef struct {
    VimObject header;
    char *moref;
    GError *missing; /* the first fault instead of a property, or NULL */
} VimManaged;

/* An empty one. */
gpointer vim_new(const VimType *type);
void vim_free(gpointer object); /* NULL is fine */

/* Decodes an element of type `declared` or one that extends it.  VF_ERROR_INVALID when a field is missing,
 * twice there, no number, or when its xsi:type is a known type of another kind. */
gpointer vim_decode(const VimType *declared, XmlNode *node, GError **error);

/* Decodes the value of one property into `managed`; a path that is not of its type is passed over. */
gboolean vim_decode_property(gpointer managed, const char *path, XmlNode *value, GError **error);

/* `object` when it is not NULL and of `type` or of one that extends it; NULL otherwise. */
gconstpointer vim_cast(gconstpointer object, const VimType *type);
gboolean vim_extends(const VimType *type, const VimType *base);
/* The name on the wire, also of types that are not in the tables. */
const char *vim_type_name(gconstpointer object);
const VimType *vim_type_find(const char *name); /* NULL: not known */

/* The field `name` of whatever type `object` is; NULL when the type has no such single field, it was not
 * there, or `object` is NULL. */
const char *vim_get_string(gconstpointer object, const char *name);
gconstpointer vim_get_object(gconstpointer object, const char *name);
