#include "disk/format.h"

#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "disk/create.h"
#include "disk/nbd.h"
#include "disk/qcow2.h"
#include "disk/raw.h"
#include "disk/vmdk.h"

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
static const char *probe(Bytes *bytes, const char *path)
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
    return is_called_raw(path) ? "raw" : NULL;
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
        return vmdk_open(path, NULL, NULL, error);
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
