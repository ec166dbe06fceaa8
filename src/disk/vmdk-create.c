#include "disk/vmdk-create.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/raw.h"
#include "disk/vmdk-write-sparse.h"
#include "disk/vmdk-write-stream.h"

#include <string.h>

#define HW_VERSION_DEFAULT 13u
#define HW_VERSION_MIN     4u
#define HW_VERSION_MAX     99u
#define LEVEL_MAX          12u

/* --- options --- */

const char *const vmdk_subformats[] = {"monolithicSparse", "streamOptimized", "vmfs",
                                       "vmfsThin",         "monolithicFlat",  NULL};
const char *const vmdk_adapter_types[] = {"ide", "buslogic", "lsilogic", "legacyESX", "pvscsi", NULL};

gboolean vmdk_create_options_check(const VmdkCreateOptions *options, guint64 size, const char *name,
                                   GError **error)
{
    if (size == 0 || size > VMDK_SIZE_MAX)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: a VMDK has 1 byte to 62 TiB, not %" G_GUINT64_FORMAT " bytes", name, size);
    if (options == NULL)
        return TRUE;
    if (options->adapter_type != NULL && !g_strv_contains(vmdk_adapter_types, options->adapter_type))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: adapter_type is \"%s\", not ide, buslogic, lsilogic, legacyESX or pvscsi", name,
                       options->adapter_type);
    if (options->hw_version != 0 &&
        (options->hw_version < HW_VERSION_MIN || options->hw_version > HW_VERSION_MAX))
        return vf_fail(error, VF_ERROR_INVALID, "%s: hwversion is %u, not %u to %u", name,
                       options->hw_version, HW_VERSION_MIN, HW_VERSION_MAX);
    if (options->level > LEVEL_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: level is %u, not 1 to %u", name, options->level,
                       LEVEL_MAX);
    return TRUE;
}

/* --- the text --- */

typedef struct {
    guint64 cylinders;
    guint heads, sectors;
} Geometry;

/* What VMware's adapters tell a BIOS: IDE always has 16 heads, SCSI more the larger the disk is. */
static Geometry geometry_of(guint64 size, const char *adapter_type)
{
    guint64 n = size / SECTOR_SIZE;

    if (strcmp(adapter_type, "ide") == 0)
        return (Geometry){.cylinders = MIN(n / (16 * 63), 16383), .heads = 16, .sectors = 63};
    if (size < GIB)
        return (Geometry){.cylinders = n / (64 * 32), .heads = 64, .sectors = 32};
    if (size < 2 * GIB)
        return (Geometry){.cylinders = n / (128 * 32), .heads = 128, .sectors = 32};
    return (Geometry){.cylinders = n / (255 * 63), .heads = 255, .sectors = 63};
}

/* "60 00 C2 9x" is how the uuids of VMware's disks begin. */
static void append_uuid(GString *to)
{
    g_string_append(to, "ddb.uuid = \"60 00 C2 9");
    g_string_append_printf(to, "%x", g_random_int() & 15);
    for (guint i = 4; i < 16; i++)
        g_string_append_printf(to, "%c%02x", i == 8 ? '-' : ' ', g_random_int() & 255);
    g_string_append(to, "\"\n");
}

/* The two highest mean something else. */
static guint32 new_cid(void)
{
    guint32 cid = g_random_int();

    return cid >= 0xfffffffe ? 1 : cid;
}

static void append_database(GString *to, const VmdkText *text, guint32 cid)
{
    const VmdkCreateOptions *options = text->options;
    const char *adapter_type =
        options != NULL && options->adapter_type != NULL ? options->adapter_type : "lsilogic";
    guint hw_version = options != NULL && options->hw_version != 0 ? options->hw_version : HW_VERSION_DEFAULT;
    Geometry geometry = geometry_of(text->size, adapter_type);

    g_string_append_printf(to,
                           "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"%s\"\n"
                           "ddb.geometry.cylinders = \"%" G_GUINT64_FORMAT "\"\n"
                           "ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"%u\"\n"
                           "ddb.longContentID = \"%08x%08x%08x%08x\"\n",
                           adapter_type, MAX(geometry.cylinders, 1), geometry.heads, geometry.sectors,
                           g_random_int(), g_random_int(), g_random_int(), cid);
    if (text->is_thin)
        g_string_append(to, "ddb.thinProvisioned = \"1\"\n");
    append_uuid(to);
    g_string_append_printf(to, "ddb.virtualHWVersion = \"%u\"\n", hw_version);
}

