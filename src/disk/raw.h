/* disk/raw.h: the image that is nothing but its contents.
 *
 * Holes of the file are holes of the disk (SEEK_HOLE), zeroing punches them.  The size is that of the bytes.
 */
#pragma once

#include "disk/bytes.h"

/* Takes over `bytes`, in failure too. */
Disk *raw_open(Bytes *bytes, GError **error);

/* Sets the size of fresh, empty `bytes` and opens them; everything is a hole. */
Disk *raw_create(Bytes *bytes, guint64 size, GError **error);
