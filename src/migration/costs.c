#include "migration/costs.h"

#include "migration/downtime.h"
#include "migration/facts.h"

#include <string.h>

#define SETTLE_WINDOWS 30
#define SETTLE_OTHER   15
/* The newest so many finished migrations are asked. */
#define EXAMPLES_MAX 20u
/* Plugs are pulled at once; the task takes its time. */
#define POWER_OFF_SECONDS 3.0

static const double shutdown_by_family[] = {
    [MACHINE_FAMILY_OTHER] = 30,
    [MACHINE_FAMILY_LINUX] = 15,
    [MACHINE_FAMILY_WINDOWS] = 45,
};

double costs_settle(const Engine *engine)
{
    if (engine->spec->finalize_settle_seconds >= 0)
        return engine->spec->finalize_settle_seconds;
    return engine->machine->family == MACHINE_FAMILY_WINDOWS ? SETTLE_WINDOWS : SETTLE_OTHER;
}

/* Negative when that migration cannot say. */
static gboolean example(Engine *engine, const StoreVm *vm, double *ret_seconds, GError **error)
{
    g_autoptr(GError) unreadable = NULL;
    g_autoptr(Machine) machine = NULL;
    g_autoptr(Json) downtime = NULL;
    const Json *shutdown;

    *ret_seconds = -1;
    if (strcmp(vm->stage, stage_name(STAGE_DONE)) != 0 || vm->machine == NULL)
        return TRUE;
    machine = machine_from_json(vm->machine, &unreadable);
    if (machine == NULL || machine->family != engine->machine->family)
        return TRUE;
    downtime = downtime_to_json(engine->store, vm->id, error);
    shutdown = downtime != NULL ? json_object_get(downtime, "shutdown") : NULL;
    if (json_is_real(shutdown))
        *ret_seconds = json_real_value(shutdown);
    return downtime != NULL || *error == NULL;
}

/* The longest of the newest ones: a prediction that is too long costs a round, one that is too short a
 * promise. */
gboolean costs_shutdown(Engine *engine, double *ret_seconds, gboolean *ret_measured, GError **error)
{
    g_autoptr(GPtrArray) vms = store_vm_list(engine->store, error);
    double longest = -1;
    guint found = 0;

    if (vms == NULL)
        return FALSE;
    for (guint i = 0; i < vms->len && found < EXAMPLES_MAX; i++) {
        double seconds;

        if (!example(engine, g_ptr_array_index(vms, i), &seconds, error))
            return FALSE;
        longest = MAX(longest, seconds);
        found += seconds >= 0;
    }
    *ret_measured = found > 0;
    *ret_seconds = found > 0 ? longest : shutdown_by_family[engine->machine->family];
    if (engine->spec->shutdown_mode == SHUTDOWN_FORCE)
        *ret_seconds = POWER_OFF_SECONDS;
    return TRUE;
}

gboolean costs_update(Engine *engine, GError **error)
{
    CutoverCosts costs = {.settle = costs_settle(engine), .import = -1};
    gboolean measured;

    costs.start = target_wants_start(engine->target) ? -1 : 0;
    if (!fact_get_real(engine->store, engine->id, FACT_ROUND_FIXED, -1, &costs.round_fixed, error) ||
        !costs_shutdown(engine, &costs.shutdown, &measured, error))
        return FALSE;
    convergence_set_costs(engine->convergence, &costs);
    return TRUE;
}
