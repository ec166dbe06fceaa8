/* disk/codec.h: the compressions that occur within images: the only user of libdeflate and libzstd.
 *
 * One piece (a cluster, a grain) at a time, from memory to memory.  What the libraries need for that is kept
 * for each thread and ends with it: up to a few MiB for a thread that compresses.
 *
 * Thread rule: any thread, without locks.
 */
#pragma once

#include <glib.h>

typedef enum {
    CODEC_DEFLATE, /* RFC 1951, bare: what qcow2 calls zlib */
    CODEC_ZLIB,    /* RFC 1950, with header and checksum: grains of VMDK */
    CODEC_ZSTD,    /* RFC 8878, one or more frames */
} CodecKind;

/* Level 0 means the usual one; what is beyond a codec's highest is that. */
#define CODEC_LEVEL_MAX 22

/* Decompresses.  What follows the end of the stream is not looked at: a stream is often only known to end
 * within a sector.  `ret_length` NULL: exactly `out_length` bytes must come out; else it gets their number,
 * at most `out_length`.  `what` names the piece in messages ("a.qcow2: cluster at 65536").
 * VF_ERROR_INTEGRITY. */
gboolean codec_decompress(CodecKind kind, const void *in, gsize in_length, void *out, gsize out_length,
                          gsize *ret_length, const char *what, GError **error);

/* The size of the stream that is put into `out`, or 0 when it would not fit in there. */
gsize codec_compress(CodecKind kind, guint level, const void *in, gsize in_length, void *out, gsize out_max);

/* TRUE for what deflate would hardly make smaller: bytes that are spread as in noise (encrypted, compressed
 * already).  Looks at 4 KiB of at least as much. */
gboolean codec_looks_random(const void *in, gsize in_length);

/* A zlib stream (RFC 1950) that holds `in` as it is: 5 bytes more for each 65535, and 6.  Its size, or 0 when
 * it would not fit. */
gsize codec_store(const void *in, gsize in_length, void *out, gsize out_max);
