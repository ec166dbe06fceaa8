/* disk/qcow2-internal.h: what the files of the qcow2 driver share.  Nobody else includes it.
 *
 *   qcow2-header.c   the header: reading, checking, writing
 *   qcow2-extension.c  names and extensions behind the header
 *   qcow2-cache.c    L2 tables and refcount blocks in memory, bounded
 *   qcow2-alloc.c    where new clusters come from; refcounts
 *   qcow2-map.c      guest offset -> cluster, and changing that
 *   qcow2-commit.c   the order in which metadata reach the file
 *   qcow2-check.c    what is looked at and repaired before an image is written to
 *   qcow2-stream.c   where compressed clusters go, and how they are read
 *   qcow2-read.c     read, extents
 *   qcow2-io.c       write, zero
 *   qcow2.c          open, create, resize, close
 *
 * Locks: commit_lock (one commit at a time) is taken before lock; no data I/O happens under lock.
 * A function that says "may drop the lock" reads a table from the file without it: what the caller knew
 * before must be looked at again.
 */
#pragma once

#include "disk/codec.h"
#include "disk/driver.h"
#include "disk/qcow2.h"

#define QCOW2_OFFSET_MASK G_GUINT64_CONSTANT(0x00fffffffffffe00)
#define QCOW2_COPIED      (G_GUINT64_CONSTANT(1) << 63)
#define QCOW2_COMPRESSED  (G_GUINT64_CONSTANT(1) << 62)
#define QCOW2_ZERO        G_GUINT64_CONSTANT(1)

#define QCOW2_CLUSTER_BITS_MIN     9u
#define QCOW2_CLUSTER_BITS_MAX     21u
#define QCOW2_CLUSTER_BITS_DEFAULT 16u

/* QEMU opens nothing with larger tables. */
#define QCOW2_L1_MAX             (32u << 20) /* bytes */
#define QCOW2_REFCOUNT_TABLE_MAX (8u << 20)  /* bytes */

#define QCOW2_COMPATIBLE_LAZY 1u

#define QCOW2_INCOMPATIBLE_DIRTY       (1u << 0)
#define QCOW2_INCOMPATIBLE_CORRUPT     (1u << 1)
#define QCOW2_INCOMPATIBLE_DATA_FILE   (1u << 2)
#define QCOW2_INCOMPATIBLE_COMPRESSION (1u << 3)
#define QCOW2_INCOMPATIBLE_EXTENDED_L2 (1u << 4)

#define QCOW2_SUBCLUSTER_BITS 5u

/* Freed by qcow2_header_clear(). */
typedef struct {
    guint32 version;
    guint32 length;
    guint cluster_bits;
    guint64 size;
    guint64 l1_offset;
    guint32 l1_entries;
    guint64 refcount_table_offset;
    guint32 refcount_table_clusters;
    guint32 refcount_order;
    guint32 n_snapshots;
    guint64 incompatible;
    guint64 compatible;
    guint64 autoclear;
    guint32 crypt_method;
    guint8 compression; /* 0 zlib, 1 zstd */
    gboolean has_bitmaps;
    guint64 backing_offset;
    guint32 backing_length;
    char *backing_file;    /* as it is written there; NULL: none */
    char *backing_format;  /* NULL: not said */
    char *data_file;       /* NULL: not said */
    GHashTable *bit_names; /* incompatible bit + 1 -> what the image calls it; NULL: not said */
} Qcow2Header;

/* L1 or the refcount table: wholly in memory, as it is in the file (big-endian). */
typedef struct {
    guint64 *entries;
    guint64 n;
    guint64 offset; /* in the file */
    guint8 *dirty;  /* a flag for each QCOW2_PAGE bytes */
} Qcow2Top;

#define QCOW2_PAGE 4096u

typedef enum { QCOW2_L2_TABLE, QCOW2_REFCOUNT_BLOCK } Qcow2TableKind;

/* One cluster of metadata in the cache. */
typedef struct {
    guint64 offset; /* in the file; key */
    guint8 *data;   /* as in the file */
    Qcow2TableKind kind;
    guint pins;       /* users; a pinned table stays */
    gboolean dirty;   /* newer than the file */
    gboolean fresh;   /* nothing in the file points to it yet */
    gboolean loading; /* being read; data belong to the reader */
    gboolean failed;  /* could not be read; no longer in the cache */
    GList idle;       /* link in Qcow2.idle when clean and not pinned */
} Qcow2Table;

/* Guest clusters for which a writer is filling storage that is not mapped yet.  Lives on the writer's stack.
 */
typedef struct Qcow2Claim Qcow2Claim;
struct Qcow2Claim {
    guint64 first, last;
    Qcow2Claim *next;
};

