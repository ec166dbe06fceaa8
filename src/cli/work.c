#include "cli/work.h"

#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "cli/display.h"
#include "migration/stage.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define LOOK_AGAIN_MS 500
#define MAX_PROGRESS  ((gsize)4 << 20)

MigrationContext work_context(const Session *session)
{
    return (MigrationContext){.config = session->config, .store = session->store, .cancel = session->cancel};
}

static Json *parse_progress(const char *text)
{
    g_autoptr(GError) error = NULL;

    return text != NULL ? json_parse(text, strlen(text), MAX_PROGRESS, "progress", &error) : NULL;
}

/* Every migration has a log of its own beside the store. */
static char *log_path(const Session *session, gint64 id, GError **error)
{
    g_autofree char *folder = g_build_filename(store_directory(session->store), "logs", NULL);

    if (!io_make_directory(folder, error))
        return NULL;
    return g_strdup_printf("%s/%" G_GINT64_FORMAT ".log", folder, id);
}

/* --- one, here --- */

typedef struct {
    Display *display;
    char *name;
} OneShown;

static void on_progress(gint64 id, const char *text, gpointer data)
{
    OneShown *shown = data;
    g_autoptr(Json) progress = parse_progress(text);

    display_set(shown->display, id, shown->name, progress);
    display_draw(shown->display);
}

static gboolean run_here(Session *session, gint64 id, GError **error)
{
    g_autoptr(StoreVm) vm = store_vm_get(session->store, id, error);
    g_autofree char *log = vm != NULL ? log_path(session, id, error) : NULL;
    g_autoptr(Display) display = NULL;
    MigrationContext context = work_context(session);
    OneShown shown = {NULL, vm != NULL ? vm->name : NULL};

    if (log == NULL || !log_to_file(log, error))
        return FALSE;
    display = display_new(stderr);
    shown.display = display;
    context.progress = on_progress;
    context.data = &shown;
    return migration_run(&context, id, error);
}

gboolean work_run_one(Session *session, gint64 id, GError **error)
{
    MigrationContext context = work_context(session);

    return migration_run(&context, id, error);
}

/* --- several, each in a process --- */

typedef struct {
    gint64 id;
    char *name;
    Proc *proc; /* NULL: not started, or over */
    gboolean started;
    GError *error;
} Worker;

typedef struct {
    Session *session;
    const Options *options;
    GPtrArray *workers; /* Worker */
    guint parallel;
    gboolean stopping;
} Crew;

static void worker_free(gpointer data)
{
    Worker *worker = data;

    proc_free(worker->proc);
    g_clear_error(&worker->error);
    g_free(worker->name);
    g_free(worker);
}

static GPtrArray *make_workers(Session *session, GArray *ids, GError **error)
{
    g_autoptr(GPtrArray) workers = g_ptr_array_new_with_free_func(worker_free);

    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(StoreVm) vm = store_vm_get(session->store, g_array_index(ids, gint64, i), error);
        Worker *worker = NULL;

        if (vm == NULL)
            return NULL;
        worker = g_new0(Worker, 1);
        worker->id = vm->id;
        worker->name = g_strdup(vm->name);
        g_ptr_array_add(workers, worker);
    }
    return g_steal_pointer(&workers);
}

static gboolean start(const Crew *crew, Worker *worker, GError **error)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, worker->id);
    g_autofree char *log = log_path(crew->session, worker->id, error);
    const char *argv[] = {"/proc/self/exe",
                          "run",
                          "--worker",
                          id,
                          "--control-dir",
                          store_directory(crew->session->store),
                          NULL,
                          NULL,
                          NULL};

    if (log == NULL)
        return FALSE;
    if (crew->options->config != NULL) {
        argv[6] = "--config";
        argv[7] = crew->options->config;
    }
    worker->proc = proc_spawn(argv, NULL, NULL, log, error);
    worker->started = worker->proc != NULL;
    return worker->started;
}

static const char *why_ended(const StoreVm *vm, VfErrorClass class, int status)
{
    if (vm != NULL && strcmp(vm->stage, stage_name(STAGE_CANCELLED)) == 0)
        return "cancelled";
    if (vm != NULL && vm->error != NULL)
        return vm->error;
    if (class == VF_ERROR_CANCELLED)
        return "stopped; vmferry run goes on where it was";
    return WIFSIGNALED(status) ? g_strsignal(WTERMSIG(status))
                               : "its worker failed; its log beside the store says why";
}

