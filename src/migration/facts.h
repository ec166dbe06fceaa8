/* migration/facts.h: what a migration must not forget, by name: moments, numbers, names.
 *
 * Thread rule: that of the store.
 */
#pragma once

#include "store/store.h"

/* Moments of the cutover, microseconds since 1970, in the order in which they come. */
#define FACT_SHUTDOWN_AT  "cutover.shutdown_at" /* when the source was asked to stop: the downtime begins */
#define FACT_OFF_AT       "cutover.off_at"
#define FACT_SETTLED_AT   "cutover.settled_at"
#define FACT_COPIED_AT    "cutover.copied_at"
#define FACT_VERIFIED_AT  "cutover.verified_at"
#define FACT_CONVERTED_AT "cutover.converted_at"
#define FACT_IMPORTED_AT  "cutover.imported_at"
#define FACT_READY_AT     "cutover.ready_at" /* the target is up, or ready to be started: the downtime ends */

#define FACT_COLD      "source.cold" /* off when the migration began */
#define FACT_TARGET_ID "target.id"   /* what the platform calls the VM */
#define FACT_TAKEN_OVER                                                                                      \
    "target.taken_over" /* TAKING_OVER or TAKEN_OVER; unset before the target is started */
#define FACT_IMPORTING     "target.importing"    /* an import was asked for */
#define FACT_CONVERGENCE   "convergence"         /* the model, JSON */
#define FACT_PREDICTED     "cutover.predicted"   /* seconds of downtime, when the cutover began */
#define FACT_BASE_RATE     "base.rate"           /* bytes per second of the base copy */
#define FACT_ROUND_FIXED   "round.fixed_seconds" /* seconds of a round without its copying */
#define FACT_VERIFIED      "verified.rounds"     /* 1 + number of the last round whose data were read back */
#define FACT_RETRY_STAGE   "retry.stage"         /* where a retry goes on, when not where it failed */
#define FACT_TOTAL_READ    "total.read"
#define FACT_TOTAL_WRITTEN "total.written"
#define FACT_WAIT_REASON   "shutdown.reason" /* why an operator must decide */

/* Values of FACT_TAKEN_OVER: it may run; it runs, and what it writes is its own. */
#define TAKING_OVER "starting"
#define TAKEN_OVER  "started"

gboolean fact_set_integer(Store *store, gint64 vm, const char *name, gint64 value, GError **error);
/* *ret is 0 when it is unset. */
gboolean fact_get_integer(Store *store, gint64 vm, const char *name, gint64 *ret, GError **error);
gboolean fact_set_now(Store *store, gint64 vm, const char *name, GError **error);
/* Only the first time counts. */
gboolean fact_set_now_once(Store *store, gint64 vm, const char *name, GError **error);
gboolean fact_set_real(Store *store, gint64 vm, const char *name, double value, GError **error);
/* *ret is `otherwise` when it is unset. */
gboolean fact_get_real(Store *store, gint64 vm, const char *name, double otherwise, double *ret,
                       GError **error);
gboolean fact_is_set(Store *store, gint64 vm, const char *name, gboolean *ret, GError **error);
