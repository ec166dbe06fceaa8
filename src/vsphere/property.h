/* vsphere/property.h: reading properties of managed objects through the PropertyCollector.
 *
 * What is read comes as VimManaged structs of vim25.types, each with the moref it belongs to.  Pages are
 * asked for until no token comes.  A server that does not know one of the paths refuses the whole question;
 * it is then asked again without the optional ones, in this session for good.  A property that may not be
 * seen is `missing` in its object.
 *
 * Thread rule: the session's thread; property_decode() any.
 */
#pragma once

#include "vsphere/call.h"

/* A way from an object to others. */
typedef struct {
    const char *name;
    const char *type, *path;
    const char *const *then; /* names of the ways that go on from there, NULL-terminated; NULL: none */
} PropertyWay;

typedef struct {
    const char *type, *moref; /* where it starts */
    gboolean skip_start;      /* only what lies along the ways */
    gboolean detail;          /* also properties marked `detail` */
    const PropertyWay *ways;
    guint n_ways;
    const VimType *const *wanted; /* NULL-terminated */
} PropertyQuery;

/* VimManaged *, owned by the array. */
GPtrArray *property_read(Vsphere *vsphere, const PropertyQuery *query, GError **error);
/* All objects of the types in `wanted` (NULL-terminated) that the session may see. */
GPtrArray *property_read_all(Vsphere *vsphere, const VimType *const *wanted, GError **error);
/* One object.  A property that may not be seen is an error here. */
gpointer property_read_one(Vsphere *vsphere, const VimType *type, const char *moref, GError **error);

/* Decodes one page, appending to `objects`; *ret_token is the next page's or NULL.  `value` NULL: an empty
 * page. */
gboolean property_decode(XmlNode *value, const VimType *const *wanted, GPtrArray *objects, char **ret_token,
                         GError **error);
