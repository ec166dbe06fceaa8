/* The VMDK descriptor: a text of lines.  "#" begins a comment, `key = value` sets something (keys in any
 * case, values quoted or not), and what begins with RW, RDONLY or NOACCESS is an extent:
 *
 *     ACCESS SECTORS TYPE ["FILE" [SECTOR-OFFSET]]
 *
 * The disk is the concatenation of its extents.  Descriptors embedded in other files are padded with NULs,
 * those of Windows products end their lines with CRLF and say encoding="windows-1252".
 *
 * CID and parentCID are parsed and never trusted as identity: a delta link starts with the CID of its parent
 * and gets its own only when it is first closed after a write.
 */
#include "disk/vmdk-descriptor.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

#define MAGIC_LINE "# Disk DescriptorFile"

typedef struct {
    VmdkDescriptor *descriptor;
    const char *name;
    guint line;
    gboolean have_cid, have_parent_cid;
} Parser;

static void extent_free(gpointer data)
{
    VmdkExtent *extent = data;

    g_free(extent->type);
    g_free(extent->file);
    g_free(extent);
}

void vmdk_descriptor_free(VmdkDescriptor *descriptor)
{
    if (descriptor == NULL)
        return;
    g_free(descriptor->create_type);
    g_free(descriptor->parent_hint);
    g_free(descriptor->change_track_path);
    g_free(descriptor->adapter_type);
    g_free(descriptor->uuid);
    g_ptr_array_unref(descriptor->extents);
    g_free(descriptor);
}

static gboolean G_GNUC_PRINTF(3, 4) fail_line(const Parser *parser, GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, VF_ERROR_INVALID, "%s: line %u: %s", parser->name, parser->line, reason);
}

/* --- extents --- */

static const char *const accesses[] = {"RW", "RDONLY", "NOACCESS", NULL};

/* The next word of *cursor, or NULL at its end; *cursor goes behind it. */
static char *next_word(const char **cursor)
{
    const char *start = *cursor + strspn(*cursor, " \t");
    gsize length = strcspn(start, " \t");

    *cursor = start + length;
    return length > 0 ? g_strndup(start, length) : NULL;
}

/* A decimal number of sectors, in bytes. */
static gboolean parse_sectors(const char *word, guint64 *ret_bytes)
{
    guint64 sectors;

    return word != NULL && g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, &sectors, NULL) &&
           size_mul(sectors, SECTOR_SIZE, ret_bytes);
}

/* "vsan://..." names an object in a store, not a file: such a name is kept for the message that refuses it
 * later. */
static gboolean file_name_stays(const char *file)
{
    if (strstr(file, "://") != NULL)
        return TRUE;
    return strpbrk(file, "/\\") == NULL && strcmp(file, ".") != 0 && strcmp(file, "..") != 0;
}

static gboolean parse_extent_file(const Parser *parser, VmdkExtent *extent, const char *rest, GError **error)
{
    const char *start = rest + strspn(rest, " \t");
    const char *end = *start == '"' ? strchr(start + 1, '"') : NULL;

    if (*start == '\0' && strcmp(extent->type, "ZERO") == 0)
        return TRUE;
    if (end == NULL || end == start + 1)
        return fail_line(parser, error, "extent of type %s without a file name in quotes", extent->type);
    extent->file = g_strndup(start + 1, (gsize)(end - start - 1));
    if (!file_name_stays(extent->file))
        return fail_line(parser, error, "file name \"%s\" leaves the directory of the descriptor",
                         extent->file);

    /* Partition and device ids may follow the offset: only descriptors of whole devices have them. */
    rest = end + 1;
    g_autofree char *offset = next_word(&rest);
    if (offset != NULL && !parse_sectors(offset, &extent->file_offset))
        return fail_line(parser, error, "bad offset \"%s\" of extent \"%s\"", offset, extent->file);
    return TRUE;
}

static gboolean parse_extent(Parser *parser, const char *line, GError **error)
{
    VmdkDescriptor *descriptor = parser->descriptor;
    const char *cursor = line;
    g_autofree char *access = next_word(&cursor);
    g_autofree char *length = next_word(&cursor);
    g_autofree char *type = next_word(&cursor);
    VmdkExtent *extent = g_new0(VmdkExtent, 1);
    guint64 file_end;

    g_ptr_array_add(descriptor->extents, extent);
    extent->readable = strcmp(access, "NOACCESS") != 0;
    if (!parse_sectors(length, &extent->length) || extent->length == 0)
        return fail_line(parser, error, "bad extent length \"%s\"", length != NULL ? length : "");
    if (type == NULL)
        return fail_line(parser, error, "extent without a type");
    extent->type = g_ascii_strup(type, -1);
    if (!parse_extent_file(parser, extent, cursor, error))
        return FALSE;
    if (!size_add(extent->file_offset, extent->length, &file_end) ||
        !size_add(descriptor->size, extent->length, &descriptor->size) || descriptor->size > G_MAXINT64)
        return fail_line(parser, error, "the extents are larger than a disk can be");
    return TRUE;
}

static gboolean is_extent(const char *line)
{
    g_autofree char *word = next_word(&line);

    return word != NULL && g_strv_contains(accesses, word);
}

/* --- keys --- */

