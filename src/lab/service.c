#include "base/clock.h"
#include "lab/call.h"
#include "lab/property.h"
#include "lab/schema.h"
#include "lab/task.h"
#include "lab/view.h"

/* --- the service and its sessions --- */

static gboolean retrieve_content(LabCall *call)
{
    call->result = lab_service_content(call->lab);
    return TRUE;
}

static gboolean current_time(LabCall *call)
{
    g_autofree char *now = clock_format(clock_now());
    call->result = value_text("dateTime", now);
    return TRUE;
}

static gboolean login(LabCall *call)
{
    if (call->session->key != NULL)
        return lab_fault_plain(&call->fault, "InvalidState",
                               "The session is logged in already; log out first.");
    if (!lab_password_right(call->lab, call_text(call, "userName"), call_text(call, "password")))
        return lab_fault_plain(&call->fault, "InvalidLogin",
                               "Cannot complete login due to an incorrect user name or password.");
    if (!lab_session_login(call->lab, call->session)) {
        call->out_of_sessions = TRUE;
        return FALSE;
    }
    call->result = lab_session_value(call->lab, call->session);
    return TRUE;
}

static gboolean logout(LabCall *call)
{
    lab_session_end(call->lab, call->session);
    return TRUE;
}

static gboolean session_is_active(LabCall *call)
{
    GHashTableIter iterator;
    gpointer session;
    gboolean active = FALSE;
    g_hash_table_iter_init(&iterator, call->lab->sessions);
    while (g_hash_table_iter_next(&iterator, NULL, &session))
        active = active || g_strcmp0(((LabSession *)session)->key, call_text(call, "sessionID")) == 0;
    active = active && g_strcmp0(call_text(call, "userName"), call->lab->user) == 0;
    call->result = value_text("boolean", active ? "true" : "false");
    return TRUE;
}

/* --- views --- */

static gboolean create_container_view(LabCall *call)
{
    LabObject *container = NULL;
    gboolean recursive = FALSE;
    g_auto(GStrv) types = call_texts(call, "type");
    if (!call_object(call, "container", "ManagedEntity", &container) ||
        !call_boolean(call, "recursive", &recursive))
        return FALSE;
    for (guint i = 0; types[i] != NULL; i++)
        if (schema_type(types[i]) == NULL || !schema_is(types[i], "ManagedEntity"))
            return lab_fault_argument(&call->fault, "type");
    call->result = lab_ref(&lab_view_new(call->lab, call->session, container, types, recursive)->object);
    return TRUE;
}

static gboolean destroy_view(LabCall *call)
{
    g_hash_table_remove(call->session->objects, call->self->moref);
    return TRUE;
}

/* --- search --- */

static gboolean uuid_matches(LabCall *call, const LabVm *vm, gboolean by_instance,
                             const LabObject *datacenter)
{
    if (datacenter != NULL && datacenter != &vm->datacenter->object)
        return FALSE;
    return g_ascii_strcasecmp(by_instance ? vm->instance_uuid : vm->uuid, call_text(call, "uuid")) == 0;
}

static gboolean find_uuids(LabCall *call, GPtrArray *found)
{
    LabObject *datacenter = NULL;
    gboolean vms = FALSE, by_instance = FALSE;
    if (!call_object(call, "datacenter", "Datacenter", &datacenter) ||
        !call_boolean(call, "vmSearch", &vms) || !call_boolean(call, "instanceUuid", &by_instance))
        return FALSE;
    for (guint i = 0; vms && i < call->lab->vms->len; i++)
        if (uuid_matches(call, g_ptr_array_index(call->lab->vms, i), by_instance, datacenter))
            g_ptr_array_add(found, g_ptr_array_index(call->lab->vms, i));
    return TRUE;
}

static gboolean find_by_uuid(LabCall *call)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    if (!find_uuids(call, found))
        return FALSE;
    call->result = found->len > 0 ? lab_ref(g_ptr_array_index(found, 0)) : NULL;
    return TRUE;
}

static gboolean find_all_by_uuid(LabCall *call)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    if (!find_uuids(call, found))
        return FALSE;
    call->result = lab_refs(found);
    return TRUE;
}

static LabObject *below(Lab *lab, LabObject *object, const char *name)
{
    GHashTableIter iterator;
    gpointer child;
    g_hash_table_iter_init(&iterator, lab->objects);
    while (g_hash_table_iter_next(&iterator, NULL, &child))
        if (((LabObject *)child)->parent == object && g_str_equal(((LabObject *)child)->name, name))
            return child;
    return NULL;
}

static gboolean find_by_inventory_path(LabCall *call)
{
    g_auto(GStrv) parts = g_strsplit(call_text(call, "inventoryPath"), "/", -1);
    LabObject *object = call->lab->root;
    for (guint i = 0; parts[i] != NULL && object != NULL; i++)
        if (parts[i][0] != '\0')
            object = below(call->lab, object, parts[i]);
    call->result = lab_ref(object);
    return TRUE;
}

static gboolean find_child(LabCall *call)
{
    LabObject *entity = NULL;
    if (!call_object(call, "entity", "ManagedEntity", &entity))
        return FALSE;
    call->result = lab_ref(below(call->lab, entity, call_text(call, "name")));
    return TRUE;
}

