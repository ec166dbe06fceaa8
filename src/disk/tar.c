/* A member is a header of one block, its contents, and zeros up to the next block.  A member of type L (GNU)
 * or x (pax) says something about the one that follows it: its name, and in pax its size.  Two blocks of
 * zeros end the archive; one, or the end of the file, is taken for it too.
 */
#include "disk/tar.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

/* Of what says something about the next member. */
#define EXTENSION_MAX (64u << 10)

/* Fields of the header: where, and how long. */
#define NAME_AT     0u
#define NAME_MAX_   100u
#define SIZE_AT     124u
#define NUMBER_LEN  12u
#define CHECKSUM_AT 148u
#define TYPE_AT     156u
#define MAGIC_AT    257u
#define PREFIX_AT   345u
#define PREFIX_MAX  155u

typedef struct {
    Bytes *bytes;
    guint64 at; /* of the header in work */
    GPtrArray *members;
    /* For the next member: */
    char *name; /* NULL: what its header says */
    gboolean has_size;
    guint64 size;
} Reader;

static gboolean G_GNUC_PRINTF(3, 4) fail(const Reader *r, GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, VF_ERROR_INVALID, "%s: member at %" G_GUINT64_FORMAT ": %s", bytes_name(r->bytes),
                   r->at, reason);
}

/* --- headers --- */

static guint32 checksum_of(const guint8 *block)
{
    guint32 sum = 0;

    for (guint i = 0; i < TAR_BLOCK; i++)
        sum += i >= CHECKSUM_AT && i < CHECKSUM_AT + 8 ? ' ' : block[i];
    return sum;
}

/* Octal digits, or with the highest bit set (GNU) a big-endian number. */
static gboolean parse_number(const guint8 *field, guint length, guint64 *ret)
{
    guint64 value = 0;
    guint i = 0;

    if ((field[0] & 0x80) != 0) {
        value = field[0] & 0x7f;
        for (i = 1; i < length && value <= G_MAXUINT64 >> 8; i++)
            value = value << 8 | field[i];
        *ret = value;
        return i == length && value <= G_MAXINT64;
    }
    while (i < length && field[i] == ' ')
        i++;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (guint64)(field[i] - '0');
    *ret = value;
    return i == length || field[i] == '\0' || field[i] == ' ';
}

static char *name_in(const guint8 *block)
{
    g_autofree char *name = g_strndup((const char *)block + NAME_AT, NAME_MAX_);
    g_autofree char *prefix = g_strndup((const char *)block + PREFIX_AT, PREFIX_MAX);

    if (memcmp(block + MAGIC_AT, "ustar\0", 6) == 0 && prefix[0] != '\0')
        return g_strconcat(prefix, "/", name, NULL);
    return g_steal_pointer(&name);
}

/* --- extensions --- */

static char *read_text(const Reader *r, guint64 size, GError **error)
{
    g_autofree char *text = NULL;

    if (size > EXTENSION_MAX) {
        fail(r, error, "its extended header has %" G_GUINT64_FORMAT " bytes", size);
        return NULL;
    }
    text = g_malloc0(size + 1);
    return bytes_pread(r->bytes, text, size, r->at + TAR_BLOCK, error) ? g_steal_pointer(&text) : NULL;
}

static gboolean set_pax(Reader *r, const char *key, const char *value, GError **error)
{
    if (strcmp(key, "path") == 0) {
        g_free(r->name);
        r->name = g_strdup(value);
    }
    if (strcmp(key, "size") != 0)
        return TRUE;
    r->has_size = g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &r->size, NULL);
    return r->has_size || fail(r, error, "its size \"%s\" is no number", value);
}

/* Lines "LENGTH KEY=VALUE\n"; the length counts all of its line. */
static gboolean read_pax(Reader *r, guint64 size, GError **error)
{
    g_autofree char *text = read_text(r, size, error);

    if (text == NULL)
        return FALSE;
    for (guint64 at = 0; at < size;) {
        char *rest = NULL;
        guint64 length = g_ascii_strtoull(text + at, &rest, 10);
        char *equals = strchr(rest, '=');

        if (rest == text + at || *rest != ' ' || !range_within(at, length, size) || equals == NULL ||
            equals >= text + at + length || text[at + length - 1] != '\n')
            return fail(r, error, "its extended header is malformed");
        text[at + length - 1] = *equals = '\0';
        if (!set_pax(r, rest + 1, equals + 1, error))
            return FALSE;
        at += length;
    }
    return TRUE;
}

static gboolean read_long_name(Reader *r, guint64 size, GError **error)
{
    g_free(r->name);
    r->name = read_text(r, size, error);
    return r->name != NULL;
}

/* --- members --- */

static gboolean check_name(const Reader *r, const char *name, GError **error)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, "..") == 0 ||
        !g_utf8_validate(name, -1, NULL))
        return fail(r, error, "its name does not belong in an archive without folders");
    for (guint i = 0; i < r->members->len; i++)
        if (strcmp(((const TarMember *)g_ptr_array_index(r->members, i))->name, name) == 0)
            return fail(r, error, "there are two of the name %s", name);
    return r->members->len < TAR_MEMBERS_MAX || fail(r, error, "these are too many members");
}

