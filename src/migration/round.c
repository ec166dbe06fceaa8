#include "migration/round.h"

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "base/size.h"
#include "migration/facts.h"
#include "migration/round-plan.h"
#include "migration/snapshots.h"
#include "migration/source.h"

#include <string.h>

#define TRIES_MAX   7u
#define BACKOFF_MAX 60.0

static StoreRound *new_row(Engine *engine, const char *kind, gboolean off, GError **error)
{
    g_autoptr(StoreRound) last = store_round_last(engine->store, engine->id, error);
    g_autoptr(StoreRound) row = g_new0(StoreRound, 1);

    if (last == NULL && *error != NULL)
        return NULL;
    row->number = last != NULL ? last->number + 1 : 0;
    row->kind = g_strdup(kind);
    row->state = ROUND_INTENT;
    row->snapshot_name = off ? NULL : snapshot_name_new(engine, kind);
    row->started = clock_now();
    return store_round_create(engine->store, engine->id, row, &row->id, error) ? g_steal_pointer(&row) : NULL;
}

/* --- copying --- */

static gboolean checkpoint(const Extents *done, gpointer data, GError **error)
{
    RoundDisk *disk = data;
    g_autoptr(GBytes) bytes = extents_to_bytes(done);

    return store_round_disk_done(disk->round->engine->store, disk->round->row->id, disk->row->key, bytes,
                                 error);
}

static CopyJob job_of(RoundDisk *disk)
{
    return (CopyJob){
        .source = disk->source,
        .target = disk->target,
        .plan = disk->plan,
        .done = disk->done,
        .sums = disk->sums,
        .fresh_target = disk->row->mode == ROUND_MODE_FULL,
        .compare = disk->row->mode == ROUND_MODE_COMPARE,
        .checkpoint = checkpoint,
        .data = disk,
        .meter = disk->meter,
    };
}

static void show_disk(Engine *engine, RoundDisk *disk)
{
    g_ptr_array_add(engine->activity.keys, disk->row->key);
    g_ptr_array_add(engine->activity.meters, disk->meter);
}

static gboolean copy_disks(Round *round, GError **error)
{
    Engine *engine = round->engine;
    const VmSpec *spec = engine->spec;
    g_autoptr(GArray) jobs = g_array_new(FALSE, FALSE, sizeof(CopyJob));
    CopyOptions options = {
        .parallel_disks = spec->parallel_disks,
        .threads = spec->readers,
        .checkpoint_ms = spec->checkpoint_seconds * 1000,
        .limit = engine->limit,
        .cancel = engine->context->cancel,
        .tick = engine_tick,
        .tick_data = engine,
    };
    gboolean copied;

    for (guint i = 0; i < round->disks->len; i++) {
        RoundDisk *disk = g_ptr_array_index(round->disks, i);
        CopyJob job = job_of(disk);

        if (disk->row->complete)
            continue;
        g_array_append_val(jobs, job);
        show_disk(engine, disk);
    }
    engine_doing(engine, "copying");
    engine->watch_power = round->off;
    copied = copy_run((const CopyJob *)(void *)jobs->data, jobs->len, &options, error);
    engine->watch_power = FALSE;
    return copied;
}

/* Sources are closed before a snapshot goes; an image counts only when it closed well. */
static gboolean close_disks(Round *round, GError **error)
{
    for (guint i = 0; i < round->disks->len; i++) {
        RoundDisk *disk = g_ptr_array_index(round->disks, i);

        disk_free(g_steal_pointer(&disk->source));
        sums_free(g_steal_pointer(&disk->sums));
        if (disk->target != NULL && !disk_close(g_steal_pointer(&disk->target), error))
            return FALSE;
    }
    return TRUE;
}

static CopyProgress total_of(const Round *round)
{
    CopyProgress total = {0};

    for (guint i = 0; i < round->disks->len; i++) {
        CopyProgress one = copy_meter_read(((RoundDisk *)g_ptr_array_index(round->disks, i))->meter);

        total.planned += one.planned;
        total.bytes_read += one.bytes_read;
        total.bytes_written += one.bytes_written;
        total.bytes_zero += one.bytes_zero;
        total.bytes_same += one.bytes_same;
        total.retries += one.retries;
        total.elapsed = MAX(total.elapsed, one.elapsed);
    }
    return total;
}

static char *stats_of(const Round *round)
{
    CopyProgress total = total_of(round);
    g_autoptr(Json) json = json_object();

    json_set_integer(json, "planned", (gint64)total.planned);
    json_set_integer(json, "read", (gint64)total.bytes_read);
    json_set_integer(json, "written", (gint64)total.bytes_written);
    json_set_integer(json, "zero", (gint64)total.bytes_zero);
    json_set_integer(json, "same", (gint64)total.bytes_same);
    json_set_integer(json, "retries", total.retries);
    json_set_real(json, "copy_seconds", total.elapsed);
    return json_to_line(json);
}

