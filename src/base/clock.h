/* base/clock.h: two clocks.  The monotonic one measures, the wall clock is only written down and compared
 * with what an operator wrote.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include <glib.h>

/* Seconds on the monotonic clock; only differences mean anything. */
double clock_monotonic(void);

/* Microseconds since 1970 UTC: the form in which the store keeps times. */
gint64 clock_now(void);

/* "2026-11-21T07:06:40.123Z" in UTC. */
char *clock_format(gint64 microseconds);

/* RFC 3339, or "2026-03-12T23:30:00" or "2026-03-12T23:30", which are UTC. */
gboolean clock_parse(const char *text, gint64 *ret_microseconds, GError **error);
