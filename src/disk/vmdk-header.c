/* The header of hosted sparse files (VMware's Virtual Disk Format 5.0, "Hosted Sparse Extents"): one sector,
 * fields packed without padding.
 *
 *      0  u32 magic "KDMV"        28  u64 descriptorOffset    64  u64 overHead
 *      4  u32 version 1..3        36  u64 descriptorSize      72  u8  uncleanShutdown
 *      8  u32 flags               44  u32 numGTEsPerGT        73  "\n \r\n"
 *     12  u64 capacity            48  u64 rgdOffset           77  u16 compressAlgorithm
 *     20  u64 grainSize           56  u64 gdOffset
 *
 * Offsets and sizes count sectors.  Version 3 only adds a hint that changes are tracked, to those who write.
 * The four characters at 73 are there to be damaged by a transfer that took the file for a text.  Of the
 * flags the lower half may be ignored by whom does not know them, the upper half may not.
 */
#include "disk/vmdk-internal.h"

#include "base/error.h"
#include "disk/vmdk-record.h"

#define FLAG_NEWLINES        (1u << 0)
#define FLAG_MARKERS         (1u << 17)
#define FLAGS_MUST_BE_KNOWN  0xffff0000u
#define COMPRESSION_DEFLATE  1u
#define GRAIN_SECTORS_MAX    0x200000u /* what QEMU takes */
#define TABLE_ENTRIES_MAX    512u
#define CAPACITY_SECTORS_MAX ((guint64)G_MAXINT64 / SECTOR_SIZE)

static gboolean G_GNUC_PRINTF(4, 5)
    fail_header(GError **error, const char *name, guint64 at, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, VF_ERROR_INVALID, "%s: the sparse header at byte %" G_GUINT64_FORMAT " %s", name,
                   at, reason);
}

static gboolean check_compression(const guint8 *sector, guint32 flags, guint64 grain_size, const char *name,
                                  guint64 at, GError **error)
{
    guint16 algorithm = vmdk_u16(sector + 77);
    gboolean compressed = (flags & VMDK_HOSTED_COMPRESSED) != 0;

    if (compressed != ((flags & FLAG_MARKERS) != 0) || compressed != (algorithm != 0))
        return fail_header(error, name, at, "is half compressed: flags 0x%x with algorithm %u", flags,
                           algorithm);
    if (algorithm > COMPRESSION_DEFLATE)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: compression algorithm %u is not known", name,
                       algorithm);
    if (compressed && grain_size > VMDK_COMPRESSED_GRAIN_MAX / SECTOR_SIZE)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: compressed grains of %" G_GUINT64_FORMAT " sectors are too large", name,
                       grain_size);
    return TRUE;
}

static gboolean check_flags(const guint8 *sector, guint32 flags, const char *name, guint64 at, GError **error)
{
    guint32 unknown = flags & FLAGS_MUST_BE_KNOWN & ~(VMDK_HOSTED_COMPRESSED | FLAG_MARKERS);

    if ((flags & FLAG_NEWLINES) != 0 && memcmp(sector + 73, "\n \r\n", 4) != 0)
        return fail_header(error, name, at,
                           "was damaged by a transfer in text mode: copy the file again as binary");
    if (unknown != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: flags 0x%x of its sparse header are not known", name,
                       unknown);
    return TRUE;
}

static gboolean check_shape(const VmdkHostedHeader *header, const char *name, guint64 at, GError **error)
{
    guint64 grain = header->grain_size;

    if (grain == 0 || (grain & (grain - 1)) != 0 || grain > GRAIN_SECTORS_MAX)
        return fail_header(error, name, at, "has grains of %" G_GUINT64_FORMAT " sectors", grain);
    if (header->table_entries == 0 || header->table_entries > TABLE_ENTRIES_MAX)
        return fail_header(error, name, at, "has tables of %u entries, not 1 to %u", header->table_entries,
                           TABLE_ENTRIES_MAX);
    if (header->capacity > CAPACITY_SECTORS_MAX)
        return fail_header(error, name, at, "has a capacity of %" G_GUINT64_FORMAT " sectors",
                           header->capacity);
    return TRUE;
}

gboolean vmdk_hosted_header_parse(const guint8 *sector, const char *name, guint64 at, VmdkHostedHeader *ret,
                                  GError **error)
{
    VmdkHostedHeader header = {
        .version = vmdk_u32(sector + 4),
        .flags = vmdk_u32(sector + 8),
        .capacity = vmdk_u64(sector + 12),
        .grain_size = vmdk_u64(sector + 20),
        .descriptor_offset = vmdk_u64(sector + 28),
        .descriptor_size = vmdk_u64(sector + 36),
        .table_entries = vmdk_u32(sector + 44),
        .redundant_offset = vmdk_u64(sector + 48),
        .directory_offset = vmdk_u64(sector + 56),
        .overhead = vmdk_u64(sector + 64),
    };

    if (vmdk_u32(sector) != VMDK_HOSTED_MAGIC)
        return fail_header(error, name, at, "does not begin with \"KDMV\"");
    if (header.version < 1 || header.version > 3)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: version %u of sparse files is not known", name,
                       header.version);
    if (!check_flags(sector, header.flags, name, at, error) || !check_shape(&header, name, at, error) ||
        !check_compression(sector, header.flags, header.grain_size, name, at, error))
        return FALSE;
    *ret = header;
    return TRUE;
}

guint64 vmdk_hosted_tables(const VmdkHostedHeader *header)
{
    return div_round_up(header->capacity, header->grain_size * header->table_entries);
}

gboolean vmdk_hosted_footer_check(const VmdkHostedHeader *header, const VmdkHostedHeader *footer,
                                  const char *name, GError **error)
{
    if (footer->capacity != header->capacity || footer->grain_size != header->grain_size ||
        footer->table_entries != header->table_entries || footer->flags != header->flags)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its footer does not say what its header says", name);
    if (footer->directory_offset == VMDK_HOSTED_AT_END)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its footer does not say where the directory is", name);
    return TRUE;
}
