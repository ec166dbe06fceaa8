/* lab/qemu-machine.h: the command line of a guest with VMware's hardware, and the names that its block
 * devices go by.
 *
 * Of each disk, every link is a node "link-KEY-NUMBER" of its own; on top of the leaf lies a node "disk-KEY",
 * a throttle filter that throttles nothing: it is what the guest writes through, so it stays when links come
 * and go below it, and the bitmap on it sees every write once, whatever the chain looks like.
 *
 * Thread rule: pure functions on a backing whose lock is held.
 */
#pragma once

#include "base/json.h"
#include "lab/backing-writer.h"

#define QEMU_THROTTLE_GROUP "free"

char *qemu_disk_node(const BackingDisk *disk);
char *qemu_link_node(const BackingDisk *disk, const BackingLink *link);

/* Options of blockdev-add.  `below` NULL: nothing yet. */
Json *qemu_link_options(const LabBacking *backing, const BackingDisk *disk, const BackingLink *link,
                        const BackingLink *below);
Json *qemu_disk_options(const BackingDisk *disk);
/* Of device_add; `place` counts the disks from 0.  VF_ERROR_UNSUPPORTED when the controller has no more
 * places. */
Json *qemu_device_options(const BackingDisk *disk, guint place, GError **error);

/* The whole command line, paused at start; `qmp` is the path of the monitor's socket.  NULL-terminated. */
GPtrArray *qemu_command_line(const LabBacking *backing, const char *qmp, GError **error);
