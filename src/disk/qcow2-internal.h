/* disk/qcow2-internal.h: what the files of the qcow2 driver share.  Nobody else includes it.
 *
 *   qcow2-header.c   the header: reading, checking, writing
 *   qcow2-cache.c    L2 tables and refcount blocks in memory, bounded
 *   qcow2-alloc.c    where new clusters come from; refcounts
 *   qcow2-map.c      guest offset -> cluster, and changing that
 *   qcow2-commit.c   the order in which metadata reach the file
 *   qcow2-check.c    what is looked at and repaired before an image is written to
 *   qcow2-io.c       read, write, zero, extents
 *   qcow2.c          open, create, resize, close
 *
 * Locks: commit_lock (one commit at a time) is taken before lock; no data I/O happens under lock.
 * A function that says "may drop the lock" reads a table from the file without it: what the caller knew
 * before must be looked at again.
 */
#pragma once

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

typedef struct {
    guint32 version;
    guint cluster_bits;
    guint64 size;
    guint64 l1_offset;
    guint32 l1_entries;
    guint64 refcount_table_offset;
    guint32 refcount_table_clusters;
    guint32 refcount_order;
    guint32 n_snapshots;
    guint64 incompatible;
    guint64 autoclear;
    gboolean has_bitmaps;
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

typedef struct {
    Disk disk;
    Bytes *bytes;

    /* Constant once open. */
    guint cluster_bits;
    guint64 cluster_size;
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
    gboolean failed; /* a commit failed: the file may lag behind what memory says */
} Qcow2;

typedef enum {
    QCOW2_RUN_HOLE,           /* not allocated */
    QCOW2_RUN_ZERO,           /* zero flag, not allocated */
    QCOW2_RUN_ZERO_ALLOCATED, /* zero flag, storage kept */
    QCOW2_RUN_DATA,
    QCOW2_RUN_COMPRESSED
} Qcow2RunKind;

typedef struct {
    Qcow2RunKind kind;
    guint64 length; /* bytes */
    guint64 host;   /* where in the file the first byte lies; kinds with storage only */
} Qcow2Run;

/* qcow2-header.c */
gboolean qcow2_header_read(Bytes *bytes, Qcow2Header *ret, GError **error);
/* VF_ERROR_UNSUPPORTED or _INTEGRITY for an image that may be read but must not be written. */
gboolean qcow2_header_check_writable(const Qcow2Header *header, const char *name, GError **error);
gboolean qcow2_header_write(Bytes *bytes, const Qcow2Header *header, GError **error);
/* Only sizes and places of the tables, in one write within a sector. */
gboolean qcow2_header_write_tables(Bytes *bytes, const Qcow2Header *header, GError **error);
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
/* How many entries the refcount table needs so that an image of `size` can be filled from `tail` on. */
guint64 qcow2_refcount_table_need(const Qcow2 *q, guint64 tail, guint64 size);

/* qcow2-map.c, all under lock; all may drop it, but what they return was true when they returned */
gboolean qcow2_lookup(Qcow2 *q, guint64 offset, guint64 length, Qcow2Run *ret, GError **error);
/* Maps guest clusters of one L2 table to host clusters of one refcount block, and counts those when `count`.
 */
gboolean qcow2_map(Qcow2 *q, guint64 guest, guint64 n, guint64 host, gboolean count, GError **error);
/* Sets the zero flag of mapped guest clusters of one L2 table. */
gboolean qcow2_map_zero(Qcow2 *q, guint64 guest, guint64 n, GError **error);
/* Takes an L2 entry apart; the length is one cluster.  VF_ERROR_INTEGRITY. */
gboolean qcow2_parse_entry(const Qcow2 *q, guint64 entry, Qcow2Run *ret, GError **error);
gboolean qcow2_parse_l1_entry(const Qcow2 *q, guint64 entry, guint64 *ret_offset, GError **error);

/* qcow2-commit.c */
/* VF_ERROR_TARGET_IO when a commit has failed.  Under lock; the others without. */
gboolean qcow2_check_usable(const Qcow2 *q, GError **error);
gboolean qcow2_commit(Qcow2 *q, GError **error);
/* Before every change: checks that, and commits when too much is dirty. */
gboolean qcow2_make_room(Qcow2 *q, GError **error);

/* qcow2-check.c, before anything runs: sets tail */
gboolean qcow2_check_and_repair(Qcow2 *q, GError **error);

/* qcow2-io.c: slots */
gboolean qcow2_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error);
gboolean qcow2_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error);
gboolean qcow2_zero(Disk *disk, guint64 offset, guint64 length, GError **error);
gboolean qcow2_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error);
