#include "base/crash-point.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {
    /* before the first byte */
    "init.recorded",
    "init.target-created",
    "cbt.enabled",
    "cbt.cycled",
    /* a round, which the base copy and the final one are too */
    "round.intent-recorded",
    "round.snapshot-created",
    "round.snapshot-recorded",
    "round.change-ids-recorded",
    "round.areas-recorded",
    "copy.first-write",
    "copy.mid",
    "copy.before-flush",
    "copy.sums-synced",
    "copy.flushed",
    "copy.checkpoint-committed",
    "round.copied",
    "round.committed",
    "round.snapshot-removing",
    "round.snapshot-removed",
    "round.closed",
    /* cutover */
    "cutover.requested",
    "cutover.last-warm-round",
    "cutover.shutdown-recorded",
    "cutover.shutdown-requested",
    "cutover.powered-off",
    "cutover.settled",
    "cutover.final-round-recorded",
    "cutover.final-copied",
    "cutover.verified",
    "import.recorded",
    "import.defined",
    "import.started",
    "cutover.done-recorded",
    NULL,
};

/* Set once before any thread exists in practice; g_once makes it true in any case. */
static const char *target;
static gint arrivals_left;

static gpointer read_environment(gpointer data)
{
    const char *value = g_getenv("VMFERRY_CRASH_AT");

    if (value != NULL && *value != '\0') {
        const char *colon = strchr(value, ':');

        target = colon != NULL ? g_strndup(value, (gsize)(colon - value)) : value;
        arrivals_left = colon != NULL ? MAX(1, atoi(colon + 1)) : 1;
    }
    return NULL;
}

void crash_point(const char *name)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, read_environment, NULL);
    if (G_LIKELY(target == NULL))
        return;
    if (!g_strv_contains(names, name))
        g_error("crash point %s is not in the table of crash-point.c", name);
    if (strcmp(name, target) == 0 && g_atomic_int_dec_and_test(&arrivals_left))
        kill(getpid(), SIGKILL);
}

const char *const *crash_point_names(void)
{
    return names;
}
