/* copy/image-source.h: an image that is read from, and what tells it from another one.
 *
 * Whatever a source is made of, descriptor, extents and backing files, its files are open while it is: they
 * are found among the descriptors of this process, so no format has to list them.
 *
 * Thread rule: opening needs the process to open nothing else at the same time.
 */
#pragma once

#include "base/json.h"
#include "disk/disk.h"

typedef struct {
    char *path;
    Disk *disk;    /* of whole sectors (padded.h) */
    GArray *files; /* SourceFile: the local files and devices that it is made of */
} ImageSource;

/* `path` and `format` as for format_open().  VF_ERROR_INVALID for a format that cannot be told. */
ImageSource *image_source_open(const char *path, const char *format, GError **error);
void image_source_free(ImageSource *source); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageSource, image_source_free)

/* What must be the same when a copy of it goes on later: place, size, and of each file what changes when
 * somebody writes to it.  Of a disk behind NBD only name and size are known. */
Json *image_source_identity(const ImageSource *source);

/* TRUE when `path` is one of the files that it is made of. */
gboolean image_source_is_made_of(const ImageSource *source, const char *path);

/* Bytes that its files take of their file systems. */
guint64 image_source_allocated(const ImageSource *source);
/* Paths of its files, in the order in which they were opened. */
GPtrArray *image_source_paths(const ImageSource *source);
