#include "migration/engine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "migration/facts.h"
#include "migration/progress.h"

#include <string.h>

#define LEASE_SECONDS 120u
#define RENEW_SECONDS 10.0
#define POLL_SECONDS  0.4
#define SHOW_SECONDS  0.5
#define SAVE_SECONDS  1.0
#define POWER_SECONDS 5.0
#define JSON_MAX      (16 * MIB)

/* --- opening --- */

static gboolean load_spec(Engine *engine, GError **error)
{
    g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func((GDestroyNotify)vm_spec_free);
    g_autofree char *name = g_strdup_printf("spec of migration %" G_GINT64_FORMAT, engine->id);

    if (!spec_parse(engine->vm->spec, strlen(engine->vm->spec), name, engine->context->config, specs, error))
        return FALSE;
    if (specs->len != 1)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s describes %u VMs", name, specs->len);
    engine->spec = g_ptr_array_steal_index(specs, 0);
    return TRUE;
}

static gboolean load_convergence(Engine *engine, GError **error)
{
    g_autofree char *text = store_fact_get(engine->store, engine->id, FACT_CONVERGENCE, error);
    g_autoptr(Json) json = NULL;

    if (text == NULL) {
        engine->convergence = convergence_new();
        return *error == NULL;
    }
    json = json_parse(text, strlen(text), JSON_MAX, "convergence model", error);
    engine->convergence = json != NULL ? convergence_from_json(json, error) : NULL;
    return engine->convergence != NULL;
}

/* The disks in the machine's order. */
static gboolean load_disks(Engine *engine, GError **error)
{
    g_autoptr(GPtrArray) rows = store_disk_list(engine->store, engine->id, error);

    if (rows == NULL)
        return FALSE;
    for (guint i = 0; i < engine->machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(engine->machine->disks, i);

        for (guint j = 0; j < rows->len; j++) {
            if (strcmp(((StoreDisk *)g_ptr_array_index(rows, j))->key, disk->key) != 0)
                continue;
            g_ptr_array_set_free_func(rows, NULL);
            g_ptr_array_add(engine->disks, g_ptr_array_steal_index(rows, j));
            g_ptr_array_set_free_func(rows, (GDestroyNotify)store_disk_free);
            break;
        }
    }
    return TRUE;
}

static gboolean count_rounds(Engine *engine, GError **error)
{
    g_autoptr(GPtrArray) rounds = store_round_list(engine->store, engine->id, error);

    for (guint i = 0; rounds != NULL && i < rounds->len; i++)
        engine->activity.rounds += ((StoreRound *)g_ptr_array_index(rounds, i))->state == ROUND_CLOSED;
    return rounds != NULL;
}

static gboolean load_totals(Engine *engine, GError **error)
{
    gint64 read = 0, written = 0;

    if (!count_rounds(engine, error) ||
        !fact_get_integer(engine->store, engine->id, FACT_TOTAL_READ, &read, error) ||
        !fact_get_integer(engine->store, engine->id, FACT_TOTAL_WRITTEN, &written, error))
        return FALSE;
    engine->activity.total_read = (guint64)read;
    engine->activity.total_written = (guint64)written;
    engine->activity.shutdown_reason = store_fact_get(engine->store, engine->id, FACT_WAIT_REASON, error);
    return *error == NULL;
}

static gboolean load(Engine *engine, GError **error)
{
    engine->vm = store_vm_get(engine->store, engine->id, error);
    if (engine->vm == NULL)
        return FALSE;
    if (!stage_parse(engine->vm->stage, &engine->stage))
        return vf_fail(error, VF_ERROR_INTERNAL, "migration %" G_GINT64_FORMAT " is in the unknown stage %s",
                       engine->id, engine->vm->stage);
    if (engine->vm->machine != NULL) {
        engine->machine = machine_from_json(engine->vm->machine, error);
        if (engine->machine == NULL || !load_disks(engine, error))
            return FALSE;
    }
    return load_spec(engine, error) && load_convergence(engine, error) && load_totals(engine, error);
}

