#include "base/error.h"
#include "base/json.h"
#include "cli/image.h"
#include "disk/format.h"
#include "disk/qcow2-audit.h"

#include <stdio.h>
#include <string.h>

/* As qemu-img's. */
enum { STATUS_ERROR = 1, STATUS_CORRUPT = 2, STATUS_LEAKS = 3, STATUS_UNSUPPORTED = 63 };

static gboolean parse_repair(const char *text, Qcow2Repair *ret_repair, GError **error)
{
    if (text == NULL)
        return TRUE;
    if (strcmp(text, "leaks") != 0 && strcmp(text, "all") != 0)
        return vf_fail(error, VF_ERROR_INVALID, "--repair=%s: leaks or all is possible", text);
    *ret_repair = strcmp(text, "all") == 0 ? QCOW2_REPAIR_ALL : QCOW2_REPAIR_LEAKS;
    return TRUE;
}

/* The format is told by opening it; other formats have no structure that could be checked here. */
static gboolean check_format(const char *path, const char *format, GError **error)
{
    g_autoptr(Disk) disk = NULL;

    if (g_strcmp0(format, "qcow2") == 0)
        return TRUE;
    disk = format_open(path, format, FALSE, error);
    if (disk == NULL)
        return FALSE;
    return strcmp(disk_format(disk), "qcow2") == 0 ||
           vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: images of format %s have no structure to check", path,
                   disk_format(disk));
}

static gboolean audit(const char *path, Qcow2Repair repair, Qcow2Audit *ret_audit, GError **error)
{
    g_autoptr(Bytes) bytes =
        bytes_open_file(path, repair != QCOW2_REPAIR_NOTHING ? BYTES_WRITE : BYTES_READ, error);

    return bytes != NULL && qcow2_audit(bytes, repair, ret_audit, error);
}

static void print_json(const char *path, const Qcow2Audit *found)
{
    const struct {
        const char *key;
        guint64 value;
        gboolean always;
    } rows[] = {
        {"image-end-offset", found->end, TRUE},
        {"total-clusters", found->total, TRUE},
        {"check-errors", 0, TRUE},
        {"allocated-clusters", found->allocated, TRUE},
        {"compressed-clusters", found->compressed, FALSE},
        {"fragmented-clusters", found->fragmented, FALSE},
        {"corruptions", found->corruptions - found->corruptions_fixed, FALSE},
        {"corruptions-fixed", found->corruptions_fixed, FALSE},
        {"leaks", found->leaks - found->leaks_fixed, FALSE},
        {"leaks-fixed", found->leaks_fixed, FALSE},
    };
    g_autoptr(Json) json = json_object();
    g_autofree char *text = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].always || rows[i].value != 0)
            json_set_integer(json, rows[i].key, (gint64)rows[i].value);
    json_set_string(json, "filename", path);
    json_set_string(json, "format", "qcow2");
    text = json_to_text(json);
    fputs(text, stdout);
}

static void print_text(const Qcow2Audit *found)
{
    double percent = found->total > 0 ? 100.0 / (double)found->total : 0;
    double of_allocated = found->allocated > 0 ? 100.0 / (double)found->allocated : 0;

    if (found->first != NULL)
        printf("First: %s.\n", found->first);
    if (found->corruptions_fixed + found->leaks_fixed > 0)
        printf("Repaired: %" G_GUINT64_FORMAT " leaked clusters, %" G_GUINT64_FORMAT " corruptions.\n",
               found->leaks_fixed, found->corruptions_fixed);
    if (found->corruptions > found->corruptions_fixed)
        printf("%" G_GUINT64_FORMAT " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               found->corruptions - found->corruptions_fixed);
    if (found->leaks > found->leaks_fixed)
        printf("%" G_GUINT64_FORMAT " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               found->leaks - found->leaks_fixed);
    if (found->corruptions == found->corruptions_fixed && found->leaks == found->leaks_fixed)
        printf("No errors were found on the image.\n");
    printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT
           " = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed clusters\n",
           found->allocated, found->total, (double)found->allocated * percent,
           (double)found->fragmented * of_allocated, (double)found->compressed * of_allocated);
    printf("Image end offset: %" G_GUINT64_FORMAT "\n", found->end);
}

static gboolean fail(GError **error)
{
    int status = vf_error_is(*error, VF_ERROR_UNSUPPORTED) ? STATUS_UNSUPPORTED : STATUS_ERROR;

    fprintf(stderr, "vmferry: %s\n", (*error)->message);
    g_clear_error(error);
    return command_answer(status, error);
}

static gboolean conclude(const Qcow2Audit *found, GError **error)
{
    if (found->corruptions > found->corruptions_fixed)
        return command_answer(STATUS_CORRUPT, error);
    return found->leaks == found->leaks_fixed || command_answer(STATUS_LEAKS, error);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_autofree char *format = NULL, *output = NULL, *repair_text = NULL;
    g_auto(Qcow2Audit) found = {0};
    Qcow2Repair repair = QCOW2_REPAIR_NOTHING;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "format of the image", "FORMAT"},
        {"repair", 'r', 0, G_OPTION_ARG_STRING, &repair_text, "leaks or all: repair what can be repaired",
         "WHAT"},
        {"output", 0, 0, G_OPTION_ARG_STRING, &output, "json or human, as qemu-img has it", "KIND"},
        {NULL},
    };

    if (!options_parse(&options, self, OPTIONS_JSON, entries, argc, argv, error) ||
        !image_check_arguments(&options, self, 1, error) ||
        !image_check_output(output, &options.json, error) || !parse_repair(repair_text, &repair, error) ||
        !check_format(options.arguments[0], format, error) ||
        !audit(options.arguments[0], repair, &found, error))
        return fail(error);
    if (options.json)
        print_json(options.arguments[0], &found);
    else
        print_text(&found);
    return conclude(&found, error);
}

const Command command_image_check = {
    .name = "image check",
    .arguments = "IMAGE",
    .summary = "say whether the structure of a qcow2 image is sound, and repair it",
    .details = "Exit status: 0 sound, 1 could not look, 2 corrupt, 3 leaks only, 63 not a format that is "
               "checked.\n\n"
               "Example:\n"
               "  vmferry image check --repair=leaks disk.qcow2",
    .run = run,
};
