/* SESparse: the snapshot deltas of ESXi on VMFS6, and of disks above 2 TiB.  Version 2.1, the only one seen.
 *
 * The first sector is a header of u64 that never changes:
 *
 *      [0] magic 0xcafebabe       [6..9] 0                    [18] grain tables   [19] size
 *      [1] version 0x200000001    [10] volatile header [11]   [20] free bitmap    [21] size
 *      [2] capacity               [12] journal header  [13]   [22] back map       [23] size
 *      [3] grain size 8           [14] journal         [15]   [24] grains         [25] size
 *      [4] table size 64          [16] grain directory [17] size
 *      [5] flags 0
 *
 * Offsets and sizes count sectors.  The volatile header begins with 0xcafecafe; its fourth u64 says that the
 * journal has to be replayed: the machine writes right now, or the host died.  Such a file says something
 * that is not so, and is refused.
 *
 * A directory entry is 0, or 0x10000000 in its upper half and the number of a table in the lower; table t
 * lies at tables + 64 t.  A table has 4096 entries of grains of 4 KiB.  The upper four bits of an entry say
 * what it is: 0 see the parent, 1 unmapped by the guest, 2 zero, 3 a grain.  The number of the grain is laid
 * out in a strange way, its lower 12 bits above its upper 48:
 *
 *      63..60 kind   59..48 bits 0 to 11 of the number   47..0 the bits from 12 on
 *
 * Grains are numbered by their first write, so neighbours on the disk lie anywhere: vmdk-read.c puts reads in
 * order.
 */
#include "disk/vmdk-internal.h"

#include "base/error.h"

#define CONST_MAGIC    G_GUINT64_CONSTANT(0xcafebabe)
#define VOLATILE_MAGIC G_GUINT64_CONSTANT(0xcafecafe)
#define VERSION        G_GUINT64_CONSTANT(0x200000001)

#define GRAIN_SECTORS 8u
#define TABLE_SECTORS 64u
#define TABLE_ENTRIES 4096u
#define TABLE_EXISTS  0x10000000u
#define NUMBER_LOW    G_GUINT64_CONSTANT(0x0fff000000000000)
#define NUMBER_HIGH   G_GUINT64_CONSTANT(0x0000ffffffffffff)
#define SECTORS_MAX   ((guint64)G_MAXINT64 / SECTOR_SIZE)
#define TABLES_MAX    ((guint64)8 << 20) /* 128 TiB: twice what ESXi makes */

/* In memory an entry of the directory is the number of the table plus one. */
static guint64 sesparse_table_offset(const VmdkSparse *sparse, guint32 entry)
{
    return sparse->tables_start + (guint64)(entry - 1) * TABLE_SECTORS * SECTOR_SIZE;
}

static gboolean sesparse_decode(const VmdkSparse *sparse, guint64 entry, VmdkRun *ret)
{
    guint64 number = (entry & NUMBER_LOW) >> 48 | (entry & NUMBER_HIGH) << 12;
    guint64 offset;

    switch (entry >> 60) {
    case 0:
        ret->kind = VMDK_RUN_HOLE;
        return entry == 0;
    case 1:
    case 2:
        ret->kind = VMDK_RUN_ZERO;
        return TRUE;
    case 3:
        ret->kind = VMDK_RUN_DATA;
        return size_mul(number, GRAIN_SECTORS * SECTOR_SIZE, &offset) &&
               size_add(offset, sparse->grains_start, &ret->host);
    default:
        return FALSE;
    }
}

static const VmdkSparseOps sesparse_ops = {
    .type = "SESPARSE", .entry_size = 8, .table_offset = sesparse_table_offset, .decode = sesparse_decode};

/* --- opening --- */

static guint64 word(const guint8 *header, guint index)
{
    return vmdk_u64(header + 8 * (gsize)index);
}

static gboolean check_header(VmdkSparse *sparse, const guint8 *header, GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    static const struct {
        guint index;
        guint64 value;
    } fixed[] = {{3, GRAIN_SECTORS}, {4, TABLE_SECTORS}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}};

    if (word(header, 0) != CONST_MAGIC)
        return vf_fail(error, VF_ERROR_INVALID, "%s: no SESparse file: it does not begin with 0xcafebabe",
                       name);
    if (word(header, 1) != VERSION)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: version 0x%" G_GINT64_MODIFIER "x of SESparse is not known", name,
                       word(header, 1));
    for (guint i = 0; i < G_N_ELEMENTS(fixed); i++)
        if (word(header, fixed[i].index) != fixed[i].value)
            return vf_fail(error, VF_ERROR_UNSUPPORTED,
                           "%s: the SESparse header has %" G_GUINT64_FORMAT
                           " at byte %u, where only %" G_GUINT64_FORMAT " is known",
                           name, word(header, fixed[i].index), 8 * fixed[i].index, fixed[i].value);
    if (word(header, 2) == 0 || word(header, 2) > SECTORS_MAX)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: a capacity of %" G_GUINT64_FORMAT " sectors (at byte 16) is not possible", name,
                       word(header, 2));
    vmdk_sparse_set_shape(sparse, word(header, 2), GRAIN_SECTORS, TABLE_ENTRIES);
    return TRUE;
}

