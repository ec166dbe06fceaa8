/* A child is started by fork and exec (g_spawn does that when it is given a setup function), so what runs
 * between the two keeps to async-signal-safe calls.  Its input is a memory file that is complete before it
 * starts: no thread, no loop and no SIGPIPE is needed to feed it.  Its end is seen through a pidfd, so that a
 * grandchild that holds our pipes open (a daemon) does not hold us.
 */
#include "base/proc.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define DEFAULT_MAX_OUTPUT ((gsize)1 << 20)
#define ERROR_TAIL         400

struct Proc {
    char *name;
    GPid pid;
    Fd pidfd;
    gboolean reaped;
    int status; /* valid once reaped */
};

/* --- starting --- */

/* Runs in the child: nothing here may allocate or lock. */
static void set_up_child(gpointer data)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    const pid_t *parent = data;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &standard, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != *parent)
        _exit(127);
}

static char **child_environment(const ProcOptions *options)
{
    char **environment;

    if (options->environment != NULL)
        return g_strdupv((char **)options->environment);
    environment = g_environ_unsetenv(g_get_environ(), "LD_LIBRARY_PATH");
    return g_environ_unsetenv(environment, "LD_PRELOAD");
}

char *proc_find(const char *program)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/sbin", "/sbin"};
    char *found = g_find_program_in_path(program);

    for (guint i = 0; found == NULL && i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(folders[i], program, NULL);

        found = g_find_program_in_path(path);
    }
    return found;
}

/* argv with the program's path in front; NULL when there is no such program. */
static char **resolve_argv(const char *const *argv, GError **error)
{
    char *path = proc_find(argv[0]);
    char **resolved;

    if (path == NULL) {
        vf_fail(error, VF_ERROR_UNSUPPORTED,
                "the program %s is not installed; install it or add its folder to PATH", argv[0]);
        return NULL;
    }
    resolved = g_strdupv((char **)argv);
    g_free(resolved[0]);
    resolved[0] = path;
    return resolved;
}

/* -1 means /dev/null to g_spawn. */
static gboolean make_input(const ProcOptions *options, Fd *ret_fd, GError **error)
{
    g_auto(Fd) fd = -1;

    if (options->input == NULL)
        return TRUE;
    fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || !io_pwrite(fd, options->input, options->input_length, 0))
        return vf_fail_errno(error, VF_ERROR_INTERNAL, errno, "cannot hold a child's input in memory");
    *ret_fd = fd_steal(&fd);
    return TRUE;
}

static guint count_fds(const int *fds)
{
    guint count = 0;

    while (fds != NULL && fds[count] >= 0)
        count++;
    return count;
}

static Proc *start(const char *const *argv, const ProcOptions *options, const int *fds, int output,
                   int errors, GError **error)
{
    g_auto(GStrv) resolved = resolve_argv(argv, error);
    g_auto(GStrv) environment = NULL;
    g_auto(Fd) input = -1;
    g_autoptr(GError) problem = NULL;
    pid_t parent = getpid();
    GPid pid;
    Proc *proc;

    if (resolved == NULL || !make_input(options, &input, error))
        return NULL;
    environment = child_environment(options);
    if (!g_spawn_async_with_pipes_and_fds(options->directory, (const char *const *)resolved,
                                          (const char *const *)environment, G_SPAWN_DO_NOT_REAP_CHILD,
                                          set_up_child, &parent, input, output, errors, fds, fds,
                                          count_fds(fds), &pid, NULL, NULL, NULL, &problem)) {
        vf_fail(error, VF_ERROR_INTERNAL, "cannot start %s: %s", argv[0], problem->message);
        return NULL;
    }
    proc = g_new(Proc, 1);
    *proc = (Proc){.name = g_path_get_basename(argv[0]), .pid = pid, .pidfd = pidfd_open(pid, 0)};
    if (proc->pidfd < 0)
        g_error("cannot open a pidfd: %s", g_strerror(errno));
    return proc;
}

/* PR_SET_PDEATHSIG means the thread that forked, not the process: a child that outlives its caller's thread
 * has to be forked by a thread that never ends. */
typedef struct {
    const char *const *argv;
    const ProcOptions *options;
    const int *fds;
    int log;
    GError **error;

    GMutex lock; /* guards all below */
    GCond born;
    gboolean done;
    Proc *proc;
} Birth;

