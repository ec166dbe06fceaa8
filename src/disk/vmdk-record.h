/* disk/vmdk-record.h: the records that a streamOptimized file is made of, and how a grain is inflated.
 *
 * A record begins at a sector.  {u64 lba, u32 size > 0} is a grain: `size` bytes of a zlib stream (RFC 1950)
 * follow at byte 12.  {u64 sectors, u32 0, u32 type} is a marker that fills its sector; `sectors` of
 * metadata follow.
 *
 * Thread rule: any thread, without locks.
 */
#pragma once

#include <glib.h>

#define VMDK_RECORD_HEADER 12u

/* A compressed grain is read whole: what is larger than this is refused. */
#define VMDK_COMPRESSED_GRAIN_MAX (1u << 20)

typedef enum {
    VMDK_MARKER_END,
    VMDK_MARKER_TABLE,
    VMDK_MARKER_DIRECTORY,
    VMDK_MARKER_FOOTER,
    VMDK_MARKER_PROGRESS
} VmdkMarker;

typedef struct {
    guint64 value; /* of a grain: the sector of the disk; of a marker: sectors that follow */
    guint32 size;  /* 0: a marker */
    guint32 type;  /* of a marker: VmdkMarker, or something unknown */
} VmdkRecord;

/* Of the first 16 bytes. */
VmdkRecord vmdk_record_parse(const guint8 *bytes);

/* The most bytes that the stream of a grain of `grain_size` bytes may have: what does not compress grows. */
guint32 vmdk_record_max_size(guint32 grain_size);

/* Inflates the stream of one grain into `grain_size` bytes at `grain`.  The last grain of a disk may hold
 * fewer bytes, at least `needed`; the rest becomes zero.  VF_ERROR_INTEGRITY says what is wrong, and leaves
 * it to the caller to say where. */
gboolean vmdk_inflate(const guint8 *stream, gsize size, guint8 *grain, gsize grain_size, gsize needed,
                      GError **error);
