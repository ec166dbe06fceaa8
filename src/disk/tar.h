/* disk/tar.h: what lies where in a tar archive (ustar, with the extensions of GNU and of pax for long names
 * and large files), without unpacking it; and the headers of a new one.
 *
 * Only what an OVA may hold is accepted: regular files with distinct names, without folders.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include "disk/bytes.h"

#define TAR_BLOCK       512u
#define TAR_MEMBERS_MAX 1000u

typedef struct {
    char *name;
    guint64 offset, size; /* of its contents, bytes */
} TarMember;

/* TarMembers, in their order.  VF_ERROR_INVALID names the archive and the offset. */
GPtrArray *tar_read(Bytes *bytes, GError **error);

/* The header of a regular file; `name` has at most 100 bytes. */
void tar_header(const char *name, guint64 size, guint8 *block);
