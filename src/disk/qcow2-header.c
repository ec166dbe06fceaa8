/* The header of a qcow2 image (QEMU docs/interop/qcow2.rst): 104 bytes or more in version 3, big-endian,
 * followed by extensions, all within the first cluster.
 *
 *     0 magic    4 version       8 backing file offset   16 its length    20 cluster bits   24 size
 *    32 crypt   36 L1 entries   40 L1 offset            48 refcount table offset           56 its clusters
 *    60 snapshots               64 their offset         72 incompatible   80 compatible     88 autoclear
 *    96 refcount order         100 header length
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

#define MAGIC             0x514649fbu
#define HEADER_LENGTH_V2  72u
#define HEADER_LENGTH_V3  104u
#define EXTENSION_BITMAPS 0x23852875u
#define EXTENSIONS_MAX    64u

#define INCOMPATIBLE_DIRTY       (1u << 0)
#define INCOMPATIBLE_CORRUPT     (1u << 1)
#define INCOMPATIBLE_DATA_FILE   (1u << 2)
#define INCOMPATIBLE_COMPRESSION (1u << 3)
#define INCOMPATIBLE_EXTENDED_L2 (1u << 4)
#define INCOMPATIBLE_KNOWN                                                                                   \
    (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_DATA_FILE | INCOMPATIBLE_COMPRESSION |         \
     INCOMPATIBLE_EXTENDED_L2)

static guint32 get32(const guint8 *at)
{
    guint32 value;

    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_BE(value);
}

static guint64 get64(const guint8 *at)
{
    guint64 value;

    memcpy(&value, at, sizeof value);
    return GUINT64_FROM_BE(value);
}

static void put32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static void put64(guint8 *at, guint64 value)
{
    value = GUINT64_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static gboolean unsupported(const char *name, const char *what, GError **error)
{
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s: qcow2 images with %s are not supported; qemu-img convert makes one without", name,
                   what);
}

static gboolean check_features(const guint8 *raw, const Qcow2Header *header, const char *name, GError **error)
{
    if (get64(raw + 8) != 0)
        return unsupported(name, "a backing file", error);
    if (get32(raw + 32) != 0)
        return unsupported(name, "encryption", error);
    if ((header->incompatible & ~(guint64)INCOMPATIBLE_KNOWN) != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: made by a newer program: incompatible features 0x%" G_GINT64_MODIFIER "x", name,
                       header->incompatible & ~(guint64)INCOMPATIBLE_KNOWN);
    if ((header->incompatible & INCOMPATIBLE_CORRUPT) != 0)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is marked corrupt; qemu-img check -r all may repair it",
                       name);
    if ((header->incompatible & INCOMPATIBLE_DATA_FILE) != 0)
        return unsupported(name, "an external data file", error);
    if ((header->incompatible & INCOMPATIBLE_EXTENDED_L2) != 0)
        return unsupported(name, "extended L2 entries", error);
    return TRUE;
}

/* The tables must lie within the file and be large enough. */
static gboolean check_tables(const Qcow2Header *header, guint64 file_size, const char *name, GError **error)
{
    guint64 cluster_size = (guint64)1 << header->cluster_bits;
    guint64 l2_span = cluster_size * (cluster_size / sizeof(guint64));
    guint64 l1_bytes = (guint64)header->l1_entries * sizeof(guint64);
    guint64 refcount_bytes = header->refcount_table_clusters * cluster_size;

    if (header->size > G_MAXINT64 || div_round_up(header->size, l2_span) > header->l1_entries)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s: its L1 table is too small for its size", name);
    if (l1_bytes > QCOW2_L1_MAX || refcount_bytes > QCOW2_REFCOUNT_TABLE_MAX)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: its L1 or refcount table is larger than QEMU allows",
                       name);
    if (header->l1_offset % cluster_size != 0 || header->refcount_table_offset % cluster_size != 0 ||
        !range_within(header->l1_offset, l1_bytes, file_size) ||
        !range_within(header->refcount_table_offset, refcount_bytes, file_size))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s: its L1 or refcount table lies outside the file", name);
    return TRUE;
}

/* Extensions are type, length, and data padded to 8 bytes; type 0 ends them. */
static gboolean find_bitmaps(Bytes *bytes, guint64 at, guint64 end, gboolean *ret_found, GError **error)
{
    guint8 raw[8];

    end = MIN(end, bytes_size(bytes));
    *ret_found = FALSE;
    for (guint i = 0; range_within(at, sizeof raw, end); i++) {
        if (i == EXTENSIONS_MAX)
            return vf_fail(error, VF_ERROR_INVALID, "%s has too many header extensions", bytes_name(bytes));
        if (!bytes_pread(bytes, raw, sizeof raw, at, error))
            return FALSE;
        if (get32(raw) == 0)
            break;
        if (get32(raw) == EXTENSION_BITMAPS)
            *ret_found = TRUE;
        at += sizeof raw + round_up(get32(raw + 4), 8);
    }
    return TRUE;
}

