/* test-vmdk-stream-check.h: reads a streamOptimized file from its first byte to its last, as an importer
 * does, and accepts only what a strict one would: every record at its place, addresses ascending, tables and
 * directory that say what was seen, nothing behind the end.
 */
#pragma once

#include <glib.h>

typedef struct {
    GByteArray *contents; /* of the disk */
    char *descriptor;
    guint n_grains, n_tables;
} StreamSeen;

/* Asserts. */
StreamSeen *stream_check(const guint8 *file, gsize length);
void stream_seen_free(StreamSeen *seen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamSeen, stream_seen_free)