/* A compressed cluster in the file. */
typedef struct {
    guint64 offset;
    guint32 length;
} Qcow2Stream;

typedef struct {
    Disk disk;
    Bytes *bytes;
    Bytes *data;   /* where data clusters lie: `bytes`, or an external data file */
    Disk *backing; /* NULL: none */

    /* Constant once open. */
    guint cluster_bits;
    guint64 cluster_size;
    gboolean is_extended; /* L2 entries of 16 bytes, with subclusters */
    guint unit_bits;      /* of what L2 tells apart: a cluster, or a subcluster */
    CodecKind codec;
    guint level;
    guint64 l2_entries;    /* of one L2 table */
    guint64 l2_span;       /* guest bytes that one L2 table maps */
    guint64 block_entries; /* of one refcount block */
    guint max_tables, max_dirty;
    gboolean growable; /* the bytes are a file, which can be made longer */

    GMutex commit_lock;

    GMutex lock;   /* guards all that follows */
    GCond changed; /* a table was loaded, or a claim given up */
    Qcow2Top l1, refcount_table;
    GHashTable *tables; /* guint64 offset -> Qcow2Table */
    GQueue idle;        /* most recently used first */
    guint n_dirty;
    guint64 tail;     /* first cluster that was never handed out */
    guint64 reserved; /* the file reaches at least to here */
    Qcow2Claim *claims;
    gboolean failed;           /* a commit failed: the file may lag behind what memory says */
    guint64 pack_at, pack_end; /* bytes of clusters handed out where streams go next */
    GArray *unmapped;          /* Qcow2Streams that are still counted, since the file may point to them */

    GMutex inflated_lock; /* guards what follows; nothing else is taken under it */
    GQueue inflated;      /* most recently used first */
} Qcow2;

typedef enum {
    QCOW2_RUN_HOLE,           /* not allocated: as the backing file */
    QCOW2_RUN_ZERO,           /* zero flag, not allocated */
    QCOW2_RUN_ZERO_ALLOCATED, /* zero flag, storage kept */
    QCOW2_RUN_DATA,
    QCOW2_RUN_COMPRESSED
} Qcow2RunKind;

typedef struct {
    Qcow2RunKind kind;
    guint64 length;     /* bytes */
    guint64 host;       /* where in the file the first byte lies; kinds with storage only */
    Qcow2Stream stream; /* QCOW2_RUN_COMPRESSED: of the whole cluster; ends at the latest there */
} Qcow2Run;

/* qcow2-extension.c */
gboolean qcow2_extensions_read(Bytes *bytes, Qcow2Header *header, GError **error);
/* Puts them at `at` in a cluster of `space` bytes.  VF_ERROR_INVALID when they do not fit. */
gboolean qcow2_extensions_encode(const Qcow2Header *header, guint8 *raw, gsize at, gsize space,
                                 const char *name, GError **error);

/* qcow2-header.c */
void qcow2_header_clear(Qcow2Header *header);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Header, qcow2_header_clear)
gboolean qcow2_header_read(Bytes *bytes, Qcow2Header *ret, GError **error);
/* VF_ERROR_UNSUPPORTED or _INTEGRITY for an image that may be read but must not be written. */
gboolean qcow2_header_check_writable(const Qcow2Header *header, const char *name, GError **error);
gboolean qcow2_header_write(Bytes *bytes, const Qcow2Header *header, GError **error);
/* Only sizes and places of the tables, in one write within a sector. */
gboolean qcow2_header_write_tables(Bytes *bytes, const Qcow2Header *header, GError **error);
/* The dirty bit is the only one that is not as before. */
gboolean qcow2_header_clear_dirty(Bytes *bytes, const Qcow2Header *header, GError **error);
gboolean qcow2_header_clear_autoclear(Bytes *bytes, GError **error);

/* qcow2-cache.c, all under lock.  _get and _new return a pinned table. */
void qcow2_cache_init(Qcow2 *q);
void qcow2_cache_fini(Qcow2 *q);
/* May drop the lock. */
Qcow2Table *qcow2_table_get(Qcow2 *q, guint64 offset, Qcow2TableKind kind, GError **error);
Qcow2Table *qcow2_table_new(Qcow2 *q, guint64 offset, Qcow2TableKind kind);
void qcow2_table_pin(Qcow2 *q, Qcow2Table *table);
void qcow2_table_put(Qcow2 *q, Qcow2Table *table);
void qcow2_table_touch(Qcow2 *q, Qcow2Table *table); /* makes it dirty */