/* The worker has written into the store why it stopped. */
static void note_end(const Crew *crew, Worker *worker, int status)
{
    g_autoptr(GError) lost = NULL;
    g_autoptr(StoreVm) vm = NULL;
    VfErrorClass class = VF_ERROR_INTERNAL;

    g_clear_pointer(&worker->proc, proc_free);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    for (guint i = 0; i < VF_ERROR_N_CLASSES; i++) {
        if (WIFEXITED(status) && vf_error_traits((VfErrorClass)i)->exit_code == WEXITSTATUS(status))
            class = (VfErrorClass)i;
    }
    vm = store_vm_get(crew->session->store, worker->id, &lost);
    vf_fail(&worker->error, class, "%s: %s", worker->name, why_ended(vm, class, status));
}

/* Number of those that run. */
static guint look_after(Crew *crew)
{
    guint running = 0;

    for (guint i = 0; i < crew->workers->len; i++) {
        Worker *worker = crew->workers->pdata[i];
        int status = 0;

        if (worker->proc != NULL && proc_running(worker->proc, &status))
            running++;
        else if (worker->proc != NULL)
            note_end(crew, worker, status);
    }
    return running;
}

static guint start_more(Crew *crew, guint running)
{
    for (guint i = 0; i < crew->workers->len && running < crew->parallel && !crew->stopping; i++) {
        Worker *worker = crew->workers->pdata[i];

        if (worker->started || worker->error != NULL)
            continue;
        if (start(crew, worker, &worker->error))
            running++;
    }
    return running;
}

/* Passed on once, to those that run; those that were not started stay so. */
static void pass_on_cancel(Crew *crew)
{
    if (crew->stopping || !cancel_fired(crew->session->cancel))
        return;
    crew->stopping = TRUE;
    for (guint i = 0; i < crew->workers->len; i++) {
        Worker *worker = crew->workers->pdata[i];

        if (worker->proc != NULL)
            kill(proc_pid(worker->proc), SIGTERM);
        else if (!worker->started)
            vf_fail(&worker->error, VF_ERROR_CANCELLED, "%s: not started", worker->name);
    }
}

static void show(const Crew *crew, Display *display)
{
    for (guint i = 0; i < crew->workers->len; i++) {
        const Worker *worker = crew->workers->pdata[i];
        g_autoptr(GError) lost = NULL;
        g_autoptr(StoreVm) vm = store_vm_get(crew->session->store, worker->id, &lost);
        g_autoptr(Json) progress = vm != NULL ? parse_progress(vm->progress) : NULL;

        if (worker->started)
            display_set(display, worker->id, worker->name, progress);
    }
    display_draw(display);
}

static gboolean join_errors(const Crew *crew, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const GError *first = NULL;

    for (guint i = 0; i < crew->workers->len; i++) {
        const Worker *worker = crew->workers->pdata[i];

        if (worker->error == NULL)
            continue;
        first = first != NULL ? first : worker->error;
        g_string_append_printf(text, "%s%s", text->len > 0 ? "\n" : "", worker->error->message);
    }
    return first == NULL || vf_fail(error, vf_error_class(first), "%s", text->str);
}

static void wait_a_moment(const Crew *crew)
{
    g_autoptr(GError) woken = NULL;

    /* Once it has fired it would not wait any more, and the workers still need their time. */
    cancel_sleep(crew->stopping ? NULL : crew->session->cancel, LOOK_AGAIN_MS, &woken);
}

static gboolean run_crew(Session *session, const Options *options, GArray *ids, guint parallel,
                         GError **error)
{
    g_autoptr(GPtrArray) workers = make_workers(session, ids, error);
    g_autoptr(Display) display = NULL;
    Crew crew = {session, options, workers, parallel, FALSE};

    if (workers == NULL)
        return FALSE;
    display = display_new(stderr);
    while (start_more(&crew, look_after(&crew)) > 0) {
        show(&crew, display);
        wait_a_moment(&crew);
        pass_on_cancel(&crew);
    }
    show(&crew, display);
    return join_errors(&crew, error);
}

gboolean work_run(Session *session, const Options *options, GArray *ids, guint parallel, GError **error)
{
    session_catch_signals(session);
    if (ids->len == 1)
        return run_here(session, g_array_index(ids, gint64, 0), error);
    return run_crew(session, options, ids, parallel, error);
}
