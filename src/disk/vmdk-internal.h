/* disk/vmdk-internal.h: what the files of the VMDK family share.  Only they and their tests include it.
 *
 *   vmdk-descriptor.c  the text
 *   vmdk-header.c      the header of hosted sparse files
 *   vmdk-sparse.c      disk offset -> place in a sparse file, by directory and tables: all sparse formats
 *   vmdk-hosted.c      KDMV: monolithicSparse, twoGbMaxExtentSparse, streamOptimized
 *   vmdk-cowd.c        COWD: vmfsSparse
 *   vmdk-sesparse.c    SESparse
 *   vmdk-cache.c       pages of tables and inflated grains
 *   vmdk-record.c      records of streamOptimized, inflating
 *   vmdk-layer.c       one link of a chain: the concatenation of its extents
 *   vmdk-read.c        reads of a chain, put in order and merged
 *   vmdk-chain.c       the links, leaf first
 *   vmdk.c             the disk
 *   vmdk-stream.c      streamOptimized that comes once and in order
 */
#pragma once

#include <string.h>

#include "base/size.h"
#include "disk/driver.h"
#include "disk/vmdk-cache.h"
#include "disk/vmdk.h"

/* Fields are little-endian and lie anywhere. */
static inline guint16 vmdk_u16(const guint8 *from)
{
    guint16 value;

    memcpy(&value, from, sizeof value);
    return GUINT16_FROM_LE(value);
}

static inline guint32 vmdk_u32(const guint8 *from)
{
    guint32 value;

    memcpy(&value, from, sizeof value);
    return GUINT32_FROM_LE(value);
}

static inline guint64 vmdk_u64(const guint8 *from)
{
    guint64 value;

    memcpy(&value, from, sizeof value);
    return GUINT64_FROM_LE(value);
}

/* The first four bytes. */
#define VMDK_HOSTED_MAGIC   0x564d444bu
#define VMDK_COWD_MAGIC     0x44574f43u
#define VMDK_SESPARSE_MAGIC 0xcafebabeu

/* --- vmdk-header.c --- */

#define VMDK_HOSTED_REDUNDANT  (1u << 1)
#define VMDK_HOSTED_ZERO_GRAIN (1u << 2)
#define VMDK_HOSTED_COMPRESSED (1u << 16)
#define VMDK_HOSTED_AT_END     G_MAXUINT64 /* gd_offset: a footer says it */

/* Offsets and sizes in sectors. */
typedef struct {
    guint32 version, flags;
    guint64 capacity, grain_size;
    guint64 descriptor_offset, descriptor_size;
    guint32 table_entries;
    guint64 redundant_offset, directory_offset;
    guint64 overhead;
} VmdkHostedHeader;

/* Of the SECTOR_SIZE bytes at `at` in the file.  Checked: whatever can be said from them alone, so that
 * capacity, grain size, and their product with table_entries overflow nowhere. */
gboolean vmdk_hosted_header_parse(const guint8 *sector, const char *name, guint64 at, VmdkHostedHeader *ret,
                                  GError **error);
/* How many tables there are. */
guint64 vmdk_hosted_tables(const VmdkHostedHeader *header);
/* The footer says what the header said, and where the directory is.  VF_ERROR_INVALID. */
gboolean vmdk_hosted_footer_check(const VmdkHostedHeader *header, const VmdkHostedHeader *footer,
                                  const char *name, GError **error);

/* --- vmdk-sparse.c --- */

typedef enum {
    VMDK_RUN_HOLE, /* not here: the parent's, or zero */
    VMDK_RUN_ZERO, /* zero, whatever the parent says */
    VMDK_RUN_DATA,
    VMDK_RUN_COMPRESSED /* one grain, or a part of it */
} VmdkRunKind;

typedef struct {
    VmdkRunKind kind;
    guint64 length; /* bytes of disk */
    guint64 host;   /* DATA: where in the file the first byte lies; COMPRESSED: where the record begins */
} VmdkRun;

typedef struct VmdkSparse VmdkSparse;

typedef struct {
    const char *type; /* of the extent line */
    guint entry_size; /* 4 or 8 bytes */
    /* Where the table lies that entry `entry` (not 0) of the directory in memory means. */
    guint64 (*table_offset)(const VmdkSparse *sparse, guint32 entry);
    /* Kind and place of a grain; FALSE for an entry that means nothing. */
    gboolean (*decode)(const VmdkSparse *sparse, guint64 entry, VmdkRun *ret);
} VmdkSparseOps;

/* A part of the file that is neither table nor grain. */
typedef struct {
    const char *what;
    guint64 offset, length;
} VmdkReserved;

