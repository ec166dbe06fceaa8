/* disk/vmdk-create.h: new VMDKs, as ESXi, vCenter and VMware's desktop products take them.
 *
 *   subformat         what is made                                     who takes it
 *   monolithicSparse  one sparse file, written in place (the default)  Workstation, Fusion, QEMU
 *   streamOptimized   one compressed file, written once                ESXi and vCenter (OVF import), all
 * others vmfs, vmfsThin    descriptor and NAME-flat.vmdk                    ESXi, when put on a datastore
 *   monolithicFlat    the same, under the name that desktops use       Workstation, Fusion, QEMU
 *
 * ESXi runs neither of the sparse ones: vmkfstools -i makes it its own copy.
 */
#pragma once

#include "disk/bytes.h"

#define VMDK_SIZE_MAX ((guint64)62 << 40) /* vSphere's own limit */

/* What is possible, each ended by NULL. */
extern const char *const vmdk_subformats[];
extern const char *const vmdk_adapter_types[];

/* Zero of a field means its default. */
typedef struct {
    const char *subformat;
    const char
        *name; /* that the disk will have in the end, as far as it is written into it; NULL: the path's */
    const char *adapter_type; /* "ide", "buslogic", "lsilogic" (default), "legacyESX", "pvscsi" */
    guint hw_version;         /* of the virtual hardware, 4..99; default 13, vSphere 6.5 */
    guint level;              /* streamOptimized: of compression, 1..12; default 2 */
} VmdkCreateOptions;

/* Creates the file or files of a disk of `size` bytes, rounded up to whole sectors, and opens it to be
 * written. `options` may be NULL.  VF_ERROR_CONFLICT when a file exists, VF_ERROR_INVALID for an option that
 * is not understood. */
Disk *vmdk_create(const char *path, guint64 size, const VmdkCreateOptions *options, GError **error);

/* VF_ERROR_INVALID names `name` and says what is possible. */
gboolean vmdk_create_options_check(const VmdkCreateOptions *options, guint64 size, const char *name,
                                   GError **error);

/* The text of a descriptor with one extent, a fresh uuid and content id. */
typedef struct {
    const char *create_type;
    const char *access;      /* "RW", "RDONLY" */
    const char *extent_type; /* "SPARSE", "FLAT", "VMFS" */
    const char *file;        /* without directory */
    guint64 size;            /* bytes, whole sectors */
    const VmdkCreateOptions *options;
    gboolean is_thin;
} VmdkText;

char *vmdk_text(const VmdkText *text);
