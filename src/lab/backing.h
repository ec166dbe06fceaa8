/* lab/backing.h: the disks of one VM of the lab: files on a datastore, a writer that changes them while the
 * VM is on, snapshots that freeze them, and change tracking.
 *
 * A disk NAME.vmdk on a datastore is a text descriptor beside NAME-flat.vmdk, a raw sparse file.  Two writers
 * exist behind one table of operations: synthetic (backing-synthetic.c): a thread writes blocks of a known
 * pattern at a given rate; while snapshots exist its writes go to a delta beside the frozen file, merged when
 * the snapshot is removed, exactly as a redo log does; guest (backing-qemu.c): a real guest under QEMU (TCG)
 * on pvscsi and vmxnet3, its writes tracked by QEMU's dirty bitmaps, a snapshot one QMP transaction (overlay
 * + new bitmap), its removal a block-commit.
 *
 * Change tracking: 64 KiB granularity, one generation uuid per disk, a sequence number that grows with each
 * snapshot.  A change id is
 * "<uuid>/<sequence>".  Areas between two ids are the union of the epochs between them.  What is merged back
 * by removing a snapshot counts as a change of the epoch in which it was written.  Tracking can be switched
 * on (active after the next snapshot cycle or power cycle) and reset (new generation), as after a crash of
 * the host.
 *
 * Locks as on a real host: while the VM is on, the leaf file of each disk is locked (lab_backing_locked());
 * what a snapshot froze may be read; off, all may.
 *
 * Thread rule: one lock inside; every function may be called from any thread of the lab's server.
 */
#pragma once

#include "copy/extents.h"

#include <glib.h>

typedef struct LabBacking LabBacking;

typedef struct {
    gint32 key;         /* device key, 2000... */
    const char *name;   /* file name without .vmdk, in the VM's directory: "web", "web_1" */
    guint64 size;       /* bytes */
    const char *image;  /* raw contents to start from (copied, sparse); NULL: zeros */
    guint fill_percent; /* without image: how much of it is written with pattern data at the start */
} LabDiskConfig;

typedef struct {
    /* synthetic */
    guint64 write_rate;  /* bytes per second over all disks; 0: writes nothing */
    guint64 working_set; /* bytes per disk that the writes fall into; 0: the whole disk */
    guint32 block;       /* bytes per write, 4096 */
    gboolean sequential; /* else scattered */
    guint32 seed;
    /* guest */
    gboolean guest;     /* a real one under QEMU */
    const char *kernel; /* -kernel/-initrd/-append; NULL: boots from the first disk */
    const char *initrd;
    const char *append;
    guint memory_mib, cpus;
    gboolean uefi;
} LabWriterConfig;

/* `directory`: the VM's directory on the datastore, made when missing.  Files that are there already are used
 * as they are. */
LabBacking *lab_backing_open(const char *directory, const LabDiskConfig *disks, guint n_disks,
                             const LabWriterConfig *writer, GError **error);
void lab_backing_free(LabBacking *backing); /* powers off hard; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabBacking, lab_backing_free)

gboolean lab_backing_power_on(LabBacking *backing, GError **error);
gboolean lab_backing_power_off(LabBacking *backing, GError **error); /* pulls the plug */
/* Asks the guest (ACPI; the synthetic writer stops after finishing its writes).  Returns at once; poll is_on.
 */
gboolean lab_backing_shutdown(LabBacking *backing, GError **error);
gboolean lab_backing_is_on(LabBacking *backing);

/* Freezes all disks at one instant.  `quiesce`: the guest is asked to sync first. */
gboolean lab_backing_snapshot(LabBacking *backing, const char *id, gboolean quiesce, GError **error);
/* Merges; any snapshot of the chain may be removed. */
gboolean lab_backing_remove_snapshot(LabBacking *backing, const char *id, GError **error);

/* Tracking. */
void lab_backing_set_tracking(LabBacking *backing, gboolean on);
gboolean lab_backing_reset_tracking(LabBacking *backing, gint32 key, GError **error); /* new generation */
/* Change id at snapshot `id`, or now when NULL; NULL when tracking is not active for it. */
char *lab_backing_change_id(LabBacking *backing, gint32 key, const char *id);
/* Areas changed since `change_id` until snapshot `id` (NULL: now; only when off).  "*": allocated areas.
 * VF_ERROR_INVALID for an id that is unknown or of another generation. */
gboolean lab_backing_changed(LabBacking *backing, gint32 key, const char *id, const char *change_id,
                             Extents *areas, GError **error);

/* File name (in the directory) of the descriptor of the disk as frozen by snapshot `id`, or of the leaf when
 * NULL. */
char *lab_backing_file(LabBacking *backing, gint32 key, const char *id);
guint64 lab_backing_size(LabBacking *backing, gint32 key);
gboolean lab_backing_resize(LabBacking *backing, gint32 key, guint64 size,
                            GError **error); /* grows; no snapshots; new generation */
/* Adds a disk (hot add). */
gboolean lab_backing_add_disk(LabBacking *backing, const LabDiskConfig *disk, GError **error);

/* TRUE when `file` of the directory may not be read now (the leaf of a running VM). */
gboolean lab_backing_locked(LabBacking *backing, const char *file);
/* How many bytes the writer has written since power on. */
guint64 lab_backing_written(LabBacking *backing);