/* A sparse file.  Immutable once open, but for the caches, which lock themselves. */
struct VmdkSparse {
    const VmdkSparseOps *ops;
    Bytes *bytes;
    guint64 size;          /* bytes of disk */
    guint32 grain;         /* bytes; a power of two */
    guint32 table_entries; /* grains of one table */
    guint32 *directory;    /* 0: no such table, all of it is a hole; else what table_offset() understands */
    guint64 n_tables;      /* size / (grain * table_entries), rounded up */
    VmdkReserved reserved[5];
    guint n_reserved;
    VmdkCache *pages;     /* of the tables */
    VmdkCache *grains;    /* inflated; NULL: not a compressed file */
    gboolean zero_grains; /* hosted: entry 1 means zero */
    guint64 tables_start; /* SESparse: bytes */
    guint64 grains_start;
};

/* Takes over `bytes`.  The rest is filled in by the format. */
VmdkSparse *vmdk_sparse_new(const VmdkSparseOps *ops, Bytes *bytes);
void vmdk_sparse_free(VmdkSparse *sparse); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmdkSparse, vmdk_sparse_free)

/* Sets size, grain, table_entries and n_tables from sectors that are checked already. */
void vmdk_sparse_set_shape(VmdkSparse *sparse, guint64 capacity, guint64 grain_size, guint32 table_entries);
/* Keeps [offset, offset + length) free of tables and grains.  VF_ERROR_INVALID when it does not lie in the
 * file or overlaps another such part. */
gboolean vmdk_sparse_reserve(VmdkSparse *sparse, const char *what, guint64 sector, guint64 sectors,
                             GError **error);
/* The directory is complete: no table may lie outside of the file, in a reserved part, or upon another.
 * VF_ERROR_INTEGRITY. */
gboolean vmdk_sparse_check_tables(const VmdkSparse *sparse, GError **error);
/* What lies at `offset`; at most `length` bytes, at least one, and to the end of the run within a table. */
gboolean vmdk_sparse_lookup(VmdkSparse *sparse, guint64 offset, guint64 length, VmdkRun *ret, GError **error);

/* The formats.  Each takes over `bytes`, in failure too. */
VmdkSparse *vmdk_hosted_open(Bytes *bytes, GError **error);
VmdkSparse *vmdk_cowd_open(Bytes *bytes, GError **error);
VmdkSparse *vmdk_sesparse_open(Bytes *bytes, GError **error);

/* The text within a hosted file; NULL without an error when there is none. */
VmdkDescriptor *vmdk_hosted_descriptor(Bytes *bytes, gboolean *ret_only_text, GError **error);

/* Reads whole grains, records at `host`s that ascend, with few and large requests. */
typedef struct {
    VmdkSparse *sparse; /* NULL: raw bytes of `bytes` */
    Bytes *bytes;
    guint64 host;   /* in the file */
    guint64 offset; /* compressed: of the grain, within the extent */
    gsize length;   /* bytes of disk */
    guint8 *to;
} VmdkPiece;

gboolean vmdk_hosted_read_grains(const VmdkPiece *pieces, guint n, GError **error);

/* --- vmdk-layer.c: one link --- */

/* A piece of the disk that lies in one file.  Neither `bytes` nor `sparse`: zeros. */
typedef struct {
    guint64 start, length; /* on the disk */
    Bytes *bytes;          /* flat */
    guint64 file_offset;   /* flat: where in the file it begins */
    VmdkSparse *sparse;
} VmdkPart;

typedef struct {
    char *path;
    VmdkDescriptor *descriptor;
    guint64 size;
    GArray *parts; /* VmdkPart, in disk order, without gaps */
} VmdkLayer;

VmdkLayer *vmdk_layer_open(const char *path, const VmdkOpener *opener, GError **error);
void vmdk_layer_free(VmdkLayer *layer); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmdkLayer, vmdk_layer_free)

/* As vmdk_sparse_lookup(), for the part that `offset` lies in, which is *ret_part. */
gboolean vmdk_layer_lookup(const VmdkLayer *layer, guint64 offset, guint64 length, const VmdkPart **ret_part,
                           VmdkRun *ret, GError **error);

/* --- vmdk-chain.c: the links, leaf first --- */

typedef struct {
    GPtrArray *layers; /* VmdkLayer */
    guint64 size;
} VmdkChain;

gboolean vmdk_chain_open(VmdkChain *chain, const char *path, const VmdkOpener *opener,
                         const VmdkOptions *options, GError **error);
void vmdk_chain_clear(VmdkChain *chain);

/* A run that begins at `offset` of the disk, according to the topmost link that says something; HOLE: none
 * does. */
typedef gboolean (*VmdkVisit)(const VmdkPart *part, const VmdkRun *run, guint64 offset, gpointer data,
                              GError **error);

/* Visits the runs that make up [offset, offset + length), in order. */
gboolean vmdk_chain_walk(const VmdkChain *chain, guint64 offset, guint64 length, VmdkVisit visit,
                         gpointer data, GError **error);

/* --- vmdk-read.c --- */

gboolean vmdk_chain_read(const VmdkChain *chain, guint8 *to, gsize length, guint64 offset, GError **error);
