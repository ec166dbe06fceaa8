/* The worker of one VM: a table of what is done in each stage, walked until the migration is over.
 *
 * A handler does the work of its stage, whatever an earlier run left of it, and moves on; one that does not
 * move is called again.
 */
#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "base/size.h"
#include "migration/cleanup.h"
#include "migration/costs.h"
#include "migration/cutover.h"
#include "migration/downtime.h"
#include "migration/facts.h"
#include "migration/images.h"
#include "migration/preflight.h"
#include "migration/round.h"
#include "migration/schedule.h"
#include "migration/shutdown.h"
#include "migration/snapshots.h"
#include "migration/tracking.h"
#include "migration/verification.h"

#include <string.h>

#define GLANCE_SECONDS 0.4

/* --- init --- */

static void record_findings(Engine *engine, const Findings *findings)
{
    for (guint i = 0; i < findings_length(findings); i++) {
        const Finding *finding = findings_get(findings, i);

        engine_event(engine, finding->severity == FINDING_INFO ? LOG_INFO : LOG_WARNING, "finding",
                     "%s: %s: %s; %s", finding->code, finding->object, finding->message, finding->advice);
    }
}

static gboolean record_machine(Engine *engine, const VsphereVm *vm, GError **error)
{
    g_free(engine->vm->machine);
    engine->vm->machine = machine_to_json(vm->machine);
    g_clear_pointer(&engine->machine, machine_free);
    engine->machine = machine_from_json(engine->vm->machine, error);
    if (engine->machine == NULL || !engine_save(engine, error) || !images_record(engine, error))
        return FALSE;
    crash_point("init.recorded");
    return TRUE;
}

static gboolean run_init(Engine *engine, GError **error)
{
    g_autoptr(Findings) findings = findings_new();
    g_autoptr(VsphereVm) vm = NULL;

    engine_doing(engine, "checking");
    vm = engine_get_vm(engine, error);
    if (vm == NULL ||
        !preflight_run(engine->vsphere, engine->target, engine->spec, vm, FALSE, findings, error))
        return FALSE;
    record_findings(engine, findings);
    return findings_check(findings, error) && record_machine(engine, vm, error) &&
           engine_move(engine, STAGE_BASE_COPY, error);
}

/* --- base copy --- */

static gboolean source_is_off(Engine *engine, gboolean *ret, GError **error)
{
    g_autofree char *state = vsphere_power_state(engine->vsphere, engine->vm->moref, error);

    if (state == NULL)
        return FALSE;
    *ret = strcmp(state, "poweredOff") == 0;
    return TRUE;
}

/* The source is down and not by somebody's whim: it has been since the start, or we did it. */
static gboolean source_is_down(Engine *engine, gboolean *ret, GError **error)
{
    gboolean cold = FALSE, off = FALSE;

    if (!fact_is_set(engine->store, engine->id, FACT_COLD, &cold, error) ||
        !source_is_off(engine, &off, error))
        return FALSE;
    *ret = off && (cold || engine->vm->stopped_by_us);
    return TRUE;
}

static gboolean begin_cutover(Engine *engine, GError **error)
{
    if (!downtime_forget(engine->store, engine->id, error))
        return FALSE;
    crash_point("cutover.requested");
    return engine_move(engine, STAGE_FINAL_SYNC, error);
}

/* Off when its base copy begins is off from the start. */
static gboolean record_cold(Engine *engine, GError **error)
{
    return store_fact_set(engine->store, engine->id, FACT_COLD, "1", error);
}

static gboolean run_base_copy(Engine *engine, GError **error)
{
    gboolean off = FALSE, down = FALSE, based = FALSE;

    if (!source_is_off(engine, &off, error) || !tracking_ensure(engine, error) ||
        !round_finish_open(engine, error) || !round_all_based(engine, &based, error))
        return FALSE;
    if (!based && ((off && !record_cold(engine, error)) || !round_run(engine, ROUND_KIND_BASE, off, error)))
        return FALSE;
    if (!verification_catch_up(engine, error) || !source_is_down(engine, &down, error))
        return FALSE;
    return down ? begin_cutover(engine, error) : engine_move(engine, STAGE_DELTA, error);
}

/* --- delta --- */

static double seconds_since(const Engine *engine, double by_the_store)
{
    return engine->frozen_at > 0 ? clock_monotonic() - engine->frozen_at : by_the_store;
}

