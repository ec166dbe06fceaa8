/* A place to migrate from and to, for one test: a fake vSphere, a store, images, a worker and an operator.
 *
 * Whatever happens on the way, a test ends with the same proof: the images hold what the source's disks hold,
 * QEMU finds nothing wrong with them, and no snapshot is left.
 */
#pragma once

#include "base/error.h"
#include "fake-vsphere.h"
#include "migration/migration.h"

#define N_DISKS 3
extern const LabDiskConfig two_disks[N_DISKS];
extern const LabWriterConfig busy;

typedef struct {
    FakeVsphere *fake;
    char *top, *control, *images;
    Config *config;
    VmSpec *spec;
    Store *store; /* the worker's */
    Store *desk;  /* the operator's */
    Cancel *cancel;
    gint64 id;
    /* When so many rounds are closed, the operator asks for this, once. */
    guint ask_after;
    const char *ask;
    /* Signal when so many bytes of a copy are done; 0: never. */
    guint64 interrupt_at;
    gboolean awaited; /* awaiting_shutdown_action was seen */
    void (*on_progress)(Json *json, gpointer site);
} Site;

/* `more`: further keys of `migration`, each with a comma in front. */
Site *site_new(const LabDiskConfig *disks, guint n_disks, const LabWriterConfig *writer, gboolean on,
               const char *more);
/* One that is on, and whose operator asks for finalize after two rounds. */
Site *warm_site(const char *more);
void site_free(Site *site);
void write_spec(Site *site, const char *more);
MigrationContext context_of(Site *site);

void prepare(Site *site);
void run_to_end(Site *site);
void run_to_error(Site *site, VfErrorClass class, const char *words);
void retry(Site *site);
void ask(Site *site, const char *request);
/* After a signal: a new worker. */
void renew_cancel(Site *site);

/* Does `what` at each call; is_time() is TRUE in it at the `nth` call of `call`. */
void on_call_at(Site *site, const char *call, guint nth, void (*what)(const char *, gpointer));
gboolean is_time(const char *call);
extern guint at_call; /* calls until then; 0: it was */

StoreVm *row_of(Site *site);
void assert_stage(Site *site, const char *stage);
GPtrArray *rounds_of(Site *site);
guint count_rounds(Site *site, const char *kind, RoundState state);
/* How often disk `key` was copied that way. */
guint count_mode(Site *site, const char *key, RoundMode mode);
gboolean was_said(Site *site, const char *words);

void assert_no_snapshot(Site *site);
void prove(Site *site);
