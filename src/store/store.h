/* store/store.h: what must be known after a crash.  One writer per VM (the holder of its lease), many
 * readers.
 *
 * The order of the data path (write, flush, then commit) ends here: a change id or a set of copied ranges is
 * put into the store only when the data are durable, in one transaction, durable itself when the call returns
 * (SQLite: WAL, synchronous=FULL).  What is about to be made elsewhere (a snapshot, a file, a domain) is
 * recorded before it is asked for.
 *
 * Behind these functions is a table of operations per database (driver.h); sqlite.c is the first.
 *
 * Errors: VF_ERROR_NOT_FOUND, VF_ERROR_CONFLICT (a lease held by another, a VM that is there already),
 * VF_ERROR_TARGET_IO (disk full, database damaged).  Thread rule: a Store belongs to one thread.
 * Ownership: rows returned are owned by the caller; `char *` members may be NULL where it says so.
 */
#pragma once

#include <glib.h>

typedef struct Store Store;

/* `directory` is made (0700) when missing; the database is DIRECTORY/vmferry.db.  Migrates an older schema,
 * refuses a newer. */
Store *store_open(const char *directory, GError **error);
void store_free(Store *store); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_free)
const char *store_directory(const Store *store);

/* Several calls as one transaction.  Does not nest. */
gboolean store_begin(Store *store, GError **error);
gboolean store_commit(Store *store, GError **error);
void store_rollback(Store *store);

/* --- VMs --- */

typedef struct {
    gint64 id;           /* ours: what the command line calls the migration's id */
    char *name;          /* as it was last seen */
    char *server;        /* vCenter or host it lives on */
    char *instance_uuid; /* with moref and server: the identity */
    char *moref;
    char *stage;             /* migration/stage.h */
    char *failed_stage;      /* where it was when it failed or was cancelled; NULL otherwise */
    char *error;             /* message; NULL when there is none */
    char *error_class;       /* NULL when there is none */
    char *spec;              /* effective spec, JSON */
    char *machine;           /* spec/machine.h as JSON; NULL before discovery */
    char *progress;          /* JSON for status and live displays; NULL before the first */
    gboolean was_running;    /* when vmferry shut the source down */
    gboolean stopped_by_us;  /* the source is down because of us: start it again if the cutover fails */
    gboolean cbt_by_us;      /* change tracking was switched on by us */
    gint64 created, updated; /* microseconds since 1970 */
} StoreVm;

void store_vm_free(StoreVm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreVm, store_vm_free)

/* A new migration; VF_ERROR_CONFLICT when one of that identity is not over (done, cancelled, rolled_back). */
gboolean store_vm_create(Store *store, const StoreVm *vm, gint64 *ret_id, GError **error);
StoreVm *store_vm_get(Store *store, gint64 id, GError **error);
/* The newest migration of that identity; NULL without error when there is none. */
StoreVm *store_vm_find(Store *store, const char *server, const char *instance_uuid, const char *moref,
                       GError **error);
GPtrArray *store_vm_list(Store *store, GError **error); /* StoreVm, newest first */
/* Everything but id, identity and created. */
gboolean store_vm_update(Store *store, const StoreVm *vm, GError **error);
/* Moves the stage only if it is still `from`: VF_ERROR_CONFLICT otherwise.  Adds an event. */
gboolean store_vm_set_stage(Store *store, gint64 id, const char *from, const char *to, GError **error);
/* Not a commit of anything: may be lost in a crash (synchronous=NORMAL is enough). */
gboolean store_vm_set_progress(Store *store, gint64 id, const char *progress, GError **error);
gboolean store_vm_delete(Store *store, gint64 id, GError **error); /* with all that hangs on it */

/* --- disks --- */

typedef struct {
    char *key;         /* MachineDisk.key */
    char *uuid;        /* backing uuid; NULL when none */
    guint64 size;      /* of source and target, at the last committed round */
    char *target_path; /* the image */
    char *sums_path;
    char *change_id; /* committed: the target holds the disk as of this id.  NULL: nothing complete yet */
    gboolean target_created;
    gboolean verified;
} StoreDisk;

void store_disk_free(StoreDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreDisk, store_disk_free)
gboolean store_disk_put(Store *store, gint64 vm, const StoreDisk *disk,
                        GError **error); /* insert or update */
StoreDisk *store_disk_get(Store *store, gint64 vm, const char *key, GError **error);
GPtrArray *store_disk_list(Store *store, gint64 vm, GError **error); /* StoreDisk, by key */

/* --- rounds: the base copy, each delta, the last warm one, the final one --- */

typedef enum {
    ROUND_INTENT,   /* recorded; a snapshot may or may not exist */
    ROUND_FROZEN,   /* snapshot known (or VM off), change ids and areas recorded: copying */
    ROUND_COPIED,   /* all disks complete and committed; the snapshot is still there */
    ROUND_CLOSED,   /* snapshot gone */
    ROUND_ABANDONED /* given up: its areas count as not copied; snapshot gone */
} RoundState;

typedef struct {
    gint64 id;
    guint number; /* 0: base */
    char *kind;   /* "base", "delta", "last-warm", "final" */
    RoundState state;
    char *snapshot_name;   /* unique; NULL when the VM is off and none is needed */
    char *snapshot;        /* moref; NULL until known */
    gint64 started, ended; /* 0: not yet */
    char *stats;           /* JSON; NULL */
} StoreRound;