Engine *engine_open(const MigrationContext *context, gint64 id, GError **error)
{
    Engine *engine = g_new0(Engine, 1);

    engine->context = context;
    engine->store = context->store;
    engine->disks = g_ptr_array_new_with_free_func((GDestroyNotify)store_disk_free);
    engine->activity.keys = g_ptr_array_new();
    engine->activity.meters = g_ptr_array_new();
    engine->activity.round = -1;
    engine->activity.next_round_in = -1;
    if (!store_lease_take(engine->store, id, LEASE_SECONDS, error)) {
        engine_close(engine);
        return NULL;
    }
    engine->id = id;
    if (!load(engine, error)) {
        engine_close(engine);
        return NULL;
    }
    engine->limit = rate_limit_new(engine->spec->bandwidth);
    return engine;
}

void engine_close(Engine *engine)
{
    g_autoptr(GError) ignored = NULL;

    if (engine == NULL)
        return;
    target_free(engine->target);
    vsphere_free(engine->vsphere);
    /* It expires by itself when this fails. */
    if (engine->id != 0 && !store_lease_release(engine->store, engine->id, &ignored))
        log_debug("lease of migration %" G_GINT64_FORMAT ": %s", engine->id, ignored->message);
    store_vm_free(engine->vm);
    vm_spec_free(engine->spec);
    machine_free(engine->machine);
    rate_limit_free(engine->limit);
    convergence_free(engine->convergence);
    g_ptr_array_unref(engine->disks);
    g_ptr_array_unref(engine->activity.keys);
    g_ptr_array_unref(engine->activity.meters);
    g_free(engine->activity.round_kind);
    g_free(engine->activity.verdict);
    g_free(engine->activity.shutdown_reason);
    g_clear_error(&engine->kept);
    g_free(engine);
}

/* --- sessions --- */

static void tick_of_task(gpointer data);

Vsphere *engine_open_vsphere(const MigrationContext *context, void (*tick)(gpointer), gpointer data,
                             GError **error)
{
    const VcenterConfig *vcenter = &context->config->vcenter;
    VsphereOptions options = {
        .host = vcenter->host,
        .port = vcenter->port,
        .user = vcenter->user,
        .password = vcenter->password,
        .trust = {.ca_file = vcenter->ca_file,
                  .thumbprint = vcenter->thumbprint,
                  .insecure = vcenter->insecure},
        .cancel = context->cancel,
        .tick = tick,
        .tick_data = data,
    };

    if (vcenter->host == NULL || vcenter->user == NULL || vcenter->password == NULL) {
        vf_fail(error, VF_ERROR_INVALID,
                "no source is configured: vcenter.host, vcenter.user and vcenter.password are "
                "needed (config.yaml, or V2C_VCENTER_HOST, _USER and _PASSWORD)");
        return NULL;
    }
    return vsphere_open(&options, error);
}

gboolean engine_connect(Engine *engine, GError **error)
{
    engine_doing(engine, "connecting");
    if (engine->target == NULL)
        engine->target = target_open(&engine->spec->target, engine->context->cancel, error);
    if (engine->target == NULL)
        return FALSE;
    if (engine->vsphere == NULL)
        engine->vsphere = engine_open_vsphere(engine->context, tick_of_task, engine, error);
    if (engine->vsphere == NULL)
        return FALSE;
    if (strcmp(vsphere_server(engine->vsphere), engine->vm->server) != 0)
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "migration %" G_GINT64_FORMAT " was begun from %s, and the configuration "
                       "names %s; use the configuration it was begun with",
                       engine->id, engine->vm->server, vsphere_server(engine->vsphere));
    return TRUE;
}

VsphereVm *engine_get_vm(Engine *engine, GError **error)
{
    return vsphere_get_vm(engine->vsphere, engine->vm->moref, engine->vm->instance_uuid, error);
}

