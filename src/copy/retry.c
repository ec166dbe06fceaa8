#include "copy/retry.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "copy/meter.h"

#define FIRST_MS   100u
#define LONGEST_MS 10000u

/* Up to a quarter less or more, so that threads that failed together do not come back together. */
static guint with_jitter(guint milliseconds)
{
    return (guint)(milliseconds * g_random_double_range(0.75, 1.25));
}

gboolean retry_wait(const RetryPolicy *policy, guint *attempt, GError **error)
{
    guint wait = FIRST_MS << MIN(*attempt, 10);

    if (*attempt >= policy->limit || !vf_error_traits(vf_error_class(*error))->retry)
        return FALSE;
    log_debug("trying again (%u of %u): %s", *attempt + 1, policy->limit, (*error)->message);
    copy_meter_add(policy->meter, &(CopyProgress){.retries = 1}, clock_monotonic());
    ++*attempt;
    g_clear_error(error);
    return cancel_sleep(policy->stop, with_jitter(MIN(wait, LONGEST_MS)), error);
}
