/* copy/meter.h: how the engine and the verifier feed a CopyMeter.  Everybody else only reads it (copy.h).
 *
 * A NULL meter takes everything and does nothing.  `now` is clock_monotonic().  Thread rule: any thread.
 */
#pragma once

#include "copy/copy.h"

/* Somebody starts to work on `planned` bytes more; the clock of `elapsed` runs while anybody does. */
void copy_meter_start(CopyMeter *meter, guint64 planned, double now);
void copy_meter_stop(CopyMeter *meter, double now);

/* Adds the counters of `delta` (planned, rate, eta and elapsed are not looked at). */
void copy_meter_add(CopyMeter *meter, const CopyProgress *delta, double now);

CopyProgress copy_meter_read_at(CopyMeter *meter, double now);
