/* disk/nbd.h: a disk that an NBD server offers, through libnbd.
 *
 * Several connections are kept when the server allows it (multi-conn), one otherwise.  Requests of many threads are
 * in flight at once.  A connection that breaks is opened again and the request repeated a few times with back-off.
 */
#pragma once

#include "disk/disk.h"

typedef struct {
    gboolean writable;
    guint connections;        /* at most; 0: 4 */
    const char *meta_context; /* what disk_extents() asks; NULL: "base:allocation".  With "qemu:dirty-bitmap:NAME" dirty areas are
                                 DISK_EXTENT_DATA and clean ones DISK_EXTENT_HOLE */
    const Cancel *cancel;     /* ends waits for a reconnection; may be NULL */
} NbdOptions;

/* `uri`: nbd://, nbd+unix://, nbds://...  VF_ERROR_NOT_FOUND, _TRANSIENT.  `options` may be NULL: read-only. */
Disk *nbd_open(const char *uri, const NbdOptions *options, GError **error);
