/* Hosted sparse files, "KDMV".
 *
 * The header (vmdk-header.c) says where the directory is: u32 sectors of tables.  A table is u32 sectors of
 * grains; 0 is a grain that is not here, and 1 one that is zero, when the header allows that.  With the flag
 * VMDK_HOSTED_REDUNDANT there is a second directory with tables of its own; it serves when the first one is
 * damaged.
 *
 * A streamOptimized file is written without ever going back.  Its grains are records (vmdk-record.h), tables
 * and directory come after what they describe, and the last 1536 bytes of the file are a footer marker, a
 * copy of the header that knows where the directory is, and an end marker.  An entry points to the record of
 * the grain, which says again which grain it is.  A reader that wants a whole grain inflates straight into
 * its own buffer; what wants a part goes through a small cache.  Nothing is locked while data are read or
 * inflated, so that threads do both side by side.
 *
 * QEMU writes such files too, with the directory in front and no footer.
 */
#include "disk/vmdk-internal.h"

#include "base/error.h"
#include "base/log.h"
#include "disk/vmdk-record.h"

#define FOOTER_SIZE   (3 * (guint64)SECTOR_SIZE)
#define TABLES_MAX    ((guint64)32 << 20) /* what QEMU takes */
#define GRAINS_CACHED ((gsize)4 << 20)    /* bytes */
#define READ_AT_ONCE  ((guint64)1 << 20)

/* --- entries --- */

static guint64 hosted_table_offset(const VmdkSparse *sparse, guint32 entry)
{
    return (guint64)entry * SECTOR_SIZE;
}

static gboolean hosted_decode(const VmdkSparse *sparse, guint64 entry, VmdkRun *ret)
{
    VmdkRunKind stored = sparse->grains != NULL ? VMDK_RUN_COMPRESSED : VMDK_RUN_DATA;

    ret->kind = entry == 0 ? VMDK_RUN_HOLE : entry == 1 && sparse->zero_grains ? VMDK_RUN_ZERO : stored;
    ret->host = entry * SECTOR_SIZE;
    return TRUE;
}

static const VmdkSparseOps hosted_ops = {
    .type = "SPARSE", .entry_size = 4, .table_offset = hosted_table_offset, .decode = hosted_decode};

/* --- compressed grains --- */

/* `record` are the bytes of the file from piece->host on, `length` of them.  *ret_missing: how many would be
 * needed when they are too few. */
static gboolean inflate_record(const VmdkPiece *piece, const guint8 *record, guint64 length,
                               gsize *ret_missing, GError **error)
{
    const VmdkSparse *sparse = piece->sparse;
    VmdkRecord header;

    if (length < VMDK_RECORD_HEADER + sizeof(guint32))
        return vf_fail(error, VF_ERROR_INTEGRITY, "the file ends within it");
    header = vmdk_record_parse(record);
    if (header.size == 0 || header.size > vmdk_record_max_size(sparse->grain))
        return vf_fail(error, VF_ERROR_INTEGRITY, "a compressed size of %u bytes is not possible",
                       header.size);
    if (header.value != piece->offset / SECTOR_SIZE)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "its record is that of sector %" G_GUINT64_FORMAT ": the tables are corrupt",
                       header.value);
    if (header.size > length - VMDK_RECORD_HEADER) {
        *ret_missing = VMDK_RECORD_HEADER + header.size;
        return TRUE;
    }
    return vmdk_inflate(record + VMDK_RECORD_HEADER, header.size, piece->to, sparse->grain,
                        MIN(sparse->grain, sparse->size - piece->offset), error);
}

/* Where a read of the record at `host` may end, when nothing is known of what follows it. */
static guint64 likely_end(const VmdkSparse *sparse, guint64 host)
{
    return MIN(host + sparse->grain + SECTOR_SIZE, bytes_size(sparse->bytes));
}

static gboolean read_large_record(const VmdkPiece *piece, gsize length, GError **error)
{
    g_autofree guint8 *record = g_malloc(length);
    gsize missing = 0;

    if (!bytes_pread(piece->sparse->bytes, record, length, piece->host, error))
        return FALSE;
    return inflate_record(piece, record, length, &missing, error);
}

static gboolean read_record(const VmdkPiece *piece, const guint8 *record, guint64 length, GError **error)
{
    gsize missing = 0;

    if (inflate_record(piece, record, length, &missing, error) &&
        (missing == 0 || read_large_record(piece, missing, error)))
        return TRUE;
    g_prefix_error(error, "%s: the grain of sector %" G_GUINT64_FORMAT " at byte %" G_GUINT64_FORMAT ": ",
                   bytes_name(piece->sparse->bytes), piece->offset / SECTOR_SIZE, piece->host);
    return FALSE;
}

