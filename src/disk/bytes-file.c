/* A local file or block device.
 *
 * With BYTES_DIRECT there are two descriptors of one file.  Requests whose offset and length are whole blocks
 * go round the page cache, through a bounce buffer when only the memory is not aligned; all others, such as
 * small metadata, go through the page cache.  Linux keeps the two coherent for ranges that do not overlap in
 * time: a direct request first writes back and then drops the cached pages of its range, and fdatasync covers
 * both.  Going direct is what makes a bulk copy fast: the data are not copied a second time, and there is no
 * storm of write-back at the flush.
 */
#include "disk/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"
#include "disk/driver.h"

#define BOUNCE_MAX (1u << 20)

typedef struct {
    Bytes bytes;
    Fd fd;
    Fd direct; /* -1: none */
} FileBytes;

static gboolean fail_io(const Bytes *bytes, int errnum, const char *what, GError **error)
{
    return vf_fail_errno(error, bytes->writable ? VF_ERROR_TARGET_IO : VF_ERROR_SOURCE_IO, errnum, "%s: %s",
                         bytes->name, what);
}

static gboolean goes_direct(const FileBytes *file, gsize length, guint64 offset)
{
    return file->direct >= 0 && (offset | length) % DISK_BUFFER_ALIGN == 0;
}

static gboolean is_aligned(const void *buffer)
{
    return (guintptr)buffer % DISK_BUFFER_ALIGN == 0;
}

static gboolean read_exactly(FileBytes *file, int fd, void *buffer, gsize length, guint64 offset,
                             GError **error)
{
    gssize n = io_pread(fd, buffer, length, offset);

    if (n < 0)
        return fail_io(&file->bytes, errno, "cannot read", error);
    if ((gsize)n < length)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s has become shorter while it was being read",
                       file->bytes.name);
    return TRUE;
}

static gboolean read_bounced(FileBytes *file, guint8 *buffer, gsize length, guint64 offset, GError **error)
{
    gsize piece = MIN(length, BOUNCE_MAX);
    g_autoptr(DiskBuffer) bounce = disk_buffer_new(piece);

    for (gsize done = 0; done < length; done += piece) {
        piece = MIN(length - done, BOUNCE_MAX);
        if (!read_exactly(file, file->direct, bounce, piece, offset + done, error))
            return FALSE;
        memcpy(buffer + done, bounce, piece);
    }
    return TRUE;
}

static gboolean file_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    FileBytes *file = (FileBytes *)bytes;

    if (!goes_direct(file, length, offset))
        return read_exactly(file, file->fd, buffer, length, offset, error);
    if (!is_aligned(buffer))
        return read_bounced(file, buffer, length, offset, error);
    return read_exactly(file, file->direct, buffer, length, offset, error);
}

static gboolean write_bounced(FileBytes *file, const guint8 *buffer, gsize length, guint64 offset)
{
    gsize piece = MIN(length, BOUNCE_MAX);
    g_autoptr(DiskBuffer) bounce = disk_buffer_new(piece);

    for (gsize done = 0; done < length; done += piece) {
        piece = MIN(length - done, BOUNCE_MAX);
        memcpy(bounce, buffer + done, piece);
        if (!io_pwrite(file->direct, bounce, piece, offset + done))
            return FALSE;
    }
    return TRUE;
}

static gboolean file_pwrite(Bytes *bytes, const void *buffer, gsize length, guint64 offset, GError **error)
{
    FileBytes *file = (FileBytes *)bytes;
    gboolean ok;

    if (!goes_direct(file, length, offset))
        ok = io_pwrite(file->fd, buffer, length, offset);
    else if (!is_aligned(buffer))
        ok = write_bounced(file, buffer, length, offset);
    else
        ok = io_pwrite(file->direct, buffer, length, offset);
    return ok || fail_io(bytes, errno, "cannot write", error);
}

/* The two ways in which a file system or device can make a range zero without being sent zeros. */
static gboolean zero_range(int fd, guint64 offset, guint64 length)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0)
        return TRUE;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return FALSE;
    return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0;
}

static gboolean file_truncate(Bytes *bytes, guint64 size, GError **error)
{
    const FileBytes *file = (const FileBytes *)bytes;

    if (ftruncate(file->fd, (off_t)size) != 0)
        return fail_io(bytes, errno, "cannot change its size", error);
    return TRUE;
}

static gboolean file_zero(Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    const FileBytes *file = (const FileBytes *)bytes;

    if (zero_range(file->fd, offset, length))
        return offset + length <= bytes_size(bytes) || file_truncate(bytes, offset + length, error);
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return fail_io(bytes, errno, "cannot zero", error);
    return bytes_write_zeros(bytes, offset, length, error);
}

static gboolean device_zero(Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    const FileBytes *file = (const FileBytes *)bytes;

    return zero_range(file->fd, offset, length) || bytes_write_zeros(bytes, offset, length, error);
}

/* Where the piece of one kind that starts at `offset` ends; `end` at the latest. */
static guint64 piece_end(int fd, guint64 offset, guint64 end, DiskExtentKind *ret_kind)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
    off_t hole;

    if (data < 0 && errno == ENXIO) {
        *ret_kind = DISK_EXTENT_HOLE;
        return end;
    }
    if (data > (off_t)offset) {
        *ret_kind = DISK_EXTENT_HOLE;
        return MIN((guint64)data, end);
    }
    *ret_kind = DISK_EXTENT_DATA;
    hole = data < 0 ? -1 : lseek(fd, (off_t)offset, SEEK_HOLE);
    return hole > (off_t)offset ? MIN((guint64)hole, end) : end;
}

