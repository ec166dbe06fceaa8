/* disk/qcow2-audit.h: whether the structure of a qcow2 image is sound: the work of `qemu-img check`.
 *
 * Thread rule: needs the image alone when it repairs.
 */
#pragma once

#include "disk/bytes.h"

typedef enum {
    QCOW2_REPAIR_NOTHING,
    QCOW2_REPAIR_LEAKS, /* counts that are too high */
    QCOW2_REPAIR_ALL,   /* counts that are too low too, and marks of sole ownership that do not fit */
} Qcow2Repair;

typedef struct {
    guint64 corruptions, corruptions_fixed;
    guint64 leaks, leaks_fixed;                       /* clusters */
    guint64 total, allocated, compressed, fragmented; /* guest clusters */
    guint64 end;                                      /* of the last cluster in use or leaked, bytes */
    char *first;                                      /* what is wrong, in words; NULL: nothing.  Owned */
} Qcow2Audit;

void qcow2_audit_clear(Qcow2Audit *audit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Audit, qcow2_audit_clear)

/* TRUE when the image could be looked through, whatever was found; what was repaired is durable then.
 * `bytes` must be writable for a repair.  VF_ERROR_UNSUPPORTED for images with persistent bitmaps.  Memory:
 * 4 bytes for each cluster of the file. */
gboolean qcow2_audit(Bytes *bytes, Qcow2Repair repair, Qcow2Audit *ret_audit, GError **error);
