/* disk/nbd.h: a disk that an NBD server offers, through libnbd.
 *
 * Several connections are kept when the server allows it (multi-conn), one otherwise; each carries one
 * request at a time, so threads beyond their number take turns.  A connection that breaks is opened again and
 * the request repeated a few times with back-off.  When writes that were acknowledged on it had not been
 * flushed, every later disk_flush() fails with VF_ERROR_TARGET_IO: a restarted server may have lost them.
 */
#pragma once

#include "disk/disk.h"

typedef struct {
    gboolean writable;
    guint connections; /* at most; 0: 8, as many as a copy has threads */
    const char
        *meta_context;    /* what disk_extents() asks; NULL: "base:allocation".  With "qemu:dirty-bitmap:NAME"
                             dirty areas are    DISK_EXTENT_DATA and clean ones DISK_EXTENT_HOLE */
    const Cancel *cancel; /* ends waits for a reconnection; may be NULL */
} NbdOptions;

/* `uri`: nbd://, nbd+unix://, nbds://...  VF_ERROR_NOT_FOUND, _TRANSIENT.  `options` may be NULL: read-only.
 */
Disk *nbd_open(const char *uri, const NbdOptions *options, GError **error);