gboolean qcow2_top_load(Qcow2 *q, Qcow2Top *top, guint64 offset, guint64 n, const char *what, GError **error);
void qcow2_top_clear(Qcow2Top *top);
/* Keeps what is there; everything becomes dirty. */
void qcow2_top_move(Qcow2Top *top, guint64 offset, guint64 n);
guint64 qcow2_top_get(const Qcow2Top *top, guint64 index);
void qcow2_top_set(Qcow2Top *top, guint64 index, guint64 value);

/* qcow2-alloc.c, all under lock */
/* 1 to `max` new clusters in one run within the reach of one refcount block.  They are not counted. */
gboolean qcow2_allocate(Qcow2 *q, guint64 max, guint64 *ret_first, guint64 *ret_n, GError **error);
/* `n` counted clusters in one run, however long; for tables.  May drop the lock: needs the disk alone. */
gboolean qcow2_allocate_table(Qcow2 *q, guint64 n, guint64 *ret_first, GError **error);
/* The refcount block of a cluster, pinned.  May drop the lock. */
Qcow2Table *qcow2_block_get(Qcow2 *q, guint64 cluster, GError **error);
/* Sets refcounts in the block that covers them. */
void qcow2_block_set(Qcow2 *q, Qcow2Table *block, guint64 first, guint64 n, guint16 refcount);
/* Sets refcounts wherever they are.  May drop the lock. */
gboolean qcow2_set_refcounts(Qcow2 *q, guint64 first, guint64 n, guint16 refcount, GError **error);
/* Changes the refcounts of what a stream touches, all or none.  May drop the lock before it does. */
gboolean qcow2_count_stream(Qcow2 *q, const Qcow2Stream *stream, gint delta, GError **error);
/* How many entries the refcount table needs so that an image of `size` can be filled from `tail` on. */
guint64 qcow2_refcount_table_need(const Qcow2 *q, guint64 tail, guint64 size);

/* qcow2-map.c, all under lock; all may drop it, but what they return was true when they returned */
gboolean qcow2_lookup(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error);
/* Maps guest clusters of one L2 table to host clusters of one refcount block, and counts those when `count`.
 */
gboolean qcow2_map(Qcow2 *q, guint64 guest, guint64 n, guint64 host, gboolean count, GError **error);
/* Maps a guest cluster to a stream, and counts that. */
gboolean qcow2_map_stream(Qcow2 *q, guint64 guest, const Qcow2Stream *stream, GError **error);
/* Makes guest clusters of one L2 table read as zero; they keep their storage unless it was compressed. */
gboolean qcow2_map_zero(Qcow2 *q, guint64 guest, guint64 n, GError **error);
/* Takes the L2 entry at `at` in the file apart; the length is one cluster.  VF_ERROR_INTEGRITY. */
gboolean qcow2_parse_entry(const Qcow2 *q, guint64 entry, guint64 at, Qcow2Run *ret, GError **error);
gboolean qcow2_parse_l1_entry(const Qcow2 *q, guint64 entry, guint64 at, guint64 *ret_offset, GError **error);
/* Where streams may not reach. */
guint64 qcow2_stream_end_max(const Qcow2 *q);

/* qcow2-stream.c */
void qcow2_streams_init(Qcow2 *q);
void qcow2_streams_fini(Qcow2 *q);
/* Room for a stream, which is not counted.  Under lock. */
gboolean qcow2_place_stream(Qcow2 *q, Qcow2Stream *stream, GError **error);
/* `length` bytes at `within` of a compressed cluster.  Without the lock. */
gboolean qcow2_read_stream(Qcow2 *q, const Qcow2Stream *stream, guint8 *buffer, gsize length, gsize within,
                           GError **error);

/* qcow2-read.c: slots; requests need not be whole sectors */
gboolean qcow2_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error);
gboolean qcow2_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error);
gboolean qcow2_map_places(Disk *disk, guint64 offset, guint64 length, GArray *mappings, GError **error);
/* Without the lock. */
gboolean qcow2_lookup_now(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error);

/* qcow2-commit.c */
/* VF_ERROR_TARGET_IO when a commit has failed.  Under lock; the others without. */
gboolean qcow2_check_usable(const Qcow2 *q, GError **error);
gboolean qcow2_commit(Qcow2 *q, GError **error);
/* Before every change: checks that, and commits when too much is dirty or waits to be uncounted. */
gboolean qcow2_make_room(Qcow2 *q, GError **error);

/* qcow2-check.c, before anything runs: sets tail.  `counted_late`: refcounts may be too low. */
gboolean qcow2_check_and_repair(Qcow2 *q, gboolean counted_late, GError **error);

/* qcow2-io.c: slots */
gboolean qcow2_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error);
gboolean qcow2_zero(Disk *disk, guint64 offset, guint64 length, GError **error);
