#include "disk/http-range.h"

#include <string.h>

/* Decimal digits up to `end`, which must follow; *cursor goes behind it. */
static gboolean take_number(const char **cursor, char end, guint64 *ret_number)
{
    gsize digits = strspn(*cursor, "0123456789");
    g_autofree char *text = g_strndup(*cursor, digits);

    if ((*cursor)[digits] != end || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, ret_number, NULL))
        return FALSE;
    *cursor += digits + (end != '\0' ? 1 : 0);
    return TRUE;
}

gboolean http_range_parse(const char *value, HttpRange *ret_range)
{
    static const char unit[] = "bytes ";
    const char *cursor = value;
    HttpRange range;

    if (value == NULL || g_ascii_strncasecmp(value, unit, strlen(unit)) != 0)
        return FALSE;
    cursor += strlen(unit);
    if (!take_number(&cursor, '-', &range.first) || !take_number(&cursor, '/', &range.last) ||
        !take_number(&cursor, '\0', &range.total) || range.first > range.last || range.last >= range.total)
        return FALSE;
    *ret_range = range;
    return TRUE;
}
