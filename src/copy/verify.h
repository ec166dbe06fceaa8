/* copy/verify.h: reads the target back and holds it against the checksums taken when the source was read.
 */
#pragma once

#include "copy/copy.h"

typedef struct {
    guint64 blocks; /* with a sum, that were read */
    guint64 unread; /* blocks never read from the source that are zero at the target, as they must be */
    guint64 mismatches;
    Extents *bad; /* where; owned */
    gboolean deep;
} VerifyReport;

void verify_report_clear(VerifyReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VerifyReport, verify_report_clear)

typedef struct {
    Disk *target;
    Sums *sums;
    const Extents *areas; /* only blocks that touch these; NULL: all of them */
    Disk *source;         /* NULL, or deep: the source is read again too and must have the same checksum */
    guint threads;        /* 0: 4 */
    CopyMeter *meter;     /* may be NULL */
    const Cancel *cancel; /* may be NULL */
    gboolean (*tick)(gpointer data, GError **error); /* as in copy.h; may be NULL */
    gpointer tick_data;
} VerifyJob;

/* FALSE with VF_ERROR_INTEGRITY, naming the first bad range, when anything differs; *ret_report is filled
 * then too. */
gboolean verify_run(const VerifyJob *job, VerifyReport *ret_report, GError **error);
