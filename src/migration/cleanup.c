#include "migration/cleanup.h"

#include "base/error.h"
#include "migration/cutover.h"
#include "migration/facts.h"
#include "migration/images.h"
#include "migration/round.h"
#include "migration/snapshots.h"
#include "migration/tracking.h"

#include <string.h>

/* How long a guest that was asked to shut down is waited for before it is started again. */
#define GOING_OFF_SECONDS 60u

/* Stages in which the source may be down, or the target up, because of us. */
static gboolean in_cutover(Stage stage)
{
    return stage == STAGE_AWAITING_SHUTDOWN_ACTION || stage == STAGE_FINAL_SYNC ||
           stage == STAGE_CONVERTING || stage == STAGE_IMPORT_ROOT_DISK || stage == STAGE_IMPORT_DATA_DISK;
}

/* Nothing runs at the target afterwards. */
static gboolean release_target(Engine *engine, GError **error)
{
    g_autofree char *id = NULL;
    gboolean importing = FALSE;

    if (!fact_is_set(engine->store, engine->id, FACT_IMPORTING, &importing, error))
        return FALSE;
    if (!importing)
        return TRUE;
    id = store_fact_get(engine->store, engine->id, FACT_TARGET_ID, error);
    if (*error != NULL)
        return FALSE;
    engine_event(engine, LOG_INFO, "cleanup", "removing the VM at the target; its images stay");
    return target_remove(engine->target, engine->machine, id, error) &&
           store_fact_set(engine->store, engine->id, FACT_TARGET_ID, NULL, error) &&
           store_fact_set(engine->store, engine->id, FACT_IMPORTING, NULL, error) &&
           store_fact_set(engine->store, engine->id, FACT_TAKEN_OVER, NULL, error);
}

static gboolean source_runs(Engine *engine, gboolean *ret, GError **error)
{
    g_autofree char *state = vsphere_power_state(engine->vsphere, engine->vm->moref, error);

    if (state == NULL)
        return FALSE;
    *ret = strcmp(state, "poweredOn") == 0;
    return TRUE;
}

/* A guest that was asked to shut down and still runs goes off in a moment: switched on before, it would stay
 * off. */
static gboolean let_it_go_off(Engine *engine, GError **error)
{
    gboolean asked = FALSE, off = FALSE, runs = TRUE;

    if (!fact_is_set(engine->store, engine->id, FACT_SHUTDOWN_AT, &asked, error) ||
        !fact_is_set(engine->store, engine->id, FACT_OFF_AT, &off, error))
        return FALSE;
    for (guint i = 0; asked && !off && runs && i < GOING_OFF_SECONDS; i++) {
        engine_doing(engine, "waiting for the guest to be off, to start it again");
        if (!source_runs(engine, &runs, error) || (runs && !engine_pause(engine, 1, error)))
            return FALSE;
    }
    return TRUE;
}

static gboolean start_source(Engine *engine, GError **error)
{
    if (!let_it_go_off(engine, error))
        return FALSE;
    engine_event(engine, LOG_INFO, "cleanup", "starting the source again");
    if (!vsphere_power_on(engine->vsphere, engine->vm->moref, error)) {
        g_prefix_error(error, "the source could not be started again, do it by hand: ");
        return FALSE;
    }
    engine->vm->stopped_by_us = FALSE;
    return engine_save(engine, error);
}

static gboolean close_rounds(Engine *engine, GError **error)
{
    return round_abandon_open(engine, error) && snapshots_clear(engine, NULL, error);
}

/* --- failure --- */

