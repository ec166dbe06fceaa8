/* copy/partial.h: an image under way, and what is needed to go on with it after a crash.
 *
 * Beside PATH there is a folder, PATH.partial.  In it are the image, under the name that it will have, the
 * files that its format puts beside it, if any, .vmferry-sums (copy/sums.h), and .vmferry-state: a line of
 * JSON, the identity of what is being done, and behind it the set of ranges that are durable in the image
 * (extents_to_bytes()), written anew at each checkpoint.  PATH itself comes into being by one rename, at the
 * end; until then what was there stays.
 *
 * Thread rule: a Partial belongs to one thread.
 */
#pragma once

#include "copy/extents.h"

typedef struct {
    char *path;   /* symbolic links resolved */
    char *folder; /* PATH.partial */
    char *image, *sums, *state;
    char *identity; /* one line */
    Extents *done;  /* what is durable, of an earlier run too; NULL: nothing, the image is to be made */
} Partial;

/* Clears the place, or with `resume` finds what is there to go on with.  VF_ERROR_CONFLICT when another
 * process is at work on it, when there is a folder of that name that is not ours, and with `resume` when what
 * is there is of another source or has other options. */
Partial *partial_open(const char *path, const char *identity, gboolean resume, GError **error);
void partial_free(Partial *partial); /* NULL is fine; the files stay */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Partial, partial_free)

/* `done` is durable. */
gboolean partial_commit(Partial *partial, const Extents *done, GError **error);

/* The image takes the place of PATH, durably; with its mode when there was one, else with that of a new file.
 * Files beside it take their places before. */
gboolean partial_finish(Partial *partial, GError **error);
/* Removes everything but PATH. */
void partial_discard(const Partial *partial);
