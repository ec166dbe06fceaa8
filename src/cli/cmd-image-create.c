#include "base/error.h"
#include "base/size.h"
#include "cli/image.h"
#include "disk/create.h"

#include <stdio.h>

static gboolean create(const char *path, const char *size_text, const char *format_name, char **values,
                       GError **error)
{
    const CreateFormat *format = create_format_find(format_name, error);
    g_autoptr(CreateOptions) options = format != NULL ? create_options_new(format) : NULL;
    guint64 size = 0;
    Disk *disk;

    if (format == NULL || !size_parse(size_text, &size, error))
        return FALSE;
    for (char **value = values; value != NULL && *value != NULL; value++)
        if (!create_options_parse(options, *value, error))
            return FALSE;
    disk = create_image(path, size, options, error);
    return disk != NULL && disk_close(disk, error);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_auto(GStrv) values = NULL;
    g_autofree char *format = NULL;
    gboolean quiet = FALSE;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "format of the image", "FORMAT"},
        {"options", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &values, "options of the image; may be repeated",
         "KEY=VALUE,..."},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "accepted: nothing is shown in any case", NULL},
        {NULL},
    };

    if (!options_parse(&options, self, 0, entries, argc, argv, error) ||
        !image_check_arguments(&options, self, 2, error))
        return FALSE;
    if (format == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "which format?  Say it with -f FORMAT");
    return create(options.arguments[0], options.arguments[1], format, values, error);
}

const Command command_image_create = {
    .name = "image create",
    .arguments = "IMAGE SIZE",
    .summary = "make an empty image; a file that exists is not touched",
    .details = "Example:\n"
               "  vmferry image create -f qcow2 -o cluster_size=128K disk.qcow2 20G",
    .run = run,
};
