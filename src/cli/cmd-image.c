#include "base/error.h"
#include "cli/image.h"
#include "spec/tree.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "image "

static const Command *const subcommands[] = {
    &command_image_info,  &command_image_map,    &command_image_convert, &command_image_compare,
    &command_image_check, &command_image_create, &command_image_resize,  &command_image_checksum,
};

static const char *short_name(const Command *command)
{
    return command->name + strlen(PREFIX);
}

static void print_help(void)
{
    printf("Usage: vmferry image SUBCOMMAND [OPTION...] [ARGUMENT...]\n\n"
           "Works on disk images; options are in qemu-img's words.\n\nSubcommands:\n");
    for (guint i = 0; i < G_N_ELEMENTS(subcommands); i++)
        printf("  %-10s  %s\n", short_name(subcommands[i]), subcommands[i]->summary);
    printf("\nvmferry image SUBCOMMAND --help says more.\n\n"
           "Example:\n"
           "  vmferry image convert -p -O qcow2 web.vmdk web.qcow2\n");
}

static gboolean fail_unknown(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(subcommands) + 1] = {NULL};
    const char *meant;

    for (guint i = 0; i < G_N_ELEMENTS(subcommands); i++)
        names[i] = short_name(subcommands[i]);
    meant = tree_did_you_mean(name, names);
    return vf_fail(
        error, VF_ERROR_INVALID, "there is no subcommand image %s%s%s%s; vmferry image --help lists them",
        name, meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?" : "");
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help();
        return TRUE;
    }
    if (argc < 2)
        return vf_fail(error, VF_ERROR_INVALID, "a subcommand is expected; vmferry image --help lists them");
    for (guint i = 0; i < G_N_ELEMENTS(subcommands); i++)
        if (strcmp(argv[1], short_name(subcommands[i])) == 0)
            return subcommands[i]->run(subcommands[i], argc - 1, argv + 1, error);
    return fail_unknown(argv[1], error);
}

const Command command_image = {
    .name = "image",
    .summary = "convert, compare, check and look into disk images, in qemu-img's words",
    .run = run,
};
