#include "base/json.h"
#include "base/size.h"
#include "cli/image.h"
#include "copy/image-source.h"

#include <stdio.h>

typedef struct {
    guint64 data, zero, hole, runs;
} Census;

/* A disk is looked at in pieces, so that the answers stay small. */
#define PIECE (64 * GIB)

static void count(Census *census, const DiskExtent *extent)
{
    switch (extent->kind) {
    case DISK_EXTENT_DATA:
        census->data += extent->length;
        census->runs++;
        break;
    case DISK_EXTENT_ZERO:
        census->zero += extent->length;
        break;
    case DISK_EXTENT_HOLE:
        census->hole += extent->length;
        break;
    }
}

static gboolean take_census(Disk *disk, Census *census, GError **error)
{
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    guint64 size = disk_size(disk);

    for (guint64 offset = 0; offset < size; offset += PIECE) {
        g_array_set_size(map, 0);
        if (!disk_extents(disk, offset, MIN(PIECE, size - offset), map, error))
            return FALSE;
        for (guint i = 0; i < map->len; i++)
            count(census, &g_array_index(map, DiskExtent, i));
    }
    return TRUE;
}

/* Keys with hyphens are qemu-img's. */
static Json *to_json(const ImageSource *source, const Census *census)
{
    g_autoptr(GPtrArray) paths = image_source_paths(source);
    Json *json = json_object();
    Json *files = json_array();
    Json *data = json_object();

    for (guint i = 0; i < paths->len; i++)
        json_array_append_new(files, json_string(paths->pdata[i]));
    json_set_integer(json, "virtual-size", (gint64)disk_size(source->disk));
    json_set_string(json, "filename", source->path);
    json_set_string(json, "format", disk_format(source->disk));
    if (disk_granularity(source->disk) > SECTOR_SIZE)
        json_set_integer(json, "cluster-size", disk_granularity(source->disk));
    json_set_integer(json, "actual-size", (gint64)image_source_allocated(source));
    json_set_take(json, "files", files);
    json_set_integer(data, "data", (gint64)census->data);
    json_set_integer(data, "zero", (gint64)census->zero);
    json_set_integer(data, "hole", (gint64)census->hole);
    json_set_integer(data, "runs", (gint64)census->runs);
    json_set_take(json, "allocation", data);
    return json;
}

static void print_size(const char *what, guint64 bytes)
{
    g_autofree char *text = size_format(bytes);

    printf("%s: %s (%" G_GUINT64_FORMAT " bytes)\n", what, text, bytes);
}

static void print_text(const ImageSource *source, const Census *census)
{
    g_autoptr(GPtrArray) paths = image_source_paths(source);
    g_autofree char *used = size_format(image_source_allocated(source));

    printf("image: %s\nfile format: %s\n", source->path, disk_format(source->disk));
    print_size("virtual size", disk_size(source->disk));
    printf("disk size: %s\n", used);
    if (disk_granularity(source->disk) > SECTOR_SIZE)
        printf("cluster_size: %u\n", disk_granularity(source->disk));
    print_size("data", census->data);
    print_size("zero", census->zero);
    print_size("hole", census->hole);
    for (guint i = 0; paths->len > 1 && i < paths->len; i++)
        printf("made of: %s\n", (const char *)paths->pdata[i]);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_autofree char *format = NULL, *output = NULL;
    g_autoptr(ImageSource) source = NULL;
    Census census = {0};
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "format of the image", "FORMAT"},
        {"output", 0, 0, G_OPTION_ARG_STRING, &output, "json or human, as qemu-img has it", "KIND"},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_JSON, entries, argc, argv, error) ||
        !image_check_arguments(&options, self, 1, error) || !image_check_output(output, &options.json, error))
        return FALSE;
    source = image_source_open(options.arguments[0], format, error);
    if (source == NULL || !take_census(source->disk, &census, error))
        return FALSE;
    if (options.json) {
        g_autoptr(Json) json = to_json(source, &census);
        g_autofree char *text = json_to_text(json);

        fputs(text, stdout);
    } else {
        print_text(source, &census);
    }
    return TRUE;
}

const Command command_image_info = {
    .name = "image info",
    .arguments = "IMAGE",
    .summary = "show format, size and allocation of an image, and the files that it is made of",
    .details = "Example:\n"
               "  vmferry image info disk.vmdk",
    .run = run,
};
