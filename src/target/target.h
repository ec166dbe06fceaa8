/* target/target.h: where a VM goes.  A target knows nothing of VMware: it is given a Machine and makes it
 * run.
 *
 * To add one: a folder with a static const TargetOps and an open function, and a line in target.c.  local/ is
 * the example.
 *
 * Every slot can be called again after a kill -9 at any instant: what was recorded is looked up before it is
 * made again.  Thread rule: a Target belongs to one thread.
 */
#pragma once

#include "base/cancel.h"
#include "disk/disk.h"
#include "spec/finding.h"
#include "spec/machine.h"
#include "spec/spec.h"

typedef struct Target Target;

typedef struct {
    const char *name;
    /* Appends what stands in the way: space, name conflicts, missing parts, what the platform cannot do.
     * `existing` TRUE: this migration's own files are there already (a retry) and count neither as conflict
     * nor as space needed. */
    gboolean (*preflight)(Target *target, const Machine *machine, gboolean existing, Findings *findings,
                          GError **error);
    /* Where the image of a disk will lie, whatever its state; unique per VM and disk.  Owned by the caller.
     */
    char *(*disk_path)(Target *target, const Machine *machine, const MachineDisk *disk);
    /* A fresh image at `path`, replacing an unfinished one of an earlier run. */
    Disk *(*create_disk)(Target *target, const char *path, guint64 size, GError **error);
    Disk *(*open_disk)(Target *target, const char *path, gboolean writable, GError **error);
    /* Makes the machine known to the platform; `paths` is parallel to machine->disks.  *ret_id is what
     * `start` and `remove` take. */
    gboolean (*import)(Target *target, const Machine *machine, const char *const *paths, char **ret_id,
                       GError **error);
    /* TRUE when the operator asked for it; `start` does it and returns once it runs. */
    gboolean (*wants_start)(Target *target);
    gboolean (*start)(Target *target, const char *id, GError **error);
    /* Undoes import and start (not the images). Idempotent; `id` may be NULL. */
    gboolean (*remove)(Target *target, const Machine *machine, const char *id, GError **error);
    gboolean (*remove_disk)(Target *target, const char *path, GError **error); /* gone already is success */
    void (*free)(Target *target);
} TargetOps;

struct Target {
    const TargetOps *ops;
};

/* By spec->kind; `spec` outlives the target.  VF_ERROR_UNSUPPORTED for a platform that is accepted in specs
 * and not built yet. */
Target *target_open(const TargetSpec *spec, const Cancel *cancel, GError **error);
void target_free(Target *target); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Target, target_free)

/* Checked front doors of the slots. */
const char *target_name(const Target *target);
gboolean target_preflight(Target *target, const Machine *machine, gboolean existing, Findings *findings,
                          GError **error);
char *target_disk_path(Target *target, const Machine *machine, const MachineDisk *disk);
Disk *target_create_disk(Target *target, const char *path, guint64 size, GError **error);
Disk *target_open_disk(Target *target, const char *path, gboolean writable, GError **error);
gboolean target_import(Target *target, const Machine *machine, const char *const *paths, char **ret_id,
                       GError **error);
gboolean target_wants_start(Target *target);
gboolean target_start(Target *target, const char *id, GError **error);
gboolean target_remove(Target *target, const Machine *machine, const char *id, GError **error);
gboolean target_remove_disk(Target *target, const char *path, GError **error);
