/* copy/compare.h: whether two disks have the same contents, whatever their formats.
 *
 * Only what either disk's own map calls data is read.  Where one disk is longer, the rest must be zero.
 */
#pragma once

#include "copy/copy.h"

typedef struct {
    Disk *a, *b;
    gboolean strict;      /* sizes must be equal, and so must be what is data, zero and hole */
    guint threads;        /* 0: 8 */
    CopyMeter *meter;     /* may be NULL */
    const Cancel *cancel; /* may be NULL */
    gboolean (*tick)(gpointer data, GError **error); /* as in copy.h; may be NULL */
    gpointer tick_data;
} CompareJob;

typedef enum {
    COMPARE_SAME,
    COMPARE_CONTENTS, /* differ at `offset` first */
    COMPARE_STATUS,   /* strict: one is allocated at `offset` otherwise than the other */
    COMPARE_SIZES,    /* strict: sizes differ */
} CompareOutcome;

typedef struct {
    CompareOutcome outcome;
    guint64 offset; /* of the first byte that differs */
} CompareReport;

/* TRUE when the question could be answered, whatever the answer. */
gboolean compare_run(const CompareJob *job, CompareReport *ret_report, GError **error);