static ConvergeVerdict judge(Engine *engine, double since)
{
    g_autofree char *reason = NULL;
    ConvergeVerdict verdict;

    if (engine->spec->max_downtime == 0)
        return CONVERGE_WAIT;
    verdict = convergence_verdict(engine->convergence, since, engine->spec->max_downtime, &reason);
    if (engine->spec->max_rounds > 0 && engine->deltas >= engine->spec->max_rounds) {
        g_free(reason);
        reason = g_strdup_printf("max_downtime is given up after %u rounds: finalize has to be asked for",
                                 engine->spec->max_rounds);
        verdict = CONVERGE_NEVER;
    }
    if (verdict == CONVERGE_NEVER && g_strcmp0(reason, engine->activity.verdict) != 0)
        engine_event(engine, LOG_WARNING, "verdict", "%s", reason);
    g_free(engine->activity.verdict);
    engine->activity.verdict = g_steal_pointer(&reason);
    return verdict;
}

/* What is due; waits until something is. */
static gboolean wait_for_decision(Engine *engine, ScheduleDecision *ret, GError **error)
{
    double by_the_store = 0, begun = clock_monotonic();
    ScheduleInput input = {.probes = engine->probes};
    ConvergeVerdict verdict;

    if (!round_count(engine, &by_the_store, error) || !source_is_down(engine, &input.source_is_down, error) ||
        !costs_update(engine, error))
        return FALSE;
    input.deltas = engine->deltas;
    verdict = judge(engine, seconds_since(engine, by_the_store));
    do {
        if (!engine_tick(engine, error))
            return FALSE;
        input.now = clock_now();
        input.since_last = seconds_since(engine, by_the_store + clock_monotonic() - begun);
        input.finalize = engine->requests.finalize;
        input.finalize_now = engine->requests.finalize_now;
        input.verdict = verdict;
        *ret = schedule_decide(engine->spec, &input);
        engine->activity.next_round_in = ret->action == SCHEDULE_WAIT ? ret->wait : -1;
        engine->activity.activity = ret->reason;
        if (ret->action == SCHEDULE_WAIT && !engine_wait(engine, MIN(ret->wait, GLANCE_SECONDS), error))
            return FALSE;
    } while (ret->action == SCHEDULE_WAIT);
    return TRUE;
}

static gboolean last_warm_round(Engine *engine, gboolean wanted, GError **error)
{
    if (!wanted)
        return TRUE;
    if (!round_run(engine, ROUND_KIND_LAST_WARM, FALSE, error))
        return FALSE;
    crash_point("cutover.last-warm-round");
    return TRUE;
}

/* What was promised, to be held against what was measured. */
static gboolean record_prediction(Engine *engine, GError **error)
{
    Prediction prediction = convergence_predict(engine->convergence, seconds_since(engine, 1));
    g_autofree char *downtime = NULL, *shutdown = NULL;
    double seconds = 0;
    gboolean measured = FALSE;

    if (!prediction.known)
        return TRUE;
    if (!costs_shutdown(engine, &seconds, &measured, error) ||
        !fact_set_real(engine->store, engine->id, FACT_PREDICTED, prediction.downtime, error))
        return FALSE;
    downtime = duration_format(prediction.downtime);
    shutdown = duration_format(seconds);
    engine_event(engine, LOG_INFO, "cutover", "predicted downtime %s, of which %s %s for the shutdown",
                 downtime, shutdown, measured ? "as earlier guests took" : "are allowed");
    return TRUE;
}

static gboolean run_delta(Engine *engine, GError **error)
{
    ScheduleDecision decision;

    if (!tracking_ensure(engine, error) || !round_finish_open(engine, error) ||
        !wait_for_decision(engine, &decision, error))
        return FALSE;
    if (decision.action == SCHEDULE_ROUND) {
        engine->probes = decision.probe ? engine->probes + 1 : 0;
        return round_run(engine, ROUND_KIND_DELTA, FALSE, error) && verification_catch_up(engine, error);
    }
    engine_event(engine, LOG_INFO, "cutover", "the cutover begins: %s", decision.reason);
    if (!record_prediction(engine, error))
        return FALSE;
    return last_warm_round(engine, decision.last_warm, error) && begin_cutover(engine, error);
}

/* --- the table --- */

