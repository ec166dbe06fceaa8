/* disk/vmdk.h: VMware's virtual disks, read-only: whatever ESXi, vCenter and QEMU leave behind.
 *
 * A disk is a chain of links.  Each link has a descriptor (vmdk-descriptor.h), which names the files that its
 * extents lie in, of any mixture of types: FLAT, VMFS, ZERO, SPARSE (hosted sparse and streamOptimized),
 * VMFSSPARSE and SESPARSE.  What a link does not hold is its parent's.  All links of a chain must have one
 * size.
 *
 * The parent of a link is the file that its parentFileNameHint names.  Who does not want files opened that a
 * foreign file names, gives the parents in VmdkOptions.  CID and parentCID are not looked at by default: a
 * delta starts with the CID of its parent and gets its own only when it is first closed after a write.
 *
 * Memory is bounded whatever the size of the disk: for each sparse file its grain directory (4 bytes for each
 * 2 to 32 MiB of disk), 4 MiB of tables, and 4 MiB of grains when they are compressed.
 */
#pragma once

#include "disk/bytes.h"
#include "disk/vmdk-descriptor.h"

typedef enum {
    VMDK_FILE_LINK,  /* a descriptor, mostly a small text, or a file that holds one */
    VMDK_FILE_EXTENT /* data */
} VmdkFileRole;

/* How files are found: the rest of the family does not know what a path is. */
typedef struct {
    /* The path of what the file at `from` calls `name`; equal paths are the same file. */
    char *(*resolve)(const char *from, const char *name, gpointer data, GError **error);
    Bytes *(*open)(const char *path, VmdkFileRole role, gpointer data, GError **error);
    gpointer data;
} VmdkOpener;

typedef struct {
    /* The parent, its parent, and so on, NULL-terminated, as paths; NULL: what the descriptors say. */
    const char *const *parents;
    /* Refuses a parent whose CID is not the one that its child expects. */
    gboolean strict_cids;
} VmdkOptions;

#define VMDK_LINKS_MAX 64u

/* Opens the disk whose last link is at `path`.  `opener` NULL: local files; `options` NULL: the defaults.
 * Only used while it opens, `opener` need not live longer.
 *
 * VF_ERROR_INVALID for what is malformed, cut short, or does not fit together (a loop, a parent of another
 * size); VF_ERROR_UNSUPPORTED for a type without a file (raw device mapping, vSAN), and for a file that is
 * only a part of a disk; VF_ERROR_CONFLICT for a delta in use; VF_ERROR_INTEGRITY for corrupt tables. */
Disk *vmdk_open(const char *path, const VmdkOpener *opener, const VmdkOptions *options, GError **error);

/* TRUE for the first `length` bytes of anything that vmdk_open() reads or refuses by name. */
gboolean vmdk_probe(const void *start, gsize length);