/* No guest of the lab has a DNS name. */
static gboolean find_by_dns_name(LabCall *call)
{
    return TRUE;
}

/* --- privileges --- */

static gboolean check_privilege_ids(LabCall *call, char **ids)
{
    for (guint i = 0; ids[i] != NULL; i++)
        if (!g_strv_contains(LAB_PRIVILEGES, ids[i]))
            return lab_fault_argument(&call->fault, "privId");
    if (g_strcmp0(call_text(call, "sessionId"), call->session->key) != 0)
        return lab_fault_argument(&call->fault, "sessionId");
    return TRUE;
}

static const char *granted(LabCall *call, const char *id)
{
    return g_hash_table_contains(call->lab->denied, id) ? "false" : "true";
}

static gboolean has_privilege_on_entity(LabCall *call)
{
    LabObject *entity = NULL;
    g_auto(GStrv) ids = call_texts(call, "privId");
    if (!call_object(call, "entity", "ManagedEntity", &entity) || !check_privilege_ids(call, ids))
        return FALSE;
    call->result = value_array("boolean");
    for (guint i = 0; ids[i] != NULL; i++)
        value_add(call->result, value_text("boolean", granted(call, ids[i])));
    return TRUE;
}

static gboolean has_privilege_on_entities(LabCall *call)
{
    g_auto(GStrv) ids = call_texts(call, "privId");
    if (!check_privilege_ids(call, ids))
        return FALSE;
    call->result = value_array("EntityPrivilege");
    for (XmlNode *node = xml_child(call->arguments, "entity"); node != NULL;
         node = xml_next(node, "entity")) {
        LabObject *entity;
        if (!call_resolve(call, node, "ManagedEntity", &entity))
            return FALSE;
        Value *privileges = value_new("EntityPrivilege");
        value_set(privileges, "entity", lab_ref(entity));
        for (guint i = 0; ids[i] != NULL; i++) {
            Value *availability = value_new("PrivilegeAvailability");
            value_set_text(availability, "privId", ids[i]);
            value_set_text(availability, "isGranted", granted(call, ids[i]));
            value_append(privileges, "privAvailability", availability);
        }
        value_add(call->result, privileges);
    }
    return TRUE;
}

static gboolean fetch_user_privileges(LabCall *call)
{
    if (g_strcmp0(call_text(call, "userName"), call->lab->user) != 0)
        return lab_fault_argument(&call->fault, "userName");
    call->result = value_array("UserPrivilegeResult");
    for (XmlNode *node = xml_child(call->arguments, "entities"); node != NULL;
         node = xml_next(node, "entities")) {
        LabObject *entity;
        if (!call_resolve(call, node, "ManagedEntity", &entity))
            return FALSE;
        Value *privileges = value_new("UserPrivilegeResult");
        value_set(privileges, "entity", lab_ref(entity));
        for (guint i = 0; LAB_PRIVILEGES[i] != NULL; i++)
            if (!g_hash_table_contains(call->lab->denied, LAB_PRIVILEGES[i]))
                value_append(privileges, "privileges", value_text("string", LAB_PRIVILEGES[i]));
        value_add(call->result, privileges);
    }
    return TRUE;
}

static gboolean cancel_task(LabCall *call)
{
    return lab_task_cancel((LabTask *)call->self, &call->fault);
}

const LabMethod LAB_SERVICE_METHODS[] = {
    {"RetrieveServiceContent", "ServiceInstance", retrieve_content, "", .since = 20, .anonymous = TRUE},
    {"CurrentTime", "ServiceInstance", current_time, "", .since = 20},
    {"Login", "SessionManager", login, "userName password locale?", .since = 20, .anonymous = TRUE},
    {"Logout", "SessionManager", logout, "", .since = 20},
    {"SessionIsActive", "SessionManager", session_is_active, "sessionID userName", "Sessions.ValidateSession",
     20},
    {"CreateContainerView", "ViewManager", create_container_view, "container type* recursive", .since = 25},
    {"DestroyView", "View", destroy_view, "", .since = 25},
    {"FindByUuid", "SearchIndex", find_by_uuid, "datacenter? uuid vmSearch instanceUuid?", .since = 20},
    {"FindAllByUuid", "SearchIndex", find_all_by_uuid, "datacenter? uuid vmSearch instanceUuid?",
     .since = 41},
    {"FindByInventoryPath", "SearchIndex", find_by_inventory_path, "inventoryPath", .since = 20},
    {"FindChild", "SearchIndex", find_child, "entity name", .since = 20},
    {"FindByDnsName", "SearchIndex", find_by_dns_name, "datacenter? dnsName vmSearch", .since = 20},
    {"HasPrivilegeOnEntity", "AuthorizationManager", has_privilege_on_entity, "entity sessionId privId*",
     .since = 51},
    {"HasPrivilegeOnEntities", "AuthorizationManager", has_privilege_on_entities, "entity* sessionId privId*",
     .since = 55},
    {"FetchUserPrivilegeOnEntities", "AuthorizationManager", fetch_user_privileges, "entities* userName",
     .since = 65},
    {"CancelTask", "Task", cancel_task, "", "Global.CancelTask", 20},
    {NULL},
};
