/* base/log.h: what the program says while it works.
 *
 * Lines go to standard error, "2026-11-21T07:06:40.123Z level message", and with log_to_file() to a file too.
 * A function that returns an error does not log it; library code below migration/ logs at debug only.
 * Secrets never reach a log: pass a Secret around, not its text.
 *
 * Thread rule: any thread; one line is written whole.  log_set_level() and log_to_file() at start only.
 */
#pragma once

#include <glib.h>

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_QUIET } LogLevel;

/* Lines below `level` are dropped.  The default is LOG_INFO; VMFERRY_LOG=debug|info|warning|error|quiet
 * overrides it. */
void log_set_level(LogLevel level);
gboolean log_enabled(LogLevel level);

/* Appends every line that passes the level to `path` as well (created 0600). */
gboolean log_to_file(const char *path, GError **error);

/* Where lines go instead of standard error, so that a live display can redraw around them.  `line` has no
 * newline.  The sink must not log.  NULL restores. */
typedef void (*LogSink)(LogLevel level, const char *line, gpointer data);
void log_set_sink(LogSink sink, gpointer data);

void log_write(LogLevel level, const char *format, ...) G_GNUC_PRINTF(2, 3);

#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)
