/* disk/vmdk-write-sparse.h: writing a monolithicSparse VMDK: one file that grows as grains of 64 KiB are
 * written, anywhere, by many threads, in place where a grain exists.
 *
 * All tables are laid out beforehand and stay holes of the file until they are used; none is kept in memory.
 * After a kill of the program the file is a valid image with everything whose write had returned; after a
 * power cut only what a flush covers is certain.  The header says "not closed properly" until disk_close().
 */
#pragma once

#include "disk/vmdk-create.h"

/* In empty, writable `bytes` (taken over).  `text` is the descriptor; `size` must be whole sectors. */
Disk *vmdk_sparse_create(Bytes *bytes, guint64 size, const char *text, GError **error);
