/* lab/device.h: virtual hardware as the API describes it.
 *
 * Thread rule: with Lab.lock held.
 */
#pragma once

#include "lab/model.h"

/* VirtualDevice[]: controllers, `disks` (the VM's own or those that a snapshot froze), NICs and what else
 * there is. */
Value *lab_devices_value(const LabVm *vm, GPtrArray *disks);
/* "[ds1] home/file" */
char *lab_datastore_path(const LabDatastore *datastore, const LabVm *vm, const char *file);
