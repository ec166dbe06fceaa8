#include "migration/progress.h"

#include "base/clock.h"
#include "migration/downtime.h"
#include "migration/facts.h"

#include <string.h>

static void set_real_or_null(Json *json, const char *key, gboolean known, double value)
{
    if (known)
        json_set_real(json, key, value);
    else
        json_set_take(json, key, json_null());
}

static double percent_of(const CopyProgress *progress)
{
    return progress->planned > 0 ? 100.0 * (double)progress->done / (double)progress->planned : 100.0;
}

static CopyMeter *meter_of(const EngineActivity *activity, const char *key)
{
    for (guint i = 0; i < activity->keys->len; i++) {
        if (strcmp(g_ptr_array_index(activity->keys, i), key) == 0)
            return g_ptr_array_index(activity->meters, i);
    }
    return NULL;
}

static CopyProgress sum_of(const EngineActivity *activity)
{
    CopyProgress sum = {.eta = 0};

    for (guint i = 0; i < activity->meters->len; i++) {
        CopyProgress one = copy_meter_read(g_ptr_array_index(activity->meters, i));

        sum.planned += one.planned;
        sum.done += one.done;
        sum.bytes_read += one.bytes_read;
        sum.bytes_written += one.bytes_written;
        sum.bytes_zero += one.bytes_zero;
        sum.rate += one.rate;
        /* The disk that is ready last says when all are; one that does not know, makes it unknown. */
        sum.eta = sum.eta < 0 || one.eta < 0 ? -1 : MAX(sum.eta, one.eta);
    }
    return sum;
}

static void put_copy(Json *json, const CopyProgress *progress, gboolean copying)
{
    set_real_or_null(json, "percent", copying, percent_of(progress));
    json_set_integer(json, "bytes_planned", (gint64)progress->planned);
    json_set_integer(json, "bytes_done", (gint64)progress->done);
    json_set_integer(json, "bytes_read", (gint64)progress->bytes_read);
    json_set_integer(json, "bytes_written", (gint64)progress->bytes_written);
    json_set_integer(json, "bytes_zero", (gint64)progress->bytes_zero);
    set_real_or_null(json, "rate", copying, progress->rate);
    set_real_or_null(json, "eta", copying && progress->eta >= 0, progress->eta);
}

static Json *disk_to_json(const MachineDisk *disk, const StoreDisk *row, CopyMeter *meter)
{
    Json *json = json_object();
    CopyProgress progress = {.eta = -1};

    if (meter != NULL)
        progress = copy_meter_read(meter);
    json_set_string(json, "key", disk->key);
    json_set_string(json, "label", disk->label);
    json_set_integer(json, "size", (gint64)disk->size);
    json_set_integer(json, "planned", (gint64)progress.planned);
    json_set_integer(json, "done", (gint64)progress.done);
    set_real_or_null(json, "percent", meter != NULL, percent_of(&progress));
    set_real_or_null(json, "rate", meter != NULL, progress.rate);
    set_real_or_null(json, "eta", meter != NULL && progress.eta >= 0, progress.eta);
    json_set_integer(json, "bytes_written", (gint64)progress.bytes_written);
    json_set_integer(json, "bytes_zero", (gint64)progress.bytes_zero);
    json_set_string(json, "target", row != NULL ? row->target_path : NULL);
    return json;
}

static Json *disks_to_json(Engine *engine)
{
    Json *list = json_array();

    for (guint i = 0; engine->machine != NULL && i < engine->machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(engine->machine->disks, i);

        json_array_append_new(
            list, disk_to_json(disk, engine_disk(engine, disk->key), meter_of(&engine->activity, disk->key)));
    }
    return list;
}

static void put_prediction(Json *json, Engine *engine)
{
    double since = engine->frozen_at > 0 ? clock_monotonic() - engine->frozen_at : 0;
    Prediction prediction = convergence_predict(engine->convergence, MAX(since, 1));

    set_real_or_null(json, "dirty_rate", prediction.known, prediction.dirty_rate);
    set_real_or_null(json, "predicted_downtime", prediction.known, prediction.downtime);
    set_real_or_null(json, "downtime_floor", prediction.known, prediction.floor);
    json_set_string(json, "verdict", engine->activity.verdict);
}

/* Display only: a store that fails here fails where it matters too. */
static void put_fact(Json *json, Engine *engine, const char *key, const char *fact)
{
    g_autoptr(GError) ignored = NULL;
    double value = -1;
    gboolean known = fact_get_real(engine->store, engine->id, fact, -1, &value, &ignored) && value >= 0;

    set_real_or_null(json, key, known, value);
}

static void put_requests(Json *json, Engine *engine)
{
    const char *reason = engine->activity.shutdown_reason;

    json_set_boolean(json, "finalize_requested", engine->requests.finalize || engine->requests.finalize_now);
    json_set_boolean(json, "finalize_now_requested", engine->requests.finalize_now);
    json_set_string(json, "required_action", reason != NULL ? "shutdown_choice" : NULL);
    json_set_string(json, "shutdown_reason", reason);
}

char *progress_to_json(Engine *engine)
{
    EngineActivity *activity = &engine->activity;
    CopyProgress sum = sum_of(activity);
    g_autoptr(Json) json = json_object();
    g_autoptr(GError) ignored = NULL;
    Json *downtime;

    json_set_string(json, "stage", stage_name(engine->stage));
    json_set_string(
        json, "next_stage",
        stage_next_name(engine->stage, engine->requests.finalize || engine->requests.finalize_now));
    json_set_take(json, "round", activity->round >= 0 ? json_integer(activity->round) : json_null());
    json_set_string(json, "round_kind", activity->round_kind);
    json_set_string(json, "activity", activity->activity);
    put_copy(json, &sum, activity->meters->len > 0);
    json_set_integer(json, "total_read", (gint64)(activity->total_read + sum.bytes_read));
    json_set_integer(json, "total_written", (gint64)(activity->total_written + sum.bytes_written));
    json_set_integer(json, "rounds", activity->rounds);
    set_real_or_null(json, "next_round_in", activity->next_round_in >= 0, activity->next_round_in);
    put_prediction(json, engine);
    put_fact(json, engine, "base_rate", FACT_BASE_RATE);
    put_fact(json, engine, "predicted_at_cutover", FACT_PREDICTED);
    put_requests(json, engine);
    downtime = downtime_to_json(engine->store, engine->id, &ignored);
    json_set_take(json, "downtime", downtime != NULL ? downtime : json_null());
    json_set_take(json, "disks", disks_to_json(engine));
    return json_to_line(json);
}
