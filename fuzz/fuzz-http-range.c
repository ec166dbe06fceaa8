#include "fuzz.h"

#include "disk/http-range.h"

/* What passes says exactly what it says: written out again it is the same range. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *value = g_strndup((const char *)data, size);
    HttpRange range, again;

    if (!http_range_parse(value, &range))
        return 0;
    g_assert_cmpuint(range.first, <=, range.last);
    g_assert_cmpuint(range.last, <, range.total);
    g_autofree char *written =
        g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, range.first,
                        range.last, range.total);
    g_assert_true(http_range_parse(written, &again));
    g_assert_true(again.first == range.first && again.last == range.last && again.total == range.total);
    return 0;
}
