/* The connections of a disk lie in a pool: a request takes an idle one or waits for one.  A connection that
 * broke is thrown away and the request repeated on a fresh one.
 *
 * What makes reconnection dangerous is the flush.  A server that was restarted has lost what it had
 * acknowledged and not yet written, and a flush on the new connection would succeed without it.  So each
 * connection knows whether it has carried writes since its last flush; a flush goes over every connection
 * that has, and when such a connection breaks the disk is spoilt: every later flush fails, and whoever relies
 * on it goes back to what the last good one covered.
 */
#include "disk/nbd.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/driver.h"
#include "disk/nbd-connection.h"

#include <string.h>

#define DEFAULT_CONNECTIONS 8u
#define CONNECT_TIMEOUT_MS  10000
/* A server that counts its clients leaves one too many waiting in silence. */
#define FURTHER_TIMEOUT_MS 1500
#define RETRIES            5
#define FIRST_PAUSE_MS     100
#define MAX_PAUSE_MS       5000
#define ALLOCATION         "base:allocation"
/* Of base:allocation. */
#define STATE_HOLE 1u
#define STATE_ZERO 2u
/* Of one zeroing or extents request: the protocol counts in 32 bits. */
#define MAX_RANGE GIB

typedef struct {
    NbdConnection *connection; /* NULL: broken, to be opened again */
    gboolean busy;
    gboolean unflushed; /* writes were acknowledged since the last flush */
} Slot;

typedef struct {
    Disk disk;
    char *uri;
    char *meta_context;
    NbdExport export;
    const Cancel *cancel; /* may be NULL */
    Cancel *never;        /* what is slept on then */

    GMutex lock; /* guards all below */
    GCond idle;
    Slot *slots;     /* all but `busy` belongs to whoever made it busy */
    guint n_slots;   /* immutable */
    gboolean spoilt; /* acknowledged writes may be lost */
} NbdDisk;

static VfErrorClass io_class(const NbdDisk *nbd)
{
    return nbd->disk.writable ? VF_ERROR_TARGET_IO : VF_ERROR_SOURCE_IO;
}

/* --- the pool --- */

static Slot *find_idle(NbdDisk *nbd)
{
    for (guint i = 0; i < nbd->n_slots; i++)
        if (!nbd->slots[i].busy)
            return &nbd->slots[i];
    return NULL;
}

static Slot *take_slot(NbdDisk *nbd)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&nbd->lock);
    Slot *slot;

    while ((slot = find_idle(nbd)) == NULL)
        g_cond_wait(&nbd->idle, &nbd->lock);
    slot->busy = TRUE;
    return slot;
}

static void give_slot(NbdDisk *nbd, Slot *slot)
{
    g_mutex_lock(&nbd->lock);
    slot->busy = FALSE;
    g_cond_broadcast(&nbd->idle);
    g_mutex_unlock(&nbd->lock);
}

static void drop_connection(NbdDisk *nbd, Slot *slot)
{
    g_clear_pointer(&slot->connection, nbd_connection_free);
    g_mutex_lock(&nbd->lock);
    nbd->spoilt = nbd->spoilt || slot->unflushed;
    g_mutex_unlock(&nbd->lock);
}

static gboolean same_export(const NbdDisk *nbd, const NbdConnection *connection, GError **error)
{
    const NbdExport *now = nbd_connection_export(connection);

    if (now->size == nbd->export.size && now->read_only == nbd->export.read_only &&
        now->can_extents == nbd->export.can_extents)
        return TRUE;
    return vf_fail(error, VF_ERROR_INTEGRITY,
                   "%s is another export than before: %" G_GUINT64_FORMAT " bytes, not %" G_GUINT64_FORMAT,
                   nbd->uri, now->size, nbd->export.size);
}

static gboolean connect_slot(NbdDisk *nbd, Slot *slot, guint timeout_ms, GError **error)
{
    if (slot->connection != NULL)
        return TRUE;
    g_autoptr(NbdConnection) connection =
        nbd_connection_open(nbd->uri, nbd->meta_context, timeout_ms, nbd->cancel, error);
    if (connection == NULL || !same_export(nbd, connection, error))
        return FALSE;
    slot->connection = g_steal_pointer(&connection);
    return TRUE;
}

/* --- requests --- */

static gboolean run_once(NbdDisk *nbd, Slot *slot, const NbdRequest *request, GError **error)
{
    if (!connect_slot(nbd, slot, CONNECT_TIMEOUT_MS, error))
        return FALSE;
    if (!nbd_connection_run(slot->connection, request, nbd->cancel, error)) {
        if (nbd_connection_is_broken(slot->connection))
            drop_connection(nbd, slot);
        return FALSE;
    }
    slot->unflushed = slot->unflushed || request->kind == NBD_WRITE || request->kind == NBD_ZERO;
    return TRUE;
}

