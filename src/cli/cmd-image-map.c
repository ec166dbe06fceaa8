#include "base/json.h"
#include "base/size.h"
#include "cli/image.h"
#include "copy/image-source.h"

#include <stdio.h>

/* A disk is mapped in pieces, so that the answers stay small. */
#define PIECE (64 * GIB)

/* As qemu-img does: an object a line. */
static void print_json(const DiskMapping *m, gboolean first)
{
    printf("%s{ \"start\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT
           ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "[" : ",\n", m->offset, m->length, m->depth, m->present ? "true" : "false",
           m->kind != DISK_EXTENT_DATA ? "true" : "false", m->kind == DISK_EXTENT_DATA ? "true" : "false");
    if (m->compressed)
        printf(", \"compressed\": true");
    if (m->is_placed)
        printf(", \"offset\": %" G_GUINT64_FORMAT, m->place);
    printf("}");
}

static void print_text(const DiskMapping *m)
{
    g_autofree char *place = m->is_placed && m->place > 0
                                 ? g_strdup_printf("0x%" G_GINT64_MODIFIER "x", m->place)
                                 : g_strdup(m->is_placed ? "0" : "-");
    g_autofree char *start =
        m->offset > 0 ? g_strdup_printf("0x%" G_GINT64_MODIFIER "x", m->offset) : g_strdup("0");
    g_autofree char *length = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", m->length);

    if (m->kind == DISK_EXTENT_DATA)
        printf("%-16s%-16s%-16s%s\n", start, length, place, m->name);
}

/* The last one may go on in the next piece: it is held back. */
static gboolean print_map(Disk *disk, gboolean as_json, GError **error)
{
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(DiskMapping));
    guint64 size = disk_size(disk);
    gboolean first = TRUE;

    for (guint64 offset = 0; offset < size; offset += PIECE) {
        guint keep = offset + PIECE < size ? 1 : 0;

        if (!disk_map(disk, offset, MIN(PIECE, size - offset), map, error))
            return FALSE;
        for (guint i = 0; i + keep < map->len; i++) {
            if (as_json)
                print_json(&g_array_index(map, DiskMapping, i), first);
            else
                print_text(&g_array_index(map, DiskMapping, i));
            first = FALSE;
        }
        g_array_remove_range(map, 0, map->len - keep);
    }
    if (as_json)
        printf(first ? "[]\n" : "]\n");
    return TRUE;
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_autofree char *format = NULL, *output = NULL;
    g_autoptr(ImageSource) source = NULL;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "format of the image", "FORMAT"},
        {"output", 0, 0, G_OPTION_ARG_STRING, &output, "json or human, as qemu-img has it", "KIND"},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_JSON, entries, argc, argv, error) ||
        !image_check_arguments(&options, self, 1, error) || !image_check_output(output, &options.json, error))
        return FALSE;
    source = image_source_open(options.arguments[0], format, error);
    if (source == NULL)
        return FALSE;
    if (!options.json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    return print_map(source->disk, options.json, error);
}

const Command command_image_map = {
    .name = "image map",
    .arguments = "IMAGE",
    .summary = "show where the data of an image lie",
    .details = "The JSON is that of qemu-img map.\n\n"
               "Example:\n"
               "  vmferry image map --json disk.qcow2",
    .run = run,
};
