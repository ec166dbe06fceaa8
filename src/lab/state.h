/* lab/state.h: what outlives a lab that is killed: power, name, change tracking and instance uuid of each VM,
 * in lab-state.json beside its datastores.  Where it speaks, lab.yaml does not: a lab that is started again
 * goes on where it was, as hosts do after a power cut.  Snapshots do not outlive it: what they held apart is
 * merged.
 *
 * Thread rule: with Lab.lock held, or before others run.
 */
#pragma once

#include "lab/model.h"

/* A missing file is success. */
gboolean lab_state_load(Lab *lab, GError **error);
/* Takes over what was saved of `vm`; outputs that it does not speak of stay as they are. */
void lab_state_apply(Lab *lab, LabVm *vm, gboolean *on, gboolean *cbt);
/* Written whole or not at all; a warning when it cannot be. */
void lab_state_save(Lab *lab);
