/* The header of a qcow2 image (QEMU docs/interop/qcow2.rst): 104 bytes or more in version 3, big-endian,
 * followed by extensions, all within the first cluster.
 *
 *     0 magic    4 version       8 backing file offset   16 its length    20 cluster bits   24 size
 *    32 crypt   36 L1 entries   40 L1 offset            48 refcount table offset           56 its clusters
 *    60 snapshots               64 their offset         72 incompatible   80 compatible     88 autoclear
 *    96 refcount order         100 header length     104 compression type
 */
#include "disk/qcow2-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

#define MAGIC            0x514649fbu
#define HEADER_LENGTH_V2 72u
#define HEADER_LENGTH_V3 104u
#define HEADER_LENGTH    112u

#define INCOMPATIBLE_KNOWN                                                                                   \
    (QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT | QCOW2_INCOMPATIBLE_DATA_FILE |                  \
     QCOW2_INCOMPATIBLE_COMPRESSION | QCOW2_INCOMPATIBLE_EXTENDED_L2)

#define COMPRESSION_ZSTD 1u

/* Of a new header with what follows it, unless the cluster is smaller. */
#define HEADER_SPACE 4096u

/* 16 KiB: 32 subclusters of a sector. */
#define EXTENDED_CLUSTER_BITS_MIN 14u

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

/* By the names that the image itself has for them, where it has. */
static gboolean fail_unknown(const Qcow2Header *header, const char *name, GError **error)
{
    guint64 unknown = header->incompatible & ~(guint64)INCOMPATIBLE_KNOWN;
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint bit = 0; bit < 64; bit++) {
        const char *called = NULL;

        if ((unknown >> bit & 1) == 0)
            continue;
        if (header->bit_names != NULL)
            called = g_hash_table_lookup(header->bit_names, GUINT_TO_POINTER(bit + 1));
        g_string_append_printf(list, "%s%u (%s)", list->len > 0 ? ", " : "", bit,
                               called != NULL ? called : "unnamed");
    }
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s was made by a newer program: it has the incompatible features %s, which are not known",
                   name, list->str);
}

static gboolean check_features(const Qcow2Header *header, const char *name, GError **error)
{
    gboolean says_compression = (header->incompatible & QCOW2_INCOMPATIBLE_COMPRESSION) != 0;

    if ((header->incompatible & ~(guint64)INCOMPATIBLE_KNOWN) != 0)
        return fail_unknown(header, name, error);
    if (header->crypt_method != 0)
        return unsupported(name, header->crypt_method == 2 ? "LUKS encryption" : "encryption", error);
    if ((header->incompatible & QCOW2_INCOMPATIBLE_CORRUPT) != 0)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s is marked corrupt; qemu-img check -r all may repair it",
                       name);
    if (header->compression > COMPRESSION_ZSTD)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: compression type %u is not known", name,
                       header->compression);
    if (says_compression != (header->compression != 0))
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: its header at 72 and at 104 says different things about compression", name);
    if ((header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0 &&
        header->cluster_bits < EXTENDED_CLUSTER_BITS_MIN)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: its clusters of %u bytes are too small to have subclusters", name,
                       1u << header->cluster_bits);
    return TRUE;
}