char *vmdk_text(const VmdkText *text)
{
    GString *to = g_string_new("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\n");
    guint32 cid = new_cid();
    /* Only an extent that lies in a file of its own has an offset there. */
    const char *offset = strcmp(text->extent_type, "FLAT") == 0 ? " 0" : "";

    g_string_append_printf(to, "CID=%08x\nparentCID=ffffffff\ncreateType=\"%s\"\n", cid, text->create_type);
    g_string_append_printf(to, "\n# Extent description\n%s %" G_GUINT64_FORMAT " %s \"%s\"%s\n", text->access,
                           text->size / SECTOR_SIZE, text->extent_type, text->file, offset);
    append_database(to, text, cid);
    return g_string_free(to, FALSE);
}

/* --- flat --- */

static gboolean write_descriptor(const char *path, const char *text, GError **error)
{
    g_autoptr(Bytes) bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE, error);

    return bytes != NULL && bytes_pwrite(bytes, text, strlen(text), 0, error) && bytes_flush(bytes, error);
}

/* Beside `path`, under the name that the disk will have. */
static char *flat_path(const char *path, const char *name)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(name);
    gsize stem = strlen(base) - (g_str_has_suffix(base, ".vmdk") ? strlen(".vmdk") : 0);
    g_autofree char *file = g_strdup_printf("%.*s-flat.vmdk", (int)stem, base);

    return g_build_filename(folder, file, NULL);
}

/* The descriptor is a promise about the data file, so that comes first. */
static Disk *create_flat(const char *path, guint64 size, const VmdkText *type, GError **error)
{
    const VmdkCreateOptions *options = type->options;
    const char *name = options != NULL && options->name != NULL ? options->name : path;
    g_autofree char *data_path = flat_path(path, name);
    g_autofree char *file = g_path_get_basename(data_path);
    g_autofree char *text = NULL;
    g_autoptr(Disk) disk = NULL;
    VmdkText described = *type;
    Bytes *bytes = bytes_open_file(data_path, BYTES_WRITE | BYTES_CREATE | BYTES_DIRECT, error);

    disk = bytes != NULL ? raw_create(bytes, size, error) : NULL;
    if (disk == NULL)
        return NULL;
    described.file = file;
    text = vmdk_text(&described);
    return write_descriptor(path, text, error) ? g_steal_pointer(&disk) : NULL;
}

/* --- one file --- */

static char *text_of(const VmdkText *type, const char *path)
{
    const VmdkCreateOptions *options = type->options;
    g_autofree char *file =
        g_path_get_basename(options != NULL && options->name != NULL ? options->name : path);
    VmdkText described = *type;

    described.file = file;
    return vmdk_text(&described);
}

static Disk *create_stream(const char *path, guint64 size, const VmdkText *type, GError **error)
{
    g_autofree char *text = text_of(type, path);
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE | BYTES_DIRECT, error);

    if (bytes == NULL)
        return NULL;
    return vmdk_stream_create(bytes, size, text, type->options != NULL ? type->options->level : 0, error);
}

/* Its entries are too small to go round the page cache. */
static Disk *create_sparse(const char *path, guint64 size, const VmdkText *type, GError **error)
{
    g_autofree char *text = text_of(type, path);
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE, error);

    return bytes == NULL ? NULL : vmdk_sparse_create(bytes, size, text, error);
}

/* --- by name --- */

typedef struct {
    const char *subformat;
    VmdkText text;
    Disk *(*create)(const char *path, guint64 size, const VmdkText *type, GError **error);
} Subformat;

static const Subformat subformats[] = {
    {"monolithicSparse",
     {.create_type = "monolithicSparse", .access = "RW", .extent_type = "SPARSE"},
     create_sparse},
    {"streamOptimized",
     {.create_type = "streamOptimized", .access = "RDONLY", .extent_type = "SPARSE"},
     create_stream},
    {"vmfs", {.create_type = "vmfs", .access = "RW", .extent_type = "VMFS"}, create_flat},
    {"vmfsThin",
     {.create_type = "vmfs", .access = "RW", .extent_type = "VMFS", .is_thin = TRUE},
     create_flat},
    {"monolithicFlat", {.create_type = "monolithicFlat", .access = "RW", .extent_type = "FLAT"}, create_flat},
};

Disk *vmdk_create(const char *path, guint64 size, const VmdkCreateOptions *options, GError **error)
{
    const char *wanted =
        options != NULL && options->subformat != NULL ? options->subformat : "monolithicSparse";

    if (!vmdk_create_options_check(options, size, path, error))
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(subformats); i++) {
        VmdkText text = subformats[i].text;

        if (strcmp(wanted, subformats[i].subformat) != 0)
            continue;
        text.size = round_up(size, SECTOR_SIZE);
        text.options = options;
        return subformats[i].create(path, text.size, &text, error);
    }
    vf_fail(
        error, VF_ERROR_INVALID,
        "%s: subformat is \"%s\", not monolithicSparse, streamOptimized, vmfs, vmfsThin or monolithicFlat",
        path, wanted);
    return NULL;
}
