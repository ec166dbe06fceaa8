#include "migration/downtime.h"

#include "migration/facts.h"

/* Each part ends at its moment and begins at the one before. */
static const struct {
    const char *fact;
    const char *part;
} moments[] = {
    {FACT_SHUTDOWN_AT, NULL},        {FACT_OFF_AT, "shutdown"},    {FACT_SETTLED_AT, "settle"},
    {FACT_COPIED_AT, "final_round"}, {FACT_VERIFIED_AT, "verify"}, {FACT_CONVERTED_AT, "convert"},
    {FACT_IMPORTED_AT, "import"},    {FACT_READY_AT, "start"},
};

Json *downtime_to_json(Store *store, gint64 vm, GError **error)
{
    g_autoptr(Json) json = json_object();
    gint64 first = 0, before = 0;

    for (guint i = 0; i < G_N_ELEMENTS(moments); i++) {
        gint64 at = 0;

        if (!fact_get_integer(store, vm, moments[i].fact, &at, error))
            return NULL;
        if (i == 0 && at == 0)
            return NULL;
        if (at == 0)
            continue;
        if (i == 0)
            first = at;
        else
            json_set_real(json, moments[i].part, (double)(at - before) / 1e6);
        before = at;
    }
    json_set_real(json, "total", (double)(before - first) / 1e6);
    return g_steal_pointer(&json);
}

gboolean downtime_forget(Store *store, gint64 vm, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(moments); i++) {
        if (!store_fact_set(store, vm, moments[i].fact, NULL, error))
            return FALSE;
    }
    return TRUE;
}