/* The data are durable: now, and not before, the change ids move on. */
static gboolean commit(Round *round, GError **error)
{
    Engine *engine = round->engine;

    crash_point("round.copied");
    for (guint i = 0; i < round->disks->len; i++) {
        RoundDisk *disk = g_ptr_array_index(round->disks, i);

        if (!store_round_disk_complete(engine->store, engine->id, round->row->id, disk->row->key, error) ||
            !round_set_base(engine, disk->row->key, error))
            return FALSE;
        g_free(disk->disk->change_id);
        disk->disk->change_id = g_strdup(disk->row->change_id);
        disk->disk->size = disk->row->size;
    }
    round->row->stats = stats_of(round);
    round->row->state = ROUND_COPIED;
    if (!store_round_update(engine->store, round->row, error))
        return FALSE;
    crash_point("round.committed");
    return TRUE;
}

/* --- closing --- */

/* A snapshot that cannot be removed now is tried again before the next round and at the end. */
static gboolean remove_snapshot(Engine *engine, const StoreRound *row, GError **error)
{
    g_autoptr(GError) failed = NULL;

    engine_doing(engine, "removing the snapshot");
    if (snapshot_drop(engine, row->snapshot_name, row->snapshot, &failed))
        return TRUE;
    if (vf_error_is(failed, VF_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return FALSE;
    }
    engine_event(engine, LOG_WARNING, "snapshot", "%s; it will be tried again", failed->message);
    return TRUE;
}

static gboolean close_round(Engine *engine, StoreRound *row, RoundState state, GError **error)
{
    if (row->snapshot_name != NULL && !remove_snapshot(engine, row, error))
        return FALSE;
    row->state = state;
    row->ended = clock_now();
    if (!store_round_update(engine->store, row, error))
        return FALSE;
    if (state == ROUND_CLOSED)
        crash_point("round.closed");
    return TRUE;
}

static gboolean save_base_rate(const Round *round, const CopyProgress *total, GError **error)
{
    Engine *engine = round->engine;

    if (strcmp(round->row->kind, ROUND_KIND_BASE) != 0 || total->elapsed <= 0)
        return TRUE;
    return fact_set_real(engine->store, engine->id, FACT_BASE_RATE, (double)total->planned / total->elapsed,
                         error);
}

static gboolean save_totals(Engine *engine, const CopyProgress *total, GError **error)
{
    EngineActivity *activity = &engine->activity;

    g_ptr_array_set_size(activity->meters, 0);
    g_ptr_array_set_size(activity->keys, 0);
    activity->total_read += total->bytes_read;
    activity->total_written += total->bytes_written;
    return fact_set_integer(engine->store, engine->id, FACT_TOTAL_READ, (gint64)activity->total_read,
                            error) &&
           fact_set_integer(engine->store, engine->id, FACT_TOTAL_WRITTEN, (gint64)activity->total_written,
                            error);
}

static void announce(Engine *engine, const StoreRound *row, const CopyProgress *total, double seconds)
{
    g_autofree char *read = size_format(total->bytes_read), *written = size_format(total->bytes_written);
    g_autofree char *lasted = duration_format(seconds);

    engine_event(engine, LOG_INFO, "round", "round %u (%s): %s read, %s written, %s", row->number, row->kind,
                 read, written, lasted);
}

/* --- what the model learns --- */

static gboolean save_model(Engine *engine, GError **error)
{
    g_autoptr(Json) json = convergence_to_json(engine->convergence);
    g_autofree char *line = json_to_line(json);

    return store_fact_set(engine->store, engine->id, FACT_CONVERGENCE, line, error);
}

/* Only rounds that copied what changed since a round that this process froze say anything about the guest. */
static void add_samples(Round *round)
{
    Engine *engine = round->engine;

    for (guint i = 0; i < round->disks->len; i++) {
        const RoundDisk *disk = g_ptr_array_index(round->disks, i);
        RoundSample sample = {.interval = round->frozen - engine->frozen_at,
                              .changed = disk->plan != NULL ? extents_total(disk->plan->read) : 0,
                              .seconds = copy_meter_read(disk->meter).elapsed};

        if (disk->row->mode == ROUND_MODE_CHANGED && disk->plan != NULL)
            convergence_add_round(engine->convergence, disk->row->key, &sample);
    }
}

static gboolean learn_fixed(Engine *engine, double fixed, GError **error)
{
    double before = 0;

    return fact_get_real(engine->store, engine->id, FACT_ROUND_FIXED, fixed, &before, error) &&
           fact_set_real(engine->store, engine->id, FACT_ROUND_FIXED, 0.5 * (before + fixed), error);
}

static gboolean learn(Round *round, double copy_seconds, GError **error)
{
    Engine *engine = round->engine;
    double fixed = clock_monotonic() - round->begun - copy_seconds;
    gboolean whole = round->frozen > 0 && !round->off && strcmp(round->row->kind, ROUND_KIND_BASE) != 0;

    if (whole && engine->frozen_at > 0)
        add_samples(round);
    engine->frozen_at = round->frozen;
    return (!whole || learn_fixed(engine, fixed, error)) && save_model(engine, error);
}

/* --- a round from its plan to its end --- */

static gboolean work_off(Round *round, GError **error)
{
    Engine *engine = round->engine;
    CopyProgress total;

    if (!copy_disks(round, error))
        return FALSE;
    total = total_of(round);
    if (!save_totals(engine, &total, error) || !save_base_rate(round, &total, error) ||
        !close_disks(round, error) || !commit(round, error))
        return FALSE;
    if (round->off) {
        engine->off_round = round->row->number + 1;
        crash_point("cutover.final-copied");
    }
    if (!close_round(engine, round->row, ROUND_CLOSED, error))
        return FALSE;
    engine->activity.rounds++;
    announce(engine, round->row, &total, clock_monotonic() - round->begun);
    return learn(round, total.elapsed, error);
}

static void show_round(Engine *engine, const StoreRound *row)
{
    engine->activity.round = (gint)row->number;
    g_free(engine->activity.round_kind);
    engine->activity.round_kind = g_strdup(row->kind);
}

static gboolean clear_leftovers(Engine *engine, GError **error)
{
    g_autoptr(GError) failed = NULL;

    if (snapshots_clear(engine, NULL, &failed))
        return TRUE;
    if (vf_error_is(failed, VF_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return FALSE;
    }
    engine_event(engine, LOG_WARNING, "snapshot", "%s; it will be tried again", failed->message);
    return TRUE;
}

static gboolean start_round(Engine *engine, const char *kind, gboolean off, GError **error)
{
    g_autoptr(Round) round = NULL;
    StoreRound *row;

    if (!clear_leftovers(engine, error))
        return FALSE;
    row = new_row(engine, kind, off, error);
    if (row == NULL)
        return FALSE;
    round = round_new(engine, row);
    round->off = off;
    show_round(engine, row);
    return round_freeze(round, error) && round_plan(round, error) && work_off(round, error);
}

/* --- what an earlier run left --- */

/* A VM that is off and whose change ids are those of the round did not run since.  Without ids nobody knows.
 */
static gboolean stayed_off(const VsphereVm *vm, const GPtrArray *rows)
{
    if (strcmp(vm->power_state, "poweredOff") != 0)
        return FALSE;
    for (guint i = 0; i < rows->len; i++) {
        const StoreRoundDisk *row = g_ptr_array_index(rows, i);
        const VsphereDisk *disk = source_find_disk(vm->disks, row->key);

        if (disk == NULL || row->change_id == NULL || g_strcmp0(disk->change_id, row->change_id) != 0)
            return FALSE;
    }
    return rows->len > 0;
}

static gboolean still_frozen(Engine *engine, const StoreRound *row, gboolean *ret, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(VsphereVm) vm = NULL;
    g_autofree char *found = NULL;

    *ret = FALSE;
    if (row->state != ROUND_FROZEN)
        return TRUE;
    if (row->snapshot_name != NULL) {
        found = vsphere_find_snapshot(engine->vsphere, engine->vm->moref, row->snapshot_name, error);
        *ret = found != NULL && g_strcmp0(found, row->snapshot) == 0;
        return found != NULL || *error == NULL;
    }
    rows = store_round_disk_list(engine->store, row->id, error);
    vm = rows != NULL ? engine_get_vm(engine, error) : NULL;
    if (vm == NULL)
        return FALSE;
    *ret = stayed_off(vm, rows);
    return TRUE;
}

static gboolean continue_round(Engine *engine, StoreRound *row, GError **error)
{
    g_autoptr(Round) round = round_new(engine, row);
    g_autoptr(GPtrArray) rows = store_round_disk_list(engine->store, row->id, error);
    g_autoptr(VsphereVm) vm = rows != NULL ? engine_get_vm(engine, error) : NULL;

    if (vm == NULL)
        return FALSE;
    round->off = row->snapshot_name == NULL;
    round->datacenter_path = g_strdup(vm->datacenter_path);
    engine_event(engine, LOG_INFO, "round", "round %u (%s) goes on where it stopped", row->number, row->kind);
    show_round(engine, row);
    g_ptr_array_set_free_func(rows, NULL);
    for (guint i = 0; i < rows->len; i++) {
        StoreRoundDisk *disk = g_ptr_array_index(rows, i);
        const MachineDisk *machine = machine_disk(engine->machine, disk->key);

        if (machine == NULL)
            return vf_fail(error, VF_ERROR_INTERNAL, "round %u has the unknown disk %s", row->number,
                           disk->key);
        if (round_add_disk(round, machine, disk, error) == NULL)
            return FALSE;
    }
    return round_reopen(round, error) && work_off(round, error);
}

static gboolean abandon(Engine *engine, StoreRound *row, GError **error)
{
    engine_event(engine, LOG_INFO, "round", "round %u (%s) is given up", row->number, row->kind);
    return close_round(engine, row, ROUND_ABANDONED, error);
}

/* *ret_kind is the kind of the round that was finished, NULL when none was. */
static gboolean finish_open(Engine *engine, char **ret_kind, GError **error)
{
    g_autoptr(StoreRound) last = store_round_last(engine->store, engine->id, error);
    g_autofree char *kind = NULL;
    gboolean frozen = FALSE, finished = FALSE;

    *ret_kind = NULL;
    if (last == NULL)
        return *error == NULL;
    if (!still_frozen(engine, last, &frozen, error))
        return FALSE;
    kind = g_strdup(last->kind);
    switch (resume_round(last, frozen)) {
    case RESUME_NOTHING:
        return TRUE;
    case RESUME_ABANDON:
        return abandon(engine, last, error);
    case RESUME_CONTINUE:
        finished = continue_round(engine, g_steal_pointer(&last), error);
        break;
    case RESUME_CLOSE:
        finished = close_round(engine, last, ROUND_CLOSED, error);
        break;
    }
    if (finished)
        *ret_kind = g_steal_pointer(&kind);
    return finished;
}

/* --- with patience --- */

static gboolean may_pass(const GError *error)
{
    return vf_error_traits(vf_error_class(error))->retry || vf_error_is(error, VF_ERROR_SOURCE_IO);
}

static gboolean attempt(Engine *engine, const char *kind, gboolean off, GError **error)
{
    g_autofree char *finished = NULL;

    if (!finish_open(engine, &finished, error))
        return FALSE;
    return kind == NULL || g_strcmp0(finished, kind) == 0 || start_round(engine, kind, off, error);
}

/* kind NULL: only what is open. */
static gboolean with_patience(Engine *engine, const char *kind, gboolean off, GError **error)
{
    double backoff = 2;

    for (guint i = 1;; i++) {
        g_autoptr(GError) failed = NULL;

        if (attempt(engine, kind, off, &failed))
            return TRUE;
        engine->watch_power = FALSE;
        if (i >= TRIES_MAX || !may_pass(failed)) {
            g_propagate_error(error, g_steal_pointer(&failed));
            return FALSE;
        }
        engine_event(engine, LOG_WARNING, "round", "%s; trying again in %.0f s (%u of %u)", failed->message,
                     backoff, i, TRIES_MAX - 1);
        engine_doing(engine, "waiting before another try");
        if (!engine_wait(engine, backoff, error))
            return FALSE;
        backoff = MIN(backoff * 2, BACKOFF_MAX);
    }
}

gboolean round_run(Engine *engine, const char *kind, gboolean off, GError **error)
{
    return with_patience(engine, kind, off, error);
}

gboolean round_finish_open(Engine *engine, GError **error)
{
    return with_patience(engine, NULL, FALSE, error);
}

gboolean round_abandon_open(Engine *engine, GError **error)
{
    g_autoptr(StoreRound) last = store_round_last(engine->store, engine->id, error);

    if (last == NULL)
        return *error == NULL;
    switch (last->state) {
    case ROUND_INTENT:
    case ROUND_FROZEN:
        return abandon(engine, last, error);
    case ROUND_COPIED:
        return close_round(engine, last, ROUND_CLOSED, error);
    case ROUND_CLOSED:
    case ROUND_ABANDONED:
        break;
    }
    return TRUE;
}

/* --- questions --- */

gboolean round_all_based(Engine *engine, gboolean *ret, GError **error)
{
    *ret = TRUE;
    for (guint i = 0; *ret && i < engine->machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(engine->machine->disks, i);

        if (!round_has_base(engine, disk->key, ret, error))
            return FALSE;
    }
    return TRUE;
}

gboolean round_count(Engine *engine, double *ret_since, GError **error)
{
    g_autoptr(GPtrArray) rounds = store_round_list(engine->store, engine->id, error);
    gint64 newest = 0;

    if (rounds == NULL)
        return FALSE;
    engine->activity.rounds = engine->deltas = 0;
    for (guint i = 0; i < rounds->len; i++) {
        const StoreRound *round = g_ptr_array_index(rounds, i);

        if (round->state != ROUND_CLOSED)
            continue;
        engine->activity.rounds++;
        engine->deltas += strcmp(round->kind, ROUND_KIND_BASE) != 0;
        newest = MAX(newest, round->started);
    }
    *ret_since = (double)MAX(clock_now() - newest, 0) / 1e6;
    return TRUE;
}