static gboolean file_extents(Bytes *bytes, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    const FileBytes *file = (const FileBytes *)bytes;
    guint64 end = offset + length;

    while (offset < end) {
        DiskExtentKind kind;
        guint64 next = piece_end(file->fd, offset, end, &kind);

        disk_extent_append(extents, offset, next - offset, kind);
        offset = next;
    }
    return TRUE;
}

static gboolean file_flush(Bytes *bytes, GError **error)
{
    const FileBytes *file = (const FileBytes *)bytes;

    if (fdatasync(file->fd) != 0)
        return fail_io(bytes, errno, "cannot make what was written durable", error);
    return TRUE;
}

static void file_free(Bytes *bytes)
{
    FileBytes *file = (FileBytes *)bytes;

    fd_close(&file->direct);
    fd_close(&file->fd);
    g_free(bytes->name);
    g_free(file);
}

static const BytesOps file_ops = {
    .pread = file_pread,
    .pwrite = file_pwrite,
    .zero = file_zero,
    .extents = file_extents,
    .truncate = file_truncate,
    .flush = file_flush,
    .free = file_free,
};

/* A device has no holes to ask for, and its size is what it is. */
static const BytesOps device_ops = {
    .pread = file_pread,
    .pwrite = file_pwrite,
    .zero = device_zero,
    .flush = file_flush,
    .free = file_free,
};

static gboolean fail_open(const char *path, int errnum, BytesFlags flags, GError **error)
{
    VfErrorClass class = (flags & BYTES_WRITE) != 0 ? VF_ERROR_TARGET_IO : VF_ERROR_SOURCE_IO;

    if (errnum == ENOENT)
        class = VF_ERROR_NOT_FOUND;
    if (errnum == EEXIST)
        class = VF_ERROR_CONFLICT;
    return vf_fail_errno(error, class, errnum, "%s: cannot open", path);
}

/* The bytes that QEMU locks for "writes", "resizes" and the like (100 + permission), and for "lets nobody do
 * so" (200 + permission), so that each of us notices the other.  Byte 100 and 200, reading, are left alone:
 * `qemu-img info -U` may look. */
#define LOCK_USE    101
#define LOCK_REFUSE 201
#define LOCK_LENGTH 4

static gboolean lock_bytes(int fd, off_t start)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = LOCK_LENGTH};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static gboolean lock_file(int fd, const char *path, GError **error)
{
    if (lock_bytes(fd, LOCK_USE) && lock_bytes(fd, LOCK_REFUSE))
        return TRUE;
    if (errno == EAGAIN || errno == EACCES)
        return vf_fail(
            error, VF_ERROR_CONFLICT,
            "%s is in use by another process (fuser %s names it); stop that or choose another file", path,
            path);
    return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s: cannot lock", path);
}

static gboolean measure(int fd, const char *path, BytesFlags flags, guint64 *ret_size,
                        gboolean *ret_is_device, GError **error)
{
    struct stat status;
    off_t end;

    if (fstat(fd, &status) != 0)
        return fail_open(path, errno, flags, error);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return vf_fail(error, VF_ERROR_INVALID, "%s is neither a file nor a block device", path);
    end = lseek(fd, 0, SEEK_END);
    if (end < 0)
        return fail_open(path, errno, flags, error);
    *ret_size = (guint64)end;
    *ret_is_device = S_ISBLK(status.st_mode);
    return TRUE;
}

/* Some file systems open a file for direct I/O and then refuse that, or want larger blocks. */
static int open_direct(const char *path, int mode)
{
    g_auto(Fd) fd = open(path, mode | O_DIRECT);
    g_autoptr(DiskBuffer) block = disk_buffer_new(DISK_BUFFER_ALIGN);

    if (fd < 0 || io_pread(fd, block, DISK_BUFFER_ALIGN, 0) < 0)
        return -1;
    return fd_steal(&fd);
}

Bytes *bytes_open_file(const char *path, BytesFlags flags, GError **error)
{
    gboolean writable = (flags & BYTES_WRITE) != 0;
    int mode = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC;
    g_auto(Fd) fd = -1;
    FileBytes *file;
    gboolean is_device = FALSE;
    guint64 size = 0;

    /* A FIFO must be refused, not waited for. */
    fd = open(path, mode | O_NONBLOCK | ((flags & BYTES_CREATE) != 0 ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0) {
        fail_open(path, errno, flags, error);
        return NULL;
    }
    if (!measure(fd, path, flags, &size, &is_device, error) || (writable && !lock_file(fd, path, error)))
        return NULL;
    if ((flags & BYTES_CREATE) != 0 && !io_sync_parent(path, error))
        return NULL;
    file = g_new0(FileBytes, 1);
    file->bytes = (Bytes){.ops = is_device ? &device_ops : &file_ops,
                          .name = g_strdup(path),
                          .size = size,
                          .writable = writable};
    file->fd = fd_steal(&fd);
    file->direct = (flags & BYTES_DIRECT) != 0 ? open_direct(path, mode) : -1;
    return &file->bytes;
}
