#include "base/io.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

gssize io_pread(int fd, void *buffer, gsize length, guint64 offset)
{
    gsize done = 0;

    while (done < length) {
        ssize_t got = pread(fd, (guint8 *)buffer + done, length - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (gsize)got;
    }
    return (gssize)done;
}

gboolean io_pwrite(int fd, const void *buffer, gsize length, guint64 offset)
{
    gsize done = 0;

    while (done < length) {
        ssize_t written = pwrite(fd, (const guint8 *)buffer + done, length - done, (off_t)(offset + done));

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return FALSE;
        done += (gsize)written;
    }
    return TRUE;
}

static VfErrorClass read_error_class(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return VF_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return VF_ERROR_AUTH;
    default:
        return VF_ERROR_INVALID;
    }
}

/* Pipes and /proc have no size to ask for: read until the end or one byte more than allowed. */
static gboolean read_up_to(int fd, GByteArray *bytes, gsize limit)
{
    enum { STEP = 65536 };

    while (bytes->len < limit) {
        guint before = bytes->len;
        ssize_t got;

        g_byte_array_set_size(bytes, before + (guint)MIN(STEP, limit - before));
        do
            got = read(fd, bytes->data + before, bytes->len - before);
        while (got < 0 && errno == EINTR);
        g_byte_array_set_size(bytes, before + (guint)MAX(got, 0));
        if (got <= 0)
            return got == 0;
    }
    return TRUE;
}

char *io_read_file(const char *path, gsize max, gsize *ret_length, GError **error)
{
    g_auto(Fd) fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gsize length;

    g_assert(max < G_MAXINT);
    if (fd < 0 || !read_up_to(fd, bytes, max + 1)) {
        vf_fail_errno(error, read_error_class(errno), errno, "cannot read %s", path);
        return NULL;
    }
    if (bytes->len > max) {
        vf_fail(error, VF_ERROR_INVALID, "%s is longer than the %zu bytes that are allowed", path, max);
        return NULL;
    }
    length = bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    if (ret_length != NULL)
        *ret_length = length;
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

/* FALSE with errno. */
static gboolean fill_and_rename(int fd, const char *temporary, const char *path, const void *data,
                                gsize length, mode_t mode)
{
    return io_pwrite(fd, data, length, 0) && fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
           rename(temporary, path) == 0;
}

gboolean io_write_file(const char *path, const void *data, gsize length, mode_t mode, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    g_auto(Fd) fd = mkostemp(temporary, O_CLOEXEC);

    if (fd < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot create a file beside %s", path);
    if (!fill_and_rename(fd, temporary, path, data, length, mode)) {
        vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot write %s", path);
        unlink(temporary);
        return FALSE;
    }
    return io_sync_parent(path, error);
}

gboolean io_make_directory(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0700) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot make the directory %s", path);
    return TRUE;
}

gboolean io_sync_parent(const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_auto(Fd) fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot sync the directory %s", parent);
    return TRUE;
}

void fd_close(Fd *fd)
{
    int saved_errno = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved_errno;
}

int fd_steal(Fd *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}
