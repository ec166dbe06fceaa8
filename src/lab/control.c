#include "lab/control.h"

#include "base/error.h"
#include "base/size.h"
#include "lab/config.h"
#include "lab/session.h"
#include "lab/state.h"
#include "lab/trouble.h"
#include "lab/vm.h"

#include <string.h>

#define VMS "/lab/vms/"

static void answer_json(HttpExchange *exchange, guint status, Json *json)
{
    g_autoptr(Json) owned = json;
    g_autofree char *text = json_to_text(owned);
    http_answer_text(exchange, status, "application/json", text);
}

static void answer_error(HttpExchange *exchange, const GError *error)
{
    Json *object = json_object();
    json_set_string(object, "error", error->message);
    answer_json(exchange, vf_error_traits(vf_error_class(error))->http_status, object);
}

/* --- looking --- */

static Json *disk_json(const LabVm *vm, const LabDisk *disk)
{
    Json *object = json_object();
    g_autofree char *path = g_build_filename(vm->directory, disk->file, NULL);
    json_set_integer(object, "key", disk->key);
    json_set_string(object, "name", disk->name);
    json_set_string(object, "file", disk->file);
    json_set_string(object, "path", path);
    json_set_integer(object, "size", (gint64)disk->size);
    json_set_string(object, "change_id", disk->change_id);
    return object;
}

static Json *disks_json(const LabVm *vm, GPtrArray *disks)
{
    Json *list = json_array();
    for (guint i = 0; i < disks->len; i++)
        json_array_append_new(list, disk_json(vm, g_ptr_array_index(disks, i)));
    return list;
}

static Json *snapshots_json(const LabVm *vm)
{
    Json *list = json_array();
    for (guint i = 0; i < vm->snapshots->len; i++) {
        const LabSnapshot *snapshot = g_ptr_array_index(vm->snapshots, i);
        Json *object = json_object();
        json_set_string(object, "moref", snapshot->object.moref);
        json_set_string(object, "name", snapshot->title);
        json_set_take(object, "disks", disks_json(vm, snapshot->disks));
        json_array_append_new(list, object);
    }
    return list;
}

/* Takes the lock itself: what a backing has to say may take its time. */
static Json *vm_json(Lab *lab, const LabVm *vm)
{
    guint64 written = lab_backing_written(vm->backing);
    Json *object = json_object();
    lab_lock(lab);
    json_set_string(object, "moref", vm->object.moref);
    json_set_string(object, "name", vm->object.name);
    json_set_string(object, "instance_uuid", vm->instance_uuid);
    json_set_string(object, "power", vm->on ? "on" : "off");
    json_set_boolean(object, "tools", vm->has_tools);
    json_set_boolean(object, "change_tracking", vm->cbt);
    json_set_boolean(object, "consolidation_needed", vm->consolidation_needed);
    json_set_boolean(object, "busy", vm->task != NULL);
    json_set_string(object, "directory", vm->directory);
    json_set_integer(object, "written", (gint64)written);
    json_set_take(object, "disks", disks_json(vm, vm->disks));
    json_set_take(object, "snapshots", snapshots_json(vm));
    lab_unlock(lab);
    return object;
}

static void answer_vms(Lab *lab, HttpExchange *exchange)
{
    Json *list = json_array();
    for (guint i = 0; i < lab->vms->len; i++)
        json_array_append_new(list, vm_json(lab, g_ptr_array_index(lab->vms, i)));
    answer_json(exchange, 200, list);
}

/* --- changing --- */

typedef gboolean (*Action)(Lab *lab, LabVm *vm, const TreeNode *body, GError **error);

/* A change that takes the way of a task, so that it meets the same refusals; waits for its end.  With the
 * lock held. */
static gboolean run_task(Lab *lab, LabVm *vm, LabTaskRun run, gpointer data, GError **error)
{
    g_auto(LabFault) fault = {0};
    LabTask *task = lab_task_start(lab, vm, "Lab.change", "ReconfigVM_Task", run, data, g_free, &fault);
    if (task == NULL)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s", fault.message);
    while (task->completed == 0)
        g_cond_wait(&lab->changed, &lab->lock);
    return task->state == LAB_TASK_SUCCESS || vf_fail(error, VF_ERROR_CONFLICT, "%s", task->fault.message);
}

static gboolean rename_vm(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    g_autofree char *name = NULL;
    if (!tree_to_string(tree_get(body, "name"), &name, error))
        return FALSE;
    if (name == NULL)
        return tree_fail(body, error, "needs a name");
    g_free(vm->object.name);
    vm->object.name = lab_escape_name(name);
    return TRUE;
}

static gboolean set_power(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    static const char *const STATES[] = {"on", "off", NULL};
    gint state = 0;
    return tree_to_enum(tree_get(body, "state"), STATES, &state, error) &&
           run_task(lab, vm, state == 0 ? lab_vm_run_power_on : lab_vm_run_power_off, NULL, error);
}