static gboolean add_member(Reader *r, const char *name, guint64 size, GError **error)
{
    TarMember *member;

    if (g_str_has_prefix(name, "./"))
        name += 2;
    if (!check_name(r, name, error))
        return FALSE;
    member = g_new0(TarMember, 1);
    member->name = g_strdup(name);
    member->offset = r->at + TAR_BLOCK;
    member->size = size;
    g_ptr_array_add(r->members, member);
    return TRUE;
}

static gboolean read_file(Reader *r, const guint8 *block, guint64 size, GError **error)
{
    g_autofree char *name = r->name != NULL ? g_steal_pointer(&r->name) : name_in(block);

    r->has_size = FALSE;
    switch (block[TYPE_AT]) {
    case '\0':
    case '0':
    case '7':
        return add_member(r, name, size, error);
    case '5': /* "./" */
        return TRUE;
    default:
        return fail(r, error, "%s is of type '%c', and only files belong in an OVA", name,
                    g_ascii_isprint(block[TYPE_AT]) ? block[TYPE_AT] : '?');
    }
}

static gboolean read_by_type(Reader *r, const guint8 *block, guint64 size, GError **error)
{
    switch (block[TYPE_AT]) {
    case 'g': /* for all members: nothing that matters here */
        return TRUE;
    case 'x':
        return read_pax(r, size, error);
    case 'L':
        return read_long_name(r, size, error);
    default:
        return read_file(r, block, size, error);
    }
}

static gboolean is_extension(guint8 type)
{
    return type == 'g' || type == 'x' || type == 'L';
}

static gboolean read_member(Reader *r, const guint8 *block, GError **error)
{
    guint64 checksum, size;

    if (!parse_number(block + CHECKSUM_AT, 8, &checksum) || checksum != checksum_of(block))
        return fail(r, error, "this is no header of a tar archive, or it is damaged");
    if (!parse_number(block + SIZE_AT, NUMBER_LEN, &size))
        return fail(r, error, "its size is no number");
    if (r->has_size && !is_extension(block[TYPE_AT]))
        size = r->size;
    if (!range_within(r->at + TAR_BLOCK, size, bytes_size(r->bytes)))
        return fail(r, error,
                    "it has %" G_GUINT64_FORMAT
                    " bytes, and the archive ends before: it was cut short; get it again",
                    size);
    if (!read_by_type(r, block, size, error))
        return FALSE;
    r->at += TAR_BLOCK + MIN(round_up(size, TAR_BLOCK), bytes_size(r->bytes) - r->at - TAR_BLOCK);
    return TRUE;
}

static gboolean read_members(Reader *r, GError **error)
{
    guint8 block[TAR_BLOCK];

    while (range_within(r->at, TAR_BLOCK, bytes_size(r->bytes))) {
        if (!bytes_pread(r->bytes, block, sizeof block, r->at, error))
            return FALSE;
        if (buffer_is_zero(block, sizeof block))
            break;
        if (!read_member(r, block, error))
            return FALSE;
    }
    return r->members->len > 0 || fail(r, error, "there is none: this is no tar archive");
}

static void member_free(gpointer data)
{
    g_free(((TarMember *)data)->name);
    g_free(data);
}

GPtrArray *tar_read(Bytes *bytes, GError **error)
{
    g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(member_free);
    Reader reader = {.bytes = bytes, .members = members};
    gboolean ok = read_members(&reader, error);

    g_free(reader.name);
    return ok ? g_steal_pointer(&members) : NULL;
}

/* --- writing --- */

static void put_text(guint8 *field, const char *text)
{
    memcpy(field, text, strlen(text));
}

/* What octal digits cannot say is said as GNU does. */
static void put_size(guint8 *field, guint64 size)
{
    char digits[NUMBER_LEN];

    if (size < (guint64)1 << 33) {
        g_snprintf(digits, sizeof digits, "%011" G_GINT64_MODIFIER "o", size);
        memcpy(field, digits, sizeof digits);
        return;
    }
    field[0] = 0x80;
    for (guint i = NUMBER_LEN - 1; i > 3; i--, size >>= 8)
        field[i] = (guint8)size;
}

void tar_header(const char *name, guint64 size, guint8 *block)
{
    char checksum[8];

    memset(block, 0, TAR_BLOCK);
    memcpy(block + NAME_AT, name, MIN(strlen(name), NAME_MAX_));
    put_text(block + 100, "0000644");
    put_text(block + 108, "0000000");
    put_text(block + 116, "0000000");
    put_size(block + SIZE_AT, size);
    put_text(block + 136, "00000000000");
    block[TYPE_AT] = '0';
    memcpy(block + MAGIC_AT, "ustar\00000", 8);
    g_snprintf(checksum, sizeof checksum, "%06o", checksum_of(block));
    memcpy(block + CHECKSUM_AT, checksum, 7);
    block[CHECKSUM_AT + 7] = ' ';
}
