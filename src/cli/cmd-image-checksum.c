#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "cli/image.h"
#include "copy/content-hash.h"
#include "copy/image-source.h"

#include <stdio.h>

typedef struct {
    CopyMeter *meter;
    ImageProgress *progress;
} Shown;

static gboolean on_tick(gpointer data, GError **error)
{
    const Shown *shown = data;
    CopyProgress now = copy_meter_read(shown->meter);

    image_progress_show("reading", &now, shown->progress);
    return TRUE;
}

static Json *to_json(const char *path, const Disk *disk, const char *checksum)
{
    Json *json = json_object();

    json_set_string(json, "filename", path);
    json_set_integer(json, "size", (gint64)disk_size(disk));
    json_set_integer(json, "bytes_read", (gint64)disk_counters(disk).bytes_read);
    json_set_string(json, "checksum", checksum);
    return json;
}

static gboolean add_checksum(const Session *session, const char *path, const char *format, guint threads,
                             ImageProgress *progress, Json *all, GError **error)
{
    g_autoptr(ImageSource) source = image_source_open(path, format, error);
    g_autoptr(CopyMeter) meter = copy_meter_new();
    Shown shown = {meter, progress};
    ContentHashJob job = {
        .threads = threads, .meter = meter, .cancel = session->cancel, .tick = on_tick, .tick_data = &shown};
    char text[CONTENT_HASH_TEXT];

    if (source == NULL)
        return FALSE;
    job.disk = source->disk;
    if (!content_hash_run(&job, text, error))
        return FALSE;
    json_array_append_new(all, to_json(path, source->disk, text));
    return TRUE;
}

/* As md5sum and its kin do. */
static void print_all(const Json *all, gboolean as_json)
{
    g_autofree char *text = as_json ? json_to_text(all) : NULL;
    gsize i = 0;
    Json *one = NULL;

    if (text != NULL) {
        fputs(text, stdout);
        return;
    }
    json_array_foreach((Json *)all, i, one)
        printf("%s  %s\n", json_get_string(one, "checksum"), json_get_string(one, "filename"));
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(Session) session = {0};
    g_autofree char *format = NULL;
    g_autoptr(Json) all = json_array();
    g_autoptr(ImageProgress) progress = NULL;
    gboolean show = FALSE;
    int threads = 0;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "format of the images", "FORMAT"},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &show, "show how far it is", NULL},
        {"threads", 'm', 0, G_OPTION_ARG_INT, &threads, "requests at a time, 1 to 64 (default 8)", "N"},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_JSON, entries, argc, argv, error))
        return FALSE;
    if (options.arguments == NULL || threads < 0)
        return image_check_arguments(&options, self, 1, error);
    image_catch_signals(&session);
    progress = image_progress_new(show);
    for (char **path = options.arguments; *path != NULL; path++)
        if (!add_checksum(&session, *path, format, (guint)threads, progress, all, error))
            return FALSE;
    print_all(all, options.json);
    return TRUE;
}

const Command command_image_checksum = {
    .name = "image checksum",
    .arguments = "IMAGE...",
    .summary = "print a checksum of what a guest sees, whatever the format",
    .details = "Images with equal contents have equal checksums, whatever their formats; holes cost nothing. "
               "It finds accidents, not attacks.\n\n"
               "Example:\n"
               "  vmferry image checksum disk.vmdk disk.qcow2",
    .run = run,
};
