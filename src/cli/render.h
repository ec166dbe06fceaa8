/* cli/render.h: the progress document (docs/progress.md) as text: a few lines with bars for a terminal, one
 * line for a log.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include "base/json.h"

#include <glib.h>

/* Appends lines (char *) that are at most `width` characters wide.  `progress` may be NULL: nothing is known
 * yet. */
void render_lines(GPtrArray *lines, const char *name, const Json *progress, guint width);

/* "web: delta round 3, copying 58.3%, 312 MiB/s, 12 s left" */
char *render_line(const char *name, const Json *progress);

/* What makes it worth a new plain line at once: stage and round. */
char *render_phase(const Json *progress);

/* "[#####.....]" of `width` characters. */
char *render_bar(double percent, guint width);

/* NULL when the value is null; a rate of nothing is NULL too. */
char *render_rate(const Json *progress, const char *key);
char *render_seconds(const Json *progress, const char *key);
char *render_percent(const Json *progress, const char *key);
/* "downtime 3.5 s", "downtime so far 2.0 s", "predicted downtime 12.3 s", or NULL. */
char *render_downtime(const Json *progress);
