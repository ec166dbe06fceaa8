#include "cli/render.h"

#include "base/size.h"
#include "cli/table.h"
#include "migration/stage.h"

#include <math.h>

#define BAR_WIDTH 24

static gboolean number_of(const Json *progress, const char *key, double *ret)
{
    const Json *value = json_object_get(progress, key);

    if (!json_is_number(value))
        return FALSE;
    *ret = json_number_value(value);
    return TRUE;
}

char *render_rate(const Json *progress, const char *key)
{
    double rate = 0;

    return number_of(progress, key, &rate) && rate >= 1 ? size_format_rate(rate) : NULL;
}

char *render_seconds(const Json *progress, const char *key)
{
    double seconds = 0;

    return number_of(progress, key, &seconds) ? duration_format(MAX(seconds, 0)) : NULL;
}

char *render_percent(const Json *progress, const char *key)
{
    double percent = 0;

    /* Rounded down: 100% is said when it is true. */
    return number_of(progress, key, &percent)
               ? g_strdup_printf("%.1f%%", floor(CLAMP(percent, 0, 100) * 10) / 10)
               : NULL;
}

static char *size_of(const Json *progress, const char *key)
{
    double bytes = 0;

    return number_of(progress, key, &bytes) && bytes >= 0 ? size_format((guint64)bytes) : NULL;
}

char *render_bar(double percent, guint width)
{
    guint full = (guint)(CLAMP(percent, 0, 100) / 100 * width);
    GString *bar = g_string_new("[");

    for (guint i = 0; i < width; i++)
        g_string_append_c(bar, i < full ? '#' : '.');
    g_string_append_c(bar, ']');
    return g_string_free(bar, FALSE);
}

static void append(GString *line, const char *separator, const char *before, const char *text)
{
    if (text != NULL && *text != '\0')
        g_string_append_printf(line, "%s%s%s", line->len > 0 ? separator : "", before, text);
}

static gboolean is_at_rest(const Json *progress)
{
    const char *stage = json_get_string(progress, "stage");
    Stage known;

    return stage != NULL && stage_parse(stage, &known) && (stage_is_over(known) || known == STAGE_FAILED);
}

/* Of a worker that is done nothing is left to say; its last word would stay there for ever. */
static const char *activity_of(const Json *progress)
{
    return is_at_rest(progress) ? NULL : json_get_string(progress, "activity");
}

static char *round_name(const Json *progress)
{
    const char *kind = json_get_string(progress, "round_kind");

    if (kind == NULL || json_is_null(json_object_get(progress, "round")))
        return NULL;
    return g_strdup_printf("round %" G_GINT64_FORMAT " (%s)", json_get_integer(progress, "round"), kind);
}

/* Takes over `line`; cuts it, and what could drive the terminal out of it. */
static void add_line(GPtrArray *lines, GString *line, guint width)
{
    g_autofree char *text = g_string_free(line, FALSE);
    g_autofree char *printable = table_printable(text);
    glong length = g_utf8_strlen(printable, -1);

    g_ptr_array_add(lines, g_utf8_substring(printable, 0, MIN(length, (glong)width)));
}

static void add_head(GPtrArray *lines, const char *name, const Json *progress, guint width)
{
    g_autofree char *round = round_name(progress);
    g_autofree char *next = render_seconds(progress, "next_round_in");
    GString *line = g_string_new(name);

    append(line, "  ", "", json_get_string(progress, "stage"));
    append(line, "  ", "", round);
    append(line, "  ", "", activity_of(progress));
    append(line, "  ", "next round in ", next);
    add_line(lines, line, width);
}

static void add_disk(GPtrArray *lines, const Json *disk, guint width)
{
    g_autofree char *percent = render_percent(disk, "percent");
    g_autofree char *done = size_of(disk, "done");
    g_autofree char *planned = size_of(disk, "planned");
    g_autofree char *rate = render_rate(disk, "rate");
    g_autofree char *eta = rate != NULL ? render_seconds(disk, "eta") : NULL;
    const char *label = json_get_string(disk, "label");
    g_autofree char *bar = NULL;
    GString *line = g_string_new(NULL);
    double value = 0;

    number_of(disk, "percent", &value);
    bar = render_bar(value, BAR_WIDTH);
    g_string_printf(line, "  %-14s %s %6s", label != NULL ? label : json_get_string(disk, "key"), bar,
                    percent != NULL ? percent : "-");
    if (done != NULL && planned != NULL)
        g_string_append_printf(line, "  %s of %s", done, planned);
    append(line, "  ", "", rate);
    append(line, "  ", "", eta);
    add_line(lines, line, width);
}

