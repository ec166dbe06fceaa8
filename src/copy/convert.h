/* copy/convert.h: one image into another, safely.
 *
 * A local file is written beside its name (partial.h) and takes that name only when it is complete, durable
 * and, if that was asked for, read back: what stands under the name is never a part of an image.  Block
 * devices and NBD exports are written in place.
 *
 * When a conversion fails, or is cancelled, after its first checkpoint, its parts stay and the error says how
 * to go on; before that nothing stays.  After kill -9 they stay too.
 *
 * Thread rule: convert_run() and all callbacks on one thread.
 */
#pragma once

#include "copy/content-hash.h"
#include "copy/image-source.h"
#include "disk/create.h"

typedef struct {
    const ImageSource *source;
    const char *target; /* a path, or an nbd:// URI */
    const CreateOptions *options;
    gboolean resume;      /* go on where an earlier run of the same conversion was stopped, if one was */
    gboolean verify;      /* read everything back and compare checksums before it gets its name */
    guint threads;        /* 0: 8 */
    guint64 bandwidth;    /* bytes/s; 0: no limit */
    const Cancel *cancel; /* may be NULL */
    /* About twice a second, and at the end of each phase: "copying", "verifying".  May be NULL. */
    void (*show)(const char *phase, const CopyProgress *progress, gpointer data);
    gpointer show_data;
} ConvertJob;

typedef struct {
    guint64 size;                     /* of the disk, bytes */
    guint64 resumed;                  /* bytes that an earlier run had done */
    CopyProgress progress;            /* of this run */
    guint64 verified;                 /* blocks that were read back */
    char checksum[CONTENT_HASH_TEXT]; /* of the contents (content-hash.h) */
} ConvertReport;

/* VF_ERROR_CONFLICT when the target is a part of the source, or is in use. */
gboolean convert_run(const ConvertJob *job, ConvertReport *ret_report, GError **error);
