#include "migration/schedule.h"

#define SECOND G_GINT64_CONSTANT(1000000)
/* Rounds made back to back only to measure; then the interval is kept again. */
#define PROBES_MAX 3u

static ScheduleDecision wait_for(double seconds, const char *reason)
{
    return (ScheduleDecision){.action = SCHEDULE_WAIT, .wait = MAX(seconds, 0), .reason = reason};
}

static ScheduleDecision copy_round(gboolean probe, const char *reason)
{
    return (ScheduleDecision){.action = SCHEDULE_ROUND, .probe = probe, .reason = reason};
}

static ScheduleDecision cut_over(gboolean last_warm, const char *reason)
{
    return (ScheduleDecision){.action = SCHEDULE_CUT_OVER, .last_warm = last_warm, .reason = reason};
}

/* After a base copy that took hours the first delta is large: it is copied apart, so that the last warm round
 * is small. */
static ScheduleDecision finalize(const ScheduleInput *input, const char *reason)
{
    if (input->deltas == 0)
        return copy_round(FALSE, "the first delta, before the cutover");
    return cut_over(TRUE, reason);
}

/* As soon as possible; the warm round is left out when the last one is only just over. */
static ScheduleDecision finalize_now(const VmSpec *spec, const ScheduleInput *input)
{
    gboolean fresh = input->deltas > 0 && input->since_last < spec->finalize_delta_interval;

    return cut_over(!fresh, "finalize-now was asked for");
}

static gboolean may_measure(const VmSpec *spec, const ScheduleInput *input)
{
    return spec->max_downtime > 0 && (spec->max_rounds == 0 || input->deltas < spec->max_rounds);
}

static guint interval_of(const VmSpec *spec, const ScheduleInput *input)
{
    gint64 remaining = spec->finalize_at - input->now;

    if (spec->finalize_at != 0 && remaining <= (gint64)spec->finalize_window * SECOND)
        return spec->finalize_delta_interval;
    if (may_measure(spec, input) && input->deltas > 0 && input->verdict != CONVERGE_NEVER)
        return MIN(spec->finalize_delta_interval, spec->delta_interval);
    return spec->delta_interval;
}

/* The wait ends where the interval, finalize_at or the window before it does. */
static ScheduleDecision wait_or_round(const VmSpec *spec, const ScheduleInput *input)
{
    double due = (double)interval_of(spec, input) - input->since_last;
    double to_cutover = (double)(spec->finalize_at - input->now) / (double)SECOND;
    double to_window = to_cutover - spec->finalize_window;

    if (due <= 0)
        return copy_round(FALSE, "the interval is over");
    if (spec->finalize_at != 0)
        due = MIN(due, to_window > 0 ? to_window : to_cutover);
    return wait_for(due, "waiting for the next round");
}

ScheduleDecision schedule_decide(const VmSpec *spec, const ScheduleInput *input)
{
    if (input->source_is_down)
        return cut_over(FALSE, "the source is off");
    if (input->finalize_now)
        return finalize_now(spec, input);
    if (input->finalize)
        return finalize(input, "finalize was asked for");
    if (spec->finalize_at != 0 && input->now >= spec->finalize_at)
        return finalize(input, "finalize_at is reached");
    if (may_measure(spec, input) && input->deltas > 0) {
        if (input->verdict == CONVERGE_CUT_OVER)
            return cut_over(TRUE, "max_downtime can be kept");
        if (input->verdict == CONVERGE_PROBE && input->probes < PROBES_MAX)
            return copy_round(TRUE, "a short round will tell whether max_downtime can be kept");
    }
    return wait_or_round(spec, input);
}
