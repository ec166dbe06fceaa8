/* The file of checksums.
 *
 *    0   8  "VFSUMS\0\0"
 *    8   4  version, 1
 *   12   4  block size, 65536
 *   16   8  size of the disk in bytes
 *   24   4  1 while a copy is at work, else 0
 *   28   4  0
 *   32   8  XXH3-64 of the 32 bytes before
 *   40      zeros up to 4096
 * 4096  8n  the entries
 *
 * all little-endian.  The header is made whole beside its name and renamed, so a file that exists has one; a
 * file that is nothing but a header was made just now and gets its length when it is opened.  The header's
 * fields fit in one sector and are rewritten with one write.
 */
#include "copy/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"

#define HEADER_SIZE 4096u
#define VERSION     1u
/* Entries that are translated at once. */
#define BATCH 512u

static const char magic[8] = "VFSUMS\0";

typedef struct {
    char magic[8];
    guint32 version;
    guint32 block_size;
    guint64 size;
    guint32 unsettled;
    guint32 reserved;
    guint64 checksum;
} Header;

G_STATIC_ASSERT(sizeof(Header) == 40);

struct Sums {
    Fd fd;
    char *path;
    guint64 size;
    gboolean unsettled;
};

static guint64 blocks_of(guint64 size)
{
    return div_round_up(size, SUMS_BLOCK_SIZE);
}

static guint64 file_size_for(guint64 size)
{
    return HEADER_SIZE + blocks_of(size) * sizeof(guint64);
}

static guint64 offset_of(guint64 block)
{
    return HEADER_SIZE + block * sizeof(guint64);
}

guint64 sums_size(const Sums *sums)
{
    return sums->size;
}

guint64 sums_blocks(const Sums *sums)
{
    return blocks_of(sums->size);
}

guint64 sums_of(const void *block, gsize length)
{
    guint64 sum = XXH3_64bits(block, length);

    return sum != 0 ? sum : 1;
}

static gpointer sum_of_whole_zero_block(gpointer data)
{
    static guint64 sum;

    sum = sums_of(data, SUMS_BLOCK_SIZE);
    return &sum;
}

guint64 sums_of_zero(gsize length)
{
    static const guint8 zeros[SUMS_BLOCK_SIZE];
    static GOnce once = G_ONCE_INIT;

    g_assert(length <= sizeof zeros);
    if (length < sizeof zeros)
        return sums_of(zeros, length);
    return *(const guint64 *)g_once(&once, sum_of_whole_zero_block, (gpointer)zeros);
}

static void header_fill(Header *header, guint64 size, gboolean unsettled)
{
    *header = (Header){
        .version = GUINT32_TO_LE(VERSION),
        .block_size = GUINT32_TO_LE(SUMS_BLOCK_SIZE),
        .size = GUINT64_TO_LE(size),
        .unsettled = GUINT32_TO_LE(unsettled),
    };
    memcpy(header->magic, magic, sizeof magic);
    header->checksum = GUINT64_TO_LE(XXH3_64bits(header, G_STRUCT_OFFSET(Header, checksum)));
}

static gboolean make_file(const char *path, guint64 size, GError **error)
{
    guint8 page[HEADER_SIZE] = {0};
    Header header;

    header_fill(&header, size, FALSE);
    memcpy(page, &header, sizeof header);
    return io_write_file(path, page, sizeof page, 0600, error);
}

static gboolean header_write(Sums *sums, guint64 size, gboolean unsettled, GError **error)
{
    Header header;

    header_fill(&header, size, unsettled);
    if (!io_pwrite(sums->fd, &header, sizeof header, 0))
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot write %s", sums->path);
    if (!sums_sync(sums, error))
        return FALSE;
    sums->size = size;
    sums->unsettled = unsettled;
    return TRUE;
}

static gboolean header_read(Sums *sums, GError **error)
{
    Header header;

    if (io_pread(sums->fd, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.magic, magic, sizeof magic) != 0)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is not a file of checksums", sums->path);
    if (GUINT64_FROM_LE(header.checksum) != XXH3_64bits(&header, G_STRUCT_OFFSET(Header, checksum)))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is damaged: the checksum of its header is wrong",
                       sums->path);
    if (GUINT32_FROM_LE(header.version) != VERSION || GUINT32_FROM_LE(header.block_size) != SUMS_BLOCK_SIZE)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s has version %u and blocks of %u bytes, which this program does "
                       "not know; use the version that wrote it",
                       sums->path, GUINT32_FROM_LE(header.version), GUINT32_FROM_LE(header.block_size));
    sums->size = GUINT64_FROM_LE(header.size);
    sums->unsettled = GUINT32_FROM_LE(header.unsettled) != 0;
    return TRUE;
}

