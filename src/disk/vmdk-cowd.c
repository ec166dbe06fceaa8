/* vmfsSparse, "COWD": the snapshot deltas of ESXi on VMFS5 and before, up to 2 TiB.
 *
 *      0  u32 magic "COWD"      12  u32 capacity        24  u32 numGDEntries
 *      4  u32 version 1         16  u32 grainSize       28  u32 nextFreeSector
 *      8  u32 flags 3           20  u32 gdOffset
 *
 * All sizes and offsets count sectors, grains have mostly one.  The header fills four sectors; what follows
 * in it (names, generations, a description) is not needed.  A directory entry is the sector of a table of
 * 4096 entries.  An entry is 0 when the grain is the parent's, 1 when it is zero, else the sector of the
 * grain. Neighbours are mostly written together and lie together: runs are long although grains are small.
 */
#include "disk/vmdk-internal.h"

#include "base/error.h"

#define HEADER_SECTORS    4u
#define TABLE_ENTRIES     4096u
#define GRAIN_SECTORS_MAX 0x10000u

static guint64 cowd_table_offset(const VmdkSparse *sparse, guint32 entry)
{
    return (guint64)entry * SECTOR_SIZE;
}

static gboolean cowd_decode(const VmdkSparse *sparse, guint64 entry, VmdkRun *ret)
{
    ret->kind = entry == 0 ? VMDK_RUN_HOLE : entry == 1 ? VMDK_RUN_ZERO : VMDK_RUN_DATA;
    ret->host = entry * SECTOR_SIZE;
    return TRUE;
}

static const VmdkSparseOps cowd_ops = {
    .type = "VMFSSPARSE", .entry_size = 4, .table_offset = cowd_table_offset, .decode = cowd_decode};

static gboolean check_header(VmdkSparse *sparse, const guint8 *header, GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    guint32 version = vmdk_u32(header + 4), capacity = vmdk_u32(header + 12), grain = vmdk_u32(header + 16);

    if (vmdk_u32(header) != VMDK_COWD_MAGIC)
        return vf_fail(error, VF_ERROR_INVALID, "%s: no vmfsSparse file: it does not begin with \"COWD\"",
                       name);
    if (version != 1)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: version %u of vmfsSparse is not known", name,
                       version);
    if (grain == 0 || (grain & (grain - 1)) != 0 || grain > GRAIN_SECTORS_MAX)
        return vf_fail(error, VF_ERROR_INVALID, "%s: grains of %u sectors (at byte 16) are not possible",
                       name, grain);
    if (capacity == 0)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its capacity (at byte 12) is 0", name);
    vmdk_sparse_set_shape(sparse, capacity, grain, TABLE_ENTRIES);
    if (vmdk_u32(header + 24) < sparse->n_tables)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: a directory of %u entries (at byte 24) is too small for %u sectors", name,
                       vmdk_u32(header + 24), capacity);
    return TRUE;
}

static gboolean load_directory(VmdkSparse *sparse, guint64 sector, GError **error)
{
    guint64 length = sparse->n_tables * sizeof(guint32);

    if (!vmdk_sparse_reserve(sparse, "header", 0, HEADER_SECTORS, error) ||
        !vmdk_sparse_reserve(sparse, "grain directory", sector, div_round_up(length, SECTOR_SIZE), error))
        return FALSE;
    sparse->directory = g_new0(guint32, sparse->n_tables); /* 4 MiB at most */
    if (!bytes_pread(sparse->bytes, sparse->directory, length, sector * SECTOR_SIZE, error))
        return FALSE;
    for (guint64 i = 0; i < sparse->n_tables; i++)
        sparse->directory[i] = GUINT32_FROM_LE(sparse->directory[i]);
    return vmdk_sparse_check_tables(sparse, error);
}

VmdkSparse *vmdk_cowd_open(Bytes *bytes, GError **error)
{
    g_autoptr(VmdkSparse) sparse = vmdk_sparse_new(&cowd_ops, bytes);
    guint8 header[SECTOR_SIZE];

    if (!bytes_pread(bytes, header, sizeof header, 0, error) || !check_header(sparse, header, error) ||
        !load_directory(sparse, vmdk_u32(header + 20), error))
        return NULL;
    return g_steal_pointer(&sparse);
}
