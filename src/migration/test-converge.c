#include "base/size.h"
#include "migration/converge.h"

#include <math.h>

/* A guest: hot blocks, warm blocks, and an appended stream.  What it changes in t seconds, with some noise.
 */
typedef struct {
    double hot, hot_tau, warm, warm_tau, append;
    double bandwidth, copy_fixed;
    double noise; /* 0.05: five percent either way */
} Workload;

static const CutoverCosts costs = {
    .round_fixed = 6, .shutdown = 12, .settle = 5, .convert = 0, .import = 1, .start = 3};

static double changed_in(const Workload *load, double t)
{
    return -load->hot * expm1(-t / load->hot_tau) - load->warm * expm1(-t / load->warm_tau) +
           load->append * t;
}

static double noisy(GRand *rand, const Workload *load, double value)
{
    return value * (1 + load->noise * g_rand_double_range(rand, -1, 1));
}

static double copy_seconds(const Workload *load, double changed)
{
    return load->copy_fixed + changed / load->bandwidth;
}

/* Copies a round `since` seconds after the last one's snapshot; returns how long it took, fixed part
 * included. */
static double run_round(Convergence *model, const Workload *load, GRand *rand, double since)
{
    double changed = noisy(rand, load, changed_in(load, since));
    double seconds = noisy(rand, load, copy_seconds(load, changed));
    RoundSample sample = {.interval = since, .changed = (guint64)changed, .seconds = seconds};

    convergence_add_round(model, "2000", &sample);
    return costs.round_fixed + seconds;
}

/* The truth: what a cutover costs that starts `since` seconds after the last snapshot. */
static double true_downtime(const Workload *load, double since)
{
    double warm = costs.round_fixed + copy_seconds(load, changed_in(load, since));

    return costs.shutdown + costs.settle + costs.round_fixed +
           copy_seconds(load, changed_in(load, warm + costs.shutdown)) + costs.convert + costs.import +
           costs.start;
}

static double true_floor(const Workload *load)
{
    double t = costs.round_fixed;

    for (guint i = 0; i < 200; i++)
        t = MIN(costs.round_fixed + copy_seconds(load, changed_in(load, t)), 1e7);
    return costs.shutdown + costs.settle + costs.round_fixed +
           copy_seconds(load, changed_in(load, t + costs.shutdown)) + costs.import + costs.start;
}

static void assert_near(double value, double truth, double tolerance)
{
    if (fabs(value - truth) > truth * tolerance)
        g_error("%.1f is not within %.0f%% of %.1f", value, tolerance * 100, truth);
}

static void test_unknown(void)
{
    g_autoptr(Convergence) model = convergence_new();
    g_autofree char *reason = NULL;

    g_assert_false(convergence_predict(model, 10).known);
    g_assert_cmpint(convergence_verdict(model, 10, 60, &reason), ==, CONVERGE_WAIT);
    g_assert_nonnull(reason);
}

static void check_workload(const Workload *load, const double *intervals, guint n, double tolerance)
{
    g_autoptr(Convergence) model = convergence_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    Prediction prediction;
    double spent = 0;

    convergence_set_costs(model, &costs);
    for (guint i = 0; i < n; i++)
        spent = run_round(model, load, rand, intervals[i]);
    prediction = convergence_predict(model, spent);
    g_assert_true(prediction.known);
    assert_near(prediction.downtime, true_downtime(load, spent), tolerance);
    assert_near(prediction.floor, true_floor(load), tolerance);
}

/* An appending guest: one round tells all. */
static void test_steady(void)
{
    static const Workload load = {
        .hot_tau = 1, .warm_tau = 1, .append = 5e6, .bandwidth = 76e6, .copy_fixed = 0.3, .noise = 0.03};
    static const double intervals[] = {300, 300, 300};

    check_workload(&load, intervals, 1, 0.1);
    check_workload(&load, intervals, 3, 0.1);
}

/* A working set that is rewritten again and again: two intervals show the bend. */
static void test_saturating(void)
{
    static const Workload load = {
        .hot = 2e9, .hot_tau = 60, .warm_tau = 1, .bandwidth = 90e6, .copy_fixed = 0.2, .noise = 0.03};
    static const double intervals[] = {300, 300, 30, 25};

    check_workload(&load, intervals, 4, 0.2);
}

static void test_mixture(void)
{
    static const Workload load = {.hot = 3e8,
                                  .hot_tau = 10,
                                  .warm = 4e9,
                                  .warm_tau = 900,
                                  .append = 1e6,
                                  .bandwidth = 120e6,
                                  .copy_fixed = 0.2,
                                  .noise = 0.03};
    static const double intervals[] = {300, 300, 60, 20};

    check_workload(&load, intervals, 4, 0.2);
}

static void test_hopeless(void)
{
    static const Workload load = {
        .hot_tau = 1, .warm_tau = 1, .append = 120e6, .bandwidth = 80e6, .copy_fixed = 0.2, .noise = 0.02};
    g_autoptr(Convergence) model = convergence_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    g_autofree char *reason = NULL;

    convergence_set_costs(model, &costs);
    run_round(model, &load, rand, 300);
    run_round(model, &load, rand, 450);
    g_assert_cmpint(convergence_verdict(model, 600, 600, &reason), ==, CONVERGE_NEVER);
    g_assert_nonnull(g_strstr_len(reason, -1, "the guest changes"));
}

