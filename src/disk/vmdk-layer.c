/* One link of a chain: its descriptor, and the files that its extents lie in, opened and checked. */
#include "disk/vmdk-internal.h"

#include "base/error.h"

/* --- extents --- */

typedef VmdkSparse *(*OpenSparse)(Bytes *bytes, GError **error);

static const struct {
    const char *type;
    OpenSparse open; /* NULL: flat */
} types[] = {
    {"FLAT", NULL},
    {"VMFS", NULL},
    {"SPARSE", vmdk_hosted_open},
    {"VMFSSPARSE", vmdk_cowd_open},
    {"SESPARSE", vmdk_sesparse_open},
};

static gboolean find_type(const VmdkExtent *extent, OpenSparse *ret_open)
{
    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(types[i].type, extent->type) == 0) {
            *ret_open = types[i].open;
            return TRUE;
        }
    return FALSE;
}

static gboolean check_extent(const VmdkExtent *extent, const char *path, GError **error)
{
    if (!extent->readable)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: extent \"%s\" is marked NOACCESS", path,
                       extent->file != NULL ? extent->file : extent->type);
    if (extent->file != NULL && strstr(extent->file, "://") != NULL)
        return vf_fail(
            error, VF_ERROR_UNSUPPORTED,
            "%s: its data are the object %s, which is no file: move the disk to a VMFS or NFS datastore "
            "or read it through VDDK",
            path, extent->file);
    return TRUE;
}

static gboolean fill_flat(VmdkPart *part, const VmdkExtent *extent, Bytes *bytes, const char *path,
                          GError **error)
{
    part->bytes = bytes;
    part->file_offset = extent->file_offset;
    if (!range_within(extent->file_offset, extent->length, bytes_size(bytes)))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: extent file \"%s\" has %" G_GUINT64_FORMAT
                       " bytes, and the descriptor says %" G_GUINT64_FORMAT " from %" G_GUINT64_FORMAT,
                       path, extent->file, bytes_size(bytes), extent->length, extent->file_offset);
    return TRUE;
}

static gboolean fill_sparse(VmdkPart *part, const VmdkExtent *extent, OpenSparse open, Bytes *bytes,
                            const char *path, GError **error)
{
    part->sparse = open(bytes, error);
    if (part->sparse == NULL)
        return FALSE;
    if (extent->file_offset != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: sparse extent \"%s\" begins in the middle of a file",
                       path, extent->file);
    if (part->sparse->size < extent->length)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: extent file \"%s\" maps %" G_GUINT64_FORMAT
                       " bytes, and the descriptor says %" G_GUINT64_FORMAT,
                       path, extent->file, part->sparse->size, extent->length);
    return TRUE;
}

static gboolean fill_part(VmdkPart *part, const VmdkExtent *extent, const char *path,
                          const VmdkOpener *opener, GError **error)
{
    OpenSparse open;
    Bytes *bytes;

    if (!check_extent(extent, path, error))
        return FALSE;
    if (strcmp(extent->type, "ZERO") == 0)
        return TRUE;
    if (!find_type(extent, &open))
        return vf_fail(
            error, VF_ERROR_UNSUPPORTED,
            "%s: an extent of type %s lies on a device, not in a file: convert the disk to a virtual one",
            path, extent->type);
    g_autofree char *file = opener->resolve(path, extent->file, opener->data, error);
    if (file == NULL)
        return FALSE;
    bytes = opener->open(file, VMDK_FILE_EXTENT, opener->data, error);
    if (bytes == NULL)
        return FALSE;
    return open == NULL ? fill_flat(part, extent, bytes, path, error)
                        : fill_sparse(part, extent, open, bytes, path, error);
}

static gboolean open_parts(VmdkLayer *layer, const VmdkOpener *opener, GError **error)
{
    guint64 start = 0;

    for (guint i = 0; i < layer->descriptor->extents->len; i++) {
        const VmdkExtent *extent = g_ptr_array_index(layer->descriptor->extents, i);
        VmdkPart part = {.start = start, .length = extent->length};
        gboolean ok = fill_part(&part, extent, layer->path, opener, error);

        g_array_append_val(layer->parts, part);
        if (!ok)
            return FALSE;
        start += extent->length;
    }
    layer->size = start;
    return TRUE;
}

/* --- links --- */

static gboolean fail_part_of_disk(const char *path, const char *what, GError **error)
{
    return vf_fail(
        error, VF_ERROR_UNSUPPORTED,
        "%s is %s, a part of a disk: open the descriptor beside it, a small .vmdk that names this file", path,
        what);
}

