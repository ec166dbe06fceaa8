/* The model, per disk.
 *
 * Changed data.  What a guest dirties in t seconds is a set of blocks, not a stream of bytes: hot blocks are
 * written again and again.  So D(t) rises steeply, bends, and saturates at the working set W: D(t) = W (1 -
 * exp(-t / tau)). A guest that only appends is the limit tau -> infinity, a straight line.  tau is searched
 * on a logarithmic grid; for each tau the W with the least squared relative error has a closed form.  Recent
 * rounds weigh more, because load changes. The straight line wins ties: from one round alone no curvature can
 * be known.
 *
 * A bound.  Whatever the curve, D never falls with t and, being concave, D(t)/t never rises.  So each round
 * (t_i, D_i) that was measured limits every other: D(t) <= D_i for t <= t_i, and D(t) <= D_i t / t_i for t >
 * t_i.  The least of these needs no trust in a fit.  The prediction is shown from the fit; a cutover is
 * decided by the bound.
 *
 * Copying.  seconds = a + D / B: least squares over the rounds, with a >= 0 and B > 0; disks are copied side
 * by side, so that the slowest one counts.
 *
 * The cutover.  The last warm round starts now: it carries D(since) and takes T1.  While it runs and while
 * the guest shuts down T1 + shutdown seconds pass, and the final round carries what was dirtied in them.
 * Rounds that follow each other at once tend to the fixed point t = T(D(t)): the floor.
 */
#include "migration/converge.h"

#include "base/error.h"
#include "base/size.h"

#include <math.h>

#define SAMPLES_MAX 16u
#define DISKS_MAX   4096u
/* How much less each older round counts. */
#define FADE 0.8
/* Used until a delta was measured. */
#define DEFAULT_RATE (50.0 * 1024 * 1024)
/* What a measured bound is raised by before a cutover rests on it. */
#define MARGIN            1.15
#define FIXED_POINT_STEPS 64

static const CutoverCosts default_costs = {
    .round_fixed = 10, .shutdown = 30, .settle = 15, .convert = 0, .import = 2, .start = 5};

typedef struct {
    RoundSample samples[SAMPLES_MAX]; /* oldest first */
    guint n;
    double working_set, tau; /* tau INFINITY: working_set is a rate, bytes per second */
    double copy_fixed, copy_rate;
} DiskModel;

struct Convergence {
    GHashTable *disks; /* name -> DiskModel */
    CutoverCosts costs;
};

Convergence *convergence_new(void)
{
    Convergence *convergence = g_new0(Convergence, 1);

    convergence->disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    convergence->costs = default_costs;
    return convergence;
}

void convergence_free(Convergence *convergence)
{
    if (convergence == NULL)
        return;
    g_hash_table_unref(convergence->disks);
    g_free(convergence);
}

/* --- fitting --- */

static double shape(double t, double tau)
{
    return isinf(tau) ? t : -expm1(-t / tau);
}

static double weight_of(const DiskModel *model, guint index)
{
    double changed = MAX((double)model->samples[index].changed, 65536.0);

    return pow(FADE, (double)(model->n - 1 - index)) / (changed * changed);
}

/* The best working set for `tau`; returns the squared relative error. */
static double fit_working_set(const DiskModel *model, double tau, double *ret_working_set)
{
    double fd = 0, ff = 0, error = 0;

    for (guint i = 0; i < model->n; i++) {
        double f = shape(model->samples[i].interval, tau), w = weight_of(model, i);

        fd += w * f * (double)model->samples[i].changed;
        ff += w * f * f;
    }
    *ret_working_set = ff > 0 ? fd / ff : 0;
    for (guint i = 0; i < model->n; i++) {
        double miss =
            *ret_working_set * shape(model->samples[i].interval, tau) - (double)model->samples[i].changed;

        error += weight_of(model, i) * miss * miss;
    }
    return error;
}

static void fit_changed(DiskModel *model)
{
    double best = fit_working_set(model, (double)INFINITY, &model->working_set);

    model->tau = (double)INFINITY;
    for (double tau = 1e6; tau > 0.5; tau /= 1.15) {
        double working_set, error = fit_working_set(model, tau, &working_set);

        /* Much better, or the line stays. */
        if (error < best * 0.98 - 1e-9) {
            best = error;
            model->tau = tau;
            model->working_set = working_set;
        }
    }
}

static void fit_copying(DiskModel *model)
{
    double n = 0, d = 0, s = 0, dd = 0, ds = 0, slope, spread;

    for (guint i = 0; i < model->n; i++) {
        double w = pow(FADE, (double)(model->n - 1 - i));
        double changed = (double)model->samples[i].changed, seconds = model->samples[i].seconds;

        n += w;
        d += w * changed;
        s += w * seconds;
        dd += w * changed * changed;
        ds += w * changed * seconds;
    }
    spread = n * dd - d * d;
    slope = spread > dd * n * 0.01 ? (n * ds - d * s) / spread : -1;
    model->copy_fixed = slope > 0 ? (s - slope * d) / n : -1;
    if (slope <= 0 || model->copy_fixed < 0) {
        model->copy_fixed = 0;
        slope = d > 0 ? s / d : 0;
    }
    model->copy_rate = slope > 0 ? 1 / slope : DEFAULT_RATE;
}

