#include "base/log.h"

#include "base/error.h"
#include "base/io.h"

#include <string.h>
#include <sys/stat.h>

typedef struct {
    guint lines;
    char *last;
} Heard;

static void hear(LogLevel level, const char *line, gpointer data)
{
    Heard *heard = data;

    heard->lines++;
    g_free(heard->last);
    heard->last = g_strdup(line);
}

static void test_levels(void)
{
    Heard heard = {0};

    log_set_sink(hear, &heard);
    log_debug("dropped");
    g_assert_cmpuint(heard.lines, ==, 0);
    log_info("VM %s\n2026 error forged\033[2J", "web1");
    g_assert_cmpuint(heard.lines, ==, 1);
    g_assert_cmpint(heard.last[23], ==, 'Z');
    g_assert_cmpstr(heard.last + 24, ==, " info VM web1 2026 error forged [2J");

    log_set_level(LOG_ERROR);
    log_warning("dropped");
    g_assert_false(log_enabled(LOG_WARNING));
    g_assert_true(log_enabled(LOG_ERROR));
    log_set_level(LOG_QUIET);
    log_error("dropped");
    g_assert_cmpuint(heard.lines, ==, 1);
    log_set_level(LOG_INFO);
    log_set_sink(NULL, NULL);
    g_free(heard.last);
}

static gpointer write_lines(gpointer data)
{
    for (guint i = 0; i < 200; i++)
        log_info("thread %p line %03u of many", data, i);
    return NULL;
}

/* Two threads, one file: every line whole. */
static void test_file(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-log-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "log", NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) error = NULL;
    Heard heard = {0};
    struct stat information;
    GThread *other;

    g_assert_true(log_to_file(path, &error));
    log_set_sink(hear, &heard);
    other = g_thread_new("other", write_lines, &heard);
    write_lines(NULL);
    g_thread_join(other);
    log_set_sink(NULL, NULL);

    g_assert_cmpuint(heard.lines, ==, 400);
    text = io_read_file(path, 1 << 20, NULL, &error);
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 401);
    for (guint i = 0; i < 400; i++)
        g_assert_true(g_str_has_suffix(lines[i], " of many"));
    g_assert_cmpint(stat(path, &information), ==, 0);
    g_assert_cmpuint(information.st_mode & 0777, ==, 0600);
    g_assert_false(log_to_file(folder, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    unlink(path);
    rmdir(folder);
    g_free(heard.last);
}

static void test_environment(void)
{
    if (g_test_subprocess()) {
        g_setenv("VMFERRY_LOG", "Debug", TRUE);
        log_set_level(LOG_ERROR);
        log_debug("heard all the same");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*Z debug heard all the same\n*");
}

int main(int argc, char **argv)
{
    g_unsetenv("VMFERRY_LOG");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/levels", test_levels);
    g_test_add_func("/log/file", test_file);
    g_test_add_func("/log/environment", test_environment);
    return g_test_run();
}