/* Fixed costs alone exceed what is allowed: the reason says so, not the guest. */
static void test_fixed_too_long(void)
{
    static const Workload load = {.hot_tau = 1, .warm_tau = 1, .append = 1e3, .bandwidth = 80e6};
    g_autoptr(Convergence) model = convergence_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    g_autofree char *reason = NULL;

    convergence_set_costs(model, &costs);
    run_round(model, &load, rand, 300);
    run_round(model, &load, rand, 300);
    g_assert_cmpint(convergence_verdict(model, 10, 20, &reason), ==, CONVERGE_NEVER);
    g_assert_nonnull(g_strstr_len(reason, -1, "shutdown, settling"));
}

/* Replicates as the worker does until the verdict cuts over; returns the verdict after at most `most` rounds.
 */
static ConvergeVerdict replicate(const Workload *load, GRand *rand, double budget, guint most,
                                 double *ret_since)
{
    g_autoptr(Convergence) model = convergence_new();
    double since = 300;

    convergence_set_costs(model, &costs);
    for (guint i = 0; i < most; i++) {
        g_autofree char *reason = NULL;
        double spent = run_round(model, load, rand, since);
        ConvergeVerdict verdict = convergence_verdict(model, spent, budget, &reason);

        *ret_since = spent;
        if (verdict == CONVERGE_CUT_OVER || (verdict == CONVERGE_NEVER && (i + 1 == most || spent > 1e6)))
            return verdict;
        since = verdict == CONVERGE_PROBE ? spent : spent + 30;
    }
    return CONVERGE_WAIT;
}

/* Whatever the guest does steadily: no cutover breaks its budget, what is easy is found, what is impossible
 * is said. */
static void test_budget_is_kept(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(42);
    guint cut = 0, never = 0;

    for (guint i = 0; i < 500; i++) {
        Workload load = {.hot = g_rand_double_range(rand, 0, 1e9),
                         .hot_tau = g_rand_double_range(rand, 1, 60),
                         .warm = g_rand_double_range(rand, 0, 1e10),
                         .warm_tau = g_rand_double_range(rand, 100, 5000),
                         .append = pow(10, g_rand_double_range(rand, 4, 8.3)),
                         .bandwidth = g_rand_double_range(rand, 4e7, 4e8),
                         .copy_fixed = g_rand_double_range(rand, 0, 2),
                         .noise = 0.05};
        double budget = g_rand_double_range(rand, 30, 120), since = 0, floor = true_floor(&load);
        ConvergeVerdict verdict = replicate(&load, rand, budget, 20, &since);

        if (verdict == CONVERGE_CUT_OVER)
            g_assert_cmpfloat(true_downtime(&load, since), <=, budget);
        if (floor < budget * 0.8)
            g_assert_cmpint(verdict, ==, CONVERGE_CUT_OVER);
        if (floor > budget * 1.2)
            g_assert_cmpint(verdict, ==, CONVERGE_NEVER);
        cut += verdict == CONVERGE_CUT_OVER;
        never += verdict == CONVERGE_NEVER;
    }
    g_assert_cmpuint(cut, >, 50);
    g_assert_cmpuint(never, >, 25);
}

/* The slowest disk counts, and an idle one does not hide it. */
static void test_several_disks(void)
{
    g_autoptr(Convergence) model = convergence_new();
    RoundSample busy = {.interval = 100, .changed = 1000 * MIB, .seconds = 10};
    RoundSample idle = {.interval = 100, .changed = 0, .seconds = 0.1};
    Prediction prediction;

    convergence_set_costs(model, &costs);
    convergence_add_round(model, "2000", &idle);
    convergence_add_round(model, "2001", &busy);
    prediction = convergence_predict(model, 100);
    assert_near(prediction.next_round, costs.round_fixed + 10, 0.05);
    assert_near(prediction.dirty_rate, 10.0 * (double)MIB, 0.01);
}

static void test_json(void)
{
    g_autoptr(Convergence) model = convergence_new(), again = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = NULL;

    convergence_set_costs(model, &costs);
    for (guint i = 0; i < 40; i++) {
        RoundSample sample = {.interval = 30 + i, .changed = (guint64)i * MIB, .seconds = 1 + 0.1 * i};

        convergence_add_round(model, "2000", &sample);
    }
    json = convergence_to_json(model);
    again = convergence_from_json(json, &error);
    g_assert_no_error(error);
    convergence_set_costs(again, &costs);
    assert_near(convergence_predict(again, 40).downtime, convergence_predict(model, 40).downtime, 1e-9);
}

static void test_json_refused(void)
{
    static const char *const texts[] = {"{}", "{\"version\":2,\"disks\":{}}", "{\"version\":1,\"disks\":[]}",
                                        "{\"version\":1,\"disks\":{\"2000\":[[1,2]]}}",
                                        "{\"version\":1,\"disks\":{\"2000\":[[1,-2,3]]}}"};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(Json) json = json_loads(texts[i], 0, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_nonnull(json);
        g_assert_null(convergence_from_json(json, &error));
        g_assert_nonnull(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/converge/unknown", test_unknown);
    g_test_add_func("/converge/steady", test_steady);
    g_test_add_func("/converge/saturating", test_saturating);
    g_test_add_func("/converge/mixture", test_mixture);
    g_test_add_func("/converge/hopeless", test_hopeless);
    g_test_add_func("/converge/fixed-too-long", test_fixed_too_long);
    g_test_add_func("/converge/budget-is-kept", test_budget_is_kept);
    g_test_add_func("/converge/several-disks", test_several_disks);
    g_test_add_func("/converge/json", test_json);
    g_test_add_func("/converge/json-refused", test_json_refused);
    return g_test_run();
}