/* --- time --- */

static gboolean due(double *next, double every)
{
    double now = clock_monotonic();

    if (now < *next)
        return FALSE;
    *next = now + every;
    return TRUE;
}

static void take_request(Engine *engine, const StoreRequest *request)
{
    EngineRequests *requests = &engine->requests;
    Request kind;

    if (!request_parse(request->kind, &kind))
        return;
    requests->finalize |= kind == REQUEST_FINALIZE;
    requests->finalize_now |= kind == REQUEST_FINALIZE_NOW;
    requests->shutdown_force |= kind == REQUEST_SHUTDOWN_FORCE;
    requests->shutdown_done |= kind == REQUEST_SHUTDOWN_DONE;
    if (kind == REQUEST_CANCEL) {
        g_autoptr(GError) ignored = NULL;
        g_autoptr(Json) arguments = NULL;

        if (request->arguments != NULL)
            arguments =
                json_parse(request->arguments, strlen(request->arguments), JSON_MAX, "arguments", &ignored);
        requests->cancel = TRUE;
        requests->delete_files |= arguments != NULL && json_get_boolean(arguments, "delete_files");
    }
    if (request->id > engine->seen_request) {
        engine->seen_request = request->id;
        engine_event(engine, LOG_INFO, "request", "%s is asked for", request->kind);
    }
}

static gboolean poll_requests(Engine *engine, GError **error)
{
    g_autoptr(GPtrArray) open = NULL;

    if (!due(&engine->next_poll, POLL_SECONDS))
        return TRUE;
    open = store_request_open(engine->store, engine->id, error);
    if (open == NULL)
        return FALSE;
    engine->requests = (EngineRequests){0};
    for (guint i = 0; i < open->len; i++)
        take_request(engine, g_ptr_array_index(open, i));
    return TRUE;
}

/* Nothing depends on what is shown: it is tried again in a moment. */
static void show(Engine *engine)
{
    g_autoptr(GError) ignored = NULL;
    g_autofree char *json = NULL;

    if (!due(&engine->next_show, SHOW_SECONDS))
        return;
    json = progress_to_json(engine);
    if (engine->context->progress != NULL)
        engine->context->progress(engine->id, json, engine->context->data);
    if (due(&engine->next_save, SAVE_SECONDS) &&
        !store_vm_set_progress(engine->store, engine->id, json, &ignored))
        log_debug("progress: %s", ignored->message);
}

static gboolean renew_lease(Engine *engine, GError **error)
{
    if (!due(&engine->next_renewal, RENEW_SECONDS) || store_lease_renew(engine->store, engine->id, error))
        return TRUE;
    engine->lease_lost = vf_error_is(*error, VF_ERROR_CONFLICT);
    return FALSE;
}

/* What was read of a source that was started meanwhile is a mixture of two moments. */
static gboolean check_power(Engine *engine, GError **error)
{
    g_autofree char *state = NULL;

    if (!engine->watch_power || !due(&engine->next_power, POWER_SECONDS))
        return TRUE;
    state = vsphere_power_state(engine->vsphere, engine->vm->moref, error);
    if (state == NULL)
        return FALSE;
    return strcmp(state, "poweredOff") == 0
               ? TRUE
               : vf_fail(error, VF_ERROR_INTEGRITY,
                         "%s was started at the source while its disks were read; retry goes "
                         "back to replication",
                         engine->vm->name);
}

/* While a task is waited for no error can be returned: it is kept for the next tick. */
static void tick_of_task(gpointer data)
{
    Engine *engine = data;

    if (engine->kept == NULL && renew_lease(engine, &engine->kept))
        poll_requests(engine, &engine->kept);
    show(engine);
}

static gboolean return_kept(Engine *engine, GError **error)
{
    if (engine->kept == NULL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&engine->kept));
    return FALSE;
}

