/* disk/vmdk-descriptor.h: the VMDK descriptor, the text that says what a disk is made of.
 *
 * It is a small text (VMware's Virtual Disk Format 5.0, "The Descriptor File"): header lines, extent lines
 * `RW 20971520 VMFS "vm-flat.vmdk" 0`, and a disk database.  It is a file of its own or lies in a sparse
 * file.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include <glib.h>

typedef struct {
    gboolean readable;   /* not NOACCESS */
    guint64 length;      /* bytes */
    char *type;          /* "FLAT", "VMFS", "ZERO", "SPARSE", "VMFSSPARSE", "SESPARSE", ... upper case */
    char *file;          /* relative name; NULL for ZERO */
    guint64 file_offset; /* bytes */
} VmdkExtent;

typedef struct {
    char *create_type;
    guint32 cid, parent_cid; /* parent_cid VMDK_NO_PARENT: none */
    char *parent_hint;       /* NULL when none */
    char *change_track_path; /* NULL when none */
    char *adapter_type;      /* ddb.adapterType; NULL when not said */
    char *uuid;              /* ddb.uuid; NULL when not said */
    GPtrArray *extents;      /* VmdkExtent, in disk order */
    guint64 size;            /* bytes: the sum of the extents */
} VmdkDescriptor;

#define VMDK_DESCRIPTOR_MAX (1u << 20)
#define VMDK_NO_PARENT      G_MAXUINT32

/* VF_ERROR_INVALID names `name` and the line.  A file name that leaves the directory is refused. */
VmdkDescriptor *vmdk_descriptor_parse(const char *text, gsize length, const char *name, GError **error);
void vmdk_descriptor_free(VmdkDescriptor *descriptor); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmdkDescriptor, vmdk_descriptor_free)

/* TRUE when what is not in this disk is in a parent. */
gboolean vmdk_descriptor_has_parent(const VmdkDescriptor *descriptor);