void convergence_add_round(Convergence *convergence, const char *disk, const RoundSample *sample)
{
    DiskModel *model = g_hash_table_lookup(convergence->disks, disk);

    if (!(sample->interval > 0) || !(sample->seconds >= 0) || isinf(sample->interval) ||
        isinf(sample->seconds))
        return;
    if (model == NULL) {
        model = g_new0(DiskModel, 1);
        g_hash_table_insert(convergence->disks, g_strdup(disk), model);
    }
    if (model->n == SAMPLES_MAX) {
        for (guint i = 1; i < SAMPLES_MAX; i++)
            model->samples[i - 1] = model->samples[i];
        model->n--;
    }
    model->samples[model->n++] = *sample;
    fit_changed(model);
    fit_copying(model);
}

static double known_or(double value, double otherwise)
{
    return value >= 0 ? value : otherwise;
}

void convergence_set_costs(Convergence *convergence, const CutoverCosts *costs)
{
    convergence->costs = (CutoverCosts){
        .round_fixed = known_or(costs->round_fixed, default_costs.round_fixed),
        .shutdown = known_or(costs->shutdown, default_costs.shutdown),
        .settle = known_or(costs->settle, default_costs.settle),
        .convert = known_or(costs->convert, default_costs.convert),
        .import = known_or(costs->import, default_costs.import),
        .start = known_or(costs->start, default_costs.start),
    };
}

/* --- predicting --- */

typedef double (*ChangedAfter)(const DiskModel *model, double t);

static double changed_fitted(const DiskModel *model, double t)
{
    return model->working_set * shape(t, model->tau);
}

/* The load of the last rounds counts; what was measured long ago says nothing about it. */
#define BOUND_SAMPLES 4u
/* A glance of a second says nothing about a minute, unless there is nothing better. */
#define STRETCH_MAX 4.0

static double changed_bound(const DiskModel *model, double t)
{
    double bound = (double)INFINITY, longest = 0, bound_of_longest = 0;

    for (guint i = model->n > BOUND_SAMPLES ? model->n - BOUND_SAMPLES : 0; i < model->n; i++) {
        const RoundSample *sample = &model->samples[i];
        double stretch = MAX(t / sample->interval, 1.0), limit = (double)sample->changed * stretch;

        if (stretch <= STRETCH_MAX)
            bound = MIN(bound, limit);
        if (sample->interval > longest) {
            longest = sample->interval;
            bound_of_longest = limit;
        }
    }
    return (isinf(bound) ? bound_of_longest : bound) * MARGIN;
}

/* Seconds of a round, its fixed part included, that carries what `t` seconds dirtied. */
static double round_seconds(const Convergence *convergence, ChangedAfter changed, double t)
{
    GHashTableIter iter;
    gpointer value;
    double slowest = 0;

    g_hash_table_iter_init(&iter, convergence->disks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const DiskModel *model = value;

        slowest = MAX(slowest, model->copy_fixed + changed(model, t) / model->copy_rate);
    }
    return convergence->costs.round_fixed + slowest;
}

static double fixed_seconds(const CutoverCosts *costs)
{
    return costs->shutdown + costs->settle + costs->round_fixed + costs->convert + costs->import +
           costs->start;
}

static double downtime_after(const Convergence *convergence, ChangedAfter changed, double warm_seconds)
{
    const CutoverCosts *costs = &convergence->costs;

    return fixed_seconds(costs) - costs->round_fixed +
           round_seconds(convergence, changed, warm_seconds + costs->shutdown);
}

/* The length to which rounds tend that follow each other at once. */
static double steady_round(const Convergence *convergence)
{
    double t = convergence->costs.round_fixed;

    for (guint i = 0; i < FIXED_POINT_STEPS; i++)
        t = MIN(round_seconds(convergence, changed_fitted, t), 1e9);
    return t;
}

static void add_rates(const Convergence *convergence, Prediction *prediction)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, convergence->disks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const DiskModel *model = value;
        const RoundSample *last = &model->samples[model->n - 1];

        prediction->dirty_rate += (double)last->changed / last->interval;
        prediction->throughput += model->copy_rate;
    }
}

Prediction convergence_predict(const Convergence *convergence, double since_last)
{
    Prediction prediction = {.known = g_hash_table_size(convergence->disks) > 0,
                             .fixed = fixed_seconds(&convergence->costs)};

    if (!prediction.known)
        return prediction;
    add_rates(convergence, &prediction);
    prediction.next_round = round_seconds(convergence, changed_fitted, since_last);
    prediction.downtime = downtime_after(convergence, changed_fitted, prediction.next_round);
    prediction.at_most =
        downtime_after(convergence, changed_bound, round_seconds(convergence, changed_bound, since_last));
    prediction.floor = downtime_after(convergence, changed_fitted, steady_round(convergence));
    return prediction;
}

