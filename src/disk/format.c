#include "disk/format.h"

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "disk/create.h"
#include "disk/nbd.h"
#include "disk/ova.h"
#include "disk/qcow2.h"
#include "disk/raw.h"
#include "disk/vmdk.h"

/* An image that is being opened, for those that its chain still has. */
typedef struct Link Link;
struct Link {
    const char *path;
    FormatFollow follow;
    guint depth;
    const Link *child; /* the image that names it; NULL for the first */
    dev_t device;
    ino_t inode;
};

static const char *const raw_suffixes[] = {".raw", ".img", "-flat.vmdk"};

static gboolean is_called_raw(const char *path)
{
    struct stat status;

    for (guint i = 0; i < G_N_ELEMENTS(raw_suffixes); i++)
        if (g_str_has_suffix(path, raw_suffixes[i]))
            return TRUE;
    return stat(path, &status) == 0 && S_ISBLK(status.st_mode);
}

/* NULL when it cannot be told; what cannot be read will fail again, and say so, when it is opened. */
static const char *probe(Bytes *bytes, const char *path, gboolean may_be_raw)
{
    guint8 start[32] = {0};
    gsize length = (gsize)MIN(sizeof start, bytes_size(bytes));
    g_autoptr(GError) ignored = NULL;

    if (!bytes_pread(bytes, start, length, 0, &ignored))
        return NULL;
    if (memcmp(start, "QFI\xfb", 4) == 0)
        return "qcow2";
    if (vmdk_probe(start, length))
        return "vmdk";
    return may_be_raw && is_called_raw(path) ? "raw" : NULL;
}

/* --- what an image names --- */

static char *folder_of(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);

    return g_canonicalize_filename(folder, NULL);
}

char *format_beside(const char *path, const char *name)
{
    g_autofree char *folder = folder_of(path);

    return g_canonicalize_filename(name, folder);
}

static gboolean leaves_folder(const char *path, const char *name)
{
    g_autofree char *folder = folder_of(path);
    g_autofree char *whole = g_canonicalize_filename(name, folder);
    gsize length = strlen(folder);

    return strcmp(folder, "/") != 0 && !(g_str_has_prefix(whole, folder) && whole[length] == '/');
}

/* "nbd://", "json:", as QEMU tells them. */
static gboolean has_protocol(const char *name)
{
    const char *colon = strchr(name, ':');

    return colon != NULL && memchr(name, '/', (gsize)(colon - name)) == NULL;
}

static char *resolve(const Link *link, const char *name, GError **error)
{
    if (has_protocol(name))
        vf_fail(error, VF_ERROR_UNSUPPORTED, "%s names %s, which is no local file", link->path, name);
    else if (link->follow == FORMAT_FOLLOW_NONE)
        vf_fail(error, VF_ERROR_UNSUPPORTED,
                "%s names the file %s; images that need others are not followed here", link->path, name);
    else if (link->follow == FORMAT_FOLLOW_BESIDE && leaves_folder(link->path, name))
        vf_fail(error, VF_ERROR_UNSUPPORTED,
                "%s names the file %s, which is not in its own folder, and is not followed for that reason; "
                "qemu-img rebase -u -b gives it another name",
                link->path, name);
    else
        return format_beside(link->path, name);
    return NULL;
}

static Bytes *open_data_file(const char *name, gpointer data, GError **error)
{
    g_autofree char *path = resolve(data, name, error);

    return path == NULL ? NULL : bytes_open_file(path, BYTES_READ, error);
}

static gboolean check_chain(Link *link, GError **error)
{
    struct stat status;

    if (stat(link->path, &status) != 0)
        return TRUE; /* opening says why */
    link->device = status.st_dev;
    link->inode = status.st_ino;
    for (const Link *above = link->child; above != NULL; above = above->child)
        if (above->device == link->device && above->inode == link->inode)
            return vf_fail(error, VF_ERROR_INVALID, "%s is its own backing file, by way of %s", link->path,
                           link->child->path);
    if (link->depth >= FORMAT_CHAIN_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: the chain of backing files has more than %u images",
                       link->path, FORMAT_CHAIN_MAX);
    return TRUE;
}

static Disk *open_link(Link *link, const char *format, gboolean writable, GError **error);

static Disk *open_backing(const char *name, const char *format, gpointer data, GError **error)
{
    const Link *child = data;
    g_autofree char *path = resolve(child, name, error);
    Link link = {.path = path, .follow = child->follow, .depth = child->depth + 1, .child = child};

    return path == NULL ? NULL : open_link(&link, format, FALSE, error);
}

/* --- opening --- */

static Disk *fail_format(const Link *link, const char *format, gboolean writable, GError **error)
{
    if (format != NULL)
        vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: cannot open format %s for %s", link->path, format,
                writable ? "writing" : "reading");
    else if (link->child != NULL)
        vf_fail(error, VF_ERROR_INVALID,
                "%s: %s does not say what format it has, and it is not assumed to be raw; qemu-img rebase -u "
                "-F raw -b says so",
                link->path, link->child->path);
    else
        vf_fail(error, VF_ERROR_INVALID,
                "%s: its format cannot be told from its contents; name it (raw, qcow2, vmdk)", link->path);
    return NULL;
}

static Disk *open_as(Bytes *bytes, Link *link, const char *format, gboolean writable, GError **error)
{
    Qcow2Opener opener = {.open_backing = open_backing, .open_data_file = open_data_file, .data = link};
    g_autoptr(Bytes) owned = bytes;

    if (format == NULL)
        format = probe(bytes, link->path, link->child == NULL);
    if (g_strcmp0(format, "qcow2") == 0)
        return qcow2_open_with(g_steal_pointer(&owned), &opener, error);
    if (g_strcmp0(format, "raw") == 0)
        return raw_open(g_steal_pointer(&owned), error);
    if (g_strcmp0(format, "vmdk") == 0 && !writable)
        return vmdk_open(link->path, NULL, NULL, error);
    return fail_format(link, format, writable, error);
}

static Disk *open_link(Link *link, const char *format, gboolean writable, GError **error)
{
    Bytes *bytes;

    if (!check_chain(link, error))
        return NULL;
    bytes = bytes_open_file(link->path, writable ? BYTES_WRITE | BYTES_DIRECT : BYTES_READ, error);
    return bytes == NULL ? NULL : open_as(bytes, link, format, writable, error);
}

static gboolean is_nbd(const char *path)
{
    return g_str_has_prefix(path, "nbd://") || g_str_has_prefix(path, "nbds://") ||
           g_str_has_prefix(path, "nbd+unix://");
}

Disk *format_open_following(const char *path, const char *format, gboolean writable, FormatFollow follow,
                            GError **error)
{
    NbdOptions options = {.writable = writable};
    Link link = {.path = path, .follow = follow};

    if (is_nbd(path))
        return nbd_open(path, &options, error);
    if (ova_is_path(path) && !writable && (format == NULL || strcmp(format, "vmdk") == 0))
        return ova_open_path(path, error);
    return open_link(&link, format, writable, error);
}

Disk *format_open(const char *path, const char *format, gboolean writable, GError **error)
{
    return format_open_following(path, format, writable, FORMAT_FOLLOW_BESIDE, error);
}

Disk *format_create(const char *path, const char *format, guint64 size, GError **error)
{
    const CreateFormat *found = create_format_find(format, error);
    g_autoptr(CreateOptions) options = found != NULL ? create_options_new(found) : NULL;

    if (found != NULL)
        return create_image(path, size, options, error);
    g_prefix_error(error, "%s: ", path);
    return NULL;
}