typedef struct {
    gboolean (*run)(Engine *engine, GError **error);
    gboolean needs_source_off; /* entered by a new worker only while the source has not run since */
} StageHandler;

static const StageHandler handlers[STAGE_N] = {
    [STAGE_INIT] = {run_init},
    [STAGE_BASE_COPY] = {run_base_copy},
    [STAGE_DELTA] = {run_delta},
    [STAGE_AWAITING_SHUTDOWN_ACTION] = {shutdown_await},
    [STAGE_FINAL_SYNC] = {cutover_final_sync},
    [STAGE_CONVERTING] = {cutover_convert, TRUE},
    [STAGE_IMPORT_ROOT_DISK] = {cutover_import_root, TRUE},
    [STAGE_IMPORT_DATA_DISK] = {cutover_import_data, TRUE},
};

/* What an earlier run left at the source, but for the snapshot of the round that may go on. */
static gboolean clear_leftovers(Engine *engine, GError **error)
{
    g_autoptr(StoreRound) last = store_round_last(engine->store, engine->id, error);
    g_autoptr(GError) failed = NULL;
    const char *keep;

    if (last == NULL && *error != NULL)
        return FALSE;
    keep = last != NULL && (last->state == ROUND_FROZEN || last->state == ROUND_COPIED) ? last->snapshot_name
                                                                                        : NULL;
    if (snapshots_clear(engine, keep, &failed))
        return TRUE;
    if (vf_error_is(failed, VF_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return FALSE;
    }
    engine_event(engine, LOG_WARNING, "snapshot", "%s; it will be tried again", failed->message);
    return TRUE;
}

/* It is known by its ids; a new name is only shown. */
static gboolean follow_name(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);

    if (vm == NULL || strcmp(vm->machine->name, engine->vm->name) == 0)
        return vm != NULL;
    engine_event(engine, LOG_INFO, "source", "the VM is called %s now", vm->machine->name);
    g_free(engine->vm->name);
    engine->vm->name = g_strdup(vm->machine->name);
    return engine_save(engine, error);
}

static gboolean check_source(Engine *engine, GError **error)
{
    gboolean taken_over = FALSE;

    return cutover_has_taken_over(engine, &taken_over, error) &&
           (taken_over || cutover_check_source(engine, error));
}

static gboolean work(Engine *engine, GError **error)
{
    if (!engine_connect(engine, error) || !follow_name(engine, error) || !clear_leftovers(engine, error))
        return FALSE;
    if (handlers[engine->stage].needs_source_off && !check_source(engine, error))
        return FALSE;
    while (!stage_is_over(engine->stage)) {
        if (!handlers[engine->stage].run(engine, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_stage(Engine *engine, GError **error)
{
    if (engine->stage == STAGE_FAILED)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s failed in %s: %s; retry it, or cancel it",
                       engine->vm->name, engine->vm->failed_stage, engine->vm->error);
    if (engine->stage == STAGE_CANCELLED || engine->stage == STAGE_ROLLED_BACK)
        return vf_fail(error, VF_ERROR_CONFLICT, "%s is %s; begin a new migration", engine->vm->name,
                       stage_name(engine->stage));
    return TRUE;
}

/* An engine that lost its lease touches nothing: another one is at work.  A signal leaves everything as it
 * is. */
static gboolean may_clean_up(const Engine *engine)
{
    return !engine->lease_lost && !cancel_fired(engine->context->cancel);
}

static void end_badly(Engine *engine, GError **error)
{
    g_autoptr(GError) failed = NULL;

    if (!may_clean_up(engine))
        return;
    if (!engine->requests.cancel || !vf_error_is(*error, VF_ERROR_CANCELLED)) {
        cleanup_after_failure(engine, *error);
        return;
    }
    if (!cleanup_cancel(engine, engine->requests.delete_files, &failed)) {
        g_prefix_error(&failed, "while cancelling: ");
        cleanup_after_failure(engine, failed);
    }
}

gboolean migration_run(const MigrationContext *context, gint64 id, GError **error)
{
    g_autoptr(Engine) engine = engine_open(context, id, error);

    if (engine == NULL || !check_stage(engine, error))
        return FALSE;
    if (stage_is_over(engine->stage) || work(engine, error))
        return TRUE;
    end_badly(engine, error);
    return FALSE;
}
