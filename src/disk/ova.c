#include "disk/ova.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/bytes-window.h"
#include "disk/tar.h"
#include "disk/vmdk.h"

#define MANIFEST_MAX ((guint64)1 << 20)

/* A line of the manifest. */
typedef struct {
    char *file;
    GChecksumType type;
    char *digits; /* lower case */
} Checksum;

struct Ova {
    char *name;
    BytesShare *share;
    GPtrArray *members;   /* TarMember */
    GArray *checksums;    /* Checksum */
    const char *ovf_name; /* of a member */
    gboolean has_manifest;
    Ovf *ovf;
};

static void checksum_clear(gpointer data)
{
    Checksum *checksum = data;

    g_free(checksum->file);
    g_free(checksum->digits);
}

void ova_free(Ova *ova)
{
    if (ova == NULL)
        return;
    ovf_free(ova->ovf);
    g_array_unref(ova->checksums);
    g_clear_pointer(&ova->members, g_ptr_array_unref);
    bytes_share_unref(ova->share);
    g_free(ova->name);
    g_free(ova);
}

/* --- members --- */

static const TarMember *find_member(const Ova *ova, const char *name)
{
    for (guint i = 0; i < ova->members->len; i++) {
        const TarMember *member = g_ptr_array_index(ova->members, i);

        if (strcmp(member->name, name) == 0)
            return member;
    }
    return NULL;
}

static char *member_names(const Ova *ova)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < ova->members->len; i++)
        g_string_append_printf(names, "%s%s", i == 0 ? "" : ", ",
                               ((const TarMember *)g_ptr_array_index(ova->members, i))->name);
    return g_string_free(names, FALSE);
}

Bytes *ova_open_member(const Ova *ova, const char *name, GError **error)
{
    const TarMember *member = find_member(ova, name);
    g_autofree char *full = g_strdup_printf("%s:%s", ova->name, name);
    g_autofree char *names = member_names(ova);

    if (member != NULL)
        return bytes_window_new(ova->share, member->offset, member->size, full);
    vf_fail(error, VF_ERROR_NOT_FOUND, "%s: it has no member %s, but %s", ova->name, name, names);
    return NULL;
}

static char *read_member(const Ova *ova, const TarMember *member, guint64 max, GError **error)
{
    g_autoptr(Bytes) bytes = ova_open_member(ova, member->name, error);
    g_autofree char *text = NULL;

    if (bytes == NULL)
        return NULL;
    if (member->size > max) {
        vf_fail(error, VF_ERROR_INVALID, "%s: %" G_GUINT64_FORMAT " bytes are too many for a text",
                bytes_name(bytes), member->size);
        return NULL;
    }
    text = g_malloc0(member->size + 1);
    return bytes_pread(bytes, text, member->size, 0, error) ? g_steal_pointer(&text) : NULL;
}

/* The only member with that end; NULL without an error when there is none. */
static const TarMember *find_by_suffix(const Ova *ova, const char *suffix, gboolean *ret_ok, GError **error)
{
    const TarMember *found = NULL;

    *ret_ok = TRUE;
    for (guint i = 0; i < ova->members->len; i++) {
        const TarMember *member = g_ptr_array_index(ova->members, i);

        if (!g_str_has_suffix(member->name, suffix))
            continue;
        if (found != NULL) {
            *ret_ok = vf_fail(error, VF_ERROR_INVALID, "%s: both %s and %s are there", ova->name, found->name,
                              member->name);
            return NULL;
        }
        found = member;
    }
    return found;
}

/* --- the manifest: lines "SHA256(web.ovf)= 0123..." --- */

static gboolean parse_type(const char *word, GChecksumType *ret)
{
    static const struct {
        const char *word;
        GChecksumType type;
    } types[] = {{"SHA1", G_CHECKSUM_SHA1}, {"SHA256", G_CHECKSUM_SHA256}, {"SHA512", G_CHECKSUM_SHA512}};

    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_ascii_strcasecmp(word, types[i].word) == 0) {
            *ret = types[i].type;
            return TRUE;
        }
    return FALSE;
}

