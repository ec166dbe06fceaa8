/* vsphere/vm-ops.h: what is done to a VM: snapshots, change tracking, power.
 *
 * Each starts a task and waits for it; `cancel` of the session ends the wait with VF_ERROR_CANCELLED, the
 * task goes on.  A task that is refused with TaskInProgress is asked for again with back-off for up to ten
 * minutes.
 */
#pragma once

#include "copy/extents.h"
#include "vsphere/inventory.h"

/* Memory is never included.  *ret_moref is the new snapshot.  Quiesce faults (ApplicationQuiesceFault,
 * FilesystemQuiesceFault, ToolsUnavailable, ...) are VF_ERROR_UNSUPPORTED, so that a caller can go on
 * without. */
gboolean vsphere_create_snapshot(Vsphere *vsphere, const char *vm, const char *name, const char *description,
                                 gboolean quiesce, char **ret_moref, GError **error);
/* Consolidates; children stay.  Waits as long as it takes.  A snapshot that is gone already is success. */
gboolean vsphere_remove_snapshot(Vsphere *vsphere, const char *snapshot, GError **error);
/* By name; NULL without error when there is none. */
char *vsphere_find_snapshot(Vsphere *vsphere, const char *vm, const char *name, GError **error);
gboolean vsphere_consolidate(Vsphere *vsphere, const char *vm, GError **error);
/* Waits until no snapshot or consolidation task is queued or running on it. */
gboolean vsphere_wait_idle(Vsphere *vsphere, const char *vm, guint timeout_seconds, GError **error);

/* The disks as the snapshot froze them (paths, change ids at that moment): VsphereDisk, by key. */
GPtrArray *vsphere_snapshot_disks(Vsphere *vsphere, const char *snapshot, GError **error);

gboolean vsphere_set_change_tracking(Vsphere *vsphere, const char *vm, gboolean on, GError **error);

/* Adds to `areas` what changed between `change_id` ("*": what is allocated) and `snapshot` (NULL: now, VM
 * off), asking again until the whole `size` is answered.  Answers that go back, stand still, leave the disk
 * or overflow are VF_ERROR_INTEGRITY; FileFault and InvalidArgument for the change id are VF_ERROR_INTEGRITY
 * too: the id is not to be trusted. */
gboolean vsphere_changed_areas(Vsphere *vsphere, const char *vm, const char *snapshot, gint32 disk_key,
                               guint64 size, const char *change_id, Extents *areas, GError **error);

/* "52 de .../81": TRUE when both parse, have the same generation, and `now` is not older than `then`. */
gboolean vsphere_change_id_follows(const char *then, const char *now);

gboolean vsphere_shutdown_guest(Vsphere *vsphere, const char *vm, GError **error); /* asks; does not wait */
gboolean vsphere_power_off(Vsphere *vsphere, const char *vm, GError **error); /* off already is success */
gboolean vsphere_power_on(Vsphere *vsphere, const char *vm, GError **error);  /* on already is success */
/* "poweredOn", "poweredOff", "suspended". */
char *vsphere_power_state(Vsphere *vsphere, const char *vm, GError **error);

/* Of `privileges` (NULL-terminated), those that the session lacks on `entity` of `type`: char *, empty when
 * none. */
GPtrArray *vsphere_missing_privileges(Vsphere *vsphere, const char *type, const char *entity,
                                      const char *const *privileges, GError **error);
