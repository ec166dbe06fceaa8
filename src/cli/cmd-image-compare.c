#include "base/error.h"
#include "base/json.h"
#include "cli/image.h"
#include "copy/compare.h"
#include "copy/image-source.h"

#include <stdio.h>

/* As qemu-img's. */
enum { STATUS_DIFFERENT = 1, STATUS_ERROR = 2 };

typedef struct {
    char *formats[2];
    gboolean strict, show, quiet;
} Arguments;

static const char *const outcomes[] = {
    [COMPARE_SAME] = "identical",
    [COMPARE_CONTENTS] = "contents",
    [COMPARE_STATUS] = "status",
    [COMPARE_SIZES] = "size",
};

static void print_text(const CompareJob *job, const CompareReport *report)
{
    if (!job->strict && disk_size(job->a) != disk_size(job->b))
        printf("Warning: Image size mismatch!\n");
    switch (report->outcome) {
    case COMPARE_SAME:
        printf("Images are identical.\n");
        break;
    case COMPARE_CONTENTS:
        printf("Content mismatch at offset %" G_GUINT64_FORMAT "!\n", report->offset);
        break;
    case COMPARE_STATUS:
        printf("Strict mode: Offset %" G_GUINT64_FORMAT " block status mismatch!\n", report->offset);
        break;
    case COMPARE_SIZES:
        printf("Strict mode: Image size mismatch!\n");
        break;
    }
}

static void print_json(const CompareJob *job, const CompareReport *report)
{
    g_autoptr(Json) json = json_object();
    g_autofree char *text = NULL;

    json_set_boolean(json, "identical", report->outcome == COMPARE_SAME);
    json_set_string(json, "difference", report->outcome == COMPARE_SAME ? NULL : outcomes[report->outcome]);
    if (report->outcome != COMPARE_SAME)
        json_set_integer(json, "offset", (gint64)report->offset);
    json_set_boolean(json, "same_size", disk_size(job->a) == disk_size(job->b));
    json_set_integer(json, "bytes_read",
                     (gint64)(disk_counters(job->a).bytes_read + disk_counters(job->b).bytes_read));
    text = json_to_text(json);
    fputs(text, stdout);
}

typedef struct {
    CopyMeter *meter;
    ImageProgress *progress;
} Shown;

static gboolean on_tick(gpointer data, GError **error)
{
    const Shown *shown = data;
    CopyProgress now = copy_meter_read(shown->meter);

    image_progress_show("comparing", &now, shown->progress);
    return TRUE;
}

static gboolean compare(const Options *options, const Arguments *arguments, CompareReport *ret_report,
                        GError **error)
{
    g_auto(Session) session = {0};
    g_autoptr(ImageSource) a = image_source_open(options->arguments[0], arguments->formats[0], error);
    g_autoptr(ImageSource) b =
        a != NULL ? image_source_open(options->arguments[1], arguments->formats[1], error) : NULL;
    g_autoptr(CopyMeter) meter = copy_meter_new();
    g_autoptr(ImageProgress) progress = image_progress_new(arguments->show);
    Shown shown = {meter, progress};
    CompareJob job = {.strict = arguments->strict, .meter = meter, .tick = on_tick, .tick_data = &shown};

    if (b == NULL)
        return FALSE;
    image_catch_signals(&session);
    job.cancel = session.cancel;
    job.a = a->disk;
    job.b = b->disk;
    if (!compare_run(&job, ret_report, error))
        return FALSE;
    if (options->json)
        print_json(&job, ret_report);
    else if (!arguments->quiet)
        print_text(&job, ret_report);
    return TRUE;
}

/* A script must be able to tell "different" from "could not look". */
static gboolean fail(GError **error)
{
    fprintf(stderr, "vmferry: %s\n", (*error)->message);
    g_clear_error(error);
    return command_answer(STATUS_ERROR, error);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_autofree char *first = NULL, *second = NULL;
    Arguments own = {0};
    CompareReport report = {0};
    const GOptionEntry entries[] = {
        {"first-format", 'f', 0, G_OPTION_ARG_STRING, &first, "format of the first image", "FORMAT"},
        {"second-format", 'F', 0, G_OPTION_ARG_STRING, &second, "format of the second image", "FORMAT"},
        {"strict", 's', 0, G_OPTION_ARG_NONE, &own.strict, "sizes and allocation must be equal too", NULL},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &own.show, "show how far it is", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &own.quiet, "print nothing; the exit status says it", NULL},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_JSON, entries, argc, argv, error) ||
        !image_check_arguments(&options, self, 2, error))
        return fail(error);
    own.formats[0] = first;
    own.formats[1] = second;
    if (!compare(&options, &own, &report, error))
        return fail(error);
    return report.outcome == COMPARE_SAME || command_answer(STATUS_DIFFERENT, error);
}

const Command command_image_compare = {
    .name = "image compare",
    .arguments = "IMAGE1 IMAGE2",
    .summary = "say whether two images have the same contents",
    .details = "Only contents count, not formats and holes; where one image is longer, the rest of it must "
               "be zero.\n"
               "Exit status: 0 identical, 1 different, 2 an error.\n\n"
               "Example:\n"
               "  vmferry image compare disk.vmdk disk.qcow2",
    .run = run,
};
