#include "migration/facts.h"

#include "base/clock.h"

gboolean fact_set_integer(Store *store, gint64 vm, const char *name, gint64 value, GError **error)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

    return store_fact_set(store, vm, name, text, error);
}

/* Unset is no error: *ret_text is NULL then. */
static gboolean get(Store *store, gint64 vm, const char *name, char **ret_text, GError **error)
{
    *ret_text = store_fact_get(store, vm, name, error);
    return *ret_text != NULL || *error == NULL;
}

gboolean fact_get_integer(Store *store, gint64 vm, const char *name, gint64 *ret, GError **error)
{
    g_autofree char *text = NULL;

    if (!get(store, vm, name, &text, error))
        return FALSE;
    *ret = text != NULL ? g_ascii_strtoll(text, NULL, 10) : 0;
    return TRUE;
}

gboolean fact_set_now(Store *store, gint64 vm, const char *name, GError **error)
{
    return fact_set_integer(store, vm, name, clock_now(), error);
}

gboolean fact_set_now_once(Store *store, gint64 vm, const char *name, GError **error)
{
    gboolean set = FALSE;

    return fact_is_set(store, vm, name, &set, error) && (set || fact_set_now(store, vm, name, error));
}

gboolean fact_set_real(Store *store, gint64 vm, const char *name, double value, GError **error)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    return store_fact_set(store, vm, name, g_ascii_dtostr(text, sizeof text, value), error);
}

gboolean fact_get_real(Store *store, gint64 vm, const char *name, double otherwise, double *ret,
                       GError **error)
{
    g_autofree char *text = NULL;

    if (!get(store, vm, name, &text, error))
        return FALSE;
    *ret = text != NULL ? g_ascii_strtod(text, NULL) : otherwise;
    return TRUE;
}

gboolean fact_is_set(Store *store, gint64 vm, const char *name, gboolean *ret, GError **error)
{
    g_autofree char *text = NULL;

    if (!get(store, vm, name, &text, error))
        return FALSE;
    *ret = text != NULL;
    return TRUE;
}
