/* target/local/libvirt.h: the one place that includes libvirt's C API: domains are defined, started and
 * removed.
 *
 * Each function opens a connection of its own and closes it: they are rare, and a libvirtd that was restarted
 * in between costs nothing. Errors: VF_ERROR_TRANSIENT when libvirtd cannot be reached, VF_ERROR_CONFLICT,
 * VF_ERROR_TARGET_IO with libvirt's own words.
 */
#pragma once

#include <glib.h>

/* What libvirt knows under a name or uuid. */
typedef struct {
    gboolean name_taken; /* a domain of that name exists whose uuid is another */
    gboolean uuid_known; /* a domain with that uuid exists */
    gboolean running;    /* and is active */
} LibvirtDomain;

gboolean libvirt_look(const char *uri, const char *name, const char *uuid, LibvirtDomain *ret_domain,
                      GError **error);

/* A network that is unknown is no error: *ret_exists says so. */
gboolean libvirt_network_exists(const char *uri, const char *network, gboolean *ret_exists, GError **error);

/* Idempotent: a domain of the same uuid and name is redefined. */
gboolean libvirt_define(const char *uri, const char *xml, GError **error);
gboolean libvirt_start(const char *uri, const char *name, GError **error); /* running already is success */
/* Stops it hard and undefines it with its NVRAM; unknown already is success. */
gboolean libvirt_remove(const char *uri, const char *uuid, GError **error);
