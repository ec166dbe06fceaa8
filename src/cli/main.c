#include "base/error.h"
#include "cli/command.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which one meets them. */
static const Command *const commands[] = {
    &command_cert,     &command_inventory, &command_preflight, &command_run,    &command_status,
    &command_finalize, &command_retry,     &command_cancel,    &command_verify, &command_rollback,
    &command_image,    &command_lab,       &command_demo,
};

static void print_help(FILE *out)
{
    fprintf(out,
            "Usage: vmferry COMMAND [OPTION...] [ARGUMENT...]\n\n"
            "Moves virtual machines out of VMware vSphere into KVM with seconds of downtime.\n\nCommands:\n");
    for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
        fprintf(out, "  %-10s  %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n  --version   print the version\n\n"
                 "vmferry COMMAND --help says more, with an example.\n");
}

static const Command *find_command(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/* Every line is marked as ours: a file with several faults has a line for each. */
static int report(const GError *error)
{
    g_auto(GStrv) lines = g_strsplit(error->message, "\n", -1);
    int status;

    fflush(stdout);
    if (command_is_answer(error, &status))
        return status;
    for (guint i = 0; lines[i] != NULL; i++)
        fprintf(stderr, "vmferry: %s\n", lines[i]);
    return vf_error_traits(vf_error_class(error))->exit_code;
}

static int unknown_command(const char *name)
{
    g_autoptr(GError) error = NULL;

    vf_fail(&error, VF_ERROR_INVALID, "there is no command %s; vmferry --help lists them", name);
    return report(error);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    const Command *command = NULL;

    /* Not LC_NUMERIC: a decimal point stays one, for scripts. */
    setlocale(LC_CTYPE, "");
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("vmferry %s\n", VMFERRY_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc >= 2 &&
        (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (argc < 2) {
        print_help(stderr);
        return vf_error_traits(VF_ERROR_INVALID)->exit_code;
    }
    command = find_command(argv[1]);
    if (command == NULL)
        return unknown_command(argv[1]);
    if (command->run(command, argc - 1, argv + 1, &error))
        return EXIT_SUCCESS;
    return report(error);
}
