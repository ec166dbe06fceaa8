/* disk/vmdk-stream.h: a streamOptimized VMDK that comes once and in order: an NFC export, standard input, a
 * member of an OVA that is not stored first.
 *
 * The parser is fed with whatever has come, in pieces of any size, and calls back for each grain as soon as
 * its record is complete.  It only separates records: inflating is a call of its own, so that several threads
 * can share that work.  What no grain came for is zero.  A stream counts only when vmdk_stream_end() has
 * agreed: without that it was cut short.
 *
 * Thread rule: a stream belongs to one thread at a time; vmdk_stream_inflate() any thread.
 */
#pragma once

#include <glib.h>

typedef struct VmdkStream VmdkStream;

typedef struct {
    guint64 offset;     /* on the disk, in bytes; a multiple of grain_size */
    guint32 length;     /* bytes of disk: grain_size, or less at its end */
    guint32 grain_size; /* bytes */
    const guint8 *data; /* the compressed bytes, until the callback returns */
    gsize size;
    guint64 at; /* where in the stream its record begins */
} VmdkStreamGrain;

/* FALSE with an error ends the feeding. */
typedef gboolean (*VmdkStreamFound)(const VmdkStreamGrain *grain, gpointer data, GError **error);

/* `name` is for messages. */
VmdkStream *vmdk_stream_new(const char *name, VmdkStreamFound found, gpointer data);
void vmdk_stream_free(VmdkStream *stream); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmdkStream, vmdk_stream_free)

/* VF_ERROR_INVALID for what is no such stream, VF_ERROR_UNSUPPORTED for one that cannot be read in order or
 * is the delta of a snapshot, VF_ERROR_INTEGRITY for what is damaged; whatever the callback said.  After a
 * failure only vmdk_stream_free() is of use.  At most 3 MiB are kept. */
gboolean vmdk_stream_feed(VmdkStream *stream, const void *data, gsize length, GError **error);

/* All has been fed.  VF_ERROR_INTEGRITY when the end marker has not come. */
gboolean vmdk_stream_end(VmdkStream *stream, GError **error);

/* Bytes of the disk; 0 as long as the header has not come, which is before the first grain. */
guint64 vmdk_stream_size(const VmdkStream *stream);

/* Fills grain->grain_size bytes at `to`.  VF_ERROR_INTEGRITY. */
gboolean vmdk_stream_inflate(const VmdkStreamGrain *grain, const char *name, guint8 *to, GError **error);
