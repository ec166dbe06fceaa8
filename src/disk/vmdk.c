#include "disk/vmdk.h"

#include <sys/stat.h>

#include "base/error.h"
#include "disk/vmdk-internal.h"

typedef struct {
    Disk disk;
    VmdkChain chain; /* immutable once open */
} VmdkDisk;

static gboolean vmdk_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    return vmdk_chain_read(&((const VmdkDisk *)disk)->chain, buffer, length, offset, error);
}

/* Moves what a flat file says about its own holes to the place that it has on the disk. */
static gboolean flat_extents(const VmdkPart *part, const VmdkRun *run, guint64 offset, GArray *extents,
                             GError **error)
{
    g_autoptr(GArray) inside = g_array_new(FALSE, FALSE, sizeof(DiskExtent));

    if (!bytes_extents(part->bytes, run->host, run->length, inside, error))
        return FALSE;
    for (guint i = 0; i < inside->len; i++) {
        const DiskExtent *extent = &g_array_index(inside, DiskExtent, i);

        disk_extent_append(extents, extent->offset - run->host + offset, extent->length, extent->kind);
    }
    return TRUE;
}

static gboolean add_extent(const VmdkPart *part, const VmdkRun *run, guint64 offset, gpointer data,
                           GError **error)
{
    static const DiskExtentKind kinds[] = {
        [VMDK_RUN_HOLE] = DISK_EXTENT_HOLE,
        [VMDK_RUN_ZERO] = DISK_EXTENT_ZERO,
        [VMDK_RUN_DATA] = DISK_EXTENT_DATA,
        [VMDK_RUN_COMPRESSED] = DISK_EXTENT_DATA,
    };

    if (part->bytes != NULL)
        return flat_extents(part, run, offset, data, error);
    disk_extent_append(data, offset, run->length, kinds[run->kind]);
    return TRUE;
}

static gboolean vmdk_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    return vmdk_chain_walk(&((const VmdkDisk *)disk)->chain, offset, length, add_extent, extents, error);
}

static void vmdk_free(Disk *disk)
{
    VmdkDisk *vmdk = (VmdkDisk *)disk;

    vmdk_chain_clear(&vmdk->chain);
    disk_fini(disk);
    g_free(vmdk);
}

static const DiskOps vmdk_ops = {
    .format = "vmdk",
    .pread = vmdk_pread,
    .extents = vmdk_extents,
    .free = vmdk_free,
};

/* --- local files --- */

static char *resolve_local(const char *from, const char *name, gpointer data, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(from);
    g_autofree char *absolute = g_canonicalize_filename(directory, NULL);

    return g_canonicalize_filename(name, absolute);
}

/* What a descriptor names may be anything that exists; the opening of a pipe would wait for its other end. */
static Bytes *open_local(const char *path, VmdkFileRole role, gpointer data, GError **error)
{
    struct stat status;

    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        vf_fail(error, VF_ERROR_INVALID, "%s is neither a file nor a block device", path);
        return NULL;
    }
    return bytes_open_file(path, BYTES_READ, error);
}

static const VmdkOpener local_files = {.resolve = resolve_local, .open = open_local};

/* --- opening --- */

/* The largest unit that a file of the leaf allocates in. */
static guint32 granularity(const VmdkChain *chain)
{
    const VmdkLayer *leaf = g_ptr_array_index(chain->layers, 0);
    guint32 largest = SECTOR_SIZE;

    for (guint i = 0; i < leaf->parts->len; i++) {
        const VmdkSparse *sparse = g_array_index(leaf->parts, VmdkPart, i).sparse;

        if (sparse != NULL)
            largest = MAX(largest, sparse->grain);
    }
    return largest;
}

Disk *vmdk_open(const char *path, const VmdkOpener *opener, const VmdkOptions *options, GError **error)
{
    VmdkChain chain = {0};
    VmdkDisk *vmdk;

    if (!vmdk_chain_open(&chain, path, opener != NULL ? opener : &local_files, options, error)) {
        vmdk_chain_clear(&chain);
        return NULL;
    }
    vmdk = g_new0(VmdkDisk, 1);
    vmdk->chain = chain;
    disk_init(&vmdk->disk, &vmdk_ops, path, chain.size, granularity(&chain), FALSE, FALSE);
    return &vmdk->disk;
}

gboolean vmdk_probe(const void *start, gsize length)
{
    static const char descriptor[] = "# Disk DescriptorFile";
    guint8 magic[8] = {0};

    memcpy(magic, start, MIN(length, sizeof magic));
    return vmdk_u32(magic) == VMDK_HOSTED_MAGIC || vmdk_u32(magic) == VMDK_COWD_MAGIC ||
           vmdk_u64(magic) == VMDK_SESPARSE_MAGIC ||
           (length >= sizeof descriptor - 1 &&
            g_ascii_strncasecmp(start, descriptor, sizeof descriptor - 1) == 0);
}
