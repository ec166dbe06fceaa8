#include "store/holder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *read_line(const char *path)
{
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return g_strdup("");
    return g_strchomp(text);
}

/* Start time of a process that lives; -1 when there is none or it is a zombie.  Fields are counted behind the
 * last parenthesis, because the name in front of it may hold anything. */
static gint64 start_of(gint64 pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree char *text = read_line(path);
    const char *behind_name = strrchr(text, ')');
    unsigned long long start = 0;
    char state = 0;

    if (behind_name == NULL ||
        sscanf(behind_name + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
               &start) != 2)
        return -1;
    return state == 'Z' || state == 'X' ? -1 : (gint64)start;
}

static char *own_pid_namespace(void)
{
    char *target = g_file_read_link("/proc/self/ns/pid", NULL);

    return target != NULL ? target : g_strdup("");
}

void holder_init_self(Holder *holder)
{
    *holder = (Holder){
        .host = g_strdup(g_get_host_name()),
        .boot = read_line("/proc/sys/kernel/random/boot_id"),
        .pid_namespace = own_pid_namespace(),
        .pid = getpid(),
        .pid_start = start_of(getpid()),
    };
}

void holder_fini(Holder *holder)
{
    g_clear_pointer(&holder->host, g_free);
    g_clear_pointer(&holder->boot, g_free);
    g_clear_pointer(&holder->pid_namespace, g_free);
}

gboolean holder_is_gone(const Holder *holder)
{
    g_auto(Holder) self = {0};

    holder_init_self(&self);
    if (*self.boot == '\0' || *self.pid_namespace == '\0' || self.pid_start < 0)
        return FALSE;
    return strcmp(holder->boot, self.boot) == 0 && strcmp(holder->pid_namespace, self.pid_namespace) == 0 &&
           start_of(holder->pid) != holder->pid_start;
}

char *holder_name(const Holder *holder)
{
    return g_strdup_printf("pid %" G_GINT64_FORMAT " on %s", holder->pid, holder->host);
}