static void parse(const guint8 *raw, Qcow2Header *header)
{
    header->cluster_bits = get32(raw + 20);
    header->size = get64(raw + 24);
    header->l1_entries = get32(raw + 36);
    header->l1_offset = get64(raw + 40);
    header->refcount_table_offset = get64(raw + 48);
    header->refcount_table_clusters = get32(raw + 56);
    header->n_snapshots = get32(raw + 60);
    header->refcount_order = 4;
    if (header->version == 2)
        return;
    header->incompatible = get64(raw + 72);
    header->autoclear = get64(raw + 88);
    header->refcount_order = get32(raw + 96);
}

static gboolean check_basics(const guint8 *raw, const Qcow2Header *header, const char *name, GError **error)
{
    guint32 length = header->version == 2 ? HEADER_LENGTH_V2 : get32(raw + 100);

    if (header->cluster_bits < QCOW2_CLUSTER_BITS_MIN || header->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: cluster_bits is %u, not %u to %u", name,
                       header->cluster_bits, QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX);
    if (header->refcount_order > 6)
        return vf_fail(error, VF_ERROR_INVALID, "%s: refcount_order is %u, not 0 to 6", name,
                       header->refcount_order);
    if (length > (1u << header->cluster_bits) || (header->version == 3 && length < HEADER_LENGTH_V3))
        return vf_fail(error, VF_ERROR_INVALID, "%s: header length %u is impossible", name, length);
    return TRUE;
}

gboolean qcow2_header_read(Bytes *bytes, Qcow2Header *ret, GError **error)
{
    const char *name = bytes_name(bytes);
    guint8 raw[HEADER_LENGTH_V3] = {0};
    gsize available = (gsize)MIN(bytes_size(bytes), sizeof raw);
    Qcow2Header header = {0};
    guint64 extensions;

    if (!bytes_pread(bytes, raw, available, 0, error))
        return FALSE;
    if (get32(raw) != MAGIC)
        return vf_fail(error, VF_ERROR_INVALID, "%s is not a qcow2 image", name);
    header.version = get32(raw + 4);
    if (header.version != 2 && header.version != 3)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: qcow2 version %u is not supported", name,
                       header.version);
    if (available < (header.version == 2 ? HEADER_LENGTH_V2 : HEADER_LENGTH_V3))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s ends within its header", name);
    parse(raw, &header);
    extensions = header.version == 2 ? HEADER_LENGTH_V2 : get32(raw + 100);
    if (!check_basics(raw, &header, name, error) || !check_features(raw, &header, name, error) ||
        !check_tables(&header, bytes_size(bytes), name, error) ||
        !find_bitmaps(bytes, extensions, (guint64)1 << header.cluster_bits, &header.has_bitmaps, error))
        return FALSE;
    *ret = header;
    return TRUE;
}

gboolean qcow2_header_check_writable(const Qcow2Header *header, const char *name, GError **error)
{
    if (header->version != 3)
        return vf_fail(
            error, VF_ERROR_UNSUPPORTED,
            "%s: qcow2 version 2 can only be read; qemu-img amend -o compat=1.1 makes it version 3", name);
    if ((header->incompatible & INCOMPATIBLE_DIRTY) != 0)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s was not closed by the program that wrote it; repair it with qemu-img check -r all",
                       name);
    if (header->n_snapshots != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s has internal snapshots: it can only be read", name);
    if (header->has_bitmaps)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s has persistent bitmaps: it can only be read", name);
    if (header->refcount_order != 4)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s has refcounts of %u bits, not 16: it can only be read", name,
                       1u << header->refcount_order);
    return TRUE;
}

static void encode(const Qcow2Header *header, guint8 *raw)
{
    put32(raw, MAGIC);
    put32(raw + 4, header->version);
    put32(raw + 20, header->cluster_bits);
    put64(raw + 24, header->size);
    put32(raw + 36, header->l1_entries);
    put64(raw + 40, header->l1_offset);
    put64(raw + 48, header->refcount_table_offset);
    put32(raw + 56, header->refcount_table_clusters);
    put32(raw + 96, header->refcount_order);
    put32(raw + 100, HEADER_LENGTH_V3);
}

gboolean qcow2_header_write(Bytes *bytes, const Qcow2Header *header, GError **error)
{
    guint8 raw[1u << QCOW2_CLUSTER_BITS_MIN] = {0};

    encode(header, raw);
    return bytes_pwrite(bytes, raw, sizeof raw, 0, error);
}

gboolean qcow2_header_write_tables(Bytes *bytes, const Qcow2Header *header, GError **error)
{
    guint8 raw[HEADER_LENGTH_V3] = {0};

    encode(header, raw);
    return bytes_pwrite(bytes, raw + 24, 60 - 24, 24, error);
}

gboolean qcow2_header_clear_autoclear(Bytes *bytes, GError **error)
{
    guint8 none[8] = {0};

    return bytes_pwrite(bytes, none, sizeof none, 88, error);
}
