/* base/crash-point.h: named places at which a test may kill the program, as kill -9 or a power cut would.
 *
 * Every step after which a crash leaves another state behind has a name in the table of crash-point.c.  With
 * VMFERRY_CRASH_AT=name or =name:N in the environment, the N-th arrival at that name (the first by default)
 * is the end: SIGKILL, no handler, no flush.  Without the variable a crash point costs one comparison.
 *
 * Thread rule: any thread.
 */
#pragma once

#include <glib.h>

/* `name` must be in the table.  When a point is armed any other name aborts: the tests walk the table. */
void crash_point(const char *name);

/* The table: names, ended by NULL, in the order in which a migration meets them. */
const char *const *crash_point_names(void);