/* Takes a line apart, and changes it. */
static gboolean parse_line(char *line, Checksum *ret)
{
    char *open = strchr(line, '(');
    char *close = strrchr(line, ')');
    char *digits = close != NULL ? strchr(close, '=') : NULL;

    if (open == NULL || close < open || digits == NULL)
        return FALSE;
    *open = *close = '\0';
    if (!parse_type(g_strchomp(line), &ret->type))
        return FALSE;
    digits = g_strstrip(digits + 1);
    if ((gssize)strlen(digits) != 2 * g_checksum_type_get_length(ret->type))
        return FALSE;
    ret->file = g_strdup(open + 1);
    ret->digits = g_ascii_strdown(digits, -1);
    return TRUE;
}

static gboolean parse_manifest(Ova *ova, const char *text, const char *name, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i] != NULL; i++) {
        Checksum checksum = {0};

        if (*g_strstrip(lines[i]) == '\0')
            continue;
        if (!parse_line(lines[i], &checksum))
            return vf_fail(error, VF_ERROR_INVALID, "%s:%s: line %u is no checksum of a file", ova->name,
                           name, i + 1);
        g_array_append_val(ova->checksums, checksum);
    }
    return TRUE;
}

static gboolean read_manifest(Ova *ova, GError **error)
{
    gboolean ok;
    const TarMember *member = find_by_suffix(ova, ".mf", &ok, error);
    g_autofree char *text = NULL;

    if (member == NULL)
        return ok;
    ova->has_manifest = TRUE;
    text = read_member(ova, member, MANIFEST_MAX, error);
    return text != NULL && parse_manifest(ova, text, member->name, error);
}

char *ova_checksum(Bytes *bytes, GChecksumType type, const Cancel *cancel, GError **error)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(type);
    g_autoptr(DiskBuffer) buffer = disk_buffer_new(MIB);
    guint64 size = bytes_size(bytes);

    for (guint64 at = 0; at < size; at += MIB) {
        gsize length = (gsize)MIN(MIB, size - at);

        if (!cancel_check(cancel, error) || !bytes_pread(bytes, buffer, length, at, error))
            return NULL;
        g_checksum_update(checksum, buffer, (gssize)length);
    }
    return g_strdup(g_checksum_get_string(checksum));
}

static gboolean verify_file(const Ova *ova, const Checksum *expected, const Cancel *cancel, GError **error)
{
    g_autoptr(Bytes) bytes = ova_open_member(ova, expected->file, error);
    g_autofree char *digits = bytes != NULL ? ova_checksum(bytes, expected->type, cancel, error) : NULL;

    if (digits == NULL)
        return FALSE;
    if (strcmp(digits, expected->digits) == 0)
        return TRUE;
    return vf_fail(
        error, VF_ERROR_INTEGRITY,
        "%s: its checksum is %s, and the manifest says %s: it was damaged or changed; get it again",
        bytes_name(bytes), digits, expected->digits);
}

gboolean ova_verify(const Ova *ova, const Cancel *cancel, GError **error)
{
    if (!ova->has_manifest)
        return vf_fail(error, VF_ERROR_NOT_FOUND, "%s: it has no manifest to check it by", ova->name);
    for (guint i = 0; i < ova->checksums->len; i++)
        if (!verify_file(ova, &g_array_index(ova->checksums, Checksum, i), cancel, error))
            return FALSE;
    return TRUE;
}

