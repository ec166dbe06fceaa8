/* cli/display.h: what a command shows while it works: on a terminal an area that is drawn again and again,
 * with log lines above it; elsewhere a plain line when something changed, or now and then.
 *
 * Thread rule: the functions belong to one thread; log lines may come from any, and wait for a lock.
 */
#pragma once

#include "base/json.h"

#include <stdio.h>

typedef struct Display Display;

/* Takes the log lines of the program over until it is freed.  `out` is standard error or output. */
Display *display_new(FILE *out);
void display_free(Display *display); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Display, display_free)

/* The state of one VM among those that are shown; `progress` is the document or NULL. */
void display_set(Display *display, gint64 id, const char *name, const Json *progress);
/* Shows what was set. */
void display_draw(Display *display);
