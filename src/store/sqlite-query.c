#include "store/sqlite.h"

#include "base/error.h"

static VfErrorClass class_of(int code)
{
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        return VF_ERROR_CONFLICT;
    if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
        return VF_ERROR_NOT_FOUND;
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return VF_ERROR_TRANSIENT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return VF_ERROR_TARGET_IO;
    default:
        return VF_ERROR_INTERNAL;
    }
}

static const char *advice_for(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return "; free space on its file system and retry";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "; it is damaged or no database of vmferry: put a backup in its place";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another process keeps it locked";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return "; look at who may write there";
    default:
        return "";
    }
}

gboolean sqlite_fail(SqliteStore *store, GError **error, const char *doing)
{
    int code = sqlite3_extended_errcode(store->db);

    if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
        return vf_fail(error, VF_ERROR_NOT_FOUND, "store %s: %s: there is no such migration or round",
                       store->path, doing);
    return vf_fail(error, class_of(code), "store %s: %s: %s%s", store->path, doing, sqlite3_errmsg(store->db),
                   advice_for(code));
}

gboolean sqlite_execute(SqliteStore *store, const char *sql, GError **error)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK || sqlite_fail(store, error, sql);
}

/* The first word of a statement and what follows: enough for a message. */
static gboolean fail(const Query *query, GError **error)
{
    g_autofree char *doing = g_strndup(sqlite3_sql(query->statement), 40);

    return sqlite_fail(query->store, error, g_strdelimit(doing, "\n", ' '));
}

static sqlite3_stmt *prepare(SqliteStore *store, const char *sql, GError **error)
{
    sqlite3_stmt *statement = g_hash_table_lookup(store->statements, sql);

    if (statement != NULL)
        return statement;
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        sqlite_fail(store, error, sql);
        return NULL;
    }
    g_hash_table_insert(store->statements, g_strdup(sql), statement);
    return statement;
}

static int bind_bytes(sqlite3_stmt *statement, int index, GBytes *bytes)
{
    gsize length = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;

    if (bytes == NULL)
        return sqlite3_bind_null(statement, index);
    if (length == 0)
        return sqlite3_bind_zeroblob(statement, index, 0);
    return sqlite3_bind_blob64(statement, index, data, length, SQLITE_TRANSIENT);
}

static int bind_size(sqlite3_stmt *statement, int index, guint64 value)
{
    return value <= G_MAXINT64 ? sqlite3_bind_int64(statement, index, (gint64)value) : SQLITE_TOOBIG;
}

static int bind_one(sqlite3_stmt *statement, int index, char type, va_list *arguments)
{
    switch (type) {
    case 'i':
        return sqlite3_bind_int64(statement, index, va_arg(*arguments, gint64));
    case 'u':
        return sqlite3_bind_int64(statement, index, va_arg(*arguments, guint));
    case 'z':
        return bind_size(statement, index, va_arg(*arguments, guint64));
    case 'f':
        return sqlite3_bind_int64(statement, index, va_arg(*arguments, gboolean) != FALSE);
    case 's':
        return sqlite3_bind_text(statement, index, va_arg(*arguments, const char *), -1, SQLITE_TRANSIENT);
    case 'b':
        return bind_bytes(statement, index, va_arg(*arguments, GBytes *));
    default:
        return SQLITE_MISUSE;
    }
}

static gboolean start(Query *query, Store *base, GError **error, const char *sql, const char *types,
                      va_list *arguments)
{
    SqliteStore *store = (SqliteStore *)base;

    query->store = store;
    query->statement = prepare(store, sql, error);
    if (query->statement == NULL)
        return FALSE;
    for (int i = 0; types[i] != '\0'; i++) {
        int code = bind_one(query->statement, i + 1, types[i], arguments);

        if (code == SQLITE_TOOBIG)
            return vf_fail(error, VF_ERROR_INVALID, "store: a size or text is too large to be kept");
        if (code != SQLITE_OK)
            return fail(query, error);
    }
    return TRUE;
}

gboolean query_start(Query *query, Store *store, GError **error, const char *sql, const char *types, ...)
{
    gboolean ok = FALSE;
    va_list arguments;

    va_start(arguments, types);
    ok = start(query, store, error, sql, types, &arguments);
    va_end(arguments);
    return ok;
}

gint query_next(Query *query, GError **error)
{
    int code = sqlite3_step(query->statement);

    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    fail(query, error);
    return -1;
}

void query_end(Query *query)
{
    if (query->statement == NULL)
        return;
    sqlite3_reset(query->statement);
    sqlite3_clear_bindings(query->statement);
    query->statement = NULL;
}

char *query_text(const Query *query, int column)
{
    return g_strdup((const char *)sqlite3_column_text(query->statement, column));
}

gint64 query_integer(const Query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

GBytes *query_bytes(const Query *query, int column)
{
    const void *data = sqlite3_column_blob(query->statement, column);

    if (sqlite3_column_type(query->statement, column) == SQLITE_NULL)
        return NULL;
    return g_bytes_new(data, (gsize)sqlite3_column_bytes(query->statement, column));
}

gboolean query_run(Store *store, GError **error, const char *sql, const char *types, ...)
{
    g_auto(Query) query = {0};
    gboolean ok = FALSE;
    va_list arguments;

    va_start(arguments, types);
    ok = start(&query, store, error, sql, types, &arguments);
    va_end(arguments);
    return ok && query_next(&query, error) == 0;
}

gint64 query_changes(Store *store)
{
    return sqlite3_changes64(((SqliteStore *)store)->db);
}

gint64 query_row_id(Store *store)
{
    return sqlite3_last_insert_rowid(((SqliteStore *)store)->db);
}

GPtrArray *query_list(Store *store, QueryReader reader, GDestroyNotify free_row, GError **error,
                      const char *sql, const char *types, ...)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(free_row);
    g_auto(Query) query = {0};
    gboolean ok = FALSE;
    gint more = 0;
    va_list arguments;

    va_start(arguments, types);
    ok = start(&query, store, error, sql, types, &arguments);
    va_end(arguments);
    if (!ok)
        return NULL;
    while ((more = query_next(&query, error)) == 1)
        g_ptr_array_add(rows, reader(&query));
    return more == 0 ? g_steal_pointer(&rows) : NULL;
}

gpointer query_first(Store *store, QueryReader reader, GError **error, const char *sql, const char *types,
                     ...)
{
    g_auto(Query) query = {0};
    gboolean ok = FALSE;
    va_list arguments;

    va_start(arguments, types);
    ok = start(&query, store, error, sql, types, &arguments);
    va_end(arguments);
    return ok && query_next(&query, error) == 1 ? reader(&query) : NULL;
}
