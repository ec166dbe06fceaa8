/* migration/preflight.h: everything that can be known before anything is touched.
 *
 * Findings, each with what is the matter and what to do; blockers stop the worker before its first step. Only
 * reads.
 */
#pragma once

#include "spec/finding.h"
#include "target/target.h"
#include "vsphere/vm-ops.h"

/* `existing`: the images at the target are this migration's own. */
gboolean preflight_run(Vsphere *vsphere, Target *target, const VmSpec *spec, const VsphereVm *vm,
                       gboolean existing, Findings *findings, GError **error);

/* Its parts that need no server: what the VM's own description says. */
void preflight_check_vm(const VmSpec *spec, const VsphereVm *vm, Findings *findings);
void preflight_check_disks(const VmSpec *spec, const VsphereVm *vm, Findings *findings);
