/* copy/retry.h: whether a request that failed is worth another try, and when.
 */
#pragma once

#include "base/cancel.h"
#include "copy/copy.h"

/* How often, whom to listen to while waiting, whom to tell. */
typedef struct {
    guint limit; /* tries after the first one */
    const Cancel *stop;
    CopyMeter *meter; /* may be NULL */
} RetryPolicy;

/* After a try that failed with *error.  TRUE, and *error cleared, when its class may be tried again and
 * *attempt (0 at first) is below the limit: the back-off has been slept through.  FALSE: *error is what to
 * return. */
gboolean retry_wait(const RetryPolicy *policy, guint *attempt, GError **error);