static void give_birth(gpointer data, gpointer unused)
{
    Birth *birth = data;
    Proc *proc = start(birth->argv, birth->options, birth->fds, birth->log, birth->log, birth->error);

    g_mutex_lock(&birth->lock);
    birth->proc = proc;
    birth->done = TRUE;
    g_cond_signal(&birth->born);
    g_mutex_unlock(&birth->lock);
}

static gpointer start_nursery(gpointer unused)
{
    return g_thread_pool_new(give_birth, NULL, 1, TRUE, NULL);
}

static Proc *start_for_good(Birth *birth)
{
    static GOnce nursery = G_ONCE_INIT;

    g_mutex_init(&birth->lock);
    g_cond_init(&birth->born);
    g_thread_pool_push(g_once(&nursery, start_nursery, NULL), birth, NULL);
    g_mutex_lock(&birth->lock);
    while (!birth->done)
        g_cond_wait(&birth->born, &birth->lock);
    g_mutex_unlock(&birth->lock);
    g_mutex_clear(&birth->lock);
    g_cond_clear(&birth->born);
    return birth->proc;
}

Proc *proc_spawn(const char *const *argv, const ProcOptions *options, const int *fds, const char *log_path,
                 GError **error)
{
    static const ProcOptions none = {0};
    g_auto(Fd) log = -1;

    if (log_path != NULL) {
        log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0) {
            vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot open the log file %s", log_path);
            return NULL;
        }
    }
    Birth birth = {
        .argv = argv, .options = options != NULL ? options : &none, .fds = fds, .log = log, .error = error};
    return start_for_good(&birth);
}

/* --- the end of a child --- */

GPid proc_pid(const Proc *proc)
{
    return proc->pid;
}

static gboolean reap(Proc *proc, int flags)
{
    pid_t result;

    if (proc->reaped)
        return TRUE;
    do
        result = waitpid(proc->pid, &proc->status, flags);
    while (result < 0 && errno == EINTR);
    proc->reaped = result != 0;
    return proc->reaped;
}

gboolean proc_running(Proc *proc, int *ret_status)
{
    if (!reap(proc, WNOHANG))
        return TRUE;
    if (ret_status != NULL)
        *ret_status = proc->status;
    return FALSE;
}

/* poll() on several descriptors until one is ready or the deadline (0: none) has passed, which returns FALSE.
 */
static gboolean poll_until(struct pollfd *descriptors, nfds_t count, gint64 deadline)
{
    for (;;) {
        gint64 left = deadline == 0 ? -1 : MAX(0, (deadline - g_get_monotonic_time() + 999) / 1000);
        int ready = poll(descriptors, count, (int)MIN(left, G_MAXINT));

        if (ready > 0)
            return TRUE;
        if (ready == 0 && deadline != 0 && g_get_monotonic_time() >= deadline)
            return FALSE;
    }
}

static gint64 deadline_after(guint milliseconds)
{
    return g_get_monotonic_time() + (gint64)milliseconds * 1000;
}

static gboolean has_ended(const Proc *proc, gint64 deadline)
{
    struct pollfd descriptor = {.fd = proc->pidfd, .events = POLLIN};

    return poll_until(&descriptor, 1, deadline);
}

gboolean proc_wait(Proc *proc, guint timeout_ms, int *ret_status, GError **error)
{
    if (!proc->reaped && !has_ended(proc, timeout_ms > 0 ? deadline_after(timeout_ms) : 0))
        return vf_fail(error, VF_ERROR_TRANSIENT, "%s still runs after %u ms", proc->name, timeout_ms);
    reap(proc, 0);
    if (ret_status != NULL)
        *ret_status = proc->status;
    return TRUE;
}

void proc_stop(Proc *proc, guint grace_ms)
{
    if (proc->reaped)
        return;
    if (grace_ms > 0) {
        kill(-proc->pid, SIGTERM);
        has_ended(proc, deadline_after(grace_ms));
    }
    /* Until the leader is reaped its number, and so the group's, cannot belong to anybody else. */
    kill(-proc->pid, SIGKILL);
    reap(proc, 0);
}

void proc_free(Proc *proc)
{
    if (proc == NULL)
        return;
    proc_stop(proc, 0);
    fd_close(&proc->pidfd);
    g_free(proc->name);
    g_free(proc);
}

/* --- running to the end --- */

/* One stream of the child. */
typedef struct {
    Fd fd;
    GString *text;
    gsize max;
} Stream;