static gboolean check_journal(VmdkSparse *sparse, guint64 at, GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    guint8 header[SECTOR_SIZE];

    if (!bytes_pread(sparse->bytes, header, sizeof header, at * SECTOR_SIZE, error))
        return FALSE;
    if (word(header, 0) != VOLATILE_MAGIC)
        return vf_fail(error, VF_ERROR_INVALID, "%s: no volatile header at byte %" G_GUINT64_FORMAT, name,
                       at * SECTOR_SIZE);
    if (word(header, 3) != 0)
        return vf_fail(
            error, VF_ERROR_CONFLICT,
            "%s: its journal was not replayed (byte %" G_GUINT64_FORMAT
            "): the VM is running, or its host crashed; power the VM on and off, or read a snapshot below",
            name, at * SECTOR_SIZE + 24);
    return TRUE;
}

static gboolean load_entry(VmdkSparse *sparse, guint64 index, guint64 entry, guint64 max_tables,
                           GError **error)
{
    if (entry == 0)
        return TRUE;
    if (entry >> 32 != TABLE_EXISTS || (entry & G_MAXUINT32) >= max_tables)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: the entry 0x%" G_GINT64_MODIFIER
                       "x of the grain directory for table %" G_GUINT64_FORMAT
                       " means nothing: it is corrupt",
                       bytes_name(sparse->bytes), entry, index);
    sparse->directory[index] = (guint32)(entry & G_MAXUINT32) + 1;
    return TRUE;
}

static gboolean load_directory(VmdkSparse *sparse, guint64 at, guint64 max_tables, GError **error)
{
    guint8 raw[4096];

    for (guint64 i = 0; i < sparse->n_tables; i++) {
        gsize within = i * 8 % sizeof raw;

        if (within == 0 &&
            !bytes_pread(sparse->bytes, raw, MIN(sizeof raw, (sparse->n_tables - i) * 8), at + i * 8, error))
            return FALSE;
        if (!load_entry(sparse, i, vmdk_u64(raw + within), max_tables, error))
            return FALSE;
    }
    return vmdk_sparse_check_tables(sparse, error);
}

static gboolean load_map(VmdkSparse *sparse, const guint8 *header, GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    guint64 directory = word(header, 16), directory_sectors = word(header, 17);
    guint64 tables = word(header, 18), tables_sectors = word(header, 19);

    if (sparse->n_tables > TABLES_MAX || directory_sectors < div_round_up(sparse->n_tables * 8, SECTOR_SIZE))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: a directory of %" G_GUINT64_FORMAT
                       " sectors (at byte 136) does not fit a capacity of %" G_GUINT64_FORMAT " sectors",
                       name, directory_sectors, word(header, 2));
    if (tables > SECTORS_MAX || word(header, 24) > SECTORS_MAX)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: its tables (at byte 144) or grains (at byte 192) lie nowhere", name);
    sparse->tables_start = tables * SECTOR_SIZE;
    sparse->grains_start = word(header, 24) * SECTOR_SIZE;
    sparse->directory = g_new0(guint32, sparse->n_tables); /* 32 MiB at most */
    return vmdk_sparse_reserve(sparse, "grain directory", directory, directory_sectors, error) &&
           load_directory(sparse, directory * SECTOR_SIZE,
                          MIN(tables_sectors / TABLE_SECTORS, G_MAXUINT32 - (guint64)1), error);
}

VmdkSparse *vmdk_sesparse_open(Bytes *bytes, GError **error)
{
    g_autoptr(VmdkSparse) sparse = vmdk_sparse_new(&sesparse_ops, bytes);
    guint8 header[SECTOR_SIZE];

    if (!bytes_pread(bytes, header, sizeof header, 0, error) || !check_header(sparse, header, error) ||
        !vmdk_sparse_reserve(sparse, "header", 0, 1, error) ||
        !vmdk_sparse_reserve(sparse, "volatile header", word(header, 10), 1, error) ||
        !check_journal(sparse, word(header, 10), error) || !load_map(sparse, header, error))
        return NULL;
    return g_steal_pointer(&sparse);
}
