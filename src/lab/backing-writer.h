/* lab/backing-writer.h: what the two writers of lab/backing.h have in common, and what each fills in.  Only
 * they include this.
 *
 * A disk is a list of links: the flat file, then one delta for each snapshot; the last link is the leaf.  A
 * snapshot points, for each disk that was there, at the link that it froze.  Removing it merges the next link
 * into that one. backing.c keeps the lists, the snapshots, the change ids and the descriptors; a writer owns
 * the data files.
 *
 * Thread rule: every slot is called with the lock held, but for free, which is called when nobody else is
 * left.
 */
#pragma once

#include "lab/backing.h"
#include "lab/tracking.h"

typedef struct {
    guint number;     /* 0: the flat file */
    char *descriptor; /* file names in the directory: "web-000001.vmdk" */
    char *data;       /* "web-flat.vmdk", "web-000001-delta.vmdk" */
    gpointer state;   /* the writer's */
    GDestroyNotify free_state;
} BackingLink;

typedef struct {
    gint32 key;
    char *name;
    guint64 size;
    GPtrArray *links;   /* BackingLink, flat file first */
    Tracking *tracking; /* NULL while it is not active */
    gpointer state;     /* the writer's */
    GDestroyNotify free_state;
} BackingDisk;

typedef struct {
    BackingDisk *disk;
    BackingLink *link; /* frozen; borrowed from the disk */
    char *change_id;   /* NULL when tracking was not active */
} BackingFrozen;

typedef struct {
    char *id;
    GPtrArray *frozen; /* BackingFrozen */
} BackingSnapshot;

typedef struct {
    /* Makes the writer's state of a disk whose links are there: at opening, and for a disk that is added (to
     * a machine that may be on). */
    gboolean (*add_disk)(LabBacking *backing, BackingDisk *disk, GError **error);
    gboolean (*power_on)(LabBacking *backing, GError **error);
    gboolean (*power_off)(LabBacking *backing, GError **error);
    gboolean (*shutdown)(LabBacking *backing, GError **error);
    /* NULL: nothing has to be asked. */
    gboolean (*quiesce)(LabBacking *backing, GError **error);
    /* Notices what the machine did by itself, going off above all.  NULL: the writer reports it at once. */
    void (*settle)(LabBacking *backing);
    /* Makes the data of `leaves` (a BackingLink for each disk, in order) and lets the disks go on there, all
     * at one instant.  The open epochs are complete in `tracking` when it returns. */
    gboolean (*freeze)(LabBacking *backing, const GPtrArray *leaves, GError **error);
    /* Merges link `index` + 1 into link `index`; the data file of the former is gone afterwards, its
     * BackingLink is not. */
    gboolean (*merge)(LabBacking *backing, BackingDisk *disk, guint index, GError **error);
    /* Begins to mark in disk->tracking, which is fresh, or stops when it is NULL. */
    gboolean (*track)(LabBacking *backing, BackingDisk *disk, GError **error);
    /* Adds what a delta holds. */
    gboolean (*allocated)(LabBacking *backing, const BackingDisk *disk, const BackingLink *link,
                          Extents *areas, GError **error);
    gboolean (*resize)(LabBacking *backing, BackingDisk *disk, guint64 size, GError **error);
    guint64 (*written)(LabBacking *backing);
    void (*free)(LabBacking *backing);
} BackingOps;

struct LabBacking {
    const BackingOps *ops;
    char *directory;        /* immutable, as are ops and config */
    LabWriterConfig config; /* strings are copies */

    GMutex lock;          /* guards all that follows */
    GPtrArray *disks;     /* BackingDisk */
    GPtrArray *snapshots; /* BackingSnapshot, oldest first */
    gboolean on;
    gboolean tracking_wanted;
    gpointer writer;
};

extern const BackingOps backing_synthetic_ops;
extern const BackingOps backing_guest_ops;

/* Of `file` in the directory. */
char *backing_path(const LabBacking *backing, const char *file);
BackingLink *backing_leaf(const BackingDisk *disk);
