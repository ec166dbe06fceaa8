#include "base/error.h"
#include "vsphere/property.h"
#include "vsphere/task.h"
#include "vsphere/vm-ops.h"

#include <string.h>

char *vsphere_power_state(Vsphere *vsphere, const char *vm, GError **error)
{
    g_autoptr(VimVmPower) power = property_read_one(vsphere, &vim_vm_power_type, vm, error);

    if (power == NULL)
        return NULL;
    if (power->power_state == NULL) {
        vf_fail(error, VF_ERROR_TRANSIENT, "%s: the power state of %s is not known", vsphere_server(vsphere),
                vm);
        return NULL;
    }
    return g_steal_pointer(&power->power_state);
}

/* What the task did not tell, the VM does.  `refused` is why it was refused, or NULL. */
static gboolean check_state(Vsphere *vsphere, const char *vm, const char *wanted, GError *refused,
                            GError **error)
{
    g_autoptr(GError) cause = refused;
    g_autofree char *state = vsphere_power_state(vsphere, vm, error);

    if (state == NULL)
        return FALSE;
    if (strcmp(state, wanted) == 0)
        return TRUE;
    if (cause == NULL)
        return vf_fail(error, VF_ERROR_TRANSIENT, "%s: %s is %s, not %s", vsphere_server(vsphere), vm, state,
                       wanted);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean change_power(Vsphere *vsphere, const char *method, const char *vm, const char *wanted,
                             GError **error)
{
    g_autoptr(SoapRequest) request = soap_request_new(method, "VirtualMachine", vm, SOAP_REPEATABLE);
    g_autoptr(GError) local = NULL;
    TaskEnd end = task_run(vsphere, request, NULL, &local);

    if (end == TASK_DONE)
        return TRUE;
    if (end == TASK_VANISHED || vsphere_fault_is(local, "InvalidPowerState"))
        return check_state(vsphere, vm, wanted, g_steal_pointer(&local), error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean vsphere_power_off(Vsphere *vsphere, const char *vm, GError **error)
{
    return change_power(vsphere, "PowerOffVM_Task", vm, "poweredOff", error);
}

gboolean vsphere_power_on(Vsphere *vsphere, const char *vm, GError **error)
{
    return change_power(vsphere, "PowerOnVM_Task", vm, "poweredOn", error);
}

gboolean vsphere_shutdown_guest(Vsphere *vsphere, const char *vm, GError **error)
{
    g_autoptr(SoapRequest) request = soap_request_new("ShutdownGuest", "VirtualMachine", vm, SOAP_REPEATABLE);
    g_autoptr(GError) local = NULL;
    g_autoptr(SoapReply) reply = vsphere_call(vsphere, request, &local);

    if (reply != NULL)
        return TRUE;
    if (vsphere_fault_is(local, "InvalidPowerState"))
        return check_state(vsphere, vm, "poweredOff", g_steal_pointer(&local), error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}
