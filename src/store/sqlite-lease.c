/* store/sqlite-lease.c: leases, which keep two engines from writing one image.
 *
 * A lease is a row per VM with the token of the open store that holds it and an expiry.  Another takes it
 * when there is no row, when it has expired, or when its holder's process is known to be gone.  Taking is one
 * immediate transaction, so of two who try at once one waits and then sees the other's row.  A holder that
 * was asleep past its expiry learns at its next renewal that the row is not its any more.
 */
#include "base/clock.h"
#include "base/error.h"
#include "store/holder.h"
#include "store/sqlite.h"

#include <string.h>

typedef struct {
    char *token;
    Holder holder;
    gint64 expires;
} Lease;

static void lease_free(Lease *lease)
{
    if (lease == NULL)
        return;
    g_free(lease->token);
    holder_fini(&lease->holder);
    g_free(lease);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lease, lease_free)

static gpointer read_lease(const Query *query)
{
    Lease *lease = g_new0(Lease, 1);

    lease->token = query_text(query, 0);
    lease->holder = (Holder){
        .host = query_text(query, 1),
        .boot = query_text(query, 2),
        .pid_namespace = query_text(query, 3),
        .pid = query_integer(query, 4),
        .pid_start = query_integer(query, 5),
    };
    lease->expires = query_integer(query, 6);
    return lease;
}

/* NULL without error when nobody has it. */
static Lease *current_lease(Store *store, gint64 vm, GError **error)
{
    return query_first(
        store, read_lease, error,
        "SELECT token, host, boot, pid_namespace, pid, pid_start, expires FROM lease WHERE vm = ?", "i", vm);
}

static const char *token_of(Store *store)
{
    return ((SqliteStore *)store)->token;
}

static gboolean is_held(const Lease *lease)
{
    return lease->expires > clock_now() && !holder_is_gone(&lease->holder);
}

static gboolean held_by_another(const Lease *lease, gint64 vm, GError **error)
{
    g_autofree char *name = holder_name(&lease->holder);

    return vf_fail(error, VF_ERROR_CONFLICT,
                   "migration %" G_GINT64_FORMAT " is being worked on by %s; wait for it or stop it", vm,
                   name);
}

typedef struct {
    gint64 vm;
    guint ttl_seconds;
} LeaseTake;

static gboolean take(Store *store, gpointer data, GError **error)
{
    const LeaseTake *it = data;
    g_autoptr(GError) why = NULL;
    g_autoptr(Lease) now = current_lease(store, it->vm, &why);
    g_auto(Holder) self = {0};
    gint64 ttl = (gint64)it->ttl_seconds * G_USEC_PER_SEC;

    if (why != NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (now != NULL && strcmp(now->token, token_of(store)) != 0 && is_held(now))
        return held_by_another(now, it->vm, error);
    holder_init_self(&self);
    return query_run(
        store, error,
        "INSERT OR REPLACE INTO lease (vm, token, host, boot, pid_namespace, pid, pid_start, ttl, expires)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "issssiiii", it->vm, token_of(store), self.host, self.boot, self.pid_namespace, self.pid,
        self.pid_start, ttl, clock_now() + ttl);
}

gboolean sqlite_lease_take(Store *store, gint64 vm, guint ttl_seconds, GError **error)
{
    LeaseTake it = {vm, ttl_seconds};

    return sqlite_atomically(store, take, &it, error);
}

static gboolean renew(Store *store, gpointer data, GError **error)
{
    gint64 vm = *(const gint64 *)data;
    g_autoptr(Lease) now = NULL;

    if (!query_run(store, error, "UPDATE lease SET expires = ? + ttl WHERE vm = ? AND token = ?", "iis",
                   clock_now(), vm, token_of(store)))
        return FALSE;
    if (query_changes(store) == 1)
        return TRUE;
    now = current_lease(store, vm, error);
    if (now != NULL)
        return held_by_another(now, vm, error);
    return *error != NULL
               ? FALSE
               : vf_fail(error, VF_ERROR_CONFLICT,
                         "the lease of migration %" G_GINT64_FORMAT " was given up; take it again", vm);
}

gboolean sqlite_lease_renew(Store *store, gint64 vm, GError **error)
{
    return sqlite_relaxed(store, renew, &vm, error);
}

gboolean sqlite_lease_release(Store *store, gint64 vm, GError **error)
{
    return query_run(store, error, "DELETE FROM lease WHERE vm = ? AND token = ?", "is", vm, token_of(store));
}

char *sqlite_lease_holder(Store *store, gint64 vm, GError **error)
{
    g_autoptr(Lease) lease = current_lease(store, vm, error);

    return lease != NULL && is_held(lease) ? holder_name(&lease->holder) : NULL;
}
