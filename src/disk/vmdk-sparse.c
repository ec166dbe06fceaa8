/* Where the data of a sparse file lie: the same two steps in every format.
 *
 * The disk is cut into grains.  A table is an array of entries, one for each of its grains; a directory is an
 * array of entries, one for each table.  The formats differ in how large these are, in how an entry is
 * written, and in what it may say: nothing (see the parent), zero, or a place.
 *
 * The directory is small (4 bytes for each 2 to 32 MiB of disk) and is kept in memory whole, as 32-bit
 * numbers whatever the file has.  Tables are read through a cache of pages, so that one request to a server
 * brings the tables that lie beside each other, and memory stays bounded whatever the size of the disk.
 *
 * Nothing in the file is believed.  Tables are checked when the file is opened: each must lie within the
 * file, in no reserved part (header, descriptor, directories), and not upon another table, which is how a
 * file that was not closed properly is found out.  Entries are checked when they are used.  Since what is
 * not in the directory costs nothing, a look at a whole disk costs as much as is allocated in it.
 */
#include "disk/vmdk-internal.h"

#include <stdlib.h>

#include "base/error.h"

#define PAGE_SIZE       ((gsize)64 << 10)
#define PAGES_MAX       64u
#define ENTRIES_AT_ONCE 64u

static gboolean load_page(gpointer owner, guint64 number, guint8 *page, GError **error)
{
    const VmdkSparse *sparse = owner;
    guint64 offset = number * PAGE_SIZE;

    return bytes_pread(sparse->bytes, page, MIN(PAGE_SIZE, bytes_size(sparse->bytes) - offset), offset,
                       error);
}

VmdkSparse *vmdk_sparse_new(const VmdkSparseOps *ops, Bytes *bytes)
{
    VmdkSparse *sparse = g_new0(VmdkSparse, 1);

    sparse->ops = ops;
    sparse->bytes = bytes;
    sparse->pages = vmdk_cache_new(PAGE_SIZE, PAGES_MAX, load_page, sparse);
    return sparse;
}

void vmdk_sparse_free(VmdkSparse *sparse)
{
    if (sparse == NULL)
        return;
    vmdk_cache_free(sparse->grains);
    vmdk_cache_free(sparse->pages);
    g_free(sparse->directory);
    bytes_free(sparse->bytes);
    g_free(sparse);
}

void vmdk_sparse_set_shape(VmdkSparse *sparse, guint64 capacity, guint64 grain_size, guint32 table_entries)
{
    sparse->size = capacity * SECTOR_SIZE;
    sparse->grain = (guint32)(grain_size * SECTOR_SIZE);
    sparse->table_entries = table_entries;
    sparse->n_tables = div_round_up(sparse->size, (guint64)sparse->grain * table_entries);
}

/* --- what may lie where --- */

static const char *reserved_at(const VmdkSparse *sparse, guint64 offset, guint64 length)
{
    for (guint i = 0; i < sparse->n_reserved; i++) {
        const VmdkReserved *part = &sparse->reserved[i];

        if (offset < part->offset + part->length && part->offset < offset + length)
            return part->what;
    }
    return NULL;
}

gboolean vmdk_sparse_reserve(VmdkSparse *sparse, const char *what, guint64 sector, guint64 sectors,
                             GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    guint64 offset = 0, length = 0;

    if (!size_mul(sector, SECTOR_SIZE, &offset) || !size_mul(sectors, SECTOR_SIZE, &length) ||
        !range_within(offset, length, bytes_size(sparse->bytes)))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: its %s (%" G_GUINT64_FORMAT " sectors at sector %" G_GUINT64_FORMAT
                       ") lies beyond the end of the file at byte %" G_GUINT64_FORMAT
                       ": it is cut short or corrupt",
                       name, what, sectors, sector, bytes_size(sparse->bytes));
    const char *other = reserved_at(sparse, offset, length);
    if (other != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its %s at byte %" G_GUINT64_FORMAT " overlaps its %s",
                       name, what, offset, other);

    g_assert(sparse->n_reserved < G_N_ELEMENTS(sparse->reserved));
    sparse->reserved[sparse->n_reserved++] = (VmdkReserved){what, offset, length};
    return TRUE;
}

