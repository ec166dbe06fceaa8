#include "base/error.h"
#include "vsphere/areas.h"
#include "vsphere/property.h"
#include "vsphere/task.h"
#include "vsphere/vm-ops.h"

/* --- asking --- */

typedef struct {
    const char *vm, *snapshot, *change_id;
    gint32 disk_key;
} Question;

static VimDiskChangeInfo *ask(Vsphere *vsphere, const Question *question, guint64 position, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("QueryChangedDiskAreas", "VirtualMachine", question->vm, SOAP_REPEATABLE);
    XmlWriter *writer = soap_request_writer(request);
    g_autoptr(SoapReply) reply = NULL;

    soap_put_ref(request, "snapshot", "VirtualMachineSnapshot", question->snapshot);
    xml_elementf(writer, "deviceKey", "%d", question->disk_key);
    xml_elementf(writer, "startOffset", "%" G_GUINT64_FORMAT, position);
    xml_element(writer, "changeId", question->change_id);
    reply = vsphere_call(vsphere, request, error);
    if (reply == NULL)
        return NULL;
    if (soap_reply_value(reply) == NULL) {
        vf_fail(error, VF_ERROR_INTEGRITY, "an answer without areas");
        return NULL;
    }
    return vim_decode(&vim_disk_change_info_type, soap_reply_value(reply), error);
}

/* That the server no longer knows the id, or its tracking file, says that the id is not to be trusted. */
static void classify(GError *error)
{
    if (vsphere_fault_is(error, "FileFault") || vsphere_fault_is(error, "InvalidArgument"))
        error->code = VF_ERROR_INTEGRITY;
}

static gboolean collect(Vsphere *vsphere, const Question *question, guint64 size, Extents *areas,
                        GError **error)
{
    guint64 position = 0;

    while (position < size) {
        g_autoptr(VimDiskChangeInfo) answer = ask(vsphere, question, position, error);

        if (answer == NULL || !areas_add(answer, size, &position, areas, error))
            return FALSE;
    }
    return TRUE;
}

gboolean vsphere_changed_areas(Vsphere *vsphere, const char *vm, const char *snapshot, gint32 disk_key,
                               guint64 size, const char *change_id, Extents *areas, GError **error)
{
    Question question = {.vm = vm, .snapshot = snapshot, .change_id = change_id, .disk_key = disk_key};
    g_autoptr(Extents) found = extents_new();
    g_autoptr(GError) local = NULL;

    if (!collect(vsphere, &question, size, found, &local)) {
        classify(local);
        g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                   "changed areas of disk %d of %s since %s: ", disk_key, vm, change_id);
        return FALSE;
    }
    for (guint i = 0; i < extents_count(found); i++) {
        Extent extent = extents_get(found, i);

        extents_add(areas, extent.start, extent.end);
    }
    return TRUE;
}

/* --- switching it on --- */

gboolean vsphere_set_change_tracking(Vsphere *vsphere, const char *vm, gboolean on, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("ReconfigVM_Task", "VirtualMachine", vm, SOAP_REPEATABLE);
    g_autoptr(VimVmState) state = NULL;
    TaskEnd end;

    xml_open(soap_request_writer(request), "spec");
    soap_put_boolean(request, "changeTrackingEnabled", on);
    xml_close(soap_request_writer(request));
    end = task_run(vsphere, request, NULL, error);
    if (end != TASK_VANISHED)
        return end == TASK_DONE;
    state = property_read_one(vsphere, &vim_vm_state_type, vm, error);
    if (state == NULL)
        return FALSE;
    if (state->change_tracking_enabled == on)
        return TRUE;
    return vf_fail(error, VF_ERROR_TRANSIENT, "%s: change tracking of %s did not change",
                   vsphere_server(vsphere), vm);
}
