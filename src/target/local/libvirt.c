#include "target/local/libvirt.h"

#include "base/error.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

typedef struct _virConnect Connection;
typedef struct _virDomain Domain;
typedef struct _virNetwork Network;

static void connection_close(Connection *connection)
{
    virConnectClose(connection);
}
static void domain_release(Domain *domain)
{
    virDomainFree(domain);
}
static void network_release(Network *network)
{
    virNetworkFree(network);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Domain, domain_release)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_release)

/* libvirt prints errors by itself unless somebody else takes them. */
static void stay_silent(void *data, virErrorPtr error)
{
}

static gboolean fail(GError **error, VfErrorClass class, const char *what)
{
    return vf_fail(error, class, "%s: %s", what, virGetLastErrorMessage());
}

static Connection *connect_to(const char *uri, GError **error)
{
    Connection *connection;

    virSetErrorFunc(NULL, stay_silent);
    connection = virConnectOpen(uri);
    if (connection == NULL)
        vf_fail(error, VF_ERROR_TRANSIENT,
                "libvirt at %s: %s; is libvirtd running, and may this user use it?", uri,
                virGetLastErrorMessage());
    return connection;
}

gboolean libvirt_look(const char *uri, const char *name, const char *uuid, LibvirtDomain *ret_domain,
                      GError **error)
{
    g_autoptr(Connection) connection = connect_to(uri, error);
    g_autoptr(Domain) by_name = NULL;
    g_autoptr(Domain) by_uuid = NULL;
    char found[VIR_UUID_STRING_BUFLEN] = "";

    if (connection == NULL)
        return FALSE;
    by_name = virDomainLookupByName(connection, name);
    by_uuid = virDomainLookupByUUIDString(connection, uuid);
    if (by_name != NULL)
        virDomainGetUUIDString(by_name, found);
    *ret_domain = (LibvirtDomain){
        .name_taken = by_name != NULL && g_ascii_strcasecmp(found, uuid) != 0,
        .uuid_known = by_uuid != NULL,
        .running = by_uuid != NULL && virDomainIsActive(by_uuid) == 1,
    };
    return TRUE;
}

gboolean libvirt_network_exists(const char *uri, const char *network, gboolean *ret_exists, GError **error)
{
    g_autoptr(Connection) connection = connect_to(uri, error);
    g_autoptr(Network) found = NULL;

    if (connection == NULL)
        return FALSE;
    found = virNetworkLookupByName(connection, network);
    *ret_exists = found != NULL;
    return TRUE;
}

gboolean libvirt_define(const char *uri, const char *xml, GError **error)
{
    g_autoptr(Connection) connection = connect_to(uri, error);
    g_autoptr(Domain) domain = NULL;

    if (connection == NULL)
        return FALSE;
    domain = virDomainDefineXMLFlags(connection, xml, VIR_DOMAIN_DEFINE_VALIDATE);
    return domain != NULL || fail(error, VF_ERROR_TARGET_IO, "libvirt refuses the domain");
}

gboolean libvirt_start(const char *uri, const char *name, GError **error)
{
    g_autoptr(Connection) connection = connect_to(uri, error);
    g_autoptr(Domain) domain = NULL;

    if (connection == NULL)
        return FALSE;
    domain = virDomainLookupByName(connection, name);
    if (domain == NULL)
        return fail(error, VF_ERROR_NOT_FOUND, name);
    if (virDomainIsActive(domain) == 1 || virDomainCreate(domain) == 0)
        return TRUE;
    return vf_fail(error, VF_ERROR_TARGET_IO, "domain %s does not start: %s", name, virGetLastErrorMessage());
}

gboolean libvirt_remove(const char *uri, const char *uuid, GError **error)
{
    g_autoptr(Connection) connection = connect_to(uri, error);
    g_autoptr(Domain) domain = NULL;

    if (connection == NULL)
        return FALSE;
    domain = virDomainLookupByUUIDString(connection, uuid);
    if (domain == NULL)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN || fail(error, VF_ERROR_TARGET_IO, uuid);
    if (virDomainIsActive(domain) == 1 && virDomainDestroy(domain) != 0)
        return fail(error, VF_ERROR_TARGET_IO, "the domain does not stop");
    if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM) == 0 || virDomainUndefine(domain) == 0)
        return TRUE;
    return fail(error, VF_ERROR_TARGET_IO, "the domain cannot be undefined");
}
