#include "cli/image.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Between two plain lines about one phase. */
#define PLAIN_SECONDS 5.0

struct ImageProgress {
    gboolean wanted, live;
    gboolean drawn; /* a line stands that is not ended */
    const char *phase;
    double shown_at;
};

gboolean image_check_arguments(const Options *options, const Command *command, guint count, GError **error)
{
    guint n = options->arguments != NULL ? g_strv_length(options->arguments) : 0;

    if (n == count)
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID, "%s %s is expected; vmferry %s --help says more", command->name,
                   command->arguments, command->name);
}

gboolean image_check_output(const char *output, gboolean *json, GError **error)
{
    if (g_strcmp0(output, "json") == 0)
        *json = TRUE;
    if (output == NULL || *json || strcmp(output, "human") == 0)
        return TRUE;
    return vf_fail(error, VF_ERROR_INVALID, "--output=%s: json or human is possible", output);
}

void image_catch_signals(Session *session)
{
    session->cancel = cancel_new();
    session_catch_signals(session);
}

ImageProgress *image_progress_new(gboolean wanted)
{
    ImageProgress *progress = g_new0(ImageProgress, 1);

    progress->wanted = wanted;
    progress->live = isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
    return progress;
}

void image_progress_free(ImageProgress *progress)
{
    if (progress == NULL)
        return;
    if (progress->drawn)
        fputc('\n', stderr);
    g_free(progress);
}

char *image_progress_text(const char *phase, const CopyProgress *copy)
{
    double percent = copy->planned > 0 ? 100.0 * (double)copy->done / (double)copy->planned : 100;
    g_autofree char *rate = size_format_rate(copy->rate);
    g_autofree char *left = copy->eta > 0 ? duration_format(copy->eta) : NULL;

    return g_strdup_printf("%s %.1f%%, %s%s%s", phase, MIN(percent, 100), rate, left != NULL ? ", " : "",
                           left != NULL ? left : "");
}

/* The end of a phase is always shown. */
static gboolean is_due(const ImageProgress *progress, const char *phase, const CopyProgress *copy)
{
    return progress->live || g_strcmp0(phase, progress->phase) != 0 || copy->done >= copy->planned ||
           clock_monotonic() - progress->shown_at >= PLAIN_SECONDS;
}

void image_progress_show(const char *phase, const CopyProgress *copy, gpointer data)
{
    ImageProgress *progress = data;
    g_autofree char *text = NULL;

    if (!progress->wanted || !is_due(progress, phase, copy))
        return;
    text = image_progress_text(phase, copy);
    fprintf(stderr, progress->live ? "\r%s\033[K" : "%s\n", text);
    fflush(stderr);
    progress->drawn = progress->live;
    progress->phase = phase;
    progress->shown_at = clock_monotonic();
}