/* Repeats what a broken connection left undone, and while the server is away. */
static gboolean run_on(NbdDisk *nbd, Slot *slot, const NbdRequest *request, GError **error)
{
    guint pause_ms = FIRST_PAUSE_MS;

    for (guint attempt = 0;; attempt++, pause_ms = MIN(2 * pause_ms, MAX_PAUSE_MS)) {
        g_autoptr(GError) problem = NULL;

        if (run_once(nbd, slot, request, &problem))
            return TRUE;
        /* After a restart the socket may be missing for a moment. */
        if (attempt == RETRIES ||
            !(vf_error_is(problem, VF_ERROR_TRANSIENT) || vf_error_is(problem, VF_ERROR_NOT_FOUND))) {
            if (vf_error_is(problem, VF_ERROR_SOURCE_IO))
                problem->code = (gint)io_class(nbd);
            g_propagate_prefixed_error(error, g_steal_pointer(&problem), "%s: ", nbd->disk.name);
            return FALSE;
        }
        if (!cancel_sleep(nbd->cancel != NULL ? nbd->cancel : nbd->never, pause_ms, error))
            return FALSE;
    }
}

static gboolean run(NbdDisk *nbd, const NbdRequest *request, GError **error)
{
    Slot *slot = take_slot(nbd);
    gboolean ok = run_on(nbd, slot, request, error);

    give_slot(nbd, slot);
    return ok;
}

/* --- slots of the driver --- */

