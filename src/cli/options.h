/* cli/options.h: the options that commands share, and how a command line is read.
 *
 * Arguments are taken as the bytes they are: a VM's name need not be in the locale's encoding.
 */
#pragma once

#include "cli/command.h"

typedef enum {
    OPTIONS_CONFIG = 1 << 0, /* --config, --verbose */
    OPTIONS_STORE = 1 << 1,  /* --control-dir */
    OPTIONS_SPECS = 1 << 2,  /* --spec, and arguments */
    OPTIONS_VMS = 1 << 3,    /* --vm */
    OPTIONS_IDS = 1 << 4,    /* --vm-id */
    OPTIONS_JSON = 1 << 5,   /* --json */
} OptionSet;

typedef struct {
    char *config;
    char *control_dir;
    char **specs;     /* --spec */
    char **vms;       /* --vm */
    char **vm_ids;    /* --vm-id */
    char **arguments; /* what is no option */
    gboolean json;
    gboolean verbose;
} Options;

void options_clear(Options *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* `own`, when not NULL, are the command's own options, ended as GOption wants it.  --help prints and ends the
 * program. VF_ERROR_INVALID for what is not known; arguments are refused unless `set` has OPTIONS_SPECS or
 * the command's `arguments` says that it takes some. */
gboolean options_parse(Options *options, const Command *command, OptionSet set, const GOptionEntry *own,
                       int argc, char **argv, GError **error);