/* A target that was never started cannot run, even when it could not be removed. */
static gboolean may_start_source(Engine *engine, gboolean released, GError **failed, GError **error)
{
    gboolean may_run = FALSE;

    if (released)
        return TRUE;
    if (!fact_is_set(engine->store, engine->id, FACT_TAKEN_OVER, &may_run, error))
        return FALSE;
    if (!may_run) {
        engine_event(engine, LOG_WARNING, "cleanup", "%s", (*failed)->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(failed));
    g_prefix_error(error, "the source stays off, because the target may be running: ");
    return FALSE;
}

/* Where the source runs again, a retry has to go back to replication. */
static gboolean undo_cutover(Engine *engine, GError **error)
{
    g_autoptr(GError) failed = NULL;
    gboolean runs = FALSE, taken_over = FALSE;

    if (!cutover_has_taken_over(engine, &taken_over, error))
        return FALSE;
    if (taken_over)
        return vf_fail(
            error, VF_ERROR_CONFLICT,
            "the target runs and stays; retry ends the migration, rollback goes back to the source");
    if (!may_start_source(engine, release_target(engine, &failed), &failed, error))
        return FALSE;
    if ((engine->vm->stopped_by_us && !start_source(engine, error)) || !source_runs(engine, &runs, error))
        return FALSE;
    return !runs ||
           store_fact_set(engine->store, engine->id, FACT_RETRY_STAGE, stage_name(STAGE_DELTA), error);
}

static void undo(Engine *engine)
{
    g_autoptr(GError) cutover = NULL, rounds = NULL;

    if (engine->vsphere == NULL || engine->machine == NULL) {
        if (engine->vm->stopped_by_us)
            engine_event(engine, LOG_ERROR, "cleanup", "the source is off and cannot be reached");
        return;
    }
    if (in_cutover(engine->stage) && !undo_cutover(engine, &cutover))
        engine_event(engine, LOG_ERROR, "cleanup", "%s", cutover->message);
    if (!close_rounds(engine, &rounds))
        engine_event(engine, LOG_WARNING, "cleanup", "%s; it will be tried again at the next run",
                     rounds->message);
}

static gboolean record_failure(Engine *engine, const GError *failed, GError **error)
{
    StoreVm *vm = engine->vm;

    g_free(vm->failed_stage);
    g_free(vm->error);
    g_free(vm->error_class);
    vm->failed_stage = g_strdup(stage_name(engine->stage));
    vm->error = g_strdup(failed->message);
    vm->error_class = g_strdup(vf_error_traits(vf_error_class(failed))->name);
    return engine_save(engine, error) &&
           store_request_close_all(engine->store, engine->id, "the migration failed", error) &&
           engine_move(engine, STAGE_FAILED, error);
}

void cleanup_after_failure(Engine *engine, const GError *failed)
{
    g_autoptr(GError) error = NULL;

    engine_event(engine, LOG_ERROR, "failure", "failed in %s: %s", stage_name(engine->stage),
                 failed->message);
    engine_doing(engine, "cleaning up after a failure");
    undo(engine);
    if (!record_failure(engine, failed, &error))
        log_error("%s: the failure could not be recorded: %s", engine->vm->name, error->message);
}

/* --- cancel --- */

/* A VM that is not there any more has no snapshots and cannot be started. */
static gboolean or_gone(Engine *engine, gboolean done, GError **failed, GError **error)
{
    if (done)
        return TRUE;
    if (vf_error_is(*failed, VF_ERROR_NOT_FOUND)) {
        engine_event(engine, LOG_WARNING, "cleanup", "%s", (*failed)->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(failed));
    return FALSE;
}

static gboolean release_source(Engine *engine, GError **error)
{
    g_autoptr(GError) snapshots = NULL, power = NULL;
    gboolean closed = close_rounds(engine, &snapshots);
    gboolean started = !engine->vm->stopped_by_us || start_source(engine, &power);

    if (!or_gone(engine, started, &power, error) || !or_gone(engine, closed, &snapshots, error))
        return FALSE;
    tracking_restore(engine);
    return TRUE;
}

static gboolean release_all(Engine *engine, gboolean delete_files, GError **error)
{
    g_autoptr(GError) failed = NULL;
    gboolean released = release_target(engine, &failed);

    if (!may_start_source(engine, released, &failed, error) || !release_source(engine, error))
        return FALSE;
    if (!released && !release_target(engine, error))
        return FALSE;
    return !delete_files || images_delete(engine, error);
}

gboolean cleanup_cancel(Engine *engine, gboolean delete_files, GError **error)
{
    engine_doing(engine, "cancelling");
    if (engine->machine != NULL && !release_all(engine, delete_files, error))
        return FALSE;
    g_free(engine->vm->failed_stage);
    engine->vm->failed_stage = g_strdup(stage_name(engine->stage));
    return engine_save(engine, error) &&
           store_request_close_all(engine->store, engine->id, "the migration was cancelled", error) &&
           engine_move(engine, STAGE_CANCELLED, error);
}

gboolean migration_cancel(const MigrationContext *context, gint64 id, gboolean delete_files, GError **error)
{
    g_autoptr(Engine) engine = engine_open(context, id, error);

    return engine != NULL && request_allowed(engine->stage, REQUEST_CANCEL, error) &&
           engine_connect(engine, error) && cleanup_cancel(engine, delete_files, error);
}

/* --- rollback --- */

gboolean migration_rollback(const MigrationContext *context, gint64 id, GError **error)
{
    g_autoptr(Engine) engine = engine_open(context, id, error);

    if (engine == NULL || !request_allowed(engine->stage, REQUEST_ROLLBACK, error) ||
        !engine_connect(engine, error))
        return FALSE;
    engine_doing(engine, "rolling back");
    if (!release_target(engine, error) || !close_rounds(engine, error) ||
        (engine->vm->was_running && !start_source(engine, error)))
        return FALSE;
    tracking_restore(engine);
    return store_request_close_all(engine->store, id, "the migration was rolled back", error) &&
           engine_move(engine, STAGE_ROLLED_BACK, error);
}
