/* cli/command.h: one command of the program.  A file cmd-NAME.c holds it: parse, call, print; what it does is
 * done below.
 */
#pragma once

#include <glib.h>

typedef struct Command Command;

struct Command {
    const char *name;
    const char *arguments; /* "[SPEC...]", for the usage line */
    const char *summary;   /* one line, for the list of commands */
    const char *details;   /* what follows the options in --help: what to know, and an example */
    /* argv[0] is the command's name.  Errors are reported by main(). */
    gboolean (*run)(const Command *self, int argc, char **argv, GError **error);
};

/* An answer that is neither success nor an error, such as "different", and was printed: the program ends with
 * `status`.  Returns FALSE. */
gboolean command_answer(int status, GError **error);
/* TRUE, and the status, when `error` is such an answer. */
gboolean command_is_answer(const GError *error, int *ret_status);

extern const Command command_cancel;
extern const Command command_cert;
extern const Command command_demo;
extern const Command command_finalize;
extern const Command command_image;
extern const Command command_inventory;
extern const Command command_lab;
extern const Command command_preflight;
extern const Command command_retry;
extern const Command command_rollback;
extern const Command command_run;
extern const Command command_status;
extern const Command command_verify;
