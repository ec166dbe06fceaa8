#include "disk/format.h"

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/io.h"
#include "disk/create.h"
#include "disk/nbd.h"
#include "disk/qcow2.h"
#include "disk/raw.h"
#include "disk/vmdk-flat.h"

static const char *const raw_suffixes[] = {".raw", ".img", "-flat.vmdk"};

static gboolean is_called_raw(const char *path)
{
    struct stat status;

    for (guint i = 0; i < G_N_ELEMENTS(raw_suffixes); i++)
        if (g_str_has_suffix(path, raw_suffixes[i]))
            return TRUE;
    return stat(path, &status) == 0 && S_ISBLK(status.st_mode);
}

static gboolean starts_with(Bytes *bytes, const char *magic, gsize length)
{
    char start[32] = {0};
    g_autoptr(GError) ignored = NULL;

    return bytes_size(bytes) >= length && bytes_pread(bytes, start, length, 0, &ignored) &&
           memcmp(start, magic, length) == 0;
}

/* NULL when it cannot be told; what cannot be read will fail again, and say so, when it is opened. */
static const char *probe(Bytes *bytes, const char *path)
{
    static const char descriptor[] = "# Disk DescriptorFile";

    if (starts_with(bytes, "QFI\xfb", 4))
        return "qcow2";
    if (starts_with(bytes, descriptor, sizeof descriptor - 1))
        return "vmdk";
    return is_called_raw(path) ? "raw" : NULL;
}

static Bytes *open_beside(const char *file, gpointer data, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(data);
    g_autofree char *path = g_build_filename(folder, file, NULL);

    return bytes_open_file(path, BYTES_READ, error);
}

static Disk *open_vmdk(const char *path, GError **error)
{
    g_autoptr(VmdkDescriptor) descriptor = NULL;
    g_autofree char *folder = g_strdup(path);
    g_autofree char *text = NULL;
    gsize length = 0;

    text = io_read_file(path, VMDK_DESCRIPTOR_MAX, &length, error);
    if (text == NULL)
        return NULL;
    descriptor = vmdk_descriptor_parse(text, length, path, error);
    return descriptor == NULL ? NULL : vmdk_flat_open(descriptor, path, open_beside, folder, error);
}

static Disk *open_as(Bytes *bytes, const char *path, const char *format, gboolean writable, GError **error)
{
    g_autoptr(Bytes) owned = bytes;

    if (format == NULL)
        format = probe(bytes, path);
    if (g_strcmp0(format, "qcow2") == 0)
        return qcow2_open(g_steal_pointer(&owned), error);
    if (g_strcmp0(format, "raw") == 0)
        return raw_open(g_steal_pointer(&owned), error);
    if (g_strcmp0(format, "vmdk") == 0 && !writable)
        return open_vmdk(path, error);
    if (format == NULL)
        vf_fail(error, VF_ERROR_INVALID,
                "%s: its format cannot be told from its contents; name it (raw, qcow2, vmdk)", path);
    else
        vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: cannot open format %s for %s", path, format,
                writable ? "writing" : "reading");
    return NULL;
}

static gboolean is_nbd(const char *path)
{
    return g_str_has_prefix(path, "nbd://") || g_str_has_prefix(path, "nbds://") ||
           g_str_has_prefix(path, "nbd+unix://");
}

Disk *format_open(const char *path, const char *format, gboolean writable, GError **error)
{
    NbdOptions options = {.writable = writable};
    Bytes *bytes;

    if (is_nbd(path))
        return nbd_open(path, &options, error);
    bytes = bytes_open_file(path, writable ? BYTES_WRITE | BYTES_DIRECT : BYTES_READ, error);
    return bytes == NULL ? NULL : open_as(bytes, path, format, writable, error);
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