static gboolean verify_envelope(const Ova *ova, GError **error)
{
    for (guint i = 0; i < ova->checksums->len; i++) {
        const Checksum *checksum = &g_array_index(ova->checksums, Checksum, i);

        if (strcmp(checksum->file, ova->ovf_name) == 0 && !verify_file(ova, checksum, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/* --- the envelope --- */

static gboolean read_envelope(Ova *ova, GError **error)
{
    gboolean ok;
    const TarMember *member = find_by_suffix(ova, ".ovf", &ok, error);
    g_autofree char *full = NULL;
    g_autofree char *text = NULL;

    if (member == NULL)
        return ok ? vf_fail(error, VF_ERROR_INVALID, "%s: there is no .ovf in it", ova->name) : FALSE;
    ova->ovf_name = member->name;
    full = g_strdup_printf("%s:%s", ova->name, member->name);
    text = read_member(ova, member, OVF_MAX, error);
    if (text == NULL || !verify_envelope(ova, error))
        return FALSE;
    ova->ovf = ovf_parse(text, member->size, full, error);
    return ova->ovf != NULL;
}

static gboolean check_files(const Ova *ova, GError **error)
{
    for (guint i = 0; i < ova->ovf->disks->len; i++) {
        const OvfDisk *disk = g_ptr_array_index(ova->ovf->disks, i);
        const TarMember *member = disk->file != NULL ? find_member(ova, disk->file) : NULL;

        if (disk->file == NULL)
            continue;
        if (member == NULL)
            return vf_fail(error, VF_ERROR_INVALID,
                           "%s: the file %s of disk %s is missing: the archive was cut short; get it again",
                           ova->name, disk->file, disk->key);
        if (disk->size != 0 && disk->size != member->size)
            return vf_fail(error, VF_ERROR_INVALID,
                           "%s:%s: it has %" G_GUINT64_FORMAT
                           " bytes, and the envelope says %" G_GUINT64_FORMAT,
                           ova->name, member->name, member->size, disk->size);
    }
    return TRUE;
}

Ova *ova_open(Bytes *bytes, GError **error)
{
    g_autoptr(Ova) ova = g_new0(Ova, 1);

    ova->name = g_strdup(bytes_name(bytes));
    ova->share = bytes_share_new(bytes);
    ova->checksums = g_array_new(FALSE, FALSE, sizeof(Checksum));
    g_array_set_clear_func(ova->checksums, checksum_clear);
    ova->members = tar_read(bytes, error);
    if (ova->members == NULL || !read_manifest(ova, error) || !read_envelope(ova, error) ||
        !check_files(ova, error))
        return NULL;
    return g_steal_pointer(&ova);
}

const Machine *ova_machine(const Ova *ova)
{
    return ova->ovf->machine;
}

const char *ova_disk_file(const Ova *ova, const char *key)
{
    for (guint i = 0; i < ova->ovf->disks->len; i++) {
        const OvfDisk *disk = g_ptr_array_index(ova->ovf->disks, i);

        if (strcmp(disk->key, key) == 0)
            return disk->file;
    }
    return NULL;
}

/* --- disks --- */

static const char *only_disk(const Ova *ova, GError **error)
{
    const char *found = NULL;

    for (guint i = 0; i < ova->ovf->disks->len; i++) {
        const OvfDisk *disk = g_ptr_array_index(ova->ovf->disks, i);

        if (disk->file == NULL)
            continue;
        if (found != NULL) {
            vf_fail(error, VF_ERROR_INVALID, "%s holds several disks: say which, as in %s:%s", ova->name,
                    ova->name, found);
            return NULL;
        }
        found = disk->file;
    }
    if (found == NULL)
        vf_fail(error, VF_ERROR_NOT_FOUND, "%s: it holds no disk", ova->name);
    return found;
}

/* Paths within an archive are the names of its members. */
static char *resolve(const char *from, const char *name, gpointer data, GError **error)
{
    return g_strdup(name);
}

static Bytes *open_path(const char *path, VmdkFileRole role, gpointer data, GError **error)
{
    return ova_open_member(data, path, error);
}

Disk *ova_open_disk(const Ova *ova, const char *name, GError **error)
{
    const VmdkOpener opener = {.resolve = resolve, .open = open_path, .data = (gpointer)ova};

    if (name == NULL)
        name = only_disk(ova, error);
    return name != NULL ? vmdk_open(name, &opener, NULL, error) : NULL;
}

/* --- paths --- */

#define SUFFIX ".ova"

/* Behind the name of the archive; NULL when there is none. */
static const char *end_of_archive(const char *path)
{
    const char *colon = strstr(path, SUFFIX ":");

    if (colon != NULL)
        return colon + strlen(SUFFIX);
    return g_str_has_suffix(path, SUFFIX) ? path + strlen(path) : NULL;
}

gboolean ova_is_path(const char *path)
{
    return end_of_archive(path) != NULL;
}

Disk *ova_open_path(const char *path, GError **error)
{
    const char *end = end_of_archive(path);
    g_autofree char *archive = g_strndup(path, (gsize)(end - path));
    Bytes *bytes = bytes_open_file(archive, BYTES_READ, error);
    g_autoptr(Ova) ova = bytes != NULL ? ova_open(bytes, error) : NULL;

    return ova != NULL ? ova_open_disk(ova, *end == ':' ? end + 1 : NULL, error) : NULL;
}
