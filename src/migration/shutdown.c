#include "migration/shutdown.h"

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "base/size.h"
#include "migration/facts.h"

#include <string.h>

#define POLL_SECONDS 1.0

static gboolean is_off(Engine *engine, gboolean *ret, GError **error)
{
    g_autofree char *state = vsphere_power_state(engine->vsphere, engine->vm->moref, error);

    if (state == NULL)
        return FALSE;
    *ret = strcmp(state, "poweredOff") == 0;
    return TRUE;
}

/* Before it is asked for: who comes after a crash must know why the source is down. */
static gboolean record_asking(Engine *engine, GError **error)
{
    engine->vm->was_running = TRUE;
    engine->vm->stopped_by_us = TRUE;
    if (!engine_save(engine, error) || !fact_set_now_once(engine->store, engine->id, FACT_SHUTDOWN_AT, error))
        return FALSE;
    crash_point("cutover.shutdown-recorded");
    return TRUE;
}

static gboolean cut_power(Engine *engine, GError **error)
{
    engine_event(engine, LOG_WARNING, "shutdown", "cutting the power of the source");
    engine_doing(engine, "switching the source off");
    if (!record_asking(engine, error) || !vsphere_power_off(engine->vsphere, engine->vm->moref, error))
        return FALSE;
    crash_point("cutover.shutdown-requested");
    return TRUE;
}

static ShutdownEnd end_off(Engine *engine, GError **error)
{
    if (!fact_set_now_once(engine->store, engine->id, FACT_SHUTDOWN_AT, error) ||
        !fact_set_now_once(engine->store, engine->id, FACT_OFF_AT, error) ||
        !engine_served(engine, REQUEST_SHUTDOWN_FORCE, "done", error) ||
        !engine_served(engine, REQUEST_SHUTDOWN_DONE, "done", error))
        return SHUTDOWN_FAILED;
    crash_point("cutover.powered-off");
    engine_event(engine, LOG_INFO, "shutdown", "the source is off");
    return SHUTDOWN_OFF;
}

static ShutdownEnd await(Engine *engine, const char *reason, GError **error)
{
    g_free(engine->activity.shutdown_reason);
    engine->activity.shutdown_reason = g_strdup(reason);
    engine_event(engine, LOG_WARNING, "shutdown", "%s; shut the guest down, or ask for shutdown-force",
                 reason);
    /* It still runs: the downtime has not begun. */
    if (!store_fact_set(engine->store, engine->id, FACT_SHUTDOWN_AT, NULL, error) ||
        !store_fact_set(engine->store, engine->id, FACT_WAIT_REASON, reason, error) ||
        !engine_move(engine, STAGE_AWAITING_SHUTDOWN_ACTION, error))
        return SHUTDOWN_FAILED;
    return SHUTDOWN_AWAITS;
}

/* Until it is off, an operator cuts it short, or the time is over (*ret_off FALSE). */
static gboolean wait_for_guest(Engine *engine, gboolean *ret_off, GError **error)
{
    double end = clock_monotonic() + engine->spec->shutdown_timeout;

    *ret_off = FALSE;
    while (!*ret_off && clock_monotonic() < end && !engine->requests.shutdown_force) {
        if (!engine_wait(engine, POLL_SECONDS, error) || !is_off(engine, ret_off, error))
            return FALSE;
    }
    return TRUE;
}

static ShutdownEnd ask_guest(Engine *engine, GError **error)
{
    g_autoptr(GError) failed = NULL;
    g_autofree char *reason = NULL, *patience = duration_format(engine->spec->shutdown_timeout);
    gboolean off = FALSE;

    engine_event(engine, LOG_INFO, "shutdown", "asking the guest to shut down");
    engine_doing(engine, "waiting for the guest to shut down");
    if (!record_asking(engine, error))
        return SHUTDOWN_FAILED;
    if (!vsphere_shutdown_guest(engine->vsphere, engine->vm->moref, &failed)) {
        if (!is_off(engine, &off, error))
            return SHUTDOWN_FAILED;
        reason = g_strdup_printf("the guest cannot be asked to shut down: %s", failed->message);
        return off ? end_off(engine, error) : await(engine, reason, error);
    }
    crash_point("cutover.shutdown-requested");
    if (!wait_for_guest(engine, &off, error))
        return SHUTDOWN_FAILED;
    if (off)
        return end_off(engine, error);
    if (engine->requests.shutdown_force)
        return cut_power(engine, error) ? end_off(engine, error) : SHUTDOWN_FAILED;
    reason = g_strdup_printf("the guest did not shut down within %s", patience);
    return await(engine, reason, error);
}

static ShutdownEnd shut_down_automatically(Engine *engine, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);

    if (vm == NULL)
        return SHUTDOWN_FAILED;
    if (strcmp(vm->power_state, "suspended") == 0)
        return await(engine, "the source is suspended: its disks lack what is in its memory; resume it first",
                     error);
    if (g_strcmp0(vm->tools_running, "guestToolsRunning") != 0)
        return await(engine, "VMware Tools do not run in the guest, so that it cannot be asked to shut down",
                     error);
    return ask_guest(engine, error);
}

ShutdownEnd shutdown_source(Engine *engine, GError **error)
{
    gboolean off = FALSE;

    engine_doing(engine, "shutting the source down");
    if (!is_off(engine, &off, error))
        return SHUTDOWN_FAILED;
    if (off)
        return end_off(engine, error);
    engine->vm->was_running = TRUE;
    if (!engine_save(engine, error))
        return SHUTDOWN_FAILED;
    if (engine->spec->shutdown_mode == SHUTDOWN_FORCE || engine->requests.shutdown_force)
        return cut_power(engine, error) ? end_off(engine, error) : SHUTDOWN_FAILED;
    if (engine->spec->shutdown_mode == SHUTDOWN_MANUAL)
        return await(engine, "shutdown_mode is manual", error);
    return shut_down_automatically(engine, error);
}

/* He says that it is off, and it is not: the request is answered, the waiting goes on. */
static gboolean answer_done(Engine *engine, GError **error)
{
    if (!engine->requests.shutdown_done)
        return TRUE;
    engine_event(engine, LOG_WARNING, "shutdown",
                 "shutdown-done was asked for, and the source is still running");
    return engine_served(engine, REQUEST_SHUTDOWN_DONE, "the source is still running", error);
}

gboolean shutdown_await(Engine *engine, GError **error)
{
    gboolean off = FALSE;

    engine_doing(engine, "waiting for an operator to shut the source down");
    while (!off && !engine->requests.shutdown_force) {
        if (!engine_wait(engine, POLL_SECONDS, error) || !is_off(engine, &off, error) ||
            (!off && !answer_done(engine, error)))
            return FALSE;
    }
    g_clear_pointer(&engine->activity.shutdown_reason, g_free);
    return store_fact_set(engine->store, engine->id, FACT_WAIT_REASON, NULL, error) &&
           engine_move(engine, STAGE_FINAL_SYNC, error);
}