static guint64 table_bytes(const VmdkSparse *sparse)
{
    return (guint64)sparse->table_entries * sparse->ops->entry_size;
}

static gboolean check_table(const VmdkSparse *sparse, guint64 index, GError **error)
{
    const char *name = bytes_name(sparse->bytes);
    guint64 offset = sparse->ops->table_offset(sparse, sparse->directory[index]);

    if (!range_within(offset, table_bytes(sparse), bytes_size(sparse->bytes)))
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: grain table %" G_GUINT64_FORMAT " lies at byte %" G_GUINT64_FORMAT
                       ", beyond the end of the file: it is cut short or corrupt",
                       name, index, offset);
    const char *part = reserved_at(sparse, offset, table_bytes(sparse));
    if (part != NULL)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: grain table %" G_GUINT64_FORMAT " at byte %" G_GUINT64_FORMAT " overlaps its %s",
                       name, index, offset, part);
    return TRUE;
}

static int compare_entries(const void *a, const void *b)
{
    guint32 left = *(const guint32 *)a, right = *(const guint32 *)b;

    return left < right ? -1 : left > right;
}

/* Entries ascend as offsets do. */
static gboolean check_overlap(const VmdkSparse *sparse, const guint32 *ascending, guint64 n, GError **error)
{
    for (guint64 i = 1; i < n; i++) {
        guint64 before = sparse->ops->table_offset(sparse, ascending[i - 1]);
        guint64 offset = sparse->ops->table_offset(sparse, ascending[i]);

        if (offset < before + table_bytes(sparse))
            return vf_fail(error, VF_ERROR_INTEGRITY,
                           "%s: two grain tables overlap at byte %" G_GUINT64_FORMAT ": the file is corrupt",
                           bytes_name(sparse->bytes), offset);
    }
    return TRUE;
}

gboolean vmdk_sparse_check_tables(const VmdkSparse *sparse, GError **error)
{
    g_autofree guint32 *used = g_try_new(guint32, sparse->n_tables + 1);
    guint64 n = 0;

    if (used == NULL)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: no memory to check its directory",
                       bytes_name(sparse->bytes));
    for (guint64 i = 0; i < sparse->n_tables; i++) {
        if (sparse->directory[i] == 0)
            continue;
        if (!check_table(sparse, i, error))
            return FALSE;
        used[n++] = sparse->directory[i];
    }
    qsort(used, n, sizeof *used, compare_entries);
    return check_overlap(sparse, used, n, error);
}

/* --- looking up --- */

/* The tables from `index` on that do not exist, in bytes of disk. */
static guint64 count_missing(const VmdkSparse *sparse, guint64 index, guint64 length)
{
    guint64 span = (guint64)sparse->grain * sparse->table_entries;
    guint64 end = index;

    while (end < sparse->n_tables && sparse->directory[end] == 0 && (end - index) * span < length)
        end++;
    return (end - index) * span;
}

static gboolean read_entries(VmdkSparse *sparse, guint64 offset, guint8 *entries, gsize length,
                             GError **error)
{
    while (length > 0) {
        gsize within = (gsize)(offset % PAGE_SIZE);
        gsize piece = MIN(length, PAGE_SIZE - within);

        if (!vmdk_cache_copy(sparse->pages, offset / PAGE_SIZE, within, piece, entries, error))
            return FALSE;
        offset += piece;
        entries += piece;
        length -= piece;
    }
    return TRUE;
}