/* The extent that the text within a file names is the file itself, under a name that it may no longer have.
 */
static gboolean open_hosted(VmdkLayer *layer, Bytes *bytes, const VmdkOpener *opener, GError **error)
{
    g_autoptr(Bytes) owned = bytes;
    g_autoptr(GError) problem = NULL;
    gboolean only_text = FALSE;
    VmdkPart part = {0};

    layer->descriptor = vmdk_hosted_descriptor(bytes, &only_text, &problem);
    if (problem != NULL) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    if (layer->descriptor == NULL)
        return fail_part_of_disk(layer->path, "a sparse extent", error);
    if (only_text)
        return open_parts(layer, opener, error);
    if (layer->descriptor->extents->len != 1)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its descriptor names %u extents, and it is one itself",
                       layer->path, layer->descriptor->extents->len);

    part.sparse = vmdk_hosted_open(g_steal_pointer(&owned), error);
    if (part.sparse == NULL)
        return FALSE;
    part.length = layer->size = part.sparse->size;
    g_array_append_val(layer->parts, part);
    return TRUE;
}

static gboolean open_text(VmdkLayer *layer, Bytes *bytes, const VmdkOpener *opener, GError **error)
{
    g_autoptr(Bytes) owned = bytes;
    guint64 length = bytes_size(bytes);
    g_autofree char *text = NULL;

    if (length > VMDK_DESCRIPTOR_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: no VMDK: neither a sparse file nor a descriptor",
                       layer->path);
    text = g_malloc(length + 1);
    if (!bytes_pread(bytes, text, length, 0, error))
        return FALSE;
    layer->descriptor = vmdk_descriptor_parse(text, length, layer->path, error);
    return layer->descriptor != NULL && open_parts(layer, opener, error);
}

static gboolean fill(VmdkLayer *layer, const VmdkOpener *opener, GError **error)
{
    g_autoptr(Bytes) bytes = opener->open(layer->path, VMDK_FILE_LINK, opener->data, error);
    guint8 start[8] = {0};

    if (bytes == NULL || !bytes_pread(bytes, start, MIN(sizeof start, bytes_size(bytes)), 0, error))
        return FALSE;
    if (vmdk_u32(start) == VMDK_HOSTED_MAGIC)
        return open_hosted(layer, g_steal_pointer(&bytes), opener, error);
    if (vmdk_u32(start) == VMDK_COWD_MAGIC)
        return fail_part_of_disk(layer->path, "the vmfsSparse file of a snapshot", error);
    if (vmdk_u64(start) == VMDK_SESPARSE_MAGIC)
        return fail_part_of_disk(layer->path, "the SESparse file of a snapshot", error);
    return open_text(layer, g_steal_pointer(&bytes), opener, error);
}

static void clear_part(gpointer data)
{
    VmdkPart *part = data;

    bytes_free(part->bytes);
    vmdk_sparse_free(part->sparse);
}

VmdkLayer *vmdk_layer_open(const char *path, const VmdkOpener *opener, GError **error)
{
    g_autoptr(VmdkLayer) layer = g_new0(VmdkLayer, 1);

    layer->path = g_strdup(path);
    layer->parts = g_array_new(FALSE, FALSE, sizeof(VmdkPart));
    g_array_set_clear_func(layer->parts, clear_part);
    return fill(layer, opener, error) ? g_steal_pointer(&layer) : NULL;
}

void vmdk_layer_free(VmdkLayer *layer)
{
    if (layer == NULL)
        return;
    g_array_unref(layer->parts);
    vmdk_descriptor_free(layer->descriptor);
    g_free(layer->path);
    g_free(layer);
}

/* --- looking up --- */

static const VmdkPart *find_part(const VmdkLayer *layer, guint64 offset)
{
    guint low = 0, high = layer->parts->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(layer->parts, VmdkPart, middle).start <= offset)
            low = middle;
        else
            high = middle;
    }
    return &g_array_index(layer->parts, VmdkPart, low);
}

gboolean vmdk_layer_lookup(const VmdkLayer *layer, guint64 offset, guint64 length, const VmdkPart **ret_part,
                           VmdkRun *ret, GError **error)
{
    const VmdkPart *part = find_part(layer, offset);
    guint64 within = offset - part->start;

    length = MIN(length, part->length - within);
    *ret_part = part;
    if (part->sparse != NULL)
        return vmdk_sparse_lookup(part->sparse, within, length, ret, error);
    *ret = (VmdkRun){.kind = part->bytes != NULL ? VMDK_RUN_DATA : VMDK_RUN_ZERO,
                     .length = length,
                     .host = part->file_offset + within};
    return TRUE;
}