/* How many pieces from the first on one read brings. */
static guint count_together(const VmdkPiece *pieces, guint n)
{
    guint together = 1;

    while (together < n && pieces[together].host <= likely_end(pieces->sparse, pieces[together - 1].host) &&
           likely_end(pieces->sparse, pieces[together].host) - pieces->host <= READ_AT_ONCE)
        together++;
    return together;
}

static gboolean read_together(const VmdkPiece *pieces, guint n, GError **error)
{
    guint64 start = pieces[0].host;
    guint64 end = likely_end(pieces->sparse, pieces[n - 1].host);
    g_autofree guint8 *records = g_malloc(end - start);

    if (!bytes_pread(pieces->bytes, records, end - start, start, error))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        guint64 within = pieces[i].host - start;

        if (!read_record(&pieces[i], records + within, end - start - within, error))
            return FALSE;
    }
    return TRUE;
}

gboolean vmdk_hosted_read_grains(const VmdkPiece *pieces, guint n, GError **error)
{
    while (n > 0) {
        guint together = count_together(pieces, n);

        if (!read_together(pieces, together, error))
            return FALSE;
        pieces += together;
        n -= together;
    }
    return TRUE;
}

static gboolean load_grain(gpointer owner, guint64 number, guint8 *grain, GError **error)
{
    VmdkSparse *sparse = owner;
    VmdkPiece piece = {
        .sparse = sparse, .bytes = sparse->bytes, .offset = number * sparse->grain, .to = grain};
    VmdkRun run;

    if (!vmdk_sparse_lookup(sparse, piece.offset, 1, &run, error))
        return FALSE;
    piece.host = run.host;
    return vmdk_hosted_read_grains(&piece, 1, error);
}

/* --- opening --- */

static gboolean read_header(Bytes *bytes, guint64 at, VmdkHostedHeader *ret, GError **error)
{
    guint8 sector[SECTOR_SIZE];

    return bytes_pread(bytes, sector, sizeof sector, at, error) &&
           vmdk_hosted_header_parse(sector, bytes_name(bytes), at, ret, error);
}

static gboolean check_marker(Bytes *bytes, const guint8 *sector, guint64 at, VmdkMarker type, GError **error)
{
    VmdkRecord record = vmdk_record_parse(sector);

    if (record.size == 0 && record.type == (guint32)type &&
        record.value == (type == VMDK_MARKER_FOOTER ? 1 : 0))
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID,
                   "%s: no %s marker at byte %" G_GUINT64_FORMAT
                   ": the file is cut short, or was never finished",
                   bytes_name(bytes), type == VMDK_MARKER_FOOTER ? "footer" : "end", at);
}

static gboolean read_footer(Bytes *bytes, VmdkHostedHeader *header, GError **error)
{
    const char *name = bytes_name(bytes);
    guint8 tail[FOOTER_SIZE];
    VmdkHostedHeader footer;

    if (bytes_size(bytes) < SECTOR_SIZE + FOOTER_SIZE || bytes_size(bytes) % SECTOR_SIZE != 0)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: its %" G_GUINT64_FORMAT " bytes do not end with a footer: it is cut short", name,
                       bytes_size(bytes));
    guint64 at = bytes_size(bytes) - FOOTER_SIZE;
    if (!bytes_pread(bytes, tail, sizeof tail, at, error) ||
        !check_marker(bytes, tail, at, VMDK_MARKER_FOOTER, error) ||
        !check_marker(bytes, tail + 2 * SECTOR_SIZE, at + 2 * SECTOR_SIZE, VMDK_MARKER_END, error) ||
        !vmdk_hosted_header_parse(tail + SECTOR_SIZE, name, at + SECTOR_SIZE, &footer, error) ||
        !vmdk_hosted_footer_check(header, &footer, name, error))
        return FALSE;
    header->directory_offset = footer.directory_offset;
    header->redundant_offset = footer.redundant_offset;
    return TRUE;
}

static guint64 directory_sectors(const VmdkSparse *sparse)
{
    return div_round_up(sparse->n_tables * sizeof(guint32), SECTOR_SIZE);
}

