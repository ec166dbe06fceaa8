#include "disk/bytes.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/driver.h"

#define ZEROES_MAX (1u << 20)

/* Files end below 2^63: off_t is signed. */
#define BYTES_END_MAX ((guint64)G_MAXINT64)

guint64 bytes_size(const Bytes *bytes)
{
    return __atomic_load_n(&bytes->size, __ATOMIC_ACQUIRE);
}

const char *bytes_name(const Bytes *bytes)
{
    return bytes->name;
}

/* Concurrent writers that extend the file agree on the largest end. */
static void grow_size(Bytes *bytes, guint64 end)
{
    guint64 size = bytes_size(bytes);

    while (size < end &&
           !__atomic_compare_exchange_n(&bytes->size, &size, end, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

static gboolean check_exists(const Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    guint64 size = bytes_size(bytes);

    if (!range_within(offset, length, size))
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s ends at %" G_GUINT64_FORMAT ", but %" G_GUINT64_FORMAT
                       " bytes are needed at %" G_GUINT64_FORMAT ": the file is cut short or corrupt",
                       bytes->name, size, length, offset);
    return TRUE;
}

static gboolean check_writable(const Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    if (!bytes->writable || bytes->ops->pwrite == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s is open for reading only", bytes->name);
    if (!range_within(offset, length, BYTES_END_MAX))
        return vf_fail(error, VF_ERROR_TARGET_IO, "%s cannot grow beyond 2^63 bytes", bytes->name);
    return TRUE;
}

gboolean bytes_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    if (!check_exists(bytes, offset, length, error))
        return FALSE;
    return length == 0 || bytes->ops->pread(bytes, buffer, length, offset, error);
}

gboolean bytes_pwrite(Bytes *bytes, const void *buffer, gsize length, guint64 offset, GError **error)
{
    if (!check_writable(bytes, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (!bytes->ops->pwrite(bytes, buffer, length, offset, error))
        return FALSE;
    grow_size(bytes, offset + length);
    return TRUE;
}

gboolean bytes_write_zeros(Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    gsize piece = (gsize)MIN(length, ZEROES_MAX);
    g_autoptr(DiskBuffer) zeros = disk_buffer_new(piece);

    memset(zeros, 0, piece);
    for (guint64 done = 0; done < length; done += piece) {
        piece = (gsize)MIN(length - done, ZEROES_MAX);
        if (!bytes->ops->pwrite(bytes, zeros, piece, offset + done, error))
            return FALSE;
    }
    return TRUE;
}

gboolean bytes_zero(Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    gboolean ok;

    if (!check_writable(bytes, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    ok = bytes->ops->zero != NULL ? bytes->ops->zero(bytes, offset, length, error)
                                  : bytes_write_zeros(bytes, offset, length, error);
    if (ok)
        grow_size(bytes, offset + length);
    return ok;
}

gboolean bytes_extents(Bytes *bytes, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    if (!check_exists(bytes, offset, length, error))
        return FALSE;
    if (length == 0)
        return TRUE;
    if (bytes->ops->extents == NULL) {
        disk_extent_append(extents, offset, length, DISK_EXTENT_DATA);
        return TRUE;
    }
    return bytes->ops->extents(bytes, offset, length, extents, error);
}

gboolean bytes_truncate(Bytes *bytes, guint64 size, GError **error)
{
    if (!check_writable(bytes, size, 0, error))
        return FALSE;
    if (bytes->ops->truncate == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: its size cannot be changed", bytes->name);
    if (!bytes->ops->truncate(bytes, size, error))
        return FALSE;
    __atomic_store_n(&bytes->size, size, __ATOMIC_RELEASE);
    return TRUE;
}

gboolean bytes_flush(Bytes *bytes, GError **error)
{
    if (!check_writable(bytes, 0, 0, error))
        return FALSE;
    return bytes->ops->flush == NULL || bytes->ops->flush(bytes, error);
}

void bytes_free(Bytes *bytes)
{
    if (bytes != NULL)
        bytes->ops->free(bytes);
}
