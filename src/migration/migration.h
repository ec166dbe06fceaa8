/* migration/migration.h: the worker of one VM: from discovery to a VM that runs at the target.
 *
 * migration_run() takes the lease, looks where the store says that it is, and goes on from there until the VM
 * is done, or until something stops it; every stage can be entered again after a kill -9 at any instant.
 * Requests (finalize, cancel, ...) come through the store from other processes and are looked for at least
 * twice a second, in every wait and in every copy.
 *
 * What cannot go wrong here, by construction (the seed system's faults):
 *   a disk is known by device key and backing uuid; a cancelled copy is an error; a change id moves only in
 * the same transaction that says that its data are durable; snapshots are recorded before they are made and
 * removed in every end; requests die with the migration they were made for; the disk set of target and source
 * must be equal before any power action; after a failed cutover the source is started again if it was
 * running.
 *
 * Thread rule: one thread, one migration.
 */
#pragma once

#include "base/cancel.h"
#include "spec/finding.h"
#include "spec/spec.h"
#include "store/store.h"
#include "vsphere/inventory.h"

typedef struct {
    const Config *config;
    Store *store;
    const Cancel *cancel; /* SIGINT, SIGTERM: stops at a checkpoint, leaves everything for a retry */
    /* Called about twice a second and at each change with the progress as JSON (docs/progress.md); may be
     * NULL. */
    void (*progress)(gint64 vm, const char *json, gpointer data);
    gpointer data;
} MigrationContext;

/* Finds the VM and records a new migration, or finds the one of the same VM that is open or done: to migrate
 * a VM again, roll the old migration back first.  Touches nothing at the source. */
gboolean migration_prepare(const MigrationContext *context, const VmSpec *spec, gint64 *ret_id,
                           GError **error);

/* Runs it to its end.  An error leaves the migration in `failed` (with the source running again if vmferry
 * had stopped it and the target had not taken over), or where it was when the cause was the context's cancel.
 */
gboolean migration_run(const MigrationContext *context, gint64 id, GError **error);

/* Puts a failed migration back to the stage in which it failed, so that migration_run() goes on there. */
gboolean migration_retry(const MigrationContext *context, gint64 id, GError **error);

/* Adds the request after asking the stage table; *ret_already as in the store. */
gboolean migration_request(Store *store, gint64 id, const char *request, gboolean *ret_already,
                           GError **error);

/* Ends a migration that no worker is running: removes its snapshots, starts the source again if vmferry
 * stopped it, and deletes the target's files when `delete_files`. */
gboolean migration_cancel(const MigrationContext *context, gint64 id, gboolean delete_files, GError **error);

/* After a cutover: stops and removes the target VM, starts the source again; images stay.  Stage rolled_back.
 */
gboolean migration_rollback(const MigrationContext *context, gint64 id, GError **error);

/* Everything that can be known before anything is touched. */
gboolean migration_preflight(const MigrationContext *context, const VmSpec *spec, Findings **ret_findings,
                             VsphereVm **ret_vm, GError **error);

/* Reads the target back against the checksums; with `deep` the source too (VM off or at a fresh snapshot). */
gboolean migration_verify(const MigrationContext *context, gint64 id, gboolean deep, Json **ret_report,
                          GError **error);
