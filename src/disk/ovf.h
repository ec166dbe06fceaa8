/* disk/ovf.h: the envelope of a virtual machine (DMTF DSP0243, OVF 1.1, in the dialect of vSphere), read and
 * written.
 *
 * Thread rule: as spec/machine.h.
 */
#pragma once

#include "spec/machine.h"

#define OVF_MAX (4u << 20) /* bytes of text */

/* Which file holds a disk. */
typedef struct {
    char *key;    /* of the MachineDisk */
    char *file;   /* NULL: none, the disk is empty */
    guint64 size; /* of the file, bytes; 0 when it is not said */
} OvfDisk;

typedef struct {
    Machine *machine; /* its disks have the ids of the envelope as keys */
    GPtrArray *disks; /* OvfDisk, one for each disk of the machine, in its order */
} Ovf;

/* One virtual system.  VF_ERROR_INVALID names `name` and the line; VF_ERROR_UNSUPPORTED for several systems
 * and for files in pieces or compressed once more. */
Ovf *ovf_parse(const char *text, gsize length, const char *name, GError **error);
void ovf_free(Ovf *ovf); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ovf, ovf_free)

/* The envelope of `machine`, whose disks lie in `files` (names and sizes, in the order of machine->disks) as
 * streamOptimized VMDKs.  What no VMware machine has becomes what it has: pvscsi, vmxnet3. */
char *ovf_write(const Machine *machine, guint hw_version, const OvfDisk *files);
