#include "vsphere/task.h"

#include "base/error.h"
#include "vsphere/fault.h"
#include "vsphere/property.h"

#define FIRST_POLL_MS    50u
#define LONGEST_POLL_MS  1000u
#define FIRST_RETRY_MS   500u
#define LONGEST_RETRY_MS 15000u
#define BUSY_SECONDS     600

static char *start(Vsphere *vsphere, SoapRequest *request, GError **error)
{
    g_autoptr(SoapReply) reply = vsphere_call(vsphere, request, error);

    if (reply == NULL)
        return NULL;
    if (soap_reply_value(reply) == NULL) {
        vf_fail(error, VF_ERROR_INVALID, "%s: a task was started and not named", vsphere_server(vsphere));
        return NULL;
    }
    return g_strdup(xml_text(soap_reply_value(reply)));
}

static TaskEnd ended(const VimTaskInfo *info, char **ret_result, GError **error)
{
    if (info->state == VIM_TASK_INFO_STATE_SUCCESS) {
        if (ret_result != NULL)
            *ret_result = g_strdup(info->result);
        return TASK_DONE;
    }
    if (info->cancelled)
        vf_fail(error, VF_ERROR_TRANSIENT, "somebody cancelled task %s (%s)", info->key,
                info->description_id);
    else if (info->error != NULL)
        fault_fail(info->error, error);
    else
        vf_fail(error, VF_ERROR_INTERNAL, "task %s failed and does not say why", info->key);
    return TASK_FAILED;
}

static TaskEnd wait_for(Vsphere *vsphere, const char *moref, char **ret_result, GError **error)
{
    for (guint pause_ms = FIRST_POLL_MS;; pause_ms = MIN(pause_ms * 2, LONGEST_POLL_MS)) {
        g_autoptr(GError) local = NULL;
        g_autoptr(VimTask) task = property_read_one(vsphere, &vim_task_type, moref, &local);

        if (task == NULL && vsphere_fault_is(local, "ManagedObjectNotFound"))
            return TASK_VANISHED;
        if (task == NULL || task->info == NULL) {
            if (task == NULL)
                g_propagate_error(error, g_steal_pointer(&local));
            else
                vf_fail(error, VF_ERROR_INVALID, "task %s without info", moref);
            return TASK_FAILED;
        }
        if (task->info->state == VIM_TASK_INFO_STATE_SUCCESS ||
            task->info->state == VIM_TASK_INFO_STATE_ERROR)
            return ended(task->info, ret_result, error);
        if (!vsphere_pause(vsphere, pause_ms, error))
            return TASK_FAILED;
    }
}

static TaskEnd run_once(Vsphere *vsphere, SoapRequest *request, char **ret_result, GError **error)
{
    g_autofree char *moref = start(vsphere, request, error);
    TaskEnd end;

    if (moref == NULL)
        return TASK_FAILED;
    end = wait_for(vsphere, moref, ret_result, error);
    if (end == TASK_FAILED)
        g_prefix_error(error, "%s: %s: ", vsphere_server(vsphere), soap_request_title(request));
    return end;
}

TaskEnd task_run(Vsphere *vsphere, SoapRequest *request, char **ret_result, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + BUSY_SECONDS * G_USEC_PER_SEC;

    for (guint pause_ms = FIRST_RETRY_MS;; pause_ms = MIN(pause_ms * 2, LONGEST_RETRY_MS)) {
        g_autoptr(GError) local = NULL;
        TaskEnd end = run_once(vsphere, request, ret_result, &local);

        if (end != TASK_FAILED)
            return end;
        if (!vsphere_fault_is(local, "TaskInProgress") || g_get_monotonic_time() >= deadline) {
            g_propagate_error(error, g_steal_pointer(&local));
            return TASK_FAILED;
        }
        if (!vsphere_pause(vsphere, pause_ms, error))
            return TASK_FAILED;
    }
}
