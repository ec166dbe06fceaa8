/* store/sqlite-schema.c: the version of the schema and the way from one to the next.
 *
 * PRAGMA user_version counts the migrations that were applied.  Each runs in one transaction with the step of
 * the counter, so that a crash leaves a database of one version or the other; the counter is read again
 * inside, because two processes may open at once.
 */
#include "base/error.h"
#include "store/sqlite.h"

/* "vmfy": says in the file's header whose database it is. */
#define APPLICATION_ID 0x766d6679

static gboolean read_pragma(SqliteStore *store, const char *sql, gint64 *ret, GError **error)
{
    g_auto(Query) query = {0};

    if (!query_start(&query, &store->base, error, sql, "") || query_next(&query, error) < 0)
        return FALSE;
    *ret = query_integer(&query, 0);
    return TRUE;
}

static gboolean check_owner(SqliteStore *store, gint64 version, GError **error)
{
    gint64 owner = 0;

    if (!read_pragma(store, "PRAGMA application_id", &owner, error))
        return FALSE;
    if (version > 0 && owner != APPLICATION_ID)
        return vf_fail(error, VF_ERROR_INVALID, "store %s: this is a database of another program",
                       store->path);
    return TRUE;
}

static gboolean check_version(SqliteStore *store, gint64 newest, gint64 *ret_version, GError **error)
{
    if (!read_pragma(store, "PRAGMA user_version", ret_version, error) ||
        !check_owner(store, *ret_version, error))
        return FALSE;
    if (*ret_version > newest)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "store %s: its schema %" G_GINT64_FORMAT
                       " is newer than this vmferry knows (%" G_GINT64_FORMAT "); use the newer vmferry",
                       store->path, *ret_version, newest);
    return TRUE;
}

typedef struct {
    const char *const *migrations;
    gint64 newest;
} Upgrade;

static gboolean apply_next(Store *base, gpointer data, GError **error)
{
    SqliteStore *store = (SqliteStore *)base;
    const Upgrade *upgrade = data;
    g_autofree char *mark = NULL;
    gint64 version = 0;

    if (!check_version(store, upgrade->newest, &version, error))
        return FALSE;
    if (version == upgrade->newest)
        return TRUE;
    mark = g_strdup_printf("PRAGMA user_version = %" G_GINT64_FORMAT "; PRAGMA application_id = %d",
                           version + 1, APPLICATION_ID);
    if (sqlite_execute(store, upgrade->migrations[version], error) && sqlite_execute(store, mark, error))
        return TRUE;
    g_prefix_error(error, "bringing the schema to version %" G_GINT64_FORMAT ": ", version + 1);
    return FALSE;
}

gboolean sqlite_migrate(SqliteStore *store, const char *const *migrations, GError **error)
{
    Upgrade upgrade = {migrations, g_strv_length((char **)migrations)};
    gint64 version = 0;

    if (!check_version(store, upgrade.newest, &version, error))
        return FALSE;
    while (version < upgrade.newest) {
        if (!sqlite_atomically(&store->base, apply_next, &upgrade, error))
            return FALSE;
        version++;
    }
    return TRUE;
}