static void add_prediction(GPtrArray *lines, const Json *progress, guint width)
{
    g_autofree char *dirty = render_rate(progress, "dirty_rate");
    g_autofree char *downtime = render_seconds(progress, "predicted_downtime");
    g_autofree char *at_best = render_seconds(progress, "downtime_floor");
    GString *line = g_string_new(NULL);

    append(line, "", "guest writes ", dirty);
    append(line, ", ", "downtime now ", downtime);
    append(line, ", ", "at best ", at_best);
    if (line->len > 0)
        add_line(lines, g_string_prepend(line, "  "), width);
    else
        g_string_free(line, TRUE);
}

static void add_words(GPtrArray *lines, const Json *progress, guint width)
{
    const char *verdict = json_get_string(progress, "verdict");
    const char *reason = json_get_string(progress, "shutdown_reason");
    GString *line = NULL;

    if (verdict != NULL)
        add_line(lines, g_string_append(g_string_new("  "), verdict), width);
    if (json_get_string(progress, "required_action") == NULL)
        return;
    line = g_string_new("  your turn: shut the VM down, or vmferry finalize --shutdown force");
    if (reason != NULL)
        g_string_append_printf(line, " (%s)", reason);
    add_line(lines, line, width);
}

/* FALSE before the cutover. */
static gboolean add_downtime(GPtrArray *lines, const Json *progress, guint width)
{
    Json *downtime = json_object_get(progress, "downtime");
    g_autofree char *words = render_downtime(progress);
    GString *parts = NULL;
    GString *line = NULL;
    const char *key = NULL;
    Json *value = NULL;

    if (!json_is_number(json_object_get(downtime, "total")))
        return FALSE;
    parts = g_string_new(NULL);
    json_object_foreach(downtime, key, value)
    {
        g_autofree char *seconds = render_seconds(downtime, key);
        g_autofree char *name = g_strconcat(key, " ", NULL);

        if (!g_str_equal(key, "total") && json_number_value(value) > 0)
            append(parts, ", ", name, seconds);
    }
    line = g_string_new(NULL);
    g_string_printf(line, "  %s%s%s", words, parts->len > 0 ? ": " : "", parts->str);
    g_string_free(parts, TRUE);
    add_line(lines, line, width);
    return TRUE;
}

void render_lines(GPtrArray *lines, const char *name, const Json *progress, guint width)
{
    gsize i = 0;
    Json *disk = NULL;

    add_head(lines, name, progress, width);
    json_array_foreach(json_object_get(progress, "disks"), i, disk)
    {
        /* Between two rounds there is nothing to draw a bar of. */
        if (json_get_integer(disk, "planned") > 0)
            add_disk(lines, disk, width);
    }
    if (!add_downtime(lines, progress, width))
        add_prediction(lines, progress, width);
    add_words(lines, progress, width);
}

char *render_phase(const Json *progress)
{
    g_autofree char *round = round_name(progress);
    GString *line = g_string_new(NULL);

    append(line, ", ", "", json_get_string(progress, "stage"));
    append(line, ", ", "", round);
    return g_string_free(line, FALSE);
}

char *render_downtime(const Json *progress)
{
    g_autofree char *measured = render_seconds(json_object_get(progress, "downtime"), "total");
    g_autofree char *predicted = render_seconds(progress, "predicted_downtime");

    if (measured != NULL)
        return g_strconcat(is_at_rest(progress) ? "downtime " : "downtime so far ", measured, NULL);
    return predicted != NULL ? g_strconcat("predicted downtime ", predicted, NULL) : NULL;
}

char *render_line(const char *name, const Json *progress)
{
    g_autofree char *printable = table_printable(name);
    g_autofree char *phase = render_phase(progress);
    g_autofree char *percent = render_percent(progress, "percent");
    g_autofree char *rate = render_rate(progress, "rate");
    g_autofree char *eta = rate != NULL ? render_seconds(progress, "eta") : NULL;
    g_autofree char *downtime = render_downtime(progress);
    g_autofree char *left = eta != NULL ? g_strconcat(eta, " left", NULL) : NULL;
    GString *line = g_string_new(phase);

    append(line, ", ", "", activity_of(progress));
    append(line, " ", "", rate != NULL ? percent : NULL);
    append(line, ", ", "", rate);
    append(line, ", ", "", left);
    append(line, ", ", "", downtime);
    g_string_prepend(line, ": ");
    g_string_prepend(line, printable);
    return g_string_free(line, FALSE);
}
