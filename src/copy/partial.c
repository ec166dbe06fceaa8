#include "copy/partial.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/io.h"
#include "disk/bytes.h"

/* The largest set there is, and a line. */
#define STATE_MAX ((gsize)EXTENTS_MAX * sizeof(Extent) + (1u << 20))

static Partial *partial_new(const char *path, const char *identity)
{
    g_autofree char *resolved = realpath(path, NULL);
    Partial *partial = g_new0(Partial, 1);

    partial->path = g_strdup(resolved != NULL ? resolved : path);
    partial->image = g_strconcat(partial->path, ".partial-image", NULL);
    partial->sums = g_strconcat(partial->path, ".partial-sums", NULL);
    partial->state = g_strconcat(partial->path, ".partial-state", NULL);
    partial->identity = g_strdup(identity);
    return partial;
}

void partial_free(Partial *partial)
{
    if (partial == NULL)
        return;
    extents_free(partial->done);
    g_free(partial->path);
    g_free(partial->image);
    g_free(partial->sums);
    g_free(partial->state);
    g_free(partial->identity);
    g_free(partial);
}

void partial_discard(const Partial *partial)
{
    g_unlink(partial->state);
    g_unlink(partial->image);
    g_unlink(partial->sums);
}

/* Whoever writes to an image has it locked. */
static gboolean check_idle(const Partial *partial, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(Bytes) bytes = bytes_open_file(partial->image, BYTES_WRITE, &why);

    if (bytes != NULL || vf_error_is(why, VF_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean check_identity(const Partial *partial, const char *state, gsize length, GError **error)
{
    gsize expected = strlen(partial->identity);

    if (length > expected && strncmp(state, partial->identity, expected) == 0 && state[expected] == '\n')
        return TRUE;
    return vf_fail(error, VF_ERROR_CONFLICT,
                   "%s was begun from another source, or with other options, or its source has changed "
                   "since; without --resume it starts anew",
                   partial->image);
}

/* The set behind the line. */
static Extents *parse_done(const Partial *partial, const char *state, gsize length, GError **error)
{
    gsize line = strlen(partial->identity) + 1;
    Extents *done = extents_from_bytes(state + line, length - line, error);

    if (done == NULL)
        g_prefix_error(error, "%s: ", partial->state);
    return done;
}

/* Leaves partial->done NULL when there is nothing to go on with. */
static gboolean find_done(Partial *partial, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *state = NULL;
    gsize length = 0;

    if (!g_file_test(partial->image, G_FILE_TEST_EXISTS))
        return TRUE;
    state = io_read_file(partial->state, STATE_MAX, &length, &why);
    if (vf_error_is(why, VF_ERROR_NOT_FOUND))
        return TRUE;
    if (state == NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!check_identity(partial, state, length, error))
        return FALSE;
    partial->done = parse_done(partial, state, length, error);
    return partial->done != NULL;
}

Partial *partial_open(const char *path, const char *identity, gboolean resume, GError **error)
{
    g_autoptr(Partial) partial = partial_new(path, identity);

    if (!check_idle(partial, error) || (resume && !find_done(partial, error)))
        return NULL;
    if (partial->done == NULL)
        partial_discard(partial);
    return g_steal_pointer(&partial);
}

gboolean partial_commit(Partial *partial, const Extents *done, GError **error)
{
    g_autoptr(GBytes) bytes = extents_to_bytes(done);
    g_autoptr(GString) state = g_string_new(partial->identity);

    g_string_append_c(state, '\n');
    g_string_append_len(state, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
    if (!io_write_file(partial->state, state->str, state->len, 0600, error))
        return FALSE;
    extents_free(partial->done);
    partial->done = extents_copy(done);
    return TRUE;
}

guint64 partial_committed(const Partial *partial)
{
    return partial->done != NULL ? extents_total(partial->done) : 0;
}

static mode_t final_mode(const Partial *partial)
{
    struct stat status;
    mode_t mask;

    if (stat(partial->path, &status) == 0)
        return status.st_mode & 0777;
    mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

gboolean partial_finish(Partial *partial, GError **error)
{
    if (chmod(partial->image, final_mode(partial)) != 0 || rename(partial->image, partial->path) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot rename %s to %s", partial->image,
                             partial->path);
    if (!io_sync_parent(partial->path, error))
        return FALSE;
    partial_discard(partial);
    return TRUE;
}
