/* disk/ova.h: a virtual machine in one file: a tar archive of an envelope (ovf.h), a manifest of checksums
 * and disks.  Nothing is unpacked: a member is a window on the archive.
 *
 * Thread rule: an Ova or OvaWriter belongs to one thread; the disks that they open are as in disk.h, and may
 * outlive an Ova.
 */
#pragma once

#include "base/cancel.h"
#include "disk/bytes.h"
#include "disk/ovf.h"

/* --- reading --- */

typedef struct Ova Ova;

/* Takes over `bytes`, in failure too.  The envelope is parsed and compared with its checksum; every file that
 * it names must be there, with the size that it says.  VF_ERROR_INVALID names the archive and the place,
 * VF_ERROR_INTEGRITY a checksum that is wrong. */
Ova *ova_open(Bytes *bytes, GError **error);
void ova_free(Ova *ova); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ova, ova_free)

const Machine *ova_machine(const Ova *ova);
/* The member that holds a disk; NULL: none does, the disk is empty. */
const char *ova_disk_file(const Ova *ova, const char *key);

/* VF_ERROR_NOT_FOUND says what there is. */
Bytes *ova_open_member(const Ova *ova, const char *name, GError **error);
/* `name` NULL: the only disk there is; VF_ERROR_INVALID when there are several. */
Disk *ova_open_disk(const Ova *ova, const char *name, GError **error);

/* "x.ova" is the only disk in there, "x.ova:web-disk1.vmdk" that one. */
gboolean ova_is_path(const char *path);
Disk *ova_open_path(const char *path, GError **error);

/* Reads everything that the manifest names and compares checksums (SHA-1, SHA-256, SHA-512).
 * VF_ERROR_INTEGRITY names the member; VF_ERROR_NOT_FOUND when there is no manifest. */
gboolean ova_verify(const Ova *ova, const Cancel *cancel, GError **error);

/* --- writing --- */

typedef struct OvaWriter OvaWriter;

/* A new archive at `path`: members NAME.ovf, NAME.mf, NAME-disk1.vmdk, ...  `machine` must outlive it.  The
 * envelope and the manifest come first in the file and are written last.  `hw_version` 0: 13; `level` as in
 * vmdk-create.h.  VF_ERROR_CONFLICT when the file exists. */
OvaWriter *ova_create(const char *path, const Machine *machine, guint hw_version, guint level,
                      GError **error);
/* Without ova_finish() what there is is no archive. */
void ova_writer_free(OvaWriter *writer); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OvaWriter, ova_writer_free)

/* The next disk of the machine, as a stream (vmdk-write-stream.h), to be filled and closed before the next
 * one is asked for. */
Disk *ova_writer_next_disk(OvaWriter *writer, GError **error);

/* All disks are closed.  Reads them once more for their checksums. */
gboolean ova_finish(OvaWriter *writer, const Cancel *cancel, GError **error);

/* --- both --- */

/* The checksum of all of `bytes`, as hexadecimal digits. */
char *ova_checksum(Bytes *bytes, GChecksumType type, const Cancel *cancel, GError **error);
