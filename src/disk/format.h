/* disk/format.h: opening an image without knowing beforehand what it is.
 */
#pragma once

#include "disk/bytes.h"

/* `format` NULL: looks at the first bytes ("QFI\xfb", and those of VMDK), and raw is only assumed when the
 * name says so (.raw, .img, -flat.vmdk) or it is a block device.  `path`: a local file, an nbd://
 * URI, or a disk within an OVA (ova.h): "x.ova:web-disk1.vmdk".
 */
Disk *format_open(const char *path, const char *format, gboolean writable, GError **error);

/* Which of the files that a qcow2 image names are opened, by every image of a chain.  Who made an image chose
 * these names, so what format_open() follows does not leave the folder of the image. */
typedef enum {
    FORMAT_FOLLOW_BESIDE, /* relative names without "..": in the folder of the image that names them, or below
                           */
    FORMAT_FOLLOW_ANY,    /* any local path */
    FORMAT_FOLLOW_NONE,
} FormatFollow;

#define FORMAT_CHAIN_MAX 64u

/* The same.  A backing file is opened as what its image says it is; where that says nothing, as what its
 * first bytes say, but never as raw.  VF_ERROR_INVALID for a loop and for more than FORMAT_CHAIN_MAX images,
 * VF_ERROR_UNSUPPORTED for a name that is not followed. */
Disk *format_open_following(const char *path, const char *format, gboolean writable, FormatFollow follow,
                            GError **error);

/* What `name` stands for in the image at `path`: relative names are relative to its folder. */
char *format_beside(const char *path, const char *name);

/* Makes a new image of a format of create.h, with its defaults.  VF_ERROR_CONFLICT when the file exists. */
Disk *format_create(const char *path, const char *format, guint64 size, GError **error);
