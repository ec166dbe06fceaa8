#include "migration/cutover.h"

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "base/size.h"
#include "migration/costs.h"
#include "migration/downtime.h"
#include "migration/facts.h"
#include "migration/round.h"
#include "migration/shutdown.h"
#include "migration/snapshots.h"
#include "migration/source.h"
#include "migration/verification.h"

#include <string.h>

/* --- the last round --- */

/* What would make the cutover fail is found while the source still runs. */
static gboolean check_before_power(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);
    g_autoptr(Findings) findings = findings_new();

    if (vm == NULL || !source_check_disks(engine->machine, vm->disks, error))
        return FALSE;
    if (strcmp(vm->power_state, "poweredOff") == 0)
        return TRUE;
    return target_preflight(engine->target, engine->machine, TRUE, findings, error) &&
           findings_check(findings, error);
}

/* The pause is used: what the last warm round wrote is read back in it. */
static gboolean settle(Engine *engine, GError **error)
{
    gint64 off_at = 0;
    gboolean cold = FALSE;
    double left;

    if (!fact_is_set(engine->store, engine->id, FACT_COLD, &cold, error))
        return FALSE;
    if (!cold) {
        if (!verification_catch_up(engine, error) ||
            !fact_get_integer(engine->store, engine->id, FACT_OFF_AT, &off_at, error))
            return FALSE;
        left = costs_settle(engine) - (double)(clock_now() - off_at) / 1e6;
        engine_doing(engine, "letting the source settle");
        if (!engine_wait(engine, CLAMP(left, 0, costs_settle(engine)), error))
            return FALSE;
    }
    if (!fact_set_now_once(engine->store, engine->id, FACT_SETTLED_AT, error))
        return FALSE;
    crash_point("cutover.settled");
    return TRUE;
}

/* A VM that was off all the time has no last round: its copy was it. */
static gboolean last_round(Engine *engine, GError **error)
{
    g_autoptr(StoreRound) last = store_round_last(engine->store, engine->id, error);

    if (last == NULL && *error != NULL)
        return FALSE;
    if (last != NULL && last->state == ROUND_CLOSED && engine->off_round == last->number + 1)
        return TRUE;
    return round_run(engine, ROUND_KIND_FINAL, TRUE, error);
}

static gboolean after_shutdown(Engine *engine, GError **error)
{
    if (!settle(engine, error) || !last_round(engine, error) ||
        !fact_set_now_once(engine->store, engine->id, FACT_COPIED_AT, error) ||
        !verification_catch_up(engine, error) ||
        !fact_set_now_once(engine->store, engine->id, FACT_VERIFIED_AT, error))
        return FALSE;
    crash_point("cutover.verified");
    return cutover_check_source(engine, error) && engine_move(engine, STAGE_CONVERTING, error);
}

gboolean cutover_final_sync(Engine *engine, GError **error)
{
    if (!check_before_power(engine, error) || !round_finish_open(engine, error))
        return FALSE;
    switch (shutdown_source(engine, error)) {
    case SHUTDOWN_OFF:
        return after_shutdown(engine, error);
    case SHUTDOWN_AWAITS:
        return TRUE;
    case SHUTDOWN_FAILED:
        break;
    }
    return FALSE;
}

/* --- handing over --- */

gboolean cutover_has_taken_over(Engine *engine, gboolean *ret, GError **error)
{
    g_autofree char *state = store_fact_get(engine->store, engine->id, FACT_TAKEN_OVER, error);

    *ret = g_strcmp0(state, TAKEN_OVER) == 0;
    return state != NULL || *error == NULL;
}

gboolean cutover_check_source(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);

    if (vm == NULL || !source_check_disks(engine->machine, vm->disks, error))
        return FALSE;
    if (strcmp(vm->power_state, "poweredOff") != 0)
        return vf_fail(
            error, VF_ERROR_CONFLICT,
            "%s runs at the source again: the target is out of date; retry goes back to replication",
            engine->vm->name);
    for (guint i = 0; i < engine->disks->len; i++) {
        const StoreDisk *disk = g_ptr_array_index(engine->disks, i);
        const VsphereDisk *now = source_find_disk(vm->disks, disk->key);

        if (disk->change_id != NULL && g_strcmp0(now->change_id, disk->change_id) != 0)
            return vf_fail(
                error, VF_ERROR_CONFLICT,
                "disk %s changed at the source after the last round; retry goes back to replication",
                disk->key);
    }
    return TRUE;
}

