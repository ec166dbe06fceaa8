/* vsphere/vm.h: from the properties of a VM to VsphereVm and Machine.
 *
 * Thread rule: pure functions of what they are given.
 */
#pragma once

#include "vsphere/folders.h"
#include "vsphere/inventory.h"

/* `root` is the root folder's moref.  VF_ERROR_INVALID when the description contradicts itself. */
VsphereVm *vm_from_properties(const VimVm *properties, Folders *folders, const char *root, GError **error);

/* The disks among the devices: VsphereDisk, by key, no key twice. */
GPtrArray *vm_disks(const GPtrArray *devices, GError **error);

/* The platform-neutral part.  `disks` are what vm_disks() made of the same devices. */
Machine *vm_machine(const VimVm *properties, const GPtrArray *disks, Folders *folders);

/* The device with that key, or NULL. */
const VimVirtualDevice *vm_device(const GPtrArray *devices, gint32 key);