void store_round_free(StoreRound *round);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreRound, store_round_free)
gboolean store_round_create(Store *store, gint64 vm, const StoreRound *round, gint64 *ret_id, GError **error);
gboolean store_round_update(Store *store, const StoreRound *round, GError **error);
StoreRound *store_round_last(Store *store, gint64 vm, GError **error); /* NULL without error when none */
GPtrArray *store_round_list(Store *store, gint64 vm, GError **error);  /* StoreRound, oldest first */

typedef enum {
    ROUND_MODE_FULL,    /* all allocated areas into a fresh image */
    ROUND_MODE_CHANGED, /* areas changed since the disk's committed change id */
    ROUND_MODE_COMPARE  /* all of it again, blocks that differ are written */
} RoundMode;

typedef struct {
    gint64 round;
    char *key; /* of the disk */
    RoundMode mode;
    guint64 size;      /* of the disk in this round */
    char *source_path; /* "[ds] dir/x.vmdk" as frozen */
    char *change_id;   /* at this round's snapshot; NULL: no tracking */
    GBytes *read;      /* extents_to_bytes() of the plan */
    GBytes *zero;
    GBytes *done;      /* committed parts; NULL: none */
    gboolean complete; /* the disk's change_id was moved to this one */
} StoreRoundDisk;

void store_round_disk_free(StoreRoundDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreRoundDisk, store_round_disk_free)
gboolean store_round_disk_put(Store *store, const StoreRoundDisk *disk,
                              GError **error); /* insert or replace */
GPtrArray *store_round_disk_list(Store *store, gint64 round, GError **error);
/* A checkpoint. */
gboolean store_round_disk_done(Store *store, gint64 round, const char *key, GBytes *done, GError **error);
/* The disk is complete in this round: marks it and moves disk.change_id and disk.size on, in one transaction.
 */
gboolean store_round_disk_complete(Store *store, gint64 vm, gint64 round, const char *key, GError **error);

/* --- snapshots made by vmferry --- */

typedef struct {
    gint64 id;
    char *name;
    char *moref; /* NULL until known */
    gboolean removed;
} StoreSnapshot;

void store_snapshot_free(StoreSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreSnapshot, store_snapshot_free)
/* Before it is asked for. */
gboolean store_snapshot_intend(Store *store, gint64 vm, const char *name, gint64 *ret_id, GError **error);
gboolean store_snapshot_made(Store *store, gint64 id, const char *moref, GError **error);
gboolean store_snapshot_gone(Store *store, gint64 id, GError **error);
GPtrArray *store_snapshot_list(Store *store, gint64 vm, gboolean with_removed, GError **error);

/* --- requests to the worker --- */

/* "finalize", "finalize-now", "cancel", "shutdown-force", "shutdown-done". */
typedef struct {
    gint64 id;
    char *kind;
    char *arguments; /* JSON; NULL */
    gint64 created;
} StoreRequest;

void store_request_free(StoreRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreRequest, store_request_free)
/* Idempotent: *ret_already is TRUE when one of that kind is open. */
gboolean store_request_add(Store *store, gint64 vm, const char *kind, const char *arguments,
                           gboolean *ret_already, GError **error);
GPtrArray *store_request_open(Store *store, gint64 vm, GError **error); /* StoreRequest, oldest first */
/* Served, refused or overtaken: it is not open any more.  Requests never outlive the migration they were made
 * for. */
gboolean store_request_close(Store *store, gint64 id, const char *outcome, GError **error);
gboolean store_request_close_all(Store *store, gint64 vm, const char *outcome, GError **error);

/* --- events --- */

typedef struct {
    gint64 id;
    gint64 time;
    char *level; /* "info", "warning", "error" */
    char *kind;  /* "stage", "round", "finding", "request", ... */
    char *text;
} StoreEvent;

void store_event_free(StoreEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreEvent, store_event_free)
gboolean store_event_add(Store *store, gint64 vm, const char *level, const char *kind, const char *text,
                         GError **error);
GPtrArray *store_event_list(Store *store, gint64 vm, gint64 after_id, guint limit, GError **error);

/* --- leases: two engines never write one image --- */

/* VF_ERROR_CONFLICT naming the holder while another holds it and it has not expired.  A holder on this
 * machine (boot id) whose process is gone (pid and start time) loses it at once. */
gboolean store_lease_take(Store *store, gint64 vm, guint ttl_seconds, GError **error);
/* VF_ERROR_CONFLICT when it was lost: whoever hears that stops writing at once. */
gboolean store_lease_renew(Store *store, gint64 vm, GError **error);
gboolean store_lease_release(Store *store, gint64 vm, GError **error);
/* Who holds it now ("pid 123 on host"), or NULL. */
char *store_lease_holder(Store *store, gint64 vm, GError **error);

/* --- facts: what the engine measured, by name --- */

/* Small named values of one migration: "downtime.shutdown_seconds", "cutover.requested_at"...  NULL removes.
 */
gboolean store_fact_set(Store *store, gint64 vm, const char *name, const char *value, GError **error);
char *store_fact_get(Store *store, gint64 vm, const char *name,
                     GError **error);                                 /* NULL without error when unset */
GHashTable *store_fact_list(Store *store, gint64 vm, GError **error); /* name -> value */