static gboolean set_text(const Parser *parser, char **slot, const char *key, const char *value,
                         GError **error)
{
    if (*slot != NULL)
        return fail_line(parser, error, "%s is set twice", key);
    *slot = g_strdup(value);
    return TRUE;
}

static gboolean set_cid(const Parser *parser, guint32 *slot, gboolean *have, const char *key,
                        const char *value, GError **error)
{
    guint64 number;

    if (*have)
        return fail_line(parser, error, "%s is set twice", key);
    if (!g_ascii_string_to_unsigned(value, 16, 0, G_MAXUINT32, &number, NULL))
        return fail_line(parser, error, "%s \"%s\" is not a hexadecimal number of 32 bits", key, value);
    *slot = (guint32)number;
    *have = TRUE;
    return TRUE;
}

static gboolean set_key(Parser *parser, const char *key, const char *value, GError **error)
{
    VmdkDescriptor *descriptor = parser->descriptor;
    const struct {
        const char *key;
        char **slot;
    } texts[] = {
        {"createType", &descriptor->create_type},
        {"parentFileNameHint", &descriptor->parent_hint},
        {"changeTrackPath", &descriptor->change_track_path},
        {"ddb.adapterType", &descriptor->adapter_type},
        {"ddb.uuid", &descriptor->uuid},
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        if (g_ascii_strcasecmp(key, texts[i].key) == 0)
            return set_text(parser, texts[i].slot, key, value, error);
    if (g_ascii_strcasecmp(key, "CID") == 0)
        return set_cid(parser, &descriptor->cid, &parser->have_cid, key, value, error);
    if (g_ascii_strcasecmp(key, "parentCID") == 0)
        return set_cid(parser, &descriptor->parent_cid, &parser->have_parent_cid, key, value, error);
    return TRUE;
}

static gboolean parse_key(Parser *parser, const char *line, GError **error)
{
    const char *equals = strchr(line, '=');

    if (equals == NULL)
        return fail_line(parser, error, "neither a comment nor an extent nor `key = value`");
    g_autofree char *key = g_strstrip(g_strndup(line, (gsize)(equals - line)));
    g_autofree char *value = g_strstrip(g_strdup(equals + 1));
    gsize length = strlen(value);

    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        return set_key(parser, key, value + 1, error);
    }
    return set_key(parser, key, value, error);
}

/* --- the whole --- */

static gboolean parse_lines(Parser *parser, char *text, GError **error)
{
    for (char *line = text; line != NULL; parser->line++) {
        char *end = strchr(line, '\n');

        if (end != NULL)
            *end = '\0';
        g_strstrip(line);
        if (*line != '\0' && *line != '#' &&
            !(is_extent(line) ? parse_extent(parser, line, error) : parse_key(parser, line, error)))
            return FALSE;
        line = end != NULL ? end + 1 : NULL;
    }
    return TRUE;
}

static gboolean check_complete(const Parser *parser, GError **error)
{
    const VmdkDescriptor *descriptor = parser->descriptor;
    const char *missing = descriptor->create_type == NULL ? "createType"
                          : !parser->have_cid             ? "CID"
                          : !parser->have_parent_cid      ? "parentCID"
                          : descriptor->extents->len == 0 ? "an extent"
                                                          : NULL;

    if (missing != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s: the descriptor has no line for %s", parser->name,
                       missing);
    return TRUE;
}

/* The text in UTF-8, up to the padding. */
static char *to_utf8(const char *text, gsize length, const char *name, GError **error)
{
    gsize used = strnlen(text, length);

    if (g_utf8_validate(text, (gssize)used, NULL))
        return g_strndup(text, used);
    char *converted = g_convert(text, (gssize)used, "UTF-8", "WINDOWS-1252", NULL, NULL, NULL);
    if (converted == NULL)
        vf_fail(error, VF_ERROR_INVALID, "%s: the descriptor is neither UTF-8 nor windows-1252", name);
    return converted;
}

VmdkDescriptor *vmdk_descriptor_parse(const char *text, gsize length, const char *name, GError **error)
{
    if (length > VMDK_DESCRIPTOR_MAX) {
        vf_fail(error, VF_ERROR_INVALID, "%s: %" G_GSIZE_FORMAT " bytes are too many for a descriptor", name,
                length);
        return NULL;
    }
    if (length < strlen(MAGIC_LINE) || g_ascii_strncasecmp(text, MAGIC_LINE, strlen(MAGIC_LINE)) != 0) {
        vf_fail(error, VF_ERROR_INVALID, "%s: not a VMDK descriptor: the first line is not \"%s\"", name,
                MAGIC_LINE);
        return NULL;
    }

    g_autofree char *copy = to_utf8(text, length, name, error);
    g_autoptr(VmdkDescriptor) descriptor = g_new0(VmdkDescriptor, 1);
    Parser parser = {.descriptor = descriptor, .name = name, .line = 1};

    descriptor->extents = g_ptr_array_new_with_free_func(extent_free);
    if (copy == NULL || !parse_lines(&parser, copy, error) || !check_complete(&parser, error))
        return NULL;
    return g_steal_pointer(&descriptor);
}

gboolean vmdk_descriptor_has_parent(const VmdkDescriptor *descriptor)
{
    return descriptor->parent_cid != VMDK_NO_PARENT || descriptor->parent_hint != NULL;
}
