#include "fuzz.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "net/tls-trust.h"

/* Times are read again as they were written, but for what is below the millisecond and outside the years 0 to
 * 9999. */
static void check_time(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *written = NULL;
    gint64 time = 0, again = 0;

    if (!clock_parse(text, &time, &error))
        return;
    written = clock_format(time);
    if (clock_parse(written, &again, &error))
        g_assert_cmpint(ABS(time - again), <, 1000);
}

static void check_sizes(const char *text)
{
    g_autoptr(GError) error = NULL;
    guint64 value = 0;

    if (size_parse(text, &value, &error))
        g_free(size_format(value));
    g_clear_error(&error);
    if (duration_parse(text, &value, &error))
        g_free(duration_format((double)value));
}

static void check_thumbprint(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *once = tls_thumbprint_parse(text, &error);
    g_autofree char *twice = once != NULL ? tls_thumbprint_parse(once, &error) : NULL;

    g_assert_cmpstr(once, ==, twice);
}

/* The short texts that people and servers write: times, sizes, durations, thumbprints. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    check_time(text);
    check_sizes(text);
    check_thumbprint(text);
    return 0;
}
