/* disk/padded.h: a disk that ends within a sector, made longer by zeros to the sector's end.
 *
 * A raw file may have any size; a guest sees whole sectors of it, and so does every other format.
 */
#pragma once

#include "disk/disk.h"

/* `inner` (taken over) itself when its size is a multiple of 512, else a read-only disk that is up to 511
 * bytes longer. */
Disk *padded_disk_new(Disk *inner);