/* Longer than the header says is fine: a resize that was killed between its two steps. */
static gboolean check_length(Sums *sums, GError **error)
{
    struct stat status;

    if (fstat(sums->fd, &status) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot examine %s", sums->path);
    if (status.st_size == HEADER_SIZE && ftruncate(sums->fd, (off_t)file_size_for(sums->size)) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot set the length of %s", sums->path);
    if (status.st_size != HEADER_SIZE && (guint64)status.st_size < file_size_for(sums->size))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is damaged: it is too short", sums->path);
    return TRUE;
}

Sums *sums_open(const char *path, guint64 size, GError **error)
{
    g_autoptr(Sums) sums = g_new0(Sums, 1);

    sums->path = g_strdup(path);
    sums->fd = open(path, O_RDWR | O_CLOEXEC);
    if (sums->fd < 0 && errno == ENOENT) {
        if (!make_file(path, size, error))
            return NULL;
        sums->fd = open(path, O_RDWR | O_CLOEXEC);
    }
    if (sums->fd < 0) {
        vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot open %s", path);
        return NULL;
    }
    if (!header_read(sums, error) || !check_length(sums, error))
        return NULL;
    if (sums->size != size) {
        vf_fail(error, VF_ERROR_INTEGRITY,
                "%s belongs to a disk of %" G_GUINT64_FORMAT " bytes, not of %" G_GUINT64_FORMAT, path,
                sums->size, size);
        return NULL;
    }
    return g_steal_pointer(&sums);
}

void sums_free(Sums *sums)
{
    if (sums == NULL)
        return;
    fd_close(&sums->fd);
    g_free(sums->path);
    g_free(sums);
}

static gboolean check_blocks(const Sums *sums, guint64 first, guint count, GError **error)
{
    if (!range_within(first, count, sums_blocks(sums)))
        return vf_fail(error, VF_ERROR_INTERNAL,
                       "%s: blocks %" G_GUINT64_FORMAT " and %u more lie beyond the disk", sums->path, first,
                       count);
    return TRUE;
}

gboolean sums_set(Sums *sums, guint64 first, const guint64 *values, guint count, GError **error)
{
    if (!check_blocks(sums, first, count, error))
        return FALSE;
    for (guint done = 0; done < count; done += BATCH) {
        guint64 batch[BATCH];
        guint n = MIN(BATCH, count - done);

        for (guint i = 0; i < n; i++)
            batch[i] = GUINT64_TO_LE(values[done + i]);
        if (!io_pwrite(sums->fd, batch, n * sizeof *batch, offset_of(first + done)))
            return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot write %s", sums->path);
    }
    return TRUE;
}

gboolean sums_get(Sums *sums, guint64 first, guint64 *ret_values, guint count, GError **error)
{
    gsize length = (gsize)count * sizeof *ret_values;
    gssize got;

    if (!check_blocks(sums, first, count, error))
        return FALSE;
    got = io_pread(sums->fd, ret_values, length, offset_of(first));
    if (got < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot read %s", sums->path);
    if ((gsize)got != length)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is damaged: it is too short", sums->path);
    for (guint i = 0; i < count; i++)
        ret_values[i] = GUINT64_FROM_LE(ret_values[i]);
    return TRUE;
}

/* The block whose entry lies at file offset `offset`, clipped to the disk. */
static guint64 block_at(const Sums *sums, off_t offset, gboolean round_up_to_next)
{
    guint64 distance = (guint64)offset - HEADER_SIZE;
    guint64 block = round_up_to_next ? div_round_up(distance, sizeof(guint64)) : distance / sizeof(guint64);

    return MIN(block, sums_blocks(sums));
}

gboolean sums_next(Sums *sums, guint64 first, guint64 *ret_first, guint64 *ret_end, GError **error)
{
    off_t data, hole;

    if (first >= sums_blocks(sums)) {
        *ret_first = *ret_end = sums_blocks(sums);
        return TRUE;
    }
    data = lseek(sums->fd, (off_t)offset_of(first), SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        *ret_first = *ret_end = sums_blocks(sums);
        return TRUE;
    }
    hole = data < 0 ? -1 : lseek(sums->fd, data, SEEK_HOLE);
    if (hole < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot look for the data of %s", sums->path);
    *ret_first = block_at(sums, data, FALSE);
    *ret_end = block_at(sums, hole, TRUE);
    return TRUE;
}

gboolean sums_resize(Sums *sums, guint64 size, GError **error)
{
    const guint64 none = 0;

    if (size < sums->size)
        return vf_fail(error, VF_ERROR_INVALID, "%s: a disk does not shrink", sums->path);
    if (size == sums->size)
        return TRUE;
    if (sums->size % SUMS_BLOCK_SIZE != 0 && !sums_set(sums, sums_blocks(sums) - 1, &none, 1, error))
        return FALSE;
    if (ftruncate(sums->fd, (off_t)file_size_for(size)) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot set the length of %s", sums->path);
    return sums_sync(sums, error) && header_write(sums, size, sums->unsettled, error);
}

gboolean sums_sync(Sums *sums, GError **error)
{
    if (fdatasync(sums->fd) != 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot sync %s", sums->path);
    return TRUE;
}

gboolean sums_unsettle(Sums *sums, GError **error)
{
    return sums->unsettled || header_write(sums, sums->size, TRUE, error);
}

gboolean sums_settle(Sums *sums, GError **error)
{
    return !sums->unsettled || header_write(sums, sums->size, FALSE, error);
}

gboolean sums_settled(const Sums *sums)
{
    return !sums->unsettled;
}
