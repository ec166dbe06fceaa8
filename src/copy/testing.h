/* copy/testing.h: what the tests of this layer share.  Not part of the program.
 */
#pragma once

#include "copy/copy.h"

typedef enum { HOOK_READ, HOOK_WRITE, HOOK_ZERO, HOOK_FLUSH } HookEvent;

/* Called before each request, by the thread that makes it, under a lock; `nth` counts from 1 per kind of
 * event. FALSE makes the request fail. */
typedef gboolean (*Hook)(HookEvent event, guint nth, gpointer data, GError **error);

/* Wraps `inner` (taken over). */
Disk *hook_disk_new(Disk *inner, Hook hook, gpointer data);

/* A memory disk whose writes are lost unless a flush follows: durable_disk_view() reads what would survive.
 */
Disk *durable_disk_new(const char *name, guint64 size);
Disk *durable_disk_view(Disk *disk); /* borrowed; do not use beside other threads that flush */

/* Asserts that both have the same contents, within `where` (NULL: everywhere). */
void assert_same_contents(Disk *a, Disk *b, const Extents *where);
void assert_zero(Disk *disk, guint64 start, guint64 end);

/* Fills [start, end) of a writable disk with bytes that depend on `seed` and the place. */
void fill_disk(Disk *disk, guint64 start, guint64 end, guint32 seed);

/* A file of sums in a folder that is gone with the process. */
Sums *testing_sums(guint64 size);
