/* lab/model.h: what the small vSphere consists of: managed objects in a tree, and the Lab that holds them.
 *
 * Every managed object starts with a LabObject and is found by its moref.  Inventory lives as long as the
 * lab; tasks go ten minutes after their end, snapshots when they are removed.  What belongs to one session
 * (views, collectors, filters) hangs on the session.
 *
 * Thread rule: everything here is guarded by Lab.lock, but for what is said to be constant after the start.
 * The lock is not held while a backing works, a task sleeps, or bulk data is sent.  Lab.changed is signalled
 * when something changed that a waiter could wait for.
 */
#pragma once

#include "base/cancel.h"
#include "base/json.h"
#include "lab/backing.h"
#include "lab/lab.h"
#include "lab/value.h"
#include "net/http-server.h"
#include "net/tls-trust.h"

typedef struct LabObject LabObject;
struct LabObject {
    const char *type; /* "VirtualMachine": static */
    char *moref;
    char *name; /* as the API says it: % / \ are escaped */
    LabObject *parent;
    GPtrArray *children; /* of a folder: LabObject; else NULL */
    void (*free)(LabObject *object);
};

/* A fault that a method or a task ends with. */
typedef struct {
    Value *value; /* NULL: none */
    char *message;
} LabFault;
void lab_fault_clear(LabFault *fault);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LabFault, lab_fault_clear)
/* Takes over `value`; returns FALSE, so that `return lab_fault(...)` is one statement. */
gboolean lab_fault(LabFault *fault, Value *value, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* A fault type without fields. */
gboolean lab_fault_plain(LabFault *fault, const char *type, const char *format, ...) G_GNUC_PRINTF(3, 4);
gboolean lab_fault_argument(LabFault *fault, const char *property); /* InvalidArgument */

typedef struct {
    LabObject object;
    LabObject *vm_folder, *host_folder, *datastore_folder, *network_folder;
    LabObject *cluster, *pool;
    GPtrArray *hosts, *datastores, *networks; /* borrowed, by name */
    char *path;                               /* dcPath: names from below the root, joined by "/" */
} LabDatacenter;

typedef struct {
    LabObject object;
    LabDatacenter *datacenter;
    char *kind; /* "VMFS" */
    char *uuid;
    guint64 capacity;
    char *directory; /* on this machine */
} LabDatastore;

typedef struct {
    const char *kind; /* "pvscsi", ...: static */
    gint32 key;
    gint32 bus;
} LabController;

typedef struct {
    gint32 key;
    gint32 unit;
    LabController *controller;
    LabDatastore *datastore;
    char *name;    /* without .vmdk */
    char *mode;    /* "persistent", ... */
    char *sharing; /* NULL: sharingNone */
    char *rdm;     /* "physicalMode", "virtualMode" or NULL */
    char *uuid;
    char *file;      /* of the descriptor now, or as the snapshot froze it */
    char *change_id; /* NULL: not tracked */
    guint64 size;
    GStrv parents; /* files below `file` in its chain, nearest first; NULL: none */
} LabDisk;

typedef struct {
    gint32 key;
    char *kind; /* "vmxnet3", ... */
    char *mac;
    LabObject *network;
} LabNic;

typedef struct LabVm LabVm;
typedef struct LabTask LabTask;
typedef struct LabSnapshot LabSnapshot;

struct LabSnapshot {
    LabObject object;
    LabVm *vm;
    LabSnapshot *above; /* its parent, or NULL */
    char *title, *description;
    gint32 number;
    gint64 created;
    gboolean quiesced, was_on;
    GPtrArray *disks; /* LabDisk: as they were frozen */
};

typedef enum { LAB_CBT_UNSUPPORTED, LAB_CBT_SUPPORTED } LabCbt;

struct LabVm {
    LabObject object;
    LabDatacenter *datacenter;
    LabObject *host;
    LabDatastore *datastore; /* of its home directory */
    char *home;              /* directory on the datastore */
    char *directory;         /* on this machine: all its files */
    char *instance_uuid, *uuid, *guest_id, *firmware, *annotation, *connection_state, *question;
    gboolean secure_boot, is_template, encrypted, fault_tolerant;
    guint cpus, memory_mib, hardware_version;
    GPtrArray *controllers, *disks, *nics; /* LabController, LabDisk, LabNic */
    GStrv extras;                          /* further devices: "usb", "pci", "tpm", ... */
    LabCbt cbt_support;
    gboolean cbt;       /* the flag; the disks' change ids say whether it is active */
    gboolean has_tools; /* installed; they run while the VM does */
    gboolean refuses_quiesce;
    gboolean on;
    gboolean consolidation_needed;
    GPtrArray *snapshots; /* LabSnapshot, parents before children */
    LabSnapshot *current; /* or NULL */
    GPtrArray
        *orphans; /* char *: snapshots of the backing that are out of the tree and wait for consolidation */
    gint32 next_snapshot;
    LabTask *task;       /* that changes it now, or NULL */
    LabBacking *backing; /* has its own lock; constant after the start */
};

typedef struct {
    guint32 slow_ms;         /* each request takes so much longer */
    guint64 rate;            /* bytes per second of /folder, per request; 0: as it goes */
    guint unavailable;       /* so many requests are answered 503 */
    guint cut_after_replies; /* the k-th range reply from now ... */
    guint64 cut_bytes;       /* ... ends after so many bytes */
    guint full_answers;      /* so many range requests are answered 200 */
    guint wrong_ranges;      /* so many with a wrong Content-Range */
    guint short_areas;       /* so many pages of changed areas stop at half */
    guint refuse_quiesce;    /* so many snapshots */
    guint fail_removal;      /* so many removals of snapshots fail */
    guint half_removal;      /* so many succeed, and leave consolidation to do */
} LabTroubles;

struct Lab {
    GMutex lock;
    GCond changed;
    Cancel *cancel; /* raised by lab_stop() */

    /* Constant after the start. */
    char *directory, *address, *user, *password, *instance_uuid;
    char **tls_names;
    guint16 port;
    guint session_timeout; /* seconds */
    guint page_size, areas_page, task_ms, max_sessions;
    gboolean decode_twice; /* names in /folder's query, as old vCenters did */
    GHashTable *denied;    /* privileges that the user lacks */
    HttpServer *server;
    char *url;
    TlsPeer *peer;
    GPtrArray *datacenters, *vms; /* borrowed from objects */
    LabObject *root;
    Json *saved; /* what an earlier life left; NULL: none */

    /* Guarded by lock. */
    GHashTable *objects;  /* moref -> LabObject, owned */
    GHashTable *sessions; /* cookie -> LabSession, owned */
    GQueue tasks;         /* LabTask, oldest first */
    guint64 next_number;  /* of tasks, snapshots, sessions */
    LabTroubles troubles;
    GThreadPool *workers;
    GThread *keeper; /* notices guests that shut down, ends old tasks */
};

/* With the lock held. */
static inline void lab_lock(Lab *lab)
{
    g_mutex_lock(&lab->lock);
}
static inline void lab_unlock(Lab *lab)
{
    g_mutex_unlock(&lab->lock);
}

void lab_model_init(Lab *lab);
void lab_model_fini(Lab *lab);

/* Fills in an object that was allocated with its type's size, and registers it.  `prefix` "vm-" gets the next
 * number; ends with a digit, a letter or so: taken as it is. */
void lab_object_init(Lab *lab, LabObject *object, const char *type, const char *moref, const char *name,
                     LabObject *parent);
char *lab_next_moref(Lab *lab, const char *prefix);
LabObject *lab_find(Lab *lab, const char *moref);
void lab_object_fini(LabObject *object);

LabObject *lab_folder_new(Lab *lab, const char *moref_prefix, const char *name, LabObject *parent);
LabDatacenter *lab_datacenter_new(Lab *lab, const char *name, LabObject *parent);
LabObject *lab_host_new(Lab *lab, LabDatacenter *datacenter, const char *name);
LabObject *lab_network_new(Lab *lab, LabDatacenter *datacenter, const char *name);
LabDatastore *lab_datastore_new(Lab *lab, LabDatacenter *datacenter, const char *name);
LabVm *lab_vm_new(Lab *lab, LabDatacenter *datacenter, LabObject *folder, const char *moref,
                  const char *name);
/* Current from now on. */
LabSnapshot *lab_snapshot_new(Lab *lab, LabVm *vm, const char *moref, const char *title);
/* Out of the tree and of the registry; its children go to its parent. */
void lab_snapshot_drop(Lab *lab, LabSnapshot *snapshot);

/* Child of a folder by its name as the API says it, or NULL. */
LabObject *lab_child(const LabObject *folder, const char *name);
/* "%" "/" "\" as vCenter writes them in names. */
char *lab_escape_name(const char *name);

LabController *lab_vm_controller_new(LabVm *vm, const char *kind, gint32 bus); /* NULL: no such kind */
/* The first bus on which a controller of this kind finds room; all kinds of SCSI share one row of buses. */
gint32 lab_vm_free_bus(const LabVm *vm, const char *kind);
/* Key and place on its controller; NULL when the unit is taken or does not exist. */
LabDisk *lab_vm_disk_new(LabVm *vm, LabController *controller, gint32 unit, const char *name);
LabDisk *lab_vm_disk(LabVm *vm, gint32 key);
LabDisk *lab_disk_find(GPtrArray *disks, gint32 key);
LabDisk *lab_disk_copy(const LabDisk *disk);
void lab_disk_free(LabDisk *disk); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabDisk, lab_disk_free)
LabNic *lab_vm_nic_new(LabVm *vm, const char *kind, LabObject *network, const char *mac);
gboolean lab_disk_snapshots(const LabDisk *disk); /* FALSE: independent, or a physical RDM */
