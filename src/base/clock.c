#include "base/clock.h"

#include "base/error.h"

#include <string.h>
#include <time.h>

double clock_monotonic(void)
{
    return (double)g_get_monotonic_time() / G_USEC_PER_SEC;
}

gint64 clock_now(void)
{
    return g_get_real_time();
}

char *clock_format(gint64 microseconds)
{
    gint64 rest = microseconds % G_USEC_PER_SEC;
    gboolean before = rest < 0;
    time_t seconds = (time_t)(microseconds / G_USEC_PER_SEC - (before ? 1 : 0));
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL)
        return g_strdup("never");
    return g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                           utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                           (int)((before ? rest + G_USEC_PER_SEC : rest) / 1000));
}

/* Takes exactly `digits` digits whose value is at most `max`. */
static gboolean take_number(const char **cursor, guint digits, int max, int *ret)
{
    int value = 0;

    for (guint i = 0; i < digits; i++) {
        if (!g_ascii_isdigit((*cursor)[i]))
            return FALSE;
        value = value * 10 + g_ascii_digit_value((*cursor)[i]);
    }
    *cursor += digits;
    *ret = value;
    return value <= max;
}

static gboolean take_char(const char **cursor, const char *one_of)
{
    if (**cursor == '\0' || strchr(one_of, **cursor) == NULL)
        return FALSE;
    (*cursor)++;
    return TRUE;
}

static gboolean take_date(const char **cursor, int *year, int *month, int *day)
{
    return take_number(cursor, 4, 9999, year) && take_char(cursor, "-") &&
           take_number(cursor, 2, 12, month) && take_char(cursor, "-") && take_number(cursor, 2, 31, day);
}

/* ":SS" and ".ffffff" are optional; digits beyond the microsecond are dropped. */
static gboolean take_seconds(const char **cursor, int *seconds, int *microseconds)
{
    int weight = 100000;

    if (!take_char(cursor, ":"))
        return TRUE;
    if (!take_number(cursor, 2, 59, seconds))
        return FALSE;
    if (!take_char(cursor, "."))
        return TRUE;
    if (!g_ascii_isdigit(**cursor))
        return FALSE;
    for (; g_ascii_isdigit(**cursor); (*cursor)++, weight /= 10)
        *microseconds += g_ascii_digit_value(**cursor) * weight;
    return TRUE;
}

/* "Z", "+HH:MM", "-HH:MM" or nothing, which is UTC. */
static gboolean take_offset(const char **cursor, int *minutes)
{
    gboolean west = **cursor == '-';
    int hours = 0;
    int rest = 0;

    if (**cursor == '\0' || take_char(cursor, "Zz"))
        return TRUE;
    if (!take_char(cursor, "+-") || !take_number(cursor, 2, 23, &hours) || !take_char(cursor, ":") ||
        !take_number(cursor, 2, 59, &rest))
        return FALSE;
    *minutes = (west ? -1 : 1) * (hours * 60 + rest);
    return TRUE;
}

gboolean clock_parse(const char *text, gint64 *ret_microseconds, GError **error)
{
    const char *cursor = text;
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, seconds = 0, microseconds = 0, offset = 0;
    g_autoptr(GDateTime) time = NULL;

    if (take_date(&cursor, &year, &month, &day) && take_char(&cursor, "Tt ") &&
        take_number(&cursor, 2, 23, &hour) && take_char(&cursor, ":") &&
        take_number(&cursor, 2, 59, &minute) && take_seconds(&cursor, &seconds, &microseconds) &&
        take_offset(&cursor, &offset) && *cursor == '\0')
        time = g_date_time_new_utc(year, month, day, hour, minute, seconds);
    if (time == NULL)
        return vf_fail(error, VF_ERROR_INVALID,
                       "\"%s\" is not a time; write it as 2026-03-12T23:30:00Z or 2026-03-12T23:30 (UTC)",
                       text);
    *ret_microseconds = (g_date_time_to_unix(time) - (gint64)offset * 60) * G_USEC_PER_SEC + microseconds;
    return TRUE;
}
