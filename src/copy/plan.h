/* copy/plan.h: what a copy has to read, and what it need not read because it is known to be zero.
 *
 * All sets are aligned to SUMS_BLOCK_SIZE and clipped to the disk, so that every block is read whole and its
 * checksum is whole.
 */
#pragma once

#include "copy/extents.h"
#include "disk/disk.h"

typedef struct {
    Extents *read; /* read from the source, written to the target */
    Extents *zero; /* known to be zero: written as zero where the target does not start as zero */
} CopyPlan;

void copy_plan_free(CopyPlan *plan); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CopyPlan, copy_plan_free)

/* Everything, less what the source's own map (disk_extents) says is hole or zero.  `allocated`, when not
 * NULL, is a further opinion (CBT "*"): what lies outside of it is zero too. */
CopyPlan *copy_plan_full(Disk *source, const Extents *allocated, GError **error);

/* `changed` only, widened and merged; the source's map turns parts of it into zero, where an area is
 * large enough (1 MiB) to be worth asking about. */
CopyPlan *copy_plan_changed(Disk *source, const Extents *changed, GError **error);
