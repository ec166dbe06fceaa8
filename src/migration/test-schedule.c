#include "migration/schedule.h"

#define S  G_GINT64_CONSTANT(1000000)
#define T0 (G_GINT64_CONSTANT(1700000000) * S)

static const VmSpec plain = {.delta_interval = 300, .finalize_delta_interval = 30, .finalize_window = 600};

static ScheduleDecision decide(const VmSpec *spec, guint deltas, double since_last, const ScheduleInput *more)
{
    ScheduleInput input = more != NULL ? *more : (ScheduleInput){0};

    input.deltas = deltas;
    input.since_last = since_last;
    if (input.now == 0)
        input.now = T0;
    input.last_round = input.now - (gint64)(since_last * (double)S);
    return schedule_decide(spec, &input);
}

static void test_interval(void)
{
    ScheduleDecision decision = decide(&plain, 0, 10, NULL);

    g_assert_cmpint(decision.action, ==, SCHEDULE_WAIT);
    g_assert_cmpfloat_with_epsilon(decision.wait, 290, 0.01);
    g_assert_cmpint(decide(&plain, 0, 300, NULL).action, ==, SCHEDULE_ROUND);
    g_assert_cmpint(decide(&plain, 5, 299, NULL).action, ==, SCHEDULE_WAIT);
    g_assert_cmpint(decide(&plain, 5, 4000, NULL).action, ==, SCHEDULE_ROUND);
}

static void test_finalize(void)
{
    ScheduleInput asked = {.finalize = TRUE};
    ScheduleDecision decision = decide(&plain, 3, 1, &asked);

    g_assert_cmpint(decision.action, ==, SCHEDULE_CUT_OVER);
    g_assert_true(decision.last_warm);
    /* Asked for in the base copy: one delta apart, at once. */
    decision = decide(&plain, 0, 1, &asked);
    g_assert_cmpint(decision.action, ==, SCHEDULE_ROUND);
}

static void test_finalize_now(void)
{
    ScheduleInput asked = {.finalize_now = TRUE};
    ScheduleDecision decision = decide(&plain, 0, 7200, &asked);

    g_assert_cmpint(decision.action, ==, SCHEDULE_CUT_OVER);
    g_assert_true(decision.last_warm);
    g_assert_true(decide(&plain, 2, 200, &asked).last_warm);
    g_assert_false(decide(&plain, 2, 5, &asked).last_warm);
}

static void test_source_is_down(void)
{
    ScheduleInput down = {.source_is_down = TRUE, .finalize = TRUE};
    ScheduleDecision decision = decide(&plain, 0, 1, &down);

    g_assert_cmpint(decision.action, ==, SCHEDULE_CUT_OVER);
    g_assert_false(decision.last_warm);
}

static void test_finalize_at(void)
{
    VmSpec spec = plain;
    ScheduleDecision decision;

    spec.finalize_at = T0 + 3600 * S;
    /* Far away: the interval; but a wait ends where the window begins. */
    g_assert_cmpfloat_with_epsilon(decide(&spec, 2, 100, NULL).wait, 200, 0.01);
    spec.finalize_at = T0 + 650 * S;
    g_assert_cmpfloat_with_epsilon(decide(&spec, 2, 10, NULL).wait, 50, 0.01);
    /* Within it: the short interval, never past the appointment. */
    spec.finalize_at = T0 + 500 * S;
    g_assert_cmpfloat_with_epsilon(decide(&spec, 2, 10, NULL).wait, 20, 0.01);
    g_assert_cmpint(decide(&spec, 2, 31, NULL).action, ==, SCHEDULE_ROUND);
    spec.finalize_at = T0 + 5 * S;
    g_assert_cmpfloat_with_epsilon(decide(&spec, 2, 10, NULL).wait, 5, 0.01);
    spec.finalize_at = T0;
    decision = decide(&spec, 2, 10, NULL);
    g_assert_cmpint(decision.action, ==, SCHEDULE_CUT_OVER);
    g_assert_true(decision.last_warm);
    g_assert_cmpint(decide(&spec, 0, 10, NULL).action, ==, SCHEDULE_ROUND);
}

static void test_max_downtime(void)
{
    VmSpec spec = plain;
    ScheduleInput fits = {.verdict = CONVERGE_CUT_OVER}, probe = {.verdict = CONVERGE_PROBE};
    ScheduleInput probed = {.verdict = CONVERGE_PROBE, .probes = 3}, never = {.verdict = CONVERGE_NEVER};

    /* Without max_downtime the verdict is only shown. */
    g_assert_cmpint(decide(&plain, 3, 10, &fits).action, ==, SCHEDULE_WAIT);
    spec.max_downtime = 60;
    g_assert_cmpint(decide(&spec, 3, 10, &fits).action, ==, SCHEDULE_CUT_OVER);
    g_assert_cmpint(decide(&spec, 0, 10, &fits).action, ==, SCHEDULE_WAIT);
    g_assert_true(decide(&spec, 3, 10, &probe).probe);
    g_assert_cmpint(decide(&spec, 3, 10, &probed).action, ==, SCHEDULE_WAIT);
    g_assert_cmpint(decide(&spec, 3, 31, &probed).action, ==, SCHEDULE_ROUND);
    /* Hopeless: it goes on replicating at its usual pace, and never cuts over by itself. */
    g_assert_cmpfloat_with_epsilon(decide(&spec, 3, 10, &never).wait, 290, 0.01);
}

static void test_max_rounds(void)
{
    VmSpec spec = plain;
    ScheduleInput fits = {.verdict = CONVERGE_CUT_OVER};

    spec.max_downtime = 60;
    spec.max_rounds = 4;
    g_assert_cmpint(decide(&spec, 3, 10, &fits).action, ==, SCHEDULE_CUT_OVER);
    g_assert_cmpint(decide(&spec, 4, 10, &fits).action, ==, SCHEDULE_WAIT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schedule/interval", test_interval);
    g_test_add_func("/schedule/finalize", test_finalize);
    g_test_add_func("/schedule/finalize-now", test_finalize_now);
    g_test_add_func("/schedule/source-is-down", test_source_is_down);
    g_test_add_func("/schedule/finalize-at", test_finalize_at);
    g_test_add_func("/schedule/max-downtime", test_max_downtime);
    g_test_add_func("/schedule/max-rounds", test_max_rounds);
    return g_test_run();
}
