/* migration/round-plan.h: what a round has to read of each disk, and the disks opened for it.  Internal to
 * the rounds.
 */
#pragma once

#include "migration/engine.h"
#include "migration/resume.h"

/* A disk in a round. */
typedef struct {
    const MachineDisk *machine;
    StoreDisk *disk;
    StoreRoundDisk *row;
    CopyPlan *plan;
    Extents *done; /* of the plan, by earlier runs; NULL: nothing */
    Disk *source, *target;
    Sums *sums;
    CopyMeter *meter;
    struct Round *round;
} RoundDisk;

typedef struct Round {
    Engine *engine;
    StoreRound *row;
    GPtrArray *disks; /* RoundDisk, in the machine's order */
    char *datacenter_path;
    gboolean off;         /* no snapshot: the VM is off */
    double begun, frozen; /* monotonic; frozen 0: not by this process */
} Round;

/* Takes over `row`. */
Round *round_new(Engine *engine, StoreRound *row);
void round_free(Round *round); /* closes what is open; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Round, round_free)

/* Adds a disk whose row (taken over) says what is frozen. */
RoundDisk *round_add_disk(Round *round, const MachineDisk *machine, StoreRoundDisk *row, GError **error);

/* Makes the state that is copied: a snapshot, or a VM that is off; checks that its disks are those that are
 * known, and records their change ids before anything else is asked. */
gboolean round_freeze(Round *round, GError **error);

/* Asks what has to be copied, makes or opens the target, and fills the rows. */
gboolean round_plan(Round *round, GError **error);

/* Opens what an earlier run planned. */
gboolean round_reopen(Round *round, GError **error);

/* Has the disk a complete base copy? */
gboolean round_has_base(Engine *engine, const char *key, gboolean *ret, GError **error);
gboolean round_set_base(Engine *engine, const char *key, GError **error);
