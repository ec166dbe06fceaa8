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
    g_autofree char *name = NULL;
    Partial *partial = g_new0(Partial, 1);

    partial->path = g_strdup(resolved != NULL ? resolved : path);
    name = g_path_get_basename(partial->path);
    partial->folder = g_strconcat(partial->path, ".partial", NULL);
    partial->image = g_build_filename(partial->folder, name, NULL);
    partial->sums = g_build_filename(partial->folder, ".vmferry-sums", NULL);
    partial->state = g_build_filename(partial->folder, ".vmferry-state", NULL);
    partial->identity = g_strdup(identity);
    return partial;
}

void partial_free(Partial *partial)
{
    if (partial == NULL)
        return;
    extents_free(partial->done);
    g_free(partial->path);
    g_free(partial->folder);
    g_free(partial->image);
    g_free(partial->sums);
    g_free(partial->state);
    g_free(partial->identity);
    g_free(partial);
}

/* Paths of the files in the folder; empty when there is none. */
static GPtrArray *list_files(const Partial *partial)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    GDir *folder = g_dir_open(partial->folder, 0, NULL);
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL)
        g_ptr_array_add(files, g_build_filename(partial->folder, name, NULL));
    if (folder != NULL)
        g_dir_close(folder);
    return files;
}

/* The state goes last: it is what says that the folder is ours. */
void partial_discard(const Partial *partial)
{
    g_autoptr(GPtrArray) files = list_files(partial);

    for (guint i = 0; i < files->len; i++)
        if (strcmp(files->pdata[i], partial->state) != 0)
            g_unlink(files->pdata[i]);
    g_unlink(partial->state);
    g_rmdir(partial->folder);
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

static gboolean check_ours(const Partial *partial, GError **error)
{
    g_autoptr(GPtrArray) files = list_files(partial);

    if (files->len == 0 || g_file_test(partial->state, G_FILE_TEST_EXISTS))
        return TRUE;
    return vf_fail(error, VF_ERROR_CONFLICT, "%s is in the way, and was not made by vmferry; move it",
                   partial->folder);
}

static gboolean check_identity(const Partial *partial, const char *state, gsize length, GError **error)
{
    gsize expected = strlen(partial->identity);

    if (length > expected && strncmp(state, partial->identity, expected) == 0 && state[expected] == '\n')
        return TRUE;
    return vf_fail(error, VF_ERROR_CONFLICT,
                   "%s was begun from another source, or with other options, or its source has changed "
                   "since; without --resume it starts anew",
                   partial->folder);
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
    g_autofree char *state = NULL;
    gsize length = 0;

    if (!g_file_test(partial->image, G_FILE_TEST_EXISTS))
        return TRUE;
    state = io_read_file(partial->state, STATE_MAX, &length, error);
    if (state == NULL || !check_identity(partial, state, length, error))
        return FALSE;
    partial->done = parse_done(partial, state, length, error);
    if (partial->done != NULL && extents_count(partial->done) == 0)
        g_clear_pointer(&partial->done, extents_free);
    return partial->done != NULL || *error == NULL;
}

static gboolean write_state(const Partial *partial, const Extents *done, GError **error)
{
    g_autoptr(GBytes) bytes = extents_to_bytes(done);
    g_autoptr(GString) state = g_string_new(partial->identity);

    g_string_append_c(state, '\n');
    g_string_append_len(state, g_bytes_get_data(bytes, NULL), (gssize)g_bytes_get_size(bytes));
    return io_write_file(partial->state, state->str, state->len, 0600, error);
}

static gboolean start_anew(const Partial *partial, GError **error)
{
    g_autoptr(Extents) nothing = extents_new();

    partial_discard(partial);
    if (g_mkdir(partial->folder, 0700) != 0)
        return vf_fail_errno(error, errno == EEXIST ? VF_ERROR_CONFLICT : VF_ERROR_TARGET_IO, errno,
                             "cannot make the folder %s", partial->folder);
    if (write_state(partial, nothing, error))
        return TRUE;
    g_rmdir(partial->folder);
    return FALSE;
}

Partial *partial_open(const char *path, const char *identity, gboolean resume, GError **error)
{
    g_autoptr(Partial) partial = partial_new(path, identity);

    if (!check_idle(partial, error) || !check_ours(partial, error) ||
        (resume && !find_done(partial, error)) || (partial->done == NULL && !start_anew(partial, error)))
        return NULL;
    return g_steal_pointer(&partial);
}

gboolean partial_commit(Partial *partial, const Extents *done, GError **error)
{
    if (!write_state(partial, done, error))
        return FALSE;
    extents_free(partial->done);
    partial->done = extents_copy(done);
    return TRUE;
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

static gboolean move(const char *from, const char *to, mode_t mode, GError **error)
{
    if (chmod(from, mode) == 0 && rename(from, to) == 0)
        return TRUE;
    return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot rename %s to %s", from, to);
}

/* The image that they belonged to goes first: better none than one with another's data. */
static gboolean move_beside(const Partial *partial, mode_t mode, GError **error)
{
    g_autoptr(GPtrArray) files = list_files(partial);
    g_autofree char *parent = g_path_get_dirname(partial->path);

    for (guint i = 0; i < files->len; i++) {
        g_autofree char *name = g_path_get_basename(files->pdata[i]);
        g_autofree char *to = g_build_filename(parent, name, NULL);

        if (g_str_has_prefix(name, ".vmferry-") || strcmp(files->pdata[i], partial->image) == 0)
            continue;
        g_unlink(partial->path);
        if (!move(files->pdata[i], to, mode, error))
            return FALSE;
    }
    return TRUE;
}

gboolean partial_finish(Partial *partial, GError **error)
{
    mode_t mode = final_mode(partial);

    if (!move_beside(partial, mode, error) || !move(partial->image, partial->path, mode, error) ||
        !io_sync_parent(partial->path, error))
        return FALSE;
    partial_discard(partial);
    return TRUE;
}