static gboolean nbd_disk_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    NbdDisk *nbd = (NbdDisk *)disk;

    for (gsize done = 0, step; done < length; done += step) {
        step = MIN(length - done, nbd->export.max_payload);
        NbdRequest request = {
            .kind = NBD_READ, .read = (char *)buffer + done, .length = step, .offset = offset + done};

        if (!run(nbd, &request, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean nbd_disk_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    NbdDisk *nbd = (NbdDisk *)disk;

    for (gsize done = 0, step; done < length; done += step) {
        step = MIN(length - done, nbd->export.max_payload);
        NbdRequest request = {
            .kind = NBD_WRITE, .write = (const char *)buffer + done, .length = step, .offset = offset + done};

        if (!run(nbd, &request, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean nbd_disk_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    for (guint64 done = 0, step; done < length; done += step) {
        step = MIN(length - done, MAX_RANGE);
        NbdRequest request = {.kind = NBD_ZERO, .length = step, .offset = offset + done};

        if (!run((NbdDisk *)disk, &request, error))
            return FALSE;
    }
    return TRUE;
}

/* Over one connection, when it has something to flush. */
static gboolean flush_slot(NbdDisk *nbd, Slot *slot, GError **error)
{
    const NbdRequest request = {.kind = NBD_FLUSH};

    g_mutex_lock(&nbd->lock);
    while (slot->busy)
        g_cond_wait(&nbd->idle, &nbd->lock);
    slot->busy = TRUE;
    g_mutex_unlock(&nbd->lock);

    gboolean ok = !slot->unflushed || run_on(nbd, slot, &request, error);
    if (ok)
        slot->unflushed = FALSE;
    give_slot(nbd, slot);
    return ok;
}

static gboolean nbd_disk_flush(Disk *disk, GError **error)
{
    NbdDisk *nbd = (NbdDisk *)disk;
    gboolean spoilt;

    for (guint i = 0; nbd->export.can_flush && i < nbd->n_slots; i++)
        if (!flush_slot(nbd, &nbd->slots[i], error))
            return FALSE;

    g_mutex_lock(&nbd->lock);
    spoilt = nbd->spoilt;
    g_mutex_unlock(&nbd->lock);
    if (spoilt)
        return vf_fail(
            error, VF_ERROR_TARGET_IO,
            "%s: the server went away before it had flushed what it acknowledged; start again from the "
            "last checkpoint",
            disk->name);
    return TRUE;
}

static DiskExtentKind run_kind(const NbdDisk *nbd, guint32 flags)
{
    if (strcmp(nbd->meta_context, ALLOCATION) != 0)
        return flags != 0 ? DISK_EXTENT_DATA : DISK_EXTENT_HOLE;
    /* A hole that does not read as zero may be anything. */
    if ((flags & STATE_ZERO) == 0)
        return DISK_EXTENT_DATA;
    return (flags & STATE_HOLE) != 0 ? DISK_EXTENT_HOLE : DISK_EXTENT_ZERO;
}

/* One question.  The answer may be shorter than the range, or reach beyond it. */
static gboolean ask_extents(NbdDisk *nbd, guint64 *offset, guint64 end, GArray *extents, GError **error)
{
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(NbdRun));
    NbdRequest request = {
        .kind = NBD_EXTENTS, .runs = runs, .offset = *offset, .length = MIN(end - *offset, MAX_RANGE)};

    if (!run(nbd, &request, error))
        return FALSE;
    for (guint i = 0; i < runs->len && *offset < end; i++) {
        const NbdRun *answer = &g_array_index(runs, NbdRun, i);
        guint64 length = MIN(answer->length, end - *offset);

        disk_extent_append(extents, *offset, length, run_kind(nbd, answer->flags));
        *offset += length;
    }
    return TRUE;
}

static gboolean nbd_disk_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    NbdDisk *nbd = (NbdDisk *)disk;
    guint64 end = offset + length;

    if (!nbd->export.can_extents) {
        disk_extent_append(extents, offset, length, DISK_EXTENT_DATA);
        return TRUE;
    }
    while (offset < end) {
        guint64 before = offset;

        if (!ask_extents(nbd, &offset, end, extents, error))
            return FALSE;
        if (offset == before)
            return vf_fail(error, VF_ERROR_INTEGRITY,
                           "%s: the server says nothing about the range at %" G_GUINT64_FORMAT, disk->name,
                           offset);
    }
    return TRUE;
}

static void nbd_disk_free(Disk *disk)
{
    NbdDisk *nbd = (NbdDisk *)disk;

    for (guint i = 0; i < nbd->n_slots; i++)
        nbd_connection_free(nbd->slots[i].connection);
    g_free(nbd->slots);
    g_free(nbd->uri);
    g_free(nbd->meta_context);
    cancel_unref(nbd->never);
    g_cond_clear(&nbd->idle);
    g_mutex_clear(&nbd->lock);
    disk_fini(disk);
    g_free(nbd);
}

static const DiskOps nbd_ops = {
    .format = "nbd",
    .pread = nbd_disk_pread,
    .pwrite = nbd_disk_pwrite,
    .zero = nbd_disk_zero,
    .extents = nbd_disk_extents,
    .flush = nbd_disk_flush,
    .free = nbd_disk_free,
};

/* For a server that cannot zero: the front door writes zeros. */
static const DiskOps nbd_ops_without_zero = {
    .format = "nbd",
    .pread = nbd_disk_pread,
    .pwrite = nbd_disk_pwrite,
    .extents = nbd_disk_extents,
    .flush = nbd_disk_flush,
    .free = nbd_disk_free,
};

/* --- opening --- */

static gboolean check_export(const NbdExport *export, const char *uri, const NbdOptions *options,
                             GError **error)
{
    if (options->writable && export->read_only)
        return vf_fail(error, VF_ERROR_INVALID, "%s can only be read: the server exports it read-only", uri);
    if (options->meta_context != NULL && !export->can_extents)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: the server does not know the meta context %s", uri,
                       options->meta_context);
    return TRUE;
}

/* As many as the server lets in: one is enough. */
static void open_connections(NbdDisk *nbd, NbdConnection *first, guint wanted)
{
    g_autoptr(GError) refused = NULL;

    nbd->slots = g_new0(Slot, wanted);
    nbd->slots[0].connection = first;
    for (nbd->n_slots = 1; nbd->export.can_multi_conn && nbd->n_slots < wanted; nbd->n_slots++)
        if (!connect_slot(nbd, &nbd->slots[nbd->n_slots], FURTHER_TIMEOUT_MS, &refused))
            break;
}

static Disk *disk_new(const char *uri, const NbdOptions *options, NbdConnection *connection)
{
    NbdDisk *nbd = g_new0(NbdDisk, 1);

    nbd->export = *nbd_connection_export(connection);
    disk_init(&nbd->disk, nbd->export.can_zero ? &nbd_ops : &nbd_ops_without_zero, uri, nbd->export.size,
              nbd->export.granularity, options->writable, FALSE);
    nbd->uri = g_strdup(uri);
    nbd->meta_context = g_strdup(options->meta_context != NULL ? options->meta_context : ALLOCATION);
    nbd->cancel = options->cancel;
    nbd->never = cancel_new();
    g_mutex_init(&nbd->lock);
    g_cond_init(&nbd->idle);
    open_connections(nbd, connection, options->connections != 0 ? options->connections : DEFAULT_CONNECTIONS);
    return &nbd->disk;
}

Disk *nbd_open(const char *uri, const NbdOptions *options, GError **error)
{
    static const NbdOptions standard = {0};
    const NbdOptions *chosen = options != NULL ? options : &standard;
    const char *context = chosen->meta_context != NULL ? chosen->meta_context : ALLOCATION;
    g_autoptr(NbdConnection) connection =
        nbd_connection_open(uri, context, CONNECT_TIMEOUT_MS, chosen->cancel, error);

    if (connection == NULL || !check_export(nbd_connection_export(connection), uri, chosen, error))
        return NULL;
    return disk_new(uri, chosen, g_steal_pointer(&connection));
}
