/* disk/nbd-connection.h: one connection to an NBD server.  Only nbd.c includes this.
 *
 * libnbd's asynchronous calls are used one at a time, so that a wait can be ended by a Cancel.
 *
 * Thread rule: a connection belongs to one thread at a time.
 */
#pragma once

#include "base/cancel.h"

#include <glib.h>

typedef struct NbdConnection NbdConnection;

/* What the server says of the export; the same after every reconnection. */
typedef struct {
    guint64 size;
    guint32 granularity; /* a power of two >= 512 */
    guint32 max_payload; /* bytes of one read or write */
    gboolean read_only, can_multi_conn, can_zero, can_flush, can_extents;
} NbdExport;

typedef enum { NBD_READ, NBD_WRITE, NBD_ZERO, NBD_FLUSH, NBD_EXTENTS } NbdKind;

/* A run of bytes with the flags of the meta context. */
typedef struct {
    guint64 length;
    guint32 flags;
} NbdRun;

typedef struct {
    NbdKind kind;
    union {
        void *read;        /* NBD_READ */
        const void *write; /* NBD_WRITE */
        GArray
            *runs; /* NBD_EXTENTS: NbdRuns from offset on are appended; may end before or behind the range */
    };
    guint64 offset;
    guint64 length;
} NbdRequest;

/* VF_ERROR_NOT_FOUND for a socket or an export that does not exist, VF_ERROR_INVALID for a bad URI,
 * VF_ERROR_TRANSIENT for the rest: refused, no answer.  `meta_context` is asked for.  `timeout_ms` is for the
 * whole handshake. */
NbdConnection *nbd_connection_open(const char *uri, const char *meta_context, guint timeout_ms,
                                   const Cancel *cancel, GError **error);
void nbd_connection_free(NbdConnection *connection); /* says goodbye when it is alive; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NbdConnection, nbd_connection_free)

const NbdExport *nbd_connection_export(const NbdConnection *connection);

/* Sends the request and waits.  VF_ERROR_TRANSIENT when the connection broke; VF_ERROR_CANCELLED (it is
 * broken afterwards); VF_ERROR_SOURCE_IO when the server refused. */
gboolean nbd_connection_run(NbdConnection *connection, const NbdRequest *request, const Cancel *cancel,
                            GError **error);
gboolean nbd_connection_is_broken(const NbdConnection *connection);