/* The tables must lie within the file and be large enough. */
static gboolean check_tables(const Qcow2Header *header, guint64 file_size, const char *name, GError **error)
{
    guint64 cluster_size = (guint64)1 << header->cluster_bits;
    gboolean is_extended = (header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
    guint64 l2_span = cluster_size * (cluster_size / (is_extended ? 16 : 8));
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

static void parse(const guint8 *raw, Qcow2Header *header)
{
    header->backing_offset = get64(raw + 8);
    header->backing_length = get32(raw + 16);
    header->cluster_bits = get32(raw + 20);
    header->size = get64(raw + 24);
    header->crypt_method = get32(raw + 32);
    header->l1_entries = get32(raw + 36);
    header->l1_offset = get64(raw + 40);
    header->refcount_table_offset = get64(raw + 48);
    header->refcount_table_clusters = get32(raw + 56);
    header->n_snapshots = get32(raw + 60);
    header->refcount_order = 4;
    header->length = HEADER_LENGTH_V2;
    if (header->version == 2)
        return;
    header->incompatible = get64(raw + 72);
    header->compatible = get64(raw + 80);
    header->autoclear = get64(raw + 88);
    header->refcount_order = get32(raw + 96);
    header->length = get32(raw + 100);
    header->compression = header->length > HEADER_LENGTH_V3 ? raw[104] : 0;
}

static gboolean check_basics(const Qcow2Header *header, const char *name, GError **error)
{
    if (header->cluster_bits < QCOW2_CLUSTER_BITS_MIN || header->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: cluster_bits at 20 is %u, not %u to %u", name,
                       header->cluster_bits, QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX);
    if (header->refcount_order > 6)
        return vf_fail(error, VF_ERROR_INVALID, "%s: refcount_order at 96 is %u, not 0 to 6", name,
                       header->refcount_order);
    if (header->length > (1u << header->cluster_bits) ||
        (header->version == 3 && header->length < HEADER_LENGTH_V3))
        return vf_fail(error, VF_ERROR_INVALID, "%s: its header length at 100, %u, is impossible", name,
                       header->length);
    return TRUE;
}

static gboolean check_start(const guint8 *raw, gsize available, const char *name, GError **error)
{
    guint32 version = get32(raw + 4);

    if (get32(raw) != MAGIC)
        return vf_fail(error, VF_ERROR_INVALID, "%s is not a qcow2 image", name);
    if (version != 2 && version != 3)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: qcow2 version %u is not supported", name, version);
    if (available < (version == 2 ? HEADER_LENGTH_V2 : HEADER_LENGTH_V3))
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s ends within its header", name);
    return TRUE;
}

void qcow2_header_clear(Qcow2Header *header)
{
    g_clear_pointer(&header->backing_file, g_free);
    g_clear_pointer(&header->backing_format, g_free);
    g_clear_pointer(&header->data_file, g_free);
    g_clear_pointer(&header->bit_names, g_hash_table_unref);
}

gboolean qcow2_header_read(Bytes *bytes, Qcow2Header *ret, GError **error)
{
    const char *name = bytes_name(bytes);
    guint8 raw[HEADER_LENGTH] = {0};
    gsize available = (gsize)MIN(bytes_size(bytes), sizeof raw);
    g_auto(Qcow2Header) header = {0};

    if (!bytes_pread(bytes, raw, available, 0, error) || !check_start(raw, available, name, error))
        return FALSE;
    header.version = get32(raw + 4);
    parse(raw, &header);
    if (!check_basics(&header, name, error) || !qcow2_extensions_read(bytes, &header, error) ||
        !check_features(&header, name, error) || !check_tables(&header, bytes_size(bytes), name, error))
        return FALSE;
    *ret = header;
    header = (Qcow2Header){0};
    return TRUE;
}

gboolean qcow2_header_check_writable(const Qcow2Header *header, const char *name, GError **error)
{
    if (header->version != 3)
        return vf_fail(
            error, VF_ERROR_UNSUPPORTED,
            "%s: qcow2 version 2 can only be read; qemu-img amend -o compat=1.1 makes it version 3", name);
    if ((header->incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s has an external data file: it can only be read",
                       name);
    if ((header->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s has subclusters: it can only be read", name);
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
    put64(raw + 72, header->incompatible);
    put64(raw + 80, header->compatible);
    put32(raw + 96, header->refcount_order);
    put32(raw + 100, HEADER_LENGTH);
    raw[104] = header->compression;
}

gboolean qcow2_header_write(Bytes *bytes, const Qcow2Header *header, GError **error)
{
    guint8 raw[HEADER_SPACE] = {0};
    gsize space = MIN(sizeof raw, (gsize)1 << header->cluster_bits);
    gsize rest = space - SECTOR_SIZE;

    encode(header, raw);
    if (!qcow2_extensions_encode(header, raw, HEADER_LENGTH, space, bytes_name(bytes), error))
        return FALSE;
    if (rest > 0 &&
        (!bytes_pwrite(bytes, raw + SECTOR_SIZE, rest, SECTOR_SIZE, error) || !bytes_flush(bytes, error)))
        return FALSE;
    return bytes_pwrite(bytes, raw, SECTOR_SIZE, 0, error);
}

gboolean qcow2_header_write_tables(Bytes *bytes, const Qcow2Header *header, GError **error)
{
    guint8 raw[HEADER_LENGTH] = {0};

    encode(header, raw);
    return bytes_pwrite(bytes, raw + 24, 60 - 24, 24, error);
}

gboolean qcow2_header_clear_dirty(Bytes *bytes, const Qcow2Header *header, GError **error)
{
    guint8 raw[8];

    put64(raw, header->incompatible & ~(guint64)QCOW2_INCOMPATIBLE_DIRTY);
    return bytes_pwrite(bytes, raw, sizeof raw, 72, error) && bytes_flush(bytes, error);
}

gboolean qcow2_header_clear_autoclear(Bytes *bytes, GError **error)
{
    guint8 none[8] = {0};

    return bytes_pwrite(bytes, none, sizeof none, 88, error);
}