static gboolean load_directory(VmdkSparse *sparse, guint64 sector, GError **error)
{
    if (!bytes_pread(sparse->bytes, sparse->directory, sparse->n_tables * sizeof(guint32),
                     sector * SECTOR_SIZE, error))
        return FALSE;
    for (guint64 i = 0; i < sparse->n_tables; i++)
        sparse->directory[i] = GUINT32_FROM_LE(sparse->directory[i]);
    return vmdk_sparse_check_tables(sparse, error);
}

static gboolean load_directories(VmdkSparse *sparse, const VmdkHostedHeader *header, GError **error)
{
    gboolean redundant = (header->flags & VMDK_HOSTED_REDUNDANT) != 0 && header->redundant_offset != 0 &&
                         header->redundant_offset != header->directory_offset;
    g_autoptr(GError) problem = NULL;

    if (!vmdk_sparse_reserve(sparse, "grain directory", header->directory_offset, directory_sectors(sparse),
                             error) ||
        (redundant && !vmdk_sparse_reserve(sparse, "redundant grain directory", header->redundant_offset,
                                           directory_sectors(sparse), error)))
        return FALSE;
    sparse->directory = g_try_new0(guint32, sparse->n_tables + 1);
    if (sparse->directory == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: no memory for its directory",
                       bytes_name(sparse->bytes));
    if (load_directory(sparse, header->directory_offset, &problem))
        return TRUE;
    if (redundant && vf_error_is(problem, VF_ERROR_INTEGRITY)) {
        log_debug("%s; its redundant directory is used", problem->message);
        g_clear_error(&problem);
        if (load_directory(sparse, header->redundant_offset, &problem))
            return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static gboolean fill(VmdkSparse *sparse, GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    VmdkHostedHeader header;

    if (!read_header(sparse->bytes, 0, &header, error))
        return FALSE;
    if (header.directory_offset == VMDK_HOSTED_AT_END && !read_footer(sparse->bytes, &header, error))
        return FALSE;
    if (header.capacity == 0)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its capacity is 0", name);
    if (vmdk_hosted_tables(&header) > TABLES_MAX)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: %" G_GUINT64_FORMAT " grain tables are too many",
                       name, vmdk_hosted_tables(&header));

    vmdk_sparse_set_shape(sparse, header.capacity, header.grain_size, header.table_entries);
    sparse->zero_grains = (header.flags & VMDK_HOSTED_ZERO_GRAIN) != 0;
    if ((header.flags & VMDK_HOSTED_COMPRESSED) != 0)
        sparse->grains =
            vmdk_cache_new(sparse->grain, (guint)MAX(GRAINS_CACHED / sparse->grain, 2), load_grain, sparse);
    return vmdk_sparse_reserve(sparse, "header", 0, 1, error) &&
           (header.descriptor_offset == 0 ||
            vmdk_sparse_reserve(sparse, "descriptor", header.descriptor_offset, header.descriptor_size,
                                error)) &&
           load_directories(sparse, &header, error);
}

VmdkSparse *vmdk_hosted_open(Bytes *bytes, GError **error)
{
    g_autoptr(VmdkSparse) sparse = vmdk_sparse_new(&hosted_ops, bytes);

    return fill(sparse, error) ? g_steal_pointer(&sparse) : NULL;
}

VmdkDescriptor *vmdk_hosted_descriptor(Bytes *bytes, gboolean *ret_only_text, GError **error)
{
    const char *name = bytes_name(bytes);
    g_autofree char *text = NULL;
    VmdkHostedHeader header;
    guint64 length;

    if (!read_header(bytes, 0, &header, error))
        return NULL;
    *ret_only_text = header.capacity == 0;
    if (header.descriptor_offset == 0)
        return NULL;
    if (header.descriptor_size > VMDK_DESCRIPTOR_MAX / SECTOR_SIZE ||
        header.descriptor_offset > bytes_size(bytes) / SECTOR_SIZE) {
        vf_fail(error, VF_ERROR_INVALID,
                "%s: its descriptor of %" G_GUINT64_FORMAT " sectors at sector %" G_GUINT64_FORMAT
                " is not possible",
                name, header.descriptor_size, header.descriptor_offset);
        return NULL;
    }
    length = header.descriptor_size * SECTOR_SIZE;
    text = g_malloc(length + 1);
    if (!bytes_pread(bytes, text, length, header.descriptor_offset * SECTOR_SIZE, error))
        return NULL;
    if (buffer_is_zero(text, length)) /* so in the extents of a split disk */
        return NULL;
    return vmdk_descriptor_parse(text, length, name, error);
}
