/* What stands behind the header of a qcow2 image, within its first cluster: extensions, each a type, a length
 * and data padded to 8 bytes, ended by type 0; and the name of the backing file.
 */
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/qcow2-internal.h"

#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_DATA_FILE      0x44415441u
#define EXTENSION_BIT_NAMES      0x6803f857u
#define EXTENSION_BITMAPS        0x23852875u
#define EXTENSIONS_MAX           64u

/* Those of QEMU. */
#define BACKING_FILE_MAX 1023u
#define FORMAT_MAX       1023u
#define DATA_FILE_MAX    1023u

/* One feature: kind (0: incompatible), bit, and a name that ends with a zero unless it fills its place. */
#define BIT_NAME_SIZE 48u
#define BIT_NAMES_MAX 192u

typedef struct {
    guint32 type, length; /* big-endian */
} Extension;

static char *read_text(Bytes *bytes, guint64 at, guint32 length, guint32 max, const char *what,
                       GError **error)
{
    g_autofree char *text = NULL;

    if (length == 0 || length > max) {
        vf_fail(error, VF_ERROR_INVALID, "%s: the %s at %" G_GUINT64_FORMAT " is %u bytes long, not 1 to %u",
                bytes_name(bytes), what, at, length, max);
        return NULL;
    }
    text = g_malloc0(length + 1);
    if (!bytes_pread(bytes, text, length, at, error))
        return NULL;
    if (strlen(text) < length || !g_utf8_validate(text, -1, NULL)) {
        vf_fail(error, VF_ERROR_INVALID, "%s: the %s at %" G_GUINT64_FORMAT " is no text", bytes_name(bytes),
                what, at);
        return NULL;
    }
    return g_steal_pointer(&text);
}

static gboolean read_bit_names(Bytes *bytes, guint64 at, guint32 length, GHashTable **names, GError **error)
{
    guint8 entry[BIT_NAME_SIZE + 1] = {0};

    g_clear_pointer(names, g_hash_table_unref);
    *names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    for (guint32 i = 0; i < MIN(length / BIT_NAME_SIZE, BIT_NAMES_MAX); i++) {
        if (!bytes_pread(bytes, entry, BIT_NAME_SIZE, at + i * BIT_NAME_SIZE, error))
            return FALSE;
        if (entry[0] == 0)
            g_hash_table_insert(*names, GUINT_TO_POINTER(entry[1] + 1u),
                                g_utf8_make_valid((const char *)entry + 2, -1));
    }
    return TRUE;
}

static gboolean set_text(char **text, char *value)
{
    g_free(*text);
    *text = value;
    return value != NULL;
}

static gboolean read_one(Bytes *bytes, Qcow2Header *header, guint32 type, guint32 length, guint64 at,
                         GError **error)
{
    switch (type) {
    case EXTENSION_BACKING_FORMAT:
        return set_text(&header->backing_format,
                        read_text(bytes, at, length, FORMAT_MAX, "backing format", error));
    case EXTENSION_DATA_FILE:
        return set_text(&header->data_file,
                        read_text(bytes, at, length, DATA_FILE_MAX, "name of its data file", error));
    case EXTENSION_BIT_NAMES:
        return read_bit_names(bytes, at, length, &header->bit_names, error);
    case EXTENSION_BITMAPS:
        header->has_bitmaps = TRUE;
        return TRUE;
    default:
        return TRUE;
    }
}

static gboolean read_all(Bytes *bytes, Qcow2Header *header, guint64 end, GError **error)
{
    guint64 at = header->length;
    Extension extension;

    for (guint i = 0; range_within(at, sizeof extension, end); i++) {
        guint32 length;

        if (i == EXTENSIONS_MAX)
            return vf_fail(error, VF_ERROR_INVALID, "%s has too many header extensions", bytes_name(bytes));
        if (!bytes_pread(bytes, &extension, sizeof extension, at, error))
            return FALSE;
        length = GUINT32_FROM_BE(extension.length);
        at += sizeof extension;
        if (extension.type == 0)
            return TRUE;
        if (!range_within(at, length, end))
            return vf_fail(error, VF_ERROR_INVALID,
                           "%s: the header extension at %" G_GUINT64_FORMAT " is longer than its cluster",
                           bytes_name(bytes), at - sizeof extension);
        if (!read_one(bytes, header, GUINT32_FROM_BE(extension.type), length, at, error))
            return FALSE;
        at += round_up(length, 8);
    }
    return TRUE;
}

static gboolean read_backing_file(Bytes *bytes, Qcow2Header *header, guint64 end, GError **error)
{
    if (header->backing_offset == 0)
        return TRUE;
    if (!range_within(header->backing_offset, header->backing_length, end))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: the name of its backing file at %" G_GUINT64_FORMAT
                       " does not lie within the first cluster",
                       bytes_name(bytes), header->backing_offset);
    header->backing_file = read_text(bytes, header->backing_offset, header->backing_length, BACKING_FILE_MAX,
                                     "name of its backing file", error);
    return header->backing_file != NULL;
}

gboolean qcow2_extensions_read(Bytes *bytes, Qcow2Header *header, GError **error)
{
    guint64 end = MIN((guint64)1 << header->cluster_bits, bytes_size(bytes));

    return read_all(bytes, header, end, error) && read_backing_file(bytes, header, end, error);
}

/* --- writing --- */

/* Big-endian, wherever it lies. */
static void put32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static gsize put_extension(guint8 *raw, guint32 type, const char *text)
{
    gsize length = strlen(text);

    put32(raw, type);
    put32(raw + 4, (guint32)length);
    memcpy(raw + sizeof(Extension), text, length);
    return sizeof(Extension) + (gsize)round_up(length, 8);
}

static gsize length_of(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

gboolean qcow2_extensions_encode(const Qcow2Header *header, guint8 *raw, gsize at, gsize space,
                                 const char *name, GError **error)
{
    gsize file = length_of(header->backing_file);
    gsize format = length_of(header->backing_format);

    if (file > BACKING_FILE_MAX || format > FORMAT_MAX ||
        at + file + round_up(format, 8) + 2 * sizeof(Extension) > space)
        return vf_fail(error, VF_ERROR_INVALID, "%s: the name of the backing file is too long for the header",
                       name);
    if (format > 0)
        at += put_extension(raw + at, EXTENSION_BACKING_FORMAT, header->backing_format);
    at += sizeof(Extension);
    if (file == 0)
        return TRUE;
    memcpy(raw + at, header->backing_file, file);
    put32(raw + 12, (guint32)at);
    put32(raw + 16, (guint32)file);
    return TRUE;
}
