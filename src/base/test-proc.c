#include "base/proc.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define SHELL(script) ((const char *const[]){"sh", "-c", (script), NULL})

static void test_output(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL, *errors = NULL;

    g_assert_true(proc_run(SHELL("echo out; echo err >&2"), NULL, &output, &errors, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(output, ==, "out\n");
    g_assert_cmpstr(errors, ==, "err\n");
}

static void test_failure(void)
{
    g_autoptr(GError) error = NULL;
    char *output = NULL;

    g_assert_false(proc_run(SHELL("echo the reason >&2; exit 3"), NULL, &output, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTERNAL);
    g_assert_cmpstr(error->message, ==, "sh failed with status 3: the reason");
    g_assert_null(output);
    g_clear_error(&error);

    g_assert_false(proc_run(SHELL("kill -9 $$"), NULL, NULL, NULL, &error));
    g_assert_nonnull(strstr(error->message, "signal 9"));
    g_clear_error(&error);

    g_assert_false(
        proc_run((const char *const[]){"vmferry-no-such-program", NULL}, NULL, NULL, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "vmferry-no-such-program"));
}

/* More than a pipe holds, in both directions, with an end to what is kept. */
static void test_input(void)
{
    enum { LENGTH = 3 << 20 };
    g_autofree char *input = g_strnfill(LENGTH, 'x');
    g_autofree char *all = NULL, *some = NULL;
    g_autoptr(GError) error = NULL;
    ProcOptions options = {.input = input, .input_length = LENGTH, .max_output = LENGTH};

    g_assert_true(proc_run(SHELL("cat"), &options, &all, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(all, ==, input);
    options.max_output = 1000;
    g_assert_true(proc_run(SHELL("cat"), &options, &some, NULL, &error));
    g_assert_cmpuint(strlen(some), ==, 1000);
    /* A child that does not read its input is no trouble. */
    g_assert_true(proc_run(SHELL("exit 0"), &options, NULL, NULL, &error));
}

static void test_surroundings(void)
{
    const char *const environment[] = {"A=b", "PATH=/usr/bin:/bin", NULL};
    ProcOptions options = {.environment = environment, .directory = "/usr"};
    g_autoptr(GError) error = NULL;
    g_autofree char *given = NULL, *ours = NULL, *input = NULL;

    g_assert_true(proc_run(SHELL("echo $A; pwd"), &options, &given, NULL, &error));
    g_assert_cmpstr(given, ==, "b\n/usr\n");

    g_setenv("LD_LIBRARY_PATH", "/nowhere", TRUE);
    g_assert_true(proc_run(SHELL("echo \"[$LD_LIBRARY_PATH]\""), NULL, &ours, NULL, &error));
    g_unsetenv("LD_LIBRARY_PATH");
    g_assert_cmpstr(ours, ==, "[]\n");

    g_assert_true(proc_run(SHELL("readlink /proc/self/fd/0"), NULL, &input, NULL, &error));
    g_assert_cmpstr(input, ==, "/dev/null\n");
}

/* No descriptor of ours, a group of its own, and no signal ignored or blocked, whatever we do ourselves. */
static void test_clean_child(void)
{
    int leaked = open("/dev/zero", O_RDONLY);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigset_t blocked, mask;
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL, *group = NULL;

    sigaction(SIGUSR1, &ignore, &before);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, &mask);
    g_assert_true(proc_run(SHELL("ls -l /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status"), NULL,
                           &output, NULL, &error));
    g_assert_true(proc_run(SHELL("ps -o pgid= -p $$ | tr -d ' '; echo $$"), NULL, &group, NULL, &error));
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGUSR1, &before, NULL);
    close(leaked);

    g_assert_no_error(error);
    g_assert_null(strstr(output, "/dev/zero"));
    g_assert_nonnull(strstr(output, "SigBlk:\t0000000000000000"));
    g_assert_nonnull(strstr(output, "SigIgn:\t0000000000000000"));
    if (strlen(group) > 0 && strchr(group, '\n') != strrchr(group, '\n')) {
        g_auto(GStrv) lines = g_strsplit(group, "\n", 3);

        g_assert_cmpstr(lines[0], ==, lines[1]);
    }
}

static void test_timeout(void)
{
    g_autoptr(GError) error = NULL;
    ProcOptions options = {.timeout_ms = 50};
    double start = clock_monotonic();

    g_assert_false(proc_run(SHELL("sleep 60; true"), &options, NULL, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpfloat(clock_monotonic() - start, <, 30);
}

static gpointer fire_soon(gpointer data)
{
    g_usleep(30000);
    cancel_fire(data);
    return NULL;
}

static void test_cancel(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Cancel) cancel = cancel_new();
    ProcOptions options = {.cancel = cancel};
    GThread *thread = g_thread_new("firer", fire_soon, cancel);

    g_assert_false(proc_run(SHELL("sleep 60; true"), &options, NULL, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_thread_join(thread);
}

/* A daemon that keeps our pipes open does not keep us. */
static void test_grandchild(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL;
    double start = clock_monotonic();

    g_assert_true(proc_run(SHELL("sleep 5 & echo $!"), NULL, &output, NULL, &error));
    g_assert_cmpfloat(clock_monotonic() - start, <, 4);
    g_assert_cmpint(kill((pid_t)atoi(output), SIGKILL), ==, 0);
}

static void test_spawn(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-proc-XXXXXX", NULL);
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    int ends[2], status = 0;
    char byte = 0;
    g_autoptr(Proc) proc = NULL;

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    g_autofree char *script = g_strdup_printf("printf x >&%d; echo logged; exit 4", ends[1]);

    proc = proc_spawn(SHELL(script), NULL, (const int[]){ends[1], -1}, log, &error);
    g_assert_no_error(error);
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    close(ends[0]);
    g_assert_true(proc_wait(proc, 30000, &status, &error));
    g_assert_cmpint(WEXITSTATUS(status), ==, 4);
    g_assert_false(proc_running(proc, &status));
    text = io_read_file(log, 100, NULL, &error);
    g_assert_cmpstr(text, ==, "logged\n");
    unlink(log);
    rmdir(folder);
}

/* Starts a shell script that inherits the write end of a pipe as descriptor `ret_end`, and says "x" there
 * once its traps are set. */
static Proc *spawn_ready(const char *traps, const char *rest, int *ret_end)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *script = NULL;
    Proc *proc;
    int ends[2];
    char byte = 0;

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    script = g_strdup_printf("%s; printf x >&%d; %s", traps, ends[1], rest);
    proc = proc_spawn(SHELL(script), NULL, (int[]){ends[1], -1}, NULL, &error);
    g_assert_no_error(error);
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    *ret_end = ends[0];
    return proc;
}

static gpointer spawn_sleeper(gpointer data)
{
    const char *const argv[] = {"sleep", "60", NULL};

    return proc_spawn(argv, NULL, NULL, NULL, data);
}

/* A child belongs to the process: it does not die with the thread that asked for it. */
static void test_outlives_thread(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Proc) proc = g_thread_join(g_thread_new("spawner", spawn_sleeper, &error));

    g_assert_no_error(error);
    g_assert_false(proc_wait(proc, 100, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
}

static void test_stop(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(Fd) end = -1;
    g_autoptr(Proc) proc = spawn_ready("trap 'exit 7' TERM", "while :; do sleep 0.05; done", &end);
    int status = 0;

    g_assert_true(proc_running(proc, NULL));
    g_assert_false(proc_wait(proc, 50, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    proc_stop(proc, 30000);
    g_assert_false(proc_running(proc, &status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 7);
}

/* The pipe ends only when the grandchild that holds it is dead too. */
static void test_stop_group(void)
{
    g_auto(Fd) end = -1;
    g_autoptr(Proc) proc = spawn_ready("trap '' TERM", "sleep 60 & while :; do sleep 0.05; done", &end);
    int status = 0;
    char byte;

    proc_stop(proc, 100);
    g_assert_false(proc_running(proc, &status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
    g_assert_cmpint(read(end, &byte, 1), ==, 0);
}

static void test_find(void)
{
    g_autofree char *shell = proc_find("sh");
    g_autofree char *nothing = proc_find("vmferry-no-such-program");

    g_assert_true(g_str_has_suffix(shell, "/sh"));
    g_assert_null(nothing);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/proc/output", test_output);
    g_test_add_func("/proc/failure", test_failure);
    g_test_add_func("/proc/input", test_input);
    g_test_add_func("/proc/surroundings", test_surroundings);
    g_test_add_func("/proc/clean-child", test_clean_child);
    g_test_add_func("/proc/timeout", test_timeout);
    g_test_add_func("/proc/cancel", test_cancel);
    g_test_add_func("/proc/grandchild", test_grandchild);
    g_test_add_func("/proc/spawn", test_spawn);
    g_test_add_func("/proc/outlives-thread", test_outlives_thread);
    g_test_add_func("/proc/stop", test_stop);
    g_test_add_func("/proc/stop-group", test_stop_group);
    g_test_add_func("/proc/find", test_find);
    return g_test_run();
}
