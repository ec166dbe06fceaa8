/* copy/rate.h: a limit on bytes per second, shared by all threads that take from it (token bucket, 1 s of
 * burst).
 *
 * Thread rule: any thread.
 */
#pragma once

#include "base/cancel.h"

typedef struct RateLimit RateLimit;

RateLimit *rate_limit_new(guint64 bytes_per_second); /* 0: no limit */
void rate_limit_free(RateLimit *limit);              /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RateLimit, rate_limit_free)

/* Waits until `bytes` may pass.  A NULL limit is none. */
gboolean rate_limit_take(RateLimit *limit, guint64 bytes, const Cancel *cancel, GError **error);
