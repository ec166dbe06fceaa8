#include "disk/nbd-connection.h"

#include "base/error.h"
#include "base/size.h"

#include <errno.h>
#include <libnbd.h>

#define POLL_MS         200
#define DEFAULT_PAYLOAD ((guint32)(32 * MIB))

struct NbdConnection {
    struct nbd_handle *nbd;
    NbdExport export;
    char *meta_context;
};

static gboolean fail_nbd(GError **error, VfErrorClass class, const char *what)
{
    return vf_fail(error, class, "%s: %s", what, nbd_get_error());
}

gboolean nbd_connection_is_broken(const NbdConnection *connection)
{
    return connection->nbd == NULL || nbd_aio_is_dead(connection->nbd) == 1 ||
           nbd_aio_is_closed(connection->nbd) == 1;
}

/* --- opening --- */

static gboolean fail_connect(GError **error, const char *uri)
{
    int number = nbd_get_errno();
    VfErrorClass class = number == ENOENT   ? VF_ERROR_NOT_FOUND
                         : number == EINVAL ? VF_ERROR_INVALID
                                            : VF_ERROR_TRANSIENT;

    return fail_nbd(error, class, uri);
}

static gboolean connect_uri(NbdConnection *connection, const char *uri, guint timeout_ms,
                            const Cancel *cancel, GError **error)
{
    struct nbd_handle *nbd = connection->nbd;
    gint64 deadline = g_get_monotonic_time() + timeout_ms * (gint64)1000;

    if (nbd_aio_connect_uri(nbd, uri) < 0)
        return fail_connect(error, uri);
    while (nbd_aio_is_ready(nbd) == 0) {
        if (cancel != NULL && !cancel_check(cancel, error))
            return FALSE;
        if (g_get_monotonic_time() >= deadline)
            return vf_fail(error, VF_ERROR_TRANSIENT, "%s: no answer within %u ms", uri, timeout_ms);
        if (nbd_poll(nbd, POLL_MS) < 0 || nbd_connection_is_broken(connection))
            return fail_connect(error, uri);
    }
    return TRUE;
}

static guint32 block_size(struct nbd_handle *nbd, int which, guint32 otherwise)
{
    gint64 size = nbd_get_block_size(nbd, which);

    return size > 0 && size <= G_MAXUINT32 ? (guint32)size : otherwise;
}

static gboolean read_export(NbdConnection *connection, const char *uri, GError **error)
{
    struct nbd_handle *nbd = connection->nbd;
    gint64 size = nbd_get_size(nbd);
    guint32 preferred = block_size(nbd, LIBNBD_SIZE_PREFERRED, SECTOR_SIZE);

    if (size < 0)
        return fail_nbd(error, VF_ERROR_INVALID, uri);
    connection->export = (NbdExport){
        .size = (guint64)size,
        .granularity =
            preferred >= SECTOR_SIZE && (preferred & (preferred - 1)) == 0 ? preferred : SECTOR_SIZE,
        .max_payload =
            (guint32)round_down(block_size(nbd, LIBNBD_SIZE_MAXIMUM, DEFAULT_PAYLOAD), SECTOR_SIZE),
        .read_only = nbd_is_read_only(nbd) == 1,
        .can_multi_conn = nbd_can_multi_conn(nbd) == 1,
        .can_zero = nbd_can_zero(nbd) == 1,
        .can_flush = nbd_can_flush(nbd) == 1,
        .can_extents = nbd_can_meta_context(nbd, connection->meta_context) == 1,
    };
    if (connection->export.max_payload == 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: the server takes no requests of a sector", uri);
    return TRUE;
}

NbdConnection *nbd_connection_open(const char *uri, const char *meta_context, guint timeout_ms,
                                   const Cancel *cancel, GError **error)
{
    g_autoptr(NbdConnection) connection = g_new0(NbdConnection, 1);

    connection->meta_context = g_strdup(meta_context);
    connection->nbd = nbd_create();
    if (connection->nbd == NULL || nbd_add_meta_context(connection->nbd, meta_context) < 0) {
        fail_nbd(error, VF_ERROR_INTERNAL, uri);
        return NULL;
    }
    if (!connect_uri(connection, uri, timeout_ms, cancel, error) || !read_export(connection, uri, error))
        return NULL;
    return g_steal_pointer(&connection);
}

void nbd_connection_free(NbdConnection *connection)
{
    if (connection == NULL)
        return;
    if (connection->nbd != NULL) {
        if (nbd_aio_is_ready(connection->nbd) == 1)
            nbd_aio_disconnect(connection->nbd, 0);
        nbd_close(connection->nbd);
    }
    g_free(connection->meta_context);
    g_free(connection);
}

const NbdExport *nbd_connection_export(const NbdConnection *connection)
{
    return &connection->export;
}

/* --- requests --- */

typedef struct {
    const NbdConnection *connection;
    const NbdRequest *request;
} ExtentsCall;

static int on_extents(void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n_entries,
                      int *error)
{
    const ExtentsCall *call = data;

    if (!g_str_equal(context, call->connection->meta_context))
        return 0;
    for (size_t i = 0; i + 1 < n_entries; i += 2) {
        NbdRun run = {.length = entries[i], .flags = entries[i + 1]};

        g_array_append_val(call->request->runs, run);
    }
    return 0;
}

/* A cookie, or -1. */
static gint64 submit(NbdConnection *connection, const NbdRequest *request, ExtentsCall *call)
{
    struct nbd_handle *nbd = connection->nbd;

    switch (request->kind) {
    case NBD_READ:
        return nbd_aio_pread(nbd, request->read, request->length, request->offset, NBD_NULL_COMPLETION, 0);
    case NBD_WRITE:
        return nbd_aio_pwrite(nbd, request->write, request->length, request->offset, NBD_NULL_COMPLETION, 0);
    case NBD_ZERO:
        return nbd_aio_zero(nbd, request->length, request->offset, NBD_NULL_COMPLETION, 0);
    case NBD_FLUSH:
        return nbd_aio_flush(nbd, NBD_NULL_COMPLETION, 0);
    case NBD_EXTENTS:
        return nbd_aio_block_status(nbd, request->length, request->offset,
                                    (nbd_extent_callback){.callback = on_extents, .user_data = call},
                                    NBD_NULL_COMPLETION, 0);
    }
    g_assert_not_reached();
}

/* A request that is given up leaves its buffer to libnbd: the connection may not live on. */
static gboolean give_up(NbdConnection *connection, const Cancel *cancel, GError **error)
{
    nbd_close(connection->nbd);
    connection->nbd = NULL;
    return cancel_check(cancel, error);
}

gboolean nbd_connection_run(NbdConnection *connection, const NbdRequest *request, const Cancel *cancel,
                            GError **error)
{
    ExtentsCall call = {.connection = connection, .request = request};
    gint64 cookie = submit(connection, request, &call);
    int completed = cookie < 0 ? -1 : 0;

    while (completed == 0) {
        completed = nbd_aio_command_completed(connection->nbd, (uint64_t)cookie);
        if (completed != 0)
            break;
        if (cancel != NULL && cancel_fired(cancel))
            return give_up(connection, cancel, error);
        if (nbd_poll(connection->nbd, POLL_MS) < 0 && nbd_connection_is_broken(connection))
            return fail_nbd(error, VF_ERROR_TRANSIENT, "the connection broke");
    }
    if (completed == 1)
        return TRUE;
    return fail_nbd(error, nbd_connection_is_broken(connection) ? VF_ERROR_TRANSIENT : VF_ERROR_SOURCE_IO,
                    "the server");
}
