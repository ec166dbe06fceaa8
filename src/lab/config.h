/* lab/config.h: lab.yaml becomes a model.  docs/lab.md says which keys there are.
 *
 * Thread rule: before others run, or with Lab.lock held.
 */
#pragma once

#include "lab/lab.h"
#include "lab/model.h"
#include "spec/tree.h"

/* Fills in a Lab that lab_model_init() made, opens the backings, takes the snapshots that exist beforehand
 * and powers on.  Unknown keys, names twice and devices that do not fit are VF_ERROR_INVALID with file, line
 * and key. */
gboolean lab_config_read(Lab *lab, const TreeNode *root, const LabOverrides *overrides, GError **error);

/* Only `allowed` (ended by NULL) may be there; a NULL node is fine. */
gboolean lab_config_keys(const TreeNode *node, const char *const *allowed, GError **error);

/* The folder at the end of "a/b/c" below `start`; what is missing is made. */
LabObject *lab_folder_path(Lab *lab, LabObject *start, const char *moref_prefix, const char *path);

/* config-vm.c: one element of `vms`. */
gboolean lab_config_vm(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error);
/* "controller" (index), "unit", "name": places a disk of `size` on the VM. */
LabDisk *lab_config_disk(LabVm *vm, const TreeNode *node, GError **error);
/* The same UUID for the same text each time, so that a lab that is started again has the same VMs. */
char *lab_stable_uuid(const char *text);
