#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "cli/image.h"
#include "copy/convert.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    char *source_format, *target_format, *bandwidth;
    char **values; /* -o */
    gboolean compress, show, out_of_order, existing, quiet, resume, verify;
    int threads, level;
} Arguments;

static void arguments_clear(Arguments *arguments)
{
    g_free(arguments->source_format);
    g_free(arguments->target_format);
    g_free(arguments->bandwidth);
    g_strfreev(arguments->values);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

/* Without -O the name says what is wanted.  qemu-img would write raw data under any name. */
static const char *format_by_name(const char *path)
{
    static const struct {
        const char *suffix, *format;
    } rows[] = {{".qcow2", "qcow2"}, {".vmdk", "vmdk"}, {".raw", "raw"}, {".img", "raw"}};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_str_has_suffix(path, rows[i].suffix))
            return rows[i].format;
    return g_str_has_prefix(path, "nbd") || g_str_has_prefix(path, "/dev/") ? "raw" : NULL;
}

static CreateOptions *target_options(const Arguments *arguments, const char *target, GError **error)
{
    const char *name = arguments->target_format != NULL ? arguments->target_format : format_by_name(target);
    const CreateFormat *format = name != NULL ? create_format_find(name, error) : NULL;
    g_autoptr(CreateOptions) options = NULL;

    if (name == NULL)
        vf_fail(error, VF_ERROR_INVALID, "%s: which format?  Say it with -O FORMAT", target);
    if (format == NULL)
        return NULL;
    options = create_options_new(format);
    create_options_set_name(options, target);
    for (char **value = arguments->values; value != NULL && *value != NULL; value++)
        if (!create_options_parse(options, *value, error))
            return NULL;
    if (arguments->compress && !create_options_compress(options, (guint)arguments->level, error))
        return NULL;
    return g_steal_pointer(&options);
}

static gboolean wants_help(const Arguments *arguments)
{
    return arguments->values != NULL && g_strv_contains((const char *const *)arguments->values, "help");
}

static gboolean print_options(const Arguments *arguments, GError **error)
{
    const char *name = arguments->target_format != NULL ? arguments->target_format : "raw";
    const CreateFormat *format = create_format_find(name, error);
    g_autofree char *text = format != NULL ? create_format_help(format) : NULL;

    if (text == NULL)
        return FALSE;
    printf("Options of format %s:\n%s", name, text);
    return TRUE;
}

static gboolean check_numbers(const Arguments *arguments, GError **error)
{
    if (arguments->threads < 0 || arguments->threads > 64)
        return vf_fail(error, VF_ERROR_INVALID, "-m %d: 1 to 64 is possible", arguments->threads);
    if (arguments->level < 0 || arguments->level > 22)
        return vf_fail(error, VF_ERROR_INVALID, "--level=%d: 1 to 22 is possible", arguments->level);
    if (arguments->level != 0 && !arguments->compress)
        return vf_fail(error, VF_ERROR_INVALID, "--level is of use with -c only");
    return TRUE;
}

static Json *report_to_json(const ConvertJob *job, const ConvertReport *report)
{
    const CopyProgress *progress = &report->progress;
    Json *json = json_object();

    json_set_string(json, "source", job->source->path);
    json_set_string(json, "source_format", disk_format(job->source->disk));
    json_set_string(json, "target", job->target);
    json_set_string(json, "target_format", create_options_format(job->options)->name);
    json_set_integer(json, "size", (gint64)report->size);
    json_set_integer(json, "bytes_resumed", (gint64)report->resumed);
    json_set_integer(json, "bytes_planned", (gint64)progress->planned);
    json_set_integer(json, "bytes_read", (gint64)progress->bytes_read);
    json_set_integer(json, "bytes_written", (gint64)progress->bytes_written);
    json_set_integer(json, "bytes_zero", (gint64)progress->bytes_zero);
    json_set_real(json, "seconds", progress->elapsed);
    json_set_integer(json, "checkpoints", progress->checkpoints);
    json_set_integer(json, "retries", progress->retries);
    json_set_boolean(json, "verified", job->verify);
    json_set_integer(json, "blocks_verified", (gint64)report->verified);
    json_set_string(json, "checksum", report->checksum);
    return json;
}

