#include "base/log.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static const char *const level_names[] = {"debug", "info", "warning", "error", "quiet"};

/* The one state of the process that a library function changes: where its voice goes. */
static gint chosen_level = LOG_INFO; /* atomic */
static GMutex lock;                  /* guards what follows, and keeps lines whole */
static int file = -1;
static LogSink sink_function;
static gpointer sink_data;

/* VMFERRY_LOG as a level plus one, which g_once() can keep; 0 when it is unset or unknown. */
static gpointer read_environment(gpointer data)
{
    const char *value = g_getenv("VMFERRY_LOG");

    for (guint i = 0; value != NULL && i < G_N_ELEMENTS(level_names); i++)
        if (g_ascii_strcasecmp(value, level_names[i]) == 0)
            return GUINT_TO_POINTER(i + 1);
    return NULL;
}

void log_set_level(LogLevel level)
{
    g_atomic_int_set(&chosen_level, (gint)level);
}

gboolean log_enabled(LogLevel level)
{
    static GOnce once = G_ONCE_INIT;
    guint from_environment = GPOINTER_TO_UINT(g_once(&once, read_environment, NULL));
    gint threshold = from_environment > 0 ? (gint)from_environment - 1 : g_atomic_int_get(&chosen_level);

    return level < LOG_QUIET && (gint)level >= threshold;
}

gboolean log_to_file(const char *path, GError **error)
{
    g_auto(Fd) fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot open the log file %s", path);
    g_mutex_lock(&lock);
    fd_close(&file);
    file = fd_steal(&fd);
    g_mutex_unlock(&lock);
    return TRUE;
}

void log_set_sink(LogSink sink, gpointer data)
{
    g_mutex_lock(&lock);
    sink_function = sink;
    sink_data = data;
    g_mutex_unlock(&lock);
}

/* A log that cannot be written is nobody's reason to stop. */
static void put_line(int fd, const char *line)
{
    gsize length = strlen(line);

    while (length > 0) {
        ssize_t written = write(fd, line, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return;
        line += written;
        length -= (gsize)written;
    }
}

/* Foreign text must neither forge a line nor drive the terminal. */
static void flatten(char *text)
{
    for (; *text != '\0'; text++)
        if (g_ascii_iscntrl(*text))
            *text = ' ';
}

void log_write(LogLevel level, const char *format, ...)
{
    g_autofree char *message = NULL, *now = NULL, *line = NULL, *line_feed = NULL;
    va_list arguments;

    if (!log_enabled(level))
        return;
    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    flatten(message);
    now = clock_format(clock_now());
    line = g_strdup_printf("%s %s %s", now, level_names[level], message);
    line_feed = g_strconcat(line, "\n", NULL);

    g_mutex_lock(&lock);
    if (sink_function != NULL)
        sink_function(level, line, sink_data);
    else
        put_line(STDERR_FILENO, line_feed);
    if (file >= 0)
        put_line(file, line_feed);
    g_mutex_unlock(&lock);
}
