/* vsphere/session.h: a session with vCenter or an ESXi host, 6.5 to 9.0.
 *
 * Opening negotiates the API version (vimServiceVersions.xml), reads ServiceContent and logs in.  The session
 * is kept alive by vsphere_keepalive(), logged in again once when it was lost, and logged out at the end, so
 * that none leaks. 502 and 503 and network errors are tried again with back-off up to two minutes for calls
 * that may be repeated.
 *
 * Faults become errors: InvalidLogin, NoPermission (with the privilege) -> auth; ManagedObjectNotFound,
 * NotFound, FileNotFound -> not-found; TaskInProgress, InvalidState, InvalidPowerState, FileLocked,
 * DuplicateName -> conflict; NotSupported, RestrictedVersion, MethodDisabled, an unknown method ->
 * unsupported; InvalidArgument, InvalidProperty, InvalidRequest -> invalid; HostNotConnected,
 * RequestCanceled, NotAuthenticated again after the relogin -> transient; the rest -> internal. The fault's
 * own type name ends the message, "(fault TaskInProgress)", and comes from vsphere_fault(), for callers who
 * must know.
 *
 * Thread rule: belongs to one thread, but for vsphere_relogin() and vsphere_http(), which the copy's threads
 * use.
 */
#pragma once

#include "base/secret.h"
#include "net/http-client.h"

typedef struct Vsphere Vsphere;

typedef struct {
    const char *host; /* ":port" allowed */
    guint16 port;     /* 0: 443 */
    const char *user;
    Secret *password;
    TlsTrust trust;
    const Cancel *cancel; /* may be NULL; outlives the session */
    /* Called about once a second while a task is waited for (a consolidation may take hours): to renew a
     * lease and to show progress.  Must not use the session.  May be NULL. */
    void (*tick)(gpointer data);
    gpointer tick_data;
} VsphereOptions;

Vsphere *vsphere_open(const VsphereOptions *options, GError **error);
/* Logs out and frees; NULL is fine. */
void vsphere_free(Vsphere *vsphere);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vsphere, vsphere_free)

typedef struct {
    char *name, *full_name, *version, *build, *api_version, *instance_uuid;
    gboolean is_vcenter; /* apiType VirtualCenter; else a host */
} VsphereAbout;
const VsphereAbout *vsphere_about(const Vsphere *vsphere);
const char *vsphere_server(const Vsphere *vsphere); /* host:port, as it is kept in the store */

/* Calls CurrentTime when five minutes have passed since the last call; cheap otherwise. */
gboolean vsphere_keepalive(Vsphere *vsphere, GError **error);
/* Logs in again, unless another thread just did. */
gboolean vsphere_relogin(Vsphere *vsphere, GError **error);
/* The HTTP client that carries the session's cookie: for /folder. */
HttpClient *vsphere_http(Vsphere *vsphere);

/* The type name of the fault in an error that came from here ("TaskInProgress"), newly allocated; NULL when
 * it was none. */
char *vsphere_fault(const GError *error);
/* TRUE when it is that fault or one derived from it: FileNotFound is a FileFault. */
gboolean vsphere_fault_is(const GError *error, const char *name);