gboolean engine_pause(Engine *engine, double seconds, GError **error)
{
    double end = clock_monotonic() + seconds, left;

    while ((left = end - clock_monotonic()) > 0) {
        tick_of_task(engine);
        if (!return_kept(engine, error) ||
            !cancel_sleep(engine->context->cancel, (guint)(MIN(left, SHOW_SECONDS) * 1000) + 1, error))
            return FALSE;
    }
    return TRUE;
}

gboolean engine_tick(gpointer data, GError **error)
{
    Engine *engine = data;

    if (!return_kept(engine, error) || !cancel_check(engine->context->cancel, error) ||
        !renew_lease(engine, error) || !poll_requests(engine, error))
        return FALSE;
    show(engine);
    if (engine->requests.cancel)
        return vf_fail(error, VF_ERROR_CANCELLED, "cancelled on request");
    return (engine->vsphere == NULL || vsphere_keepalive(engine->vsphere, error)) &&
           check_power(engine, error);
}

gboolean engine_wait(Engine *engine, double seconds, GError **error)
{
    double end = clock_monotonic() + seconds, left;

    while ((left = end - clock_monotonic()) > 0) {
        if (!engine_tick(engine, error) ||
            !cancel_sleep(engine->context->cancel, (guint)(MIN(left, SHOW_SECONDS) * 1000) + 1, error))
            return FALSE;
    }
    return engine_tick(engine, error);
}

/* --- what is recorded --- */

gboolean engine_move(Engine *engine, Stage to, GError **error)
{
    if (!stage_may_follow(engine->stage, to))
        return vf_fail(error, VF_ERROR_INTERNAL, "stage %s cannot follow %s", stage_name(to),
                       stage_name(engine->stage));
    if (!store_vm_set_stage(engine->store, engine->id, stage_name(engine->stage), stage_name(to), error))
        return FALSE;
    log_info("%s: %s -> %s", engine->vm->name, stage_name(engine->stage), stage_name(to));
    engine->stage = to;
    g_free(engine->vm->stage);
    engine->vm->stage = g_strdup(stage_name(to));
    engine->next_show = engine->next_save = 0;
    show(engine);
    return TRUE;
}

gboolean engine_save(Engine *engine, GError **error)
{
    return store_vm_update(engine->store, engine->vm, error);
}

void engine_event(Engine *engine, LogLevel level, const char *kind, const char *format, ...)
{
    static const char *const names[] = {[LOG_DEBUG] = "info",
                                        [LOG_INFO] = "info",
                                        [LOG_WARNING] = "warning",
                                        [LOG_ERROR] = "error",
                                        [LOG_QUIET] = "info"};
    g_autoptr(GError) ignored = NULL;
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_write(level, "%s: %s", engine->vm->name, text);
    if (!store_event_add(engine->store, engine->id, names[level], kind, text, &ignored))
        log_warning("%s: an event was not recorded: %s", engine->vm->name, ignored->message);
}

void engine_doing(Engine *engine, const char *activity)
{
    engine->activity.activity = activity;
    engine->next_show = 0;
    show(engine);
}

gboolean engine_served(Engine *engine, Request request, const char *outcome, GError **error)
{
    g_autoptr(GPtrArray) open = store_request_open(engine->store, engine->id, error);

    if (open == NULL)
        return FALSE;
    for (guint i = 0; i < open->len; i++) {
        const StoreRequest *one = g_ptr_array_index(open, i);

        if (strcmp(one->kind, request_name(request)) == 0 &&
            !store_request_close(engine->store, one->id, outcome, error))
            return FALSE;
    }
    engine->next_poll = 0;
    return poll_requests(engine, error);
}

StoreDisk *engine_disk(Engine *engine, const char *key)
{
    for (guint i = 0; i < engine->disks->len; i++) {
        StoreDisk *disk = g_ptr_array_index(engine->disks, i);

        if (strcmp(disk->key, key) == 0)
            return disk;
    }
    return NULL;
}
