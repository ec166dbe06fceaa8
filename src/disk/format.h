/* disk/format.h: opening an image without knowing beforehand what it is.
 */
#pragma once

#include "disk/bytes.h"

/* `format` NULL: looks at the first bytes ("QFI\xfb", and those of VMDK), and raw is only assumed when the
 * name says so (.raw, .img, -flat.vmdk) or it is a block device.  `path`: a local file, or an nbd:// URI.
 */
Disk *format_open(const char *path, const char *format, gboolean writable, GError **error);

/* Makes a new image of a format of create.h, with its defaults.  VF_ERROR_CONFLICT when the file exists. */
Disk *format_create(const char *path, const char *format, guint64 size, GError **error);