/* Reads what is there; FALSE at the end of the stream, or when nothing is left for now. */
static gboolean drain(Stream *stream)
{
    char chunk[16384];
    ssize_t got = read(stream->fd, chunk, sizeof chunk);

    if (got > 0)
        g_string_append_len(stream->text, chunk, (gssize)MIN((gsize)got, stream->max - stream->text->len));
    else if (got == 0)
        fd_close(&stream->fd);
    return got > 0;
}

/* FALSE with VF_ERROR_TRANSIENT or VF_ERROR_CANCELLED; the child then still runs. */
static gboolean collect(Proc *proc, const ProcOptions *options, Stream streams[2], GError **error)
{
    gint64 deadline = options->timeout_ms > 0 ? deadline_after(options->timeout_ms) : 0;

    for (;;) {
        struct pollfd descriptors[] = {
            {.fd = streams[0].fd, .events = POLLIN},
            {.fd = streams[1].fd, .events = POLLIN},
            {.fd = proc->pidfd, .events = POLLIN},
            {.fd = cancel_fd(options->cancel), .events = POLLIN},
        };

        if (!poll_until(descriptors, G_N_ELEMENTS(descriptors), deadline))
            return vf_fail(error, VF_ERROR_TRANSIENT, "%s was stopped: it still ran after %u ms", proc->name,
                           options->timeout_ms);
        if (!cancel_check(options->cancel, error))
            return FALSE;
        for (guint i = 0; i < 2; i++)
            if (descriptors[i].revents != 0)
                drain(&streams[i]);
        if (descriptors[2].revents != 0)
            break;
    }
    for (guint i = 0; i < 2; i++)
        while (streams[i].fd >= 0 && drain(&streams[i]))
            continue;
    return TRUE;
}

static gboolean check_status(const Proc *proc, const GString *errors, GError **error)
{
    const char *tail = errors->len > ERROR_TAIL ? errors->str + errors->len - ERROR_TAIL : errors->str;
    g_autofree char *valid = g_strstrip(g_utf8_make_valid(tail, -1));
    const char *separator = *valid != '\0' ? ": " : "";

    if (WIFEXITED(proc->status) && WEXITSTATUS(proc->status) == 0)
        return TRUE;
    if (WIFSIGNALED(proc->status))
        return vf_fail(error, VF_ERROR_INTERNAL, "%s was killed by signal %d (%s)%s%s", proc->name,
                       WTERMSIG(proc->status), g_strsignal(WTERMSIG(proc->status)), separator, valid);
    return vf_fail(error, VF_ERROR_INTERNAL, "%s failed with status %d%s%s", proc->name,
                   WEXITSTATUS(proc->status), separator, valid);
}

/* The read end is ours alone and does not block. */
static gboolean open_stream(Stream *stream, Fd *ret_child_end, GError **error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return vf_fail_errno(error, VF_ERROR_INTERNAL, errno, "cannot make a pipe");
    stream->fd = ends[0];
    *ret_child_end = ends[1];
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return vf_fail_errno(error, VF_ERROR_INTERNAL, errno, "cannot set up a pipe");
    return TRUE;
}

static gboolean run(const char *const *argv, const ProcOptions *options, Stream streams[2], GError **error)
{
    g_auto(Fd) output = -1;
    g_auto(Fd) errors = -1;
    g_autoptr(Proc) proc = NULL;

    if (!open_stream(&streams[0], &output, error) || !open_stream(&streams[1], &errors, error))
        return FALSE;
    proc = start(argv, options, NULL, output, errors, error);
    fd_close(&output);
    fd_close(&errors);
    if (proc == NULL || !collect(proc, options, streams, error))
        return FALSE;
    reap(proc, 0);
    return check_status(proc, streams[1].text, error);
}

gboolean proc_run(const char *const *argv, const ProcOptions *options, char **ret_output, char **ret_errors,
                  GError **error)
{
    static const ProcOptions none = {0};
    gsize max = options != NULL && options->max_output > 0 ? options->max_output : DEFAULT_MAX_OUTPUT;
    Stream streams[] = {{-1, g_string_new(NULL), max}, {-1, g_string_new(NULL), max}};
    char **outputs[] = {ret_output, ret_errors};
    gboolean success = cancel_check(options != NULL ? options->cancel : NULL, error) &&
                       run(argv, options != NULL ? options : &none, streams, error);

    for (guint i = 0; i < 2; i++) {
        gboolean wanted = success && outputs[i] != NULL;
        char *text = g_string_free(streams[i].text, !wanted);

        if (wanted)
            *outputs[i] = text;
        fd_close(&streams[i].fd);
    }
    return success;
}
