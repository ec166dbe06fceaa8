#include "disk/vmdk-flat.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/driver.h"

#include <string.h>

typedef struct {
    guint64 start, length; /* on the disk */
    guint64 file_offset;
    Bytes *bytes; /* NULL: zeros */
} Part;

typedef struct {
    Disk disk;
    guint n_parts;
    Part *parts; /* in disk order, without gaps; immutable once open */
} FlatDisk;

/* --- which part ------------------------------------------------------------------------------- */

static const Part *find_part(const FlatDisk *flat, guint64 offset)
{
    guint low = 0, high = flat->n_parts;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (flat->parts[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return &flat->parts[low];
}

/* A request cut at the borders of the parts: what lies in the part of its first byte. */
typedef struct {
    const Part *part;
    guint64 within; /* from the part's start */
    guint64 length;
} Piece;

static Piece first_piece(const FlatDisk *flat, guint64 offset, guint64 length)
{
    const Part *part = find_part(flat, offset);
    guint64 within = offset - part->start;

    return (Piece){.part = part, .within = within, .length = MIN(length, part->length - within)};
}

/* --- slots ------------------------------------------------------------------------------------ */

static gboolean flat_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    FlatDisk *flat = (FlatDisk *)disk;
    char *to = buffer;

    while (length > 0) {
        Piece piece = first_piece(flat, offset, length);

        if (piece.part->bytes == NULL)
            memset(to, 0, piece.length);
        else if (!bytes_pread(piece.part->bytes, to, piece.length, piece.part->file_offset + piece.within,
                              error))
            return FALSE;
        to += piece.length;
        offset += piece.length;
        length -= piece.length;
    }
    return TRUE;
}

/* Moves what the file says about [file_offset, ...) to the place that it has on the disk. */
static gboolean part_extents(const Piece *piece, guint64 offset, GArray *extents, GError **error)
{
    guint64 from = piece->part->file_offset + piece->within;
    g_autoptr(GArray) inside = g_array_new(FALSE, FALSE, sizeof(DiskExtent));

    if (!bytes_extents(piece->part->bytes, from, piece->length, inside, error))
        return FALSE;
    for (guint i = 0; i < inside->len; i++) {
        const DiskExtent *extent = &g_array_index(inside, DiskExtent, i);

        disk_extent_append(extents, extent->offset - from + offset, extent->length, extent->kind);
    }
    return TRUE;
}

static gboolean flat_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    FlatDisk *flat = (FlatDisk *)disk;

    while (length > 0) {
        Piece piece = first_piece(flat, offset, length);

        if (piece.part->bytes == NULL)
            disk_extent_append(extents, offset, piece.length, DISK_EXTENT_HOLE);
        else if (!part_extents(&piece, offset, extents, error))
            return FALSE;
        offset += piece.length;
        length -= piece.length;
    }
    return TRUE;
}

static void flat_free(Disk *disk)
{
    FlatDisk *flat = (FlatDisk *)disk;

    for (guint i = 0; i < flat->n_parts; i++)
        bytes_free(flat->parts[i].bytes);
    g_free(flat->parts);
    disk_fini(disk);
    g_free(flat);
}

static const DiskOps flat_ops = {
    .format = "vmdk",
    .pread = flat_pread,
    .extents = flat_extents,
    .free = flat_free,
};

/* --- opening ---------------------------------------------------------------------------------- */

static gboolean check_kind(const VmdkDescriptor *descriptor, const char *name, GError **error)
{
    static const char *const flat_types[] = {"vmfs",           "vmfsThin",           "vmfsEagerZeroedThick",
                                             "monolithicFlat", "twoGbMaxExtentFlat", NULL};

    if (descriptor->parent_cid != G_MAXUINT32 || descriptor->parent_hint != NULL)
        return vf_fail(
            error, VF_ERROR_UNSUPPORTED,
            "%s is a link of a snapshot chain (its parent is \"%s\"): remove or consolidate the snapshots",
            name, descriptor->parent_hint != NULL ? descriptor->parent_hint : "not named");
    for (guint i = 0; flat_types[i] != NULL; i++)
        if (g_ascii_strcasecmp(descriptor->create_type, flat_types[i]) == 0)
            return TRUE;
    return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: a disk of type %s cannot be read as flat files", name,
                   descriptor->create_type);
}

static gboolean check_extent(const VmdkExtent *extent, const char *name, GError **error)
{
    static const char *const types[] = {"FLAT", "VMFS", "ZERO", NULL};

    if (!extent->readable)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: extent \"%s\" is marked NOACCESS", name,
                       extent->file != NULL ? extent->file : extent->type);
    if (!g_strv_contains(types, extent->type))
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: an extent of type %s is not a flat file", name,
                       extent->type);
    if (extent->file != NULL && strstr(extent->file, "://") != NULL)
        return vf_fail(
            error, VF_ERROR_UNSUPPORTED,
            "%s: its data are the object %s, which is no file: move the disk to a VMFS or NFS datastore "
            "or read it through VDDK",
            name, extent->file);
    return TRUE;
}

static gboolean open_part(Part *part, const VmdkExtent *extent, const char *name, VmdkOpenExtent open_extent,
                          gpointer data, GError **error)
{
    part->length = extent->length;
    part->file_offset = extent->file_offset;
    if (!check_extent(extent, name, error))
        return FALSE;
    if (strcmp(extent->type, "ZERO") == 0)
        return TRUE;

    part->bytes = open_extent(extent->file, data, error);
    if (part->bytes == NULL)
        return FALSE;
    if (!range_within(extent->file_offset, extent->length, bytes_size(part->bytes)))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: extent file \"%s\" has %" G_GUINT64_FORMAT
                       " bytes, and the descriptor says %" G_GUINT64_FORMAT " from %" G_GUINT64_FORMAT,
                       name, extent->file, bytes_size(part->bytes), extent->length, extent->file_offset);
    return TRUE;
}

Disk *vmdk_flat_open(const VmdkDescriptor *descriptor, const char *name, VmdkOpenExtent open_extent,
                     gpointer data, GError **error)
{
    if (!check_kind(descriptor, name, error))
        return NULL;

    FlatDisk *flat = g_new0(FlatDisk, 1);
    g_autoptr(Disk) disk = &flat->disk;
    guint64 start = 0;

    disk_init(disk, &flat_ops, name, descriptor->size, 0, FALSE, FALSE);
    flat->n_parts = descriptor->extents->len;
    flat->parts = g_new0(Part, flat->n_parts);
    for (guint i = 0; i < flat->n_parts; i++) {
        Part *part = &flat->parts[i];

        part->start = start;
        if (!open_part(part, g_ptr_array_index(descriptor->extents, i), name, open_extent, data, error))
            return NULL;
        start += part->length;
    }
    return g_steal_pointer(&disk);
}