/* --- the verdict --- */

static guint fewest_rounds(const Convergence *convergence)
{
    GHashTableIter iter;
    gpointer value;
    guint fewest = G_MAXUINT;

    g_hash_table_iter_init(&iter, convergence->disks);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        fewest = MIN(fewest, ((const DiskModel *)value)->n);
    return fewest == G_MAXUINT ? 0 : fewest;
}

static char *never_reason(const Prediction *prediction, double max_downtime)
{
    g_autofree char *most = duration_format(max_downtime), *floor = duration_format(prediction->floor);
    g_autofree char *fixed = duration_format(prediction->fixed);
    g_autofree char *dirty = size_format_rate(prediction->dirty_rate);
    g_autofree char *rate = size_format_rate(prediction->throughput);

    if (prediction->fixed > max_downtime)
        return g_strdup_printf(
            "a downtime of %s cannot be reached: %s are shutdown, settling, import and start, however "
            "little there is to copy; allow more, or shorten finalize_settle_seconds",
            most, fixed);
    return g_strdup_printf(
        "a downtime of %s cannot be reached: the best is %s, because the guest changes %s and deltas are "
        "copied at %s; allow more, quiet the guest, or raise the bandwidth",
        most, floor, dirty, rate);
}

ConvergeVerdict convergence_verdict(const Convergence *convergence, double since_last, double max_downtime,
                                    char **ret_reason)
{
    Prediction prediction = convergence_predict(convergence, since_last);
    g_autofree char *most = duration_format(max_downtime), *expected = duration_format(prediction.downtime);

    if (!prediction.known) {
        *ret_reason = g_strdup("no delta was copied yet");
        return CONVERGE_WAIT;
    }
    if (prediction.at_most <= max_downtime) {
        *ret_reason =
            g_strdup_printf("the predicted downtime of %s is within the %s allowed", expected, most);
        return CONVERGE_CUT_OVER;
    }
    if (prediction.floor > max_downtime && fewest_rounds(convergence) >= 2) {
        *ret_reason = never_reason(&prediction, max_downtime);
        return CONVERGE_NEVER;
    }
    *ret_reason =
        g_strdup_printf("the predicted downtime of %s is %s the %s allowed", expected,
                        prediction.downtime <= max_downtime ? "only just proven to be near" : "above", most);
    return prediction.floor <= max_downtime ? CONVERGE_PROBE : CONVERGE_WAIT;
}

/* --- keeping it --- */

static Json *model_to_json(const DiskModel *model)
{
    Json *list = json_array();

    for (guint i = 0; i < model->n; i++) {
        Json *row = json_array();

        json_array_append_new(row, json_real(model->samples[i].interval));
        json_array_append_new(row, json_integer((json_int_t)model->samples[i].changed));
        json_array_append_new(row, json_real(model->samples[i].seconds));
        json_array_append_new(list, row);
    }
    return list;
}

Json *convergence_to_json(const Convergence *convergence)
{
    Json *json = json_object(), *disks = json_object();
    GHashTableIter iter;
    gpointer key, value;

    json_set_integer(json, "version", 1);
    g_hash_table_iter_init(&iter, convergence->disks);
    while (g_hash_table_iter_next(&iter, &key, &value))
        json_set_take(disks, key, model_to_json(value));
    json_set_take(json, "disks", disks);
    return json;
}

static gboolean add_rows(Convergence *convergence, const char *disk, Json *rows, GError **error)
{
    size_t index;
    Json *row;

    json_array_foreach(rows, index, row)
    {
        RoundSample sample = {.interval = json_number_value(json_array_get(row, 0)),
                              .changed = (guint64)json_integer_value(json_array_get(row, 1)),
                              .seconds = json_number_value(json_array_get(row, 2))};

        if (json_array_size(row) != 3 || json_integer_value(json_array_get(row, 1)) < 0)
            return vf_fail(error, VF_ERROR_INVALID,
                           "convergence model: disk %s: round %zu is not [interval, bytes, "
                           "seconds]",
                           disk, index);
        convergence_add_round(convergence, disk, &sample);
    }
    return TRUE;
}

Convergence *convergence_from_json(const Json *json, GError **error)
{
    g_autoptr(Convergence) convergence = convergence_new();
    Json *disks = json_object_get(json, "disks"), *rows;
    const char *disk;

    if (json_get_integer(json, "version") != 1 || !json_is_object(disks) ||
        json_object_size(disks) > DISKS_MAX) {
        vf_fail(error, VF_ERROR_INVALID, "convergence model: version 1 with \"disks\" is expected");
        return NULL;
    }
    json_object_foreach(disks, disk, rows)
    {
        if (!add_rows(convergence, disk, rows, error))
            return NULL;
    }
    return g_steal_pointer(&convergence);
}