static gboolean resize_disk(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    gint64 key = 0;
    LabResize resize = {0};
    if (!tree_to_integer(tree_get(body, "disk"), 0, G_MAXINT32, &key, error) ||
        !tree_to_size(tree_get(body, "size"), SECTOR_SIZE, 62 * TIB, &resize.size, error))
        return FALSE;
    resize.key = (gint32)key;
    return run_task(lab, vm, lab_vm_run_resize, g_memdup2(&resize, sizeof resize), error);
}

static gboolean add_disk(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    LabDisk *disk = lab_config_disk(vm, body, error);
    if (disk == NULL)
        return FALSE;
    LabDiskConfig config = {.key = disk->key, .name = disk->name, .size = disk->size};
    if (!lab_backing_add_disk(vm->backing, &config, error)) {
        g_ptr_array_remove(vm->disks, disk);
        return FALSE;
    }
    lab_vm_refresh(vm);
    return TRUE;
}

static gboolean set_instance_uuid(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    return tree_to_string(tree_get(body, "uuid"), &vm->instance_uuid, error);
}

static gboolean set_connection(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    return tree_to_string(tree_get(body, "state"), &vm->connection_state, error);
}

static const struct {
    const char *name;
    Action run;
    const char *keys[6]; /* beside "action" */
} ACTIONS[] = {
    {"rename", rename_vm, {"action", "name"}},
    {"power", set_power, {"action", "state"}},
    {"resize-disk", resize_disk, {"action", "disk", "size"}},
    {"add-disk", add_disk, {"action", "controller", "unit", "size", "name"}},
    {"set-instance-uuid", set_instance_uuid, {"action", "uuid"}},
    {"set-connection", set_connection, {"action", "state"}},
};

static gboolean run_idle(Lab *lab, LabVm *vm, const TreeNode *body, Action run, GError **error)
{
    lab_task_wait_idle(lab, vm);
    return run(lab, vm, body, error);
}

static gboolean run_action(Lab *lab, LabVm *vm, const TreeNode *body, GError **error)
{
    g_autofree char *name = NULL;
    if (!tree_to_string(tree_get(body, "action"), &name, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(ACTIONS); i++)
        if (g_strcmp0(ACTIONS[i].name, name) == 0)
            return lab_config_keys(body, ACTIONS[i].keys, error) &&
                   run_idle(lab, vm, body, ACTIONS[i].run, error);
    return tree_fail(body, error, "there is no action \"%s\"; docs/lab.md lists them",
                     name != NULL ? name : "");
}

/* --- requests --- */

static Tree *parse_body(HttpExchange *exchange, GError **error)
{
    gsize length;
    const char *body = http_body(exchange, &length);
    return tree_parse(body, length, "request.json", error);
}

static void handle_faults(Lab *lab, HttpExchange *exchange)
{
    g_autoptr(GError) error = NULL;
    if (g_str_equal(http_method(exchange), "POST")) {
        g_autoptr(Tree) body = parse_body(exchange, &error);
        if (body == NULL || !lab_trouble_set(lab, tree_root(body), &error)) {
            answer_error(exchange, error);
            return;
        }
    }
    answer_json(exchange, 200, lab_trouble_json(lab));
}

static void handle_vm(Lab *lab, HttpExchange *exchange, const char *moref)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Tree) body = NULL;
    gboolean change = g_str_equal(http_method(exchange), "POST");
    if (change)
        body = parse_body(exchange, &error);
    lab_lock(lab);
    LabObject *object = lab_find(lab, moref);
    gboolean done = !change || body != NULL;
    if (done && (object == NULL || !g_str_equal(object->type, "VirtualMachine")))
        done = vf_fail(&error, VF_ERROR_NOT_FOUND, "there is no VM \"%s\"", moref);
    else if (done && change)
        done = run_action(lab, (LabVm *)object, tree_root(body), &error);
    lab_state_save(lab);
    g_cond_broadcast(&lab->changed);
    lab_unlock(lab);
    if (done)
        answer_json(exchange, 200, vm_json(lab, (LabVm *)object));
    else
        answer_error(exchange, error);
}

static gboolean allowed(Lab *lab, HttpExchange *exchange)
{
    g_autofree char *user = NULL, *password = NULL;
    if (http_basic_auth(exchange, &user, &password))
        return lab_password_right(lab, user, password);
    lab_lock(lab);
    LabSession *session = lab_session_find(lab, http_cookie(exchange, LAB_COOKIE));
    gboolean logged_in = session != NULL && session->key != NULL;
    lab_unlock(lab);
    return logged_in;
}

void lab_control_handle(Lab *lab, HttpExchange *exchange)
{
    const char *path = http_path(exchange);
    if (!allowed(lab, exchange))
        http_answer_text(exchange, 401, "text/plain", "401 Unauthorized\n");
    else if (g_str_equal(path, "/lab/faults"))
        handle_faults(lab, exchange);
    else if (g_str_equal(path, "/lab/vms"))
        answer_vms(lab, exchange);
    else if (g_str_has_prefix(path, VMS))
        handle_vm(lab, exchange, path + strlen(VMS));
    else
        http_answer_text(exchange, 404, "text/plain", "404 Not Found\n");
}
