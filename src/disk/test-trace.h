/* test-trace.h: writable bytes in memory that remember what was done to them, for the tests of drivers.
 *
 * From the record one can say how much I/O a driver issued, and make the images that a power cut could have
 * left. Thread rule: as bytes.h.
 */
#pragma once

#include "disk/bytes.h"

typedef struct Trace Trace;

/* Each reference (the one returned, and the one of the bytes) keeps it. */
Trace *trace_new(const void *data, gsize length);
void trace_unref(Trace *trace);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trace, trace_unref)

Bytes *trace_bytes(Trace *trace);
/* The same, as a block device: of one size. */
Bytes *trace_device(Trace *trace);

/* Events so far: writes, zeroes, truncations and flushes. */
guint trace_length(Trace *trace);
guint64 trace_reads(Trace *trace);

/* Of the events [first, trace_length()). */
typedef struct {
    guint writes, zeroes, truncates, flushes;
    guint64 bytes_written, largest_write;
} TraceCounts;
TraceCounts trace_count(Trace *trace, guint first);

/* Every write of at least `min_length` from now on fails with VF_ERROR_TARGET_IO; 0 heals. */
void trace_fail_writes(Trace *trace, gsize min_length);
void trace_fail_flushes(Trace *trace, gboolean fail);

/* Every write takes this long, so that others get in between. */
void trace_slow_writes(Trace *trace, gulong microseconds);

/* What a power cut after `length` events may have left: all that a flush covers, and of what came later each
 * sector or not, as `random` says. */
GByteArray *trace_cut(Trace *trace, guint length, GRand *random);
