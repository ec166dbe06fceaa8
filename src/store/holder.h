/* store/holder.h: who holds a lease: a process, told apart from all others that ever ran.
 *
 * A pid is used again after a while, so its start time belongs to it; both mean something only on the boot of
 * one kernel, and a pid only within its pid namespace.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *host; /* name, for people */
    char *boot; /* boot id of the kernel; "" when it cannot be read */
    char *pid_namespace;
    gint64 pid;
    gint64 pid_start; /* clock ticks after the boot */
} Holder;

void holder_init_self(Holder *holder);
void holder_fini(Holder *holder);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Holder, holder_fini)

/* TRUE only when this machine can tell: same boot, same pid namespace, and no such process runs.  A process
 * that is dead and not yet waited for is gone. */
gboolean holder_is_gone(const Holder *holder);

/* "pid 123 on host" */
char *holder_name(const Holder *holder);
