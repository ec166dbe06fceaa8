/* disk/vmdk-write-stream.h: writing a streamOptimized VMDK, the form in which ESXi and vCenter import disks
 * (OVF) and export them.
 *
 * Whole grains of 64 KiB may be written from many threads in any order; each thread deflates its own.  In the
 * file they lie by ascending address, because the importer reads it once, from the start.  So a grain is put
 * out when all before it are known: each grain must be written or zeroed, once (a disk that does not "start
 * zero" is how copy/ is told so).  What is never mentioned is zero, and what comes after it waits for the
 * close.
 *
 * The file is complete only when disk_close() has succeeded: before that it has no end, and every reader
 * refuses it.  disk_flush() makes durable what has been put out.  It cannot be read while it is written.
 *
 * Memory: 32 MiB of grains that wait for an earlier one (more go to a temporary file beside the image),
 * 1 MiB of output, a bit for each grain and 4 bytes for each 32 MiB of disk.
 */
#pragma once

#include "disk/vmdk-create.h"

/* In empty, writable `bytes` (taken over).  Bytes are written from the first to the last, never twice.
 * `text` is the descriptor; `size` must be whole sectors. */
Disk *vmdk_stream_create(Bytes *bytes, guint64 size, const char *text, guint level, GError **error);