static gboolean fail_entry(const VmdkSparse *sparse, guint64 offset, guint64 entry, const char *reason,
                           GError **error)
{
    return vf_fail(error, VF_ERROR_INTEGRITY,
                   "%s: the entry 0x%" G_GINT64_MODIFIER "x of the grain table at byte %" G_GUINT64_FORMAT
                   " %s",
                   bytes_name(sparse->bytes), entry, offset, reason);
}

/* `raw` was read from `offset`. */
static gboolean decode(const VmdkSparse *sparse, const guint8 *raw, guint64 offset, VmdkRun *ret,
                       GError **error)
{
    guint64 entry = sparse->ops->entry_size == 4 ? vmdk_u32(raw) : vmdk_u64(raw);
    guint64 stored;

    if (!sparse->ops->decode(sparse, entry, ret))
        return fail_entry(sparse, offset, entry, "means nothing: it is corrupt", error);
    if (ret->kind != VMDK_RUN_DATA && ret->kind != VMDK_RUN_COMPRESSED)
        return TRUE;
    stored = ret->kind == VMDK_RUN_DATA ? sparse->grain : SECTOR_SIZE;
    if (ret->host >= bytes_size(sparse->bytes))
        return fail_entry(sparse, offset, entry,
                          "points beyond the end of the file: it is cut short or corrupt", error);
    if (reserved_at(sparse, ret->host, stored) != NULL)
        return fail_entry(sparse, offset, entry, "points into the metadata: it is corrupt", error);
    return TRUE;
}

static gboolean goes_on(const VmdkSparse *sparse, const VmdkRun *run, guint64 grains, const VmdkRun *next)
{
    if (run->kind != next->kind || run->kind == VMDK_RUN_COMPRESSED)
        return FALSE;
    return run->kind != VMDK_RUN_DATA || next->host == run->host + grains * sparse->grain;
}

/* Decodes entries from `first` on until one is of another run, `max` at most; their number. */
static gboolean decode_run(VmdkSparse *sparse, guint64 table, guint64 first, guint64 max, VmdkRun *ret_run,
                           guint64 *ret_grains, GError **error)
{
    guint8 raw[ENTRIES_AT_ONCE * sizeof(guint64)];
    guint entry_size = sparse->ops->entry_size;
    VmdkRun run = {0};

    for (guint64 done = 0; done < max; done++) {
        guint64 at = table + (first + done) * entry_size;
        guint slot = (guint)(done % ENTRIES_AT_ONCE);
        VmdkRun next = {0};

        if (slot == 0 && !read_entries(sparse, at, raw, MIN(max - done, ENTRIES_AT_ONCE) * entry_size, error))
            return FALSE;
        if (!decode(sparse, raw + (gsize)slot * entry_size, at, &next, error))
            return FALSE;
        if (done == 0)
            run = next;
        else if (!goes_on(sparse, &run, done, &next))
            max = done;
    }
    *ret_run = run;
    *ret_grains = max;
    return TRUE;
}

gboolean vmdk_sparse_lookup(VmdkSparse *sparse, guint64 offset, guint64 length, VmdkRun *ret, GError **error)
{
    guint64 span = (guint64)sparse->grain * sparse->table_entries;
    guint64 index = offset / span;
    guint64 within = offset % sparse->grain;
    guint64 first = offset % span / sparse->grain;
    guint64 max = MIN(sparse->table_entries - first, div_round_up(within + length, sparse->grain));
    guint64 grains;
    VmdkRun run;

    if (sparse->directory[index] == 0) {
        guint64 missing = count_missing(sparse, index, offset % span + length);

        *ret = (VmdkRun){.kind = VMDK_RUN_HOLE, .length = MIN(length, missing - offset % span)};
        return TRUE;
    }
    if (!decode_run(sparse, sparse->ops->table_offset(sparse, sparse->directory[index]), first, max, &run,
                    &grains, error))
        return FALSE;
    run.length = MIN(length, grains * sparse->grain - within);
    if (run.kind == VMDK_RUN_DATA)
        run.host += within;
    *ret = run;
    return TRUE;
}
