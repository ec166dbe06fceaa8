/* lab/qemu-guest.h: the running QEMU of a backing, and the bitmaps in it that say what the guest wrote.
 *
 * QEMU holds the open epoch of each tracked disk as a dirty bitmap on its node "disk-KEY"; an epoch that has
 * ended is read over NBD into disk->tracking and dropped there.
 *
 * Thread rule: with the backing's lock held.
 */
#pragma once

#include "base/proc.h"
#include "lab/backing-writer.h"
#include "lab/qmp.h"

/* backing->writer of a guest. */
typedef struct {
    Proc *process; /* NULL: off */
    Qmp *qmp;
    char *runtime;        /* directory of the sockets; NULL before the first start */
    guint64 last_written; /* when it was last on */
} QemuGuest;

/* disk->state of a guest's disk. */
typedef struct {
    guint epoch; /* number of the bitmap that is open in QEMU; 0: none */
    guint last_epoch;
} QemuDisk;

QemuGuest *qemu_guest(LabBacking *backing);
char *qemu_nbd_socket(const QemuGuest *guest);

/* qmp_tell() with the machine's directory in front of what went wrong. */
gboolean qemu_tell(LabBacking *backing, const char *command, Json *arguments, GError **error);

/* Arguments that name a bitmap, and that make one. */
Json *qemu_epoch_arguments(const BackingDisk *disk, guint epoch);
Json *qemu_epoch_new_arguments(const BackingDisk *disk, guint epoch);

/* BackingOps.track. */
gboolean qemu_epoch_track(LabBacking *backing, BackingDisk *disk, GError **error);

/* After the transaction of a snapshot, which stopped the bitmaps of all tracked disks and opened the next
 * ones; and at the end of the machine.  An epoch that cannot be read is lost, and with it the generation. */
void qemu_epoch_collect_frozen(LabBacking *backing);
void qemu_epoch_collect_last(LabBacking *backing, BackingDisk *disk);
