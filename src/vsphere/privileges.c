#include "base/error.h"
#include "vsphere/property.h"
#include "vsphere/vm-ops.h"

#include <string.h>

static gboolean is_known(const VimAuthorizationManager *manager, const char *id)
{
    for (guint i = 0; i < manager->privilege_list->len; i++) {
        const VimAuthorizationPrivilege *privilege = manager->privilege_list->pdata[i];

        if (strcmp(privilege->priv_id, id) == 0)
            return TRUE;
    }
    return FALSE;
}

/* An id that the server does not know would make it refuse the question: it asks for nothing of the kind. */
static GPtrArray *known_ones(Vsphere *vsphere, const char *const *privileges, GError **error)
{
    const char *moref = vsphere_content(vsphere)->authorization_manager;
    g_autoptr(VimAuthorizationManager) manager = NULL;
    GPtrArray *known;

    if (moref == NULL) {
        vf_fail(error, VF_ERROR_UNSUPPORTED, "%s has no authorization manager", vsphere_server(vsphere));
        return NULL;
    }
    manager = property_read_one(vsphere, &vim_authorization_manager_type, moref, error);
    if (manager == NULL)
        return NULL;
    known = g_ptr_array_new_with_free_func(g_free);
    for (; *privileges != NULL; privileges++)
        if (is_known(manager, *privileges))
            g_ptr_array_add(known, g_strdup(*privileges));
    return known;
}

/* One boolean for each, in their order. */
static gboolean keep_lacking(GPtrArray *privileges, const SoapReply *reply, GError **error)
{
    XmlNode *value = soap_reply_value(reply);
    guint left = privileges->len, i = 0;

    for (; left > 0 && value != NULL; left--, value = xml_next(value, "returnval")) {
        if (strcmp(xml_text(value), "true") == 0)
            g_ptr_array_remove_index(privileges, i);
        else
            i++;
    }
    return left == 0 || vf_fail(error, VF_ERROR_INVALID, "HasPrivilegeOnEntity answered too little");
}

GPtrArray *vsphere_missing_privileges(Vsphere *vsphere, const char *type, const char *entity,
                                      const char *const *privileges, GError **error)
{
    g_autoptr(GPtrArray) asked = known_ones(vsphere, privileges, error);
    g_autofree char *session = vsphere_dup_session_key(vsphere);
    g_autoptr(SoapRequest) request = NULL;
    g_autoptr(SoapReply) reply = NULL;

    if (asked == NULL || asked->len == 0)
        return g_steal_pointer(&asked);
    request = soap_request_new("HasPrivilegeOnEntity", "AuthorizationManager",
                               vsphere_content(vsphere)->authorization_manager, SOAP_REPEATABLE);
    soap_put_ref(request, "entity", type, entity);
    xml_element(soap_request_writer(request), "sessionId", session);
    for (guint i = 0; i < asked->len; i++)
        xml_element(soap_request_writer(request), "privId", asked->pdata[i]);
    reply = vsphere_call(vsphere, request, error);
    if (reply == NULL || !keep_lacking(asked, reply, error))
        return NULL;
    return g_steal_pointer(&asked);
}
