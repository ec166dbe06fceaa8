#include "base/size.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

/* Decimal digits at *cursor; FALSE when there are none or they do not fit. */
static gboolean take_digits(const char **cursor, guint64 *ret)
{
    guint64 value = 0;

    if (!g_ascii_isdigit(**cursor))
        return FALSE;
    for (; g_ascii_isdigit(**cursor); (*cursor)++)
        if (!size_mul(value, 10, &value) || !size_add(value, (guint64)g_ascii_digit_value(**cursor), &value))
            return FALSE;
    *ret = value;
    return TRUE;
}

/* ".5" as a numerator over a power of ten.  Beyond nine digits nothing changes by a byte that anyone would
 * miss. */
static gboolean take_fraction(const char **cursor, guint64 *ret_numerator, guint64 *ret_denominator)
{
    if (**cursor != '.')
        return TRUE;
    if (!g_ascii_isdigit(*++*cursor))
        return FALSE;
    for (; g_ascii_isdigit(**cursor); (*cursor)++) {
        if (*ret_denominator >= 1000000000)
            continue;
        *ret_numerator = *ret_numerator * 10 + (guint64)g_ascii_digit_value(**cursor);
        *ret_denominator *= 10;
    }
    return TRUE;
}

/* "", "B", "K", "KB", "KiB", ... in any case, to the end of the text; the shift, or -1. */
static int unit_shift(const char *unit)
{
    static const char letters[] = "KMGTPE";
    const char *letter;

    if (*unit == '\0' || g_ascii_strcasecmp(unit, "B") == 0)
        return 0;
    letter = strchr(letters, g_ascii_toupper(*unit));
    if (letter == NULL)
        return -1;
    unit++;
    if (*unit != '\0' && g_ascii_strcasecmp(unit, "B") != 0 && g_ascii_strcasecmp(unit, "iB") != 0)
        return -1;
    return (int)(letter - letters + 1) * 10;
}

gboolean size_parse(const char *text, guint64 *ret_bytes, GError **error)
{
    const char *cursor = text;
    guint64 whole = 0, numerator = 0, denominator = 1;
    unsigned __int128 bytes;
    int shift = -1;

    if (take_digits(&cursor, &whole) && take_fraction(&cursor, &numerator, &denominator)) {
        while (*cursor == ' ')
            cursor++;
        shift = unit_shift(cursor);
    }
    if (shift < 0 || (shift == 0 && denominator > 1))
        return vf_fail(error, VF_ERROR_INVALID,
                       "\"%s\" is not a size; write bytes, or a number with K, M, G, T or P", text);
    bytes = ((unsigned __int128)whole << shift) + ((unsigned __int128)numerator << shift) / denominator;
    if (bytes > G_MAXUINT64)
        return vf_fail(error, VF_ERROR_INVALID, "the size \"%s\" does not fit in 64 bits", text);
    *ret_bytes = (guint64)bytes;
    return TRUE;
}

/* Three digits, or four from 1000 to 1023. */
static char *format_scaled(double value, const char *suffix)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    guint unit = 0;

    for (; value >= 1023.5 && unit + 1 < G_N_ELEMENTS(units); unit++)
        value /= 1024;
    if (unit == 0 || value >= 99.95)
        return g_strdup_printf("%.0f %s%s", value, units[unit], suffix);
    return g_strdup_printf("%.*f %s%s", value >= 9.995 ? 1 : 2, value, units[unit], suffix);
}

char *size_format(guint64 bytes)
{
    return format_scaled((double)bytes, "");
}

char *size_format_rate(double bytes_per_second)
{
    return format_scaled(isfinite(bytes_per_second) && bytes_per_second > 0 ? bytes_per_second : 0, "/s");
}

static guint64 unit_seconds(char unit)
{
    switch (unit) {
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

/* Parts in falling units, each at most once: "1h30m". */
static gboolean take_parts(const char *cursor, guint64 *ret_seconds)
{
    guint64 total = 0, number = 0, previous_unit = G_MAXUINT64;

    if (*cursor == '\0')
        return FALSE;
    while (*cursor != '\0') {
        guint64 unit;

        if (!take_digits(&cursor, &number))
            return FALSE;
        unit = *cursor == '\0' && total == 0 && previous_unit == G_MAXUINT64 ? 1 : unit_seconds(*cursor);
        if (unit == 0 || unit >= previous_unit || !size_mul(number, unit, &number) ||
            !size_add(total, number, &total))
            return FALSE;
        previous_unit = unit;
        cursor += *cursor != '\0';
    }
    *ret_seconds = total;
    return TRUE;
}

gboolean duration_parse(const char *text, guint64 *ret_seconds, GError **error)
{
    if (!take_parts(text, ret_seconds))
        return vf_fail(error, VF_ERROR_INVALID, "\"%s\" is not a duration; write it as 30s, 5m, 1h30m or 1d",
                       text);
    return TRUE;
}

char *duration_format(double seconds)
{
    guint64 whole;

    if (!isfinite(seconds) || seconds < 0)
        seconds = 0;
    if (seconds < 0.9995)
        return g_strdup_printf("%.0f ms", seconds * 1000);
    if (seconds < 59.95)
        return g_strdup_printf("%.1f s", seconds);
    whole = (guint64)(MIN(seconds, 1e15) + 0.5);
    if (whole < 3600)
        return g_strdup_printf("%" G_GUINT64_FORMAT "m %02us", whole / 60, (guint)(whole % 60));
    if (whole < 86400)
        return g_strdup_printf("%" G_GUINT64_FORMAT "h %02um", whole / 3600, (guint)(whole % 3600 / 60));
    return g_strdup_printf("%" G_GUINT64_FORMAT "d %02uh", whole / 86400, (guint)(whole % 86400 / 3600));
}

gboolean buffer_is_zero(const void *buffer, gsize length)
{
    const guint8 *bytes = buffer;
    gsize head = MIN(length, 16);

    for (gsize i = 0; i < head; i++)
        if (bytes[i] != 0)
            return FALSE;
    /* The head is zero, so all is when every byte equals the one 16 places before it: memcmp() is the fastest
     * loop. */
    return length <= 16 || memcmp(bytes, bytes + 16, length - 16) == 0;
}
