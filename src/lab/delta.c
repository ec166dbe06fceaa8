#include "lab/delta.h"

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MERGE_CHUNK ((gsize)1 << 20)

struct Delta {
    char *path;
    guint64 size;
    int fd;
    guint8 *map; /* shared mapping of the map file */
    gsize map_size;
};

static char *map_path(const char *data_path)
{
    return g_strconcat(data_path, ".map", NULL);
}

static gsize map_bytes(guint64 size)
{
    return (gsize)div_round_up(div_round_up(size, DELTA_BLOCK), 8);
}

void delta_free(Delta *delta)
{
    if (delta == NULL)
        return;
    if (delta->map != NULL)
        munmap(delta->map, delta->map_size);
    fd_close(&delta->fd);
    g_free(delta->path);
    g_free(delta);
}

static gboolean map_in(Delta *delta, int flags, GError **error)
{
    g_autofree char *path = map_path(delta->path);
    g_auto(Fd) fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    struct stat status;

    delta->map_size = map_bytes(delta->size);
    if (fd < 0 || ((flags & O_CREAT) != 0 && ftruncate(fd, (off_t)delta->map_size) < 0) ||
        fstat(fd, &status) < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", path);
    if ((guint64)status.st_size != delta->map_size)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is not the map of %s: %" G_GINT64_FORMAT " bytes", path,
                       delta->path, (gint64)status.st_size);

    void *memory = mmap(NULL, delta->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot map %s", path);
    delta->map = memory;
    return TRUE;
}

static gboolean data_open(Delta *delta, int flags, GError **error)
{
    struct stat status;

    delta->fd = open(delta->path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (delta->fd < 0 || ((flags & O_CREAT) != 0 && ftruncate(delta->fd, (off_t)delta->size) < 0) ||
        fstat(delta->fd, &status) < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", delta->path);
    delta->size = (guint64)status.st_size;
    return TRUE;
}

static Delta *delta_make(const char *data_path, guint64 size, int flags, GError **error)
{
    g_autoptr(Delta) delta = g_new0(Delta, 1);

    delta->path = g_strdup(data_path);
    delta->size = size;
    delta->fd = -1;
    if (!data_open(delta, flags, error) || !map_in(delta, flags, error))
        return NULL;
    return g_steal_pointer(&delta);
}

Delta *delta_create(const char *data_path, guint64 size, GError **error)
{
    delta_remove_files(data_path);
    return delta_make(data_path, size, O_CREAT | O_EXCL, error);
}

Delta *delta_open(const char *data_path, GError **error)
{
    return delta_make(data_path, 0, 0, error);
}

void delta_remove_files(const char *data_path)
{
    g_autofree char *map = map_path(data_path);

    unlink(data_path);
    unlink(map);
}

gboolean delta_exists(const char *data_path)
{
    g_autofree char *map = map_path(data_path);

    return access(map, F_OK) == 0;
}

gboolean delta_write(Delta *delta, const void *data, gsize length, guint64 offset, GError **error)
{
    g_assert(offset % DELTA_BLOCK == 0 && range_within(offset, length, delta->size));
    if (!io_pwrite(delta->fd, data, length, offset))
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "writing %s", delta->path);
    for (guint64 block = offset / DELTA_BLOCK; block < div_round_up(offset + length, DELTA_BLOCK); block++)
        delta->map[block / 8] |= (guint8)(1u << (block % 8));
    return TRUE;
}

static gboolean holds(const Delta *delta, guint64 block)
{
    return (delta->map[block / 8] >> (block % 8) & 1) != 0;
}

/* The first run of blocks held at or behind *cursor, which goes to its end; FALSE when there is none. */
static gboolean next_run(const Delta *delta, guint64 *cursor, Extent *ret_run)
{
    guint64 n_blocks = div_round_up(delta->size, DELTA_BLOCK);
    guint64 start = *cursor;

    while (start < n_blocks && !holds(delta, start))
        start += start % 8 == 0 && delta->map[start / 8] == 0 ? 8 : 1;
    if (start >= n_blocks)
        return FALSE;

    guint64 end = start + 1;
    while (end < n_blocks && holds(delta, end))
        end++;
    *cursor = end;
    *ret_run = (Extent){.start = start * DELTA_BLOCK, .end = MIN(end * DELTA_BLOCK, delta->size)};
    return TRUE;
}

void delta_allocated(const Delta *delta, Extents *areas)
{
    guint64 cursor = 0;
    Extent run;

    while (next_run(delta, &cursor, &run))
        extents_add(areas, run.start, run.end);
}

/* --- merging --- */

typedef gboolean (*PutBlocks)(gpointer to, const void *data, gsize length, guint64 offset, GError **error);

static gboolean put_to_file(gpointer to, const void *data, gsize length, guint64 offset, GError **error)
{
    if (!io_pwrite(*(const int *)to, data, length, offset))
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "merging a delta");
    return TRUE;
}

static gboolean put_to_delta(gpointer to, const void *data, gsize length, guint64 offset, GError **error)
{
    return delta_write(to, data, length, offset, error);
}

static gboolean merge_range(const Delta *delta, Extent range, char *buffer, PutBlocks put, gpointer to,
                            GError **error)
{
    for (guint64 offset = range.start; offset < range.end;) {
        gsize length = (gsize)MIN(MERGE_CHUNK, range.end - offset);

        if (io_pread(delta->fd, buffer, length, offset) != (gssize)length)
            return vf_fail(error, VF_ERROR_SOURCE_IO, "%s cannot be read at %" G_GUINT64_FORMAT, delta->path,
                           offset);
        if (!put(to, buffer, length, offset, error))
            return FALSE;
        offset += length;
    }
    return TRUE;
}

static gboolean merge(const Delta *delta, PutBlocks put, gpointer to, GError **error)
{
    g_autofree char *buffer = g_malloc(MERGE_CHUNK);
    guint64 cursor = 0;
    Extent run;

    while (next_run(delta, &cursor, &run))
        if (!merge_range(delta, run, buffer, put, to, error))
            return FALSE;
    return TRUE;
}

gboolean delta_merge_into_file(const Delta *delta, int fd, GError **error)
{
    return merge(delta, put_to_file, &fd, error);
}

gboolean delta_merge_into_delta(const Delta *delta, Delta *below, GError **error)
{
    return merge(delta, put_to_delta, below, error);
}