gboolean cutover_convert(Engine *engine, GError **error)
{
    if (engine->spec->run_virt_v2v)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "run_virt_v2v: converting guests is not built yet; set it to false");
    return fact_set_now_once(engine->store, engine->id, FACT_CONVERTED_AT, error) &&
           engine_move(engine, STAGE_IMPORT_ROOT_DISK, error);
}

static const char **image_paths(Engine *engine)
{
    const char **paths = g_new0(const char *, engine->disks->len + 1);

    for (guint i = 0; i < engine->disks->len; i++)
        paths[i] = ((StoreDisk *)g_ptr_array_index(engine->disks, i))->target_path;
    return paths;
}

gboolean cutover_import_root(Engine *engine, GError **error)
{
    g_autofree const char **paths = image_paths(engine);
    g_autofree char *id = NULL;

    engine_doing(engine, "importing at the target");
    if (engine->disks->len != engine->machine->disks->len)
        return vf_fail(error, VF_ERROR_INTERNAL, "%u disks were copied of %u", engine->disks->len,
                       engine->machine->disks->len);
    if (!store_fact_set(engine->store, engine->id, FACT_IMPORTING, "1", error))
        return FALSE;
    crash_point("import.recorded");
    if (!target_import(engine->target, engine->machine, paths, &id, error) ||
        !store_fact_set(engine->store, engine->id, FACT_TARGET_ID, id, error))
        return FALSE;
    crash_point("import.defined");
    return fact_set_now_once(engine->store, engine->id, FACT_IMPORTED_AT, error) &&
           engine_move(engine, STAGE_IMPORT_DATA_DISK, error);
}

/* Two of one machine on one network are worse than none: looked at once more, and recorded, before the second
 * is started. */
static gboolean start_target(Engine *engine, GError **error)
{
    g_autofree char *id = store_fact_get(engine->store, engine->id, FACT_TARGET_ID, error);

    gboolean started = FALSE;

    if (*error != NULL || !cutover_has_taken_over(engine, &started, error))
        return FALSE;
    if (started || !target_wants_start(engine->target))
        return TRUE;
    engine_doing(engine, "starting the target");
    return cutover_check_source(engine, error) &&
           store_fact_set(engine->store, engine->id, FACT_TAKEN_OVER, TAKING_OVER, error) &&
           target_start(engine->target, id, error) &&
           store_fact_set(engine->store, engine->id, FACT_TAKEN_OVER, TAKEN_OVER, error);
}

static gboolean announce_downtime(Engine *engine, GError **error)
{
    g_autoptr(Json) downtime = downtime_to_json(engine->store, engine->id, error);
    g_autoptr(GString) text = g_string_new(NULL);
    const char *part;
    json_t *value;

    if (downtime == NULL)
        return *error == NULL;
    json_object_foreach(downtime, part, value)
    {
        g_autofree char *lasted = duration_format(json_real_value(value));

        g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", part, lasted);
    }
    engine_event(engine, LOG_INFO, "cutover", "downtime: %s", text->str);
    return TRUE;
}

/* The target has what it needs: a snapshot that resists is a warning, not a failure. */
static void clear_snapshots(Engine *engine)
{
    g_autoptr(GError) failed = NULL;

    if (!snapshots_clear(engine, NULL, &failed))
        engine_event(engine, LOG_ERROR, "snapshot", "a snapshot is left at the source, remove it by hand: %s",
                     failed->message);
}

gboolean cutover_import_data(Engine *engine, GError **error)
{
    if (!start_target(engine, error))
        return FALSE;
    crash_point("import.started");
    if (!fact_set_now_once(engine->store, engine->id, FACT_READY_AT, error))
        return FALSE;
    clear_snapshots(engine);
    if (!announce_downtime(engine, error) ||
        !store_request_close_all(engine->store, engine->id, "the migration is done", error) ||
        !engine_move(engine, STAGE_DONE, error))
        return FALSE;
    crash_point("cutover.done-recorded");
    return TRUE;
}
