#include "base/error.h"
#include "base/size.h"
#include "cli/image.h"
#include "disk/format.h"

#include <stdio.h>

/* "+10G" is by how much, "30G" is to how much. */
static gboolean new_size(const char *text, guint64 now, guint64 *ret_size, GError **error)
{
    guint64 size = 0;

    if (!size_parse(text + (*text == '+'), &size, error))
        return FALSE;
    if (*text == '+' && !size_add(now, size, &size))
        return vf_fail(error, VF_ERROR_INVALID, "%s more than there is are too many bytes", text + 1);
    *ret_size = size;
    return TRUE;
}

static gboolean resize(Disk *disk, const char *text, GError **error)
{
    guint64 size = 0;

    if (!new_size(text, disk_size(disk), &size, error))
        return FALSE;
    if (size % SECTOR_SIZE != 0)
        return vf_fail(error, VF_ERROR_INVALID, "%s is not made of whole sectors of 512 bytes", text);
    if (size < disk_size(disk))
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s has %" G_GUINT64_FORMAT
                       " bytes, and images are only made larger: what is cut off would be lost",
                       disk_name(disk), disk_size(disk));
    return disk_resize(disk, size, error);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_autofree char *format = NULL;
    g_autoptr(Disk) disk = NULL;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "format of the image", "FORMAT"},
        {NULL},
    };

    if (!options_parse(&options, self, 0, entries, argc, argv, error) ||
        !image_check_arguments(&options, self, 2, error))
        return FALSE;
    disk = format_open(options.arguments[0], format, TRUE, error);
    if (disk == NULL || !resize(disk, options.arguments[1], error))
        return FALSE;
    return disk_close(g_steal_pointer(&disk), error);
}

const Command command_image_resize = {
    .name = "image resize",
    .arguments = "IMAGE [+]SIZE",
    .summary = "make an image larger; what is new reads as zero",
    .details = "Example:\n"
               "  vmferry image resize disk.qcow2 +10G",
    .run = run,
};
