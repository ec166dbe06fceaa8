/* migration/engine.h: what the parts of a worker share.  Internal to migration/.
 *
 * An Engine is one migration being worked on: its rows of the store, its sessions, and what it is doing.  It
 * is opened with the lease held and closed with the lease released.  All time that passes goes through
 * engine_tick(), engine_wait() or the callback that vsphere/ calls while a task runs: they renew the lease,
 * look for requests, keep the session alive and show progress.
 *
 * Thread rule: belongs to one thread.
 */
#pragma once

#include "base/log.h"
#include "copy/copy.h"
#include "migration/converge.h"
#include "migration/migration.h"
#include "migration/stage.h"
#include "target/target.h"
#include "vsphere/vm-ops.h"

/* What is asked of the worker and not served yet. */
typedef struct {
    gboolean finalize, finalize_now, cancel, delete_files, shutdown_force, shutdown_done;
} EngineRequests;

/* What progress shows of the current activity. */
typedef struct {
    const char *activity;  /* static */
    gint round;            /* -1: none yet */
    char *round_kind;      /* NULL: none yet */
    double next_round_in;  /* seconds; negative: not waiting */
    char *verdict;         /* NULL: none */
    char *shutdown_reason; /* not NULL: an operator must decide */
    GPtrArray *keys;       /* char *: disks of the copy that runs, parallel to meters */
    GPtrArray *meters;     /* CopyMeter * */
    guint64 total_read, total_written;
    guint rounds; /* closed, the base copy included */
} EngineActivity;

typedef struct {
    const MigrationContext *context;
    Store *store;
    gint64 id;
    StoreVm *vm;
    Stage stage;
    VmSpec *spec;
    Machine *machine; /* as discovered; NULL before */
    GPtrArray *disks; /* StoreDisk, in the machine's order */
    Vsphere *vsphere; /* NULL while not connected */
    Target *target;
    RateLimit *limit;
    Convergence *convergence;
    EngineRequests requests;
    EngineActivity activity;
    /* Set while a powered-off source is read: it must not be started meanwhile. */
    gboolean watch_power;
    guint off_round; /* 1 + number of the last round that this process took with the source off all the time;
                        0: none */
    guint deltas;    /* closed rounds after the base copy */
    gboolean never_quiesces; /* it was tried: each further try would cost a time-out */
    guint probes;            /* rounds in a row that were made only to measure */
    double frozen_at;        /* monotonic: the newest committed round's; 0: not by this process */
    gint64 seen_request;
    double next_poll, next_renewal, next_show, next_save, next_power; /* monotonic */
    gboolean lease_lost; /* another engine is at work: touch nothing */
    GError *kept;        /* an error that came where none can be returned, for the next tick */
} Engine;

/* Loads the migration and takes its lease. */
Engine *engine_open(const MigrationContext *context, gint64 id, GError **error);
/* Releases the lease, logs out, frees.  NULL is fine. */
void engine_close(Engine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Engine, engine_close)

/* Session and target. */
gboolean engine_connect(Engine *engine, GError **error);
/* For a context and no migration yet. */
Vsphere *engine_open_vsphere(const MigrationContext *context, void (*tick)(gpointer), gpointer data,
                             GError **error);
/* The VM as it is now, known to be the same. */
VsphereVm *engine_get_vm(Engine *engine, GError **error);

/* FALSE with VF_ERROR_CANCELLED when it was asked to stop, by signal or by request, and with
 * VF_ERROR_CONFLICT when the lease was lost. */
gboolean engine_tick(gpointer engine, GError **error);
gboolean engine_wait(Engine *engine, double seconds, GError **error);
/* For cleaning up: a request to cancel does not end it. */
gboolean engine_pause(Engine *engine, double seconds, GError **error);

/* Moves, checks, records, announces. */
gboolean engine_move(Engine *engine, Stage to, GError **error);
/* Writes engine->vm. */
gboolean engine_save(Engine *engine, GError **error);
/* Says it in the log and in the store. */
void engine_event(Engine *engine, LogLevel level, const char *kind, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* What it does now, for people; static text.  Shown at once. */
void engine_doing(Engine *engine, const char *activity);
/* A request was served: closes all open ones of that kind. */
gboolean engine_served(Engine *engine, Request request, const char *outcome, GError **error);

StoreDisk *engine_disk(Engine *engine, const char *key); /* NULL when there is none */
