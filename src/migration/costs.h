/* migration/costs.h: what the steps of a cutover will cost, before they are taken.
 *
 * The guest's own shutdown cannot be measured without shutting it down.  The best guess is what other guests
 * of its family took that this store knows of; without any it is a number by family.  Settling is as the spec
 * says, a round without its copying as this migration's rounds were.
 *
 * Thread rule: that of the store.
 */
#pragma once

#include "migration/engine.h"

/* Tells the model; called before each decision, since measurements come in with each round. */
gboolean costs_update(Engine *engine, GError **error);

/* Seconds. *ret_measured says whether it comes from finished migrations. */
gboolean costs_shutdown(Engine *engine, double *ret_seconds, gboolean *ret_measured, GError **error);

/* Seconds between power off and the final round, as the spec or the guest's family says. */
double costs_settle(const Engine *engine);
