/* base/proc.h: child processes.  Nothing goes through a shell: children get argv, and they are reaped.
 *
 * A child starts with no descriptor of ours above 2, default signal handling, in a process group of its own,
 * and dies with us (PR_SET_PDEATHSIG).  Secrets go to it by standard input or an inherited descriptor, never
 * by argv.
 *
 * Thread rule: a Proc belongs to one thread; both ways to start one may be called from any.  Linux sends the
 * parent-death signal when the *thread* that forked ends, so proc_spawn() forks on a thread that never does.
 */
#pragma once

#include "base/cancel.h"

#include <glib.h>

typedef struct {
    const char *const *environment; /* NULL: ours, less LD_LIBRARY_PATH and LD_PRELOAD */
    const char *directory;          /* NULL: ours */
    const void *input;              /* given on standard input; NULL: /dev/null */
    gsize input_length;
    gsize max_output;     /* of each stream; what exceeds it is read and dropped.  0: 1 MiB */
    guint timeout_ms;     /* 0: none.  On expiry the group is killed and VF_ERROR_TRANSIENT returned */
    const Cancel *cancel; /* may be NULL */
} ProcOptions;

/* Runs argv (found in PATH) to its end.  Exit 0 is success; anything else VF_ERROR_INTERNAL with the
 * program's name, its status and the tail of its standard error.  A missing program is VF_ERROR_UNSUPPORTED.
 * `options`, `ret_output` and `ret_errors` may be NULL; the texts are NUL-terminated. */
gboolean proc_run(const char *const *argv, const ProcOptions *options, char **ret_output, char **ret_errors,
                  GError **error);

/* A child that goes on running beside us. */
typedef struct Proc Proc;

/* `fds`, when not NULL, ends with -1: those descriptors are inherited under the same numbers.  Standard
 * output and error go to `log_path` (appended) or, when it is NULL, to ours. */
Proc *proc_spawn(const char *const *argv, const ProcOptions *options, const int *fds, const char *log_path,
                 GError **error);
GPid proc_pid(const Proc *proc);

/* TRUE while it runs; once it has ended, *ret_status is its wait status.  `ret_status` may be NULL. */
gboolean proc_running(Proc *proc, int *ret_status);

/* Waits up to `timeout_ms` (0: for ever) for the end.  FALSE with VF_ERROR_TRANSIENT on time-out. */
gboolean proc_wait(Proc *proc, guint timeout_ms, int *ret_status, GError **error);

/* SIGTERM, `grace_ms`, SIGKILL to the group; reaps. */
void proc_stop(Proc *proc, guint grace_ms);

/* proc_stop(proc, 0) and frees; NULL is fine. */
void proc_free(Proc *proc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Proc, proc_free)

/* The path of a program in PATH (sbin folders included), or NULL. */
char *proc_find(const char *program);