static gboolean convert(const Options *options, const Arguments *arguments, GError **error)
{
    const char *from = options->arguments[0], *to = options->arguments[1];
    g_auto(Session) session = {0};
    g_autoptr(CreateOptions) target = target_options(arguments, to, error);
    g_autoptr(ImageProgress) progress = image_progress_new(arguments->show && !arguments->quiet);
    g_autoptr(ImageSource) source =
        target != NULL ? image_source_open(from, arguments->source_format, error) : NULL;
    ConvertJob job = {.source = source,
                      .target = to,
                      .options = target,
                      .resume = arguments->resume,
                      .verify = arguments->verify,
                      .threads = (guint)arguments->threads,
                      .show = image_progress_show,
                      .show_data = progress};
    ConvertReport report = {0};

    if (source == NULL ||
        (arguments->bandwidth != NULL && !size_parse(arguments->bandwidth, &job.bandwidth, error)))
        return FALSE;
    image_catch_signals(&session);
    job.cancel = session.cancel;
    if (!convert_run(&job, &report, error))
        return FALSE;
    if (options->json) {
        g_autoptr(Json) json = report_to_json(&job, &report);
        g_autofree char *text = json_to_text(json);

        fputs(text, stdout);
    }
    return TRUE;
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Arguments) own = {0};
    const GOptionEntry entries[] = {
        {"source-format", 'f', 0, G_OPTION_ARG_STRING, &own.source_format,
         "format of SOURCE (default: told from its contents; raw only by its name)", "FORMAT"},
        {"target-format", 'O', 0, G_OPTION_ARG_STRING, &own.target_format,
         "format of TARGET (default: told from its name)", "FORMAT"},
        {"options", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &own.values,
         "options of the new image; may be repeated; -o help lists them", "KEY=VALUE,..."},
        {"compress", 'c', 0, G_OPTION_ARG_NONE, &own.compress, "compress", NULL},
        {"level", 0, 0, G_OPTION_ARG_INT, &own.level, "how hard, with -c (default: the format's)", "LEVEL"},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &own.show, "show how far it is", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &own.quiet, "show nothing", NULL},
        {"threads", 'm', 0, G_OPTION_ARG_INT, &own.threads, "requests at a time, 1 to 64 (default 8)", "N"},
        {"out-of-order", 'W', 0, G_OPTION_ARG_NONE, &own.out_of_order,
         "accepted: writes are always out of order where the format allows it", NULL},
        {"existing", 'n', 0, G_OPTION_ARG_NONE, &own.existing,
         "accepted for NBD and block devices, which are always written in place", NULL},
        {"bandwidth", 0, 0, G_OPTION_ARG_STRING, &own.bandwidth, "read at most so many bytes a second",
         "SIZE"},
        {"resume", 0, 0, G_OPTION_ARG_NONE, &own.resume, "go on where an earlier run was stopped", NULL},
        {"verify", 0, 0, G_OPTION_ARG_NONE, &own.verify, "read everything back before TARGET gets its name",
         NULL},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_JSON, entries, argc, argv, error))
        return FALSE;
    if (wants_help(&own))
        return print_options(&own, error);
    if (!image_check_arguments(&options, self, 2, error) || !check_numbers(&own, error))
        return FALSE;
    return convert(&options, &own, error);
}

const Command command_image_convert = {
    .name = "image convert",
    .arguments = "SOURCE TARGET",
    .summary = "convert an image into another format",
    .details = "TARGET takes its name only when it is complete and durable; until then it lies in the folder "
               "TARGET.partial,\n"
               "with which --resume goes on after a crash or an error.\n\n"
               "Example:\n"
               "  vmferry image convert -p -O qcow2 disk.vmdk disk.qcow2\n"
               "  vmferry image convert -p --resume --verify -O qcow2 nbd://host/disk disk.qcow2",
    .run = run,
};
