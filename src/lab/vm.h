/* lab/vm.h: what happens to a VM, whoever asks: the API (vm.c, snapshot.c) or a test (control.c).
 *
 * Thread rule: as each function says.
 */
#pragma once

#include "lab/task.h"

/* Takes over from the backing which files, sizes and change ids there are now.  With Lab.lock held. */
void lab_vm_refresh(LabVm *vm);

/* Work of tasks: without Lab.lock. */
gboolean lab_vm_run_power_on(LabTask *task, LabFault *fault);
gboolean lab_vm_run_power_off(LabTask *task, LabFault *fault);
/* Data: LabResize. */
typedef struct {
    gint32 key;
    guint64 size;
} LabResize;
gboolean lab_vm_run_resize(LabTask *task, LabFault *fault);

/* InvalidPowerState.  With Lab.lock held. */
gboolean lab_fault_power(LabFault *fault, const LabVm *vm, gboolean wanted_on);
/* FALSE with InvalidState when the VM is not connected. */
gboolean lab_vm_check_connected(const LabVm *vm, LabFault *fault);
