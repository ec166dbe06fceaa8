/* disk/vmdk-flat.h: the VMDK descriptor, and disks whose extents are flat files.
 *
 * The descriptor is a small text (VMware's Virtual Disk Format 5.0, "The Descriptor File"): header lines,
 * extent lines `RW 20971520 VMFS "vm-flat.vmdk" 0`, and a disk database.  Only what can be read without a
 * chain is opened here: createType vmfs, vmfsThin, vmfsEagerZeroedThick, monolithicFlat, twoGbMaxExtentFlat,
 * parentCID ffffffff.
 */
#pragma once

#include "disk/bytes.h"

typedef struct {
    gboolean readable;   /* not NOACCESS */
    guint64 length;      /* bytes */
    char *type;          /* "FLAT", "VMFS", "ZERO", "SPARSE", "VMFSSPARSE", "SESPARSE", ... upper case */
    char *file;          /* relative name; NULL for ZERO */
    guint64 file_offset; /* bytes */
} VmdkExtent;

typedef struct {
    char *create_type;
    guint32 cid, parent_cid; /* parent_cid 0xffffffff: none */
    char *parent_hint;       /* NULL when none */
    char *change_track_path; /* NULL when none */
    char *adapter_type;      /* ddb.adapterType; NULL when not said */
    char *uuid;              /* ddb.uuid; NULL when not said */
    GPtrArray *extents;      /* VmdkExtent, in disk order */
    guint64 size;            /* bytes: the sum of the extents */
} VmdkDescriptor;

#define VMDK_DESCRIPTOR_MAX (1u << 20)

/* VF_ERROR_INVALID names `name` and the line.  A file name that leaves the directory is refused. */
VmdkDescriptor *vmdk_descriptor_parse(const char *text, gsize length, const char *name, GError **error);
void vmdk_descriptor_free(VmdkDescriptor *descriptor); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmdkDescriptor, vmdk_descriptor_free)

/* Opens the bytes of an extent file named by the descriptor, relative to it. */
typedef Bytes *(*VmdkOpenExtent)(const char *file, gpointer data, GError **error);

/* VF_ERROR_UNSUPPORTED for a type that is not flat or for a chain; VF_ERROR_INVALID for a file that is too
 * short. */
Disk *vmdk_flat_open(const VmdkDescriptor *descriptor, const char *name, VmdkOpenExtent open_extent,
                     gpointer data, GError **error);
