/* lab/backing-check.h: for tests: a migration of one disk as an outsider sees it, by file names, change ids
 * and areas.
 */
#pragma once

#include "lab/backing.h"

/* Change id and copied contents of one disk. */
typedef struct {
    LabBacking *backing;
    const char *directory;
    gint32 key;
    char *change_id;   /* of the last round; NULL before the first */
    char *copy;        /* what was copied so far */
    guint64 last_read; /* bytes read in the last round */
} BackingCheck;

void backing_check_init(BackingCheck *check, LabBacking *backing, const char *directory, gint32 key);
void backing_check_fini(BackingCheck *check);

/* Copies what changed since the last round (all that is allocated in the first) out of what snapshot `id`
 * froze; NULL: out of the leaf, machine off.  The file must not be locked, and must not change meanwhile. */
void backing_check_round(BackingCheck *check, const char *id);

/* The copy is the flat file, byte for byte.  No snapshots. */
void backing_check_same(BackingCheck *check);
