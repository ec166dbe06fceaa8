/* store/sqlite-request.c: what is said to a worker (requests), what it says (events), and what it measured
 * (facts).
 */
#include "base/clock.h"
#include "base/error.h"
#include "store/sqlite.h"

static gpointer read_request(const Query *query)
{
    StoreRequest *request = g_new0(StoreRequest, 1);

    *request = (StoreRequest){
        .id = query_integer(query, 0),
        .kind = query_text(query, 1),
        .arguments = query_text(query, 2),
        .created = query_integer(query, 3),
    };
    return request;
}

static void free_request(gpointer request)
{
    store_request_free(request);
}

gboolean sqlite_request_add(Store *store, gint64 vm, const char *kind, const char *arguments,
                            gboolean *ret_already, GError **error)
{
    if (!query_run(store, error,
                   "INSERT INTO request (vm, kind, arguments, created) VALUES (?, ?, ?, ?)"
                   " ON CONFLICT (vm, kind) WHERE closed IS NULL DO NOTHING",
                   "issi", vm, kind, arguments, clock_now()))
        return FALSE;
    *ret_already = query_changes(store) == 0;
    return TRUE;
}

GPtrArray *sqlite_request_open(Store *store, gint64 vm, GError **error)
{
    return query_list(
        store, read_request, free_request, error,
        "SELECT id, kind, arguments, created FROM request WHERE vm = ? AND closed IS NULL ORDER BY id", "i",
        vm);
}

gboolean sqlite_request_close(Store *store, gint64 id, const char *outcome, GError **error)
{
    return query_run(store, error,
                     "UPDATE request SET closed = ?, outcome = ? WHERE id = ? AND closed IS NULL", "isi",
                     clock_now(), outcome, id) &&
           sqlite_changed_one(store, "open request", id, error);
}

gboolean sqlite_request_close_all(Store *store, gint64 vm, const char *outcome, GError **error)
{
    return query_run(store, error,
                     "UPDATE request SET closed = ?, outcome = ? WHERE vm = ? AND closed IS NULL", "isi",
                     clock_now(), outcome, vm);
}

/* --- events --- */

static gpointer read_event(const Query *query)
{
    StoreEvent *event = g_new0(StoreEvent, 1);

    *event = (StoreEvent){
        .id = query_integer(query, 0),
        .time = query_integer(query, 1),
        .level = query_text(query, 2),
        .kind = query_text(query, 3),
        .text = query_text(query, 4),
    };
    return event;
}

static void free_event(gpointer event)
{
    store_event_free(event);
}

gboolean sqlite_event_add(Store *store, gint64 vm, const char *level, const char *kind, const char *text,
                          GError **error)
{
    return query_run(store, error, "INSERT INTO event (vm, time, level, kind, text) VALUES (?, ?, ?, ?, ?)",
                     "iisss", vm, clock_now(), level, kind, text);
}

GPtrArray *sqlite_event_list(Store *store, gint64 vm, gint64 after_id, guint limit, GError **error)
{
    return query_list(
        store, read_event, free_event, error,
        "SELECT id, time, level, kind, text FROM event WHERE vm = ? AND id > ? ORDER BY id LIMIT ?", "iiu",
        vm, after_id, limit);
}

/* --- facts --- */

gboolean sqlite_fact_set(Store *store, gint64 vm, const char *name, const char *value, GError **error)
{
    if (value == NULL)
        return query_run(store, error, "DELETE FROM fact WHERE vm = ? AND name = ?", "is", vm, name);
    return query_run(store, error,
                     "INSERT INTO fact (vm, name, value) VALUES (?, ?, ?)"
                     " ON CONFLICT (vm, name) DO UPDATE SET value = excluded.value",
                     "iss", vm, name, value);
}

static gpointer read_text(const Query *query)
{
    return query_text(query, 0);
}

char *sqlite_fact_get(Store *store, gint64 vm, const char *name, GError **error)
{
    return query_first(store, read_text, error, "SELECT value FROM fact WHERE vm = ? AND name = ?", "is", vm,
                       name);
}

GHashTable *sqlite_fact_list(Store *store, gint64 vm, GError **error)
{
    g_autoptr(GHashTable) facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(Query) query = {0};
    gint more = 0;

    if (!query_start(&query, store, error, "SELECT name, value FROM fact WHERE vm = ?", "i", vm))
        return NULL;
    while ((more = query_next(&query, error)) == 1)
        g_hash_table_insert(facts, query_text(&query, 0), query_text(&query, 1));
    return more == 0 ? g_steal_pointer(&facts) : NULL;
}
