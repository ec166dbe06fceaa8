/* A vSphere without a wire: the functions of src/vsphere over the lab's disks, in this process.
 *
 * The worker is tested with real disks, a guest that writes, snapshots and change tracking; what is left out
 * is SOAP and HTTP. Every call is logged by name, can be made to fail, and can be an occasion for something
 * else to happen.
 */
#pragma once

#include "lab/backing.h"
#include "vsphere/vm-ops.h"

typedef struct {
    char *directory;
    LabBacking *backing;
    LabDiskConfig disks[4];
    guint n_disks;
    const char *name;
    GPtrArray *snapshots; /* char *: names, which are morefs too */
    GPtrArray *calls;     /* char *: what was called, in order */
    gboolean cbt_enabled, tools, cannot_quiesce, ignores_shutdown, consolidation_needed, suspended;
    gint untracked_key;    /* this disk never shows a change id */
    gboolean lies;         /* changed areas are always none */
    const char *fail_call; /* this call fails... */
    guint fail_times;      /* ... so many times */
    int fail_class;
    void (*on_call)(const char *call, gpointer data); /* before it is done */
    gpointer data;
} FakeVsphere;

/* The one that vsphere_open() opens. */
extern FakeVsphere *fake_vsphere;

FakeVsphere *fake_vsphere_new(const LabDiskConfig *disks, guint n_disks, const LabWriterConfig *writer);
void fake_vsphere_free(FakeVsphere *fake);
guint fake_vsphere_count(const FakeVsphere *fake, const char *call);
