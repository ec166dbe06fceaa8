/* disk/memory.h: disks that live in memory: for tests and benchmarks, where the other end must cost nothing.
 */
#pragma once

#include "disk/disk.h"

/* `size` bytes of zeros, allocated as they are written in pieces of 64 KiB; writable. */
Disk *memory_disk_new(const char *name, guint64 size);

/* Read-only; byte contents are a function of the offset and `seed`, nothing is stored.  `data_percent` of its
 * 1 MiB pieces are data, the others read as zero and are reported as holes. */
Disk *pattern_disk_new(const char *name, guint64 size, guint32 seed, guint data_percent);

/* Wraps `inner` (taken over) and fails on demand: the `nth` read or write from now (1 = next) and all after
 * it fail with `class`, until fault_disk_heal().  nth 0: never. */
Disk *fault_disk_new(Disk *inner);
void fault_disk_fail_read(Disk *disk, guint nth, int error_class);
void fault_disk_fail_write(Disk *disk, guint nth, int error_class);
void fault_disk_heal(Disk *disk);
