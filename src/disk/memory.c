/* Three disks for tests and benchmarks.
 *
 * The pattern disk must cost its reader less than anything it is compared with, so it copies from a random
 * template of 1 MiB and stamps offset and seed into the first 16 bytes of every 4 KiB block: no two blocks
 * are equal, and a block that ends up in the wrong place is seen.
 */
#include "disk/memory.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/driver.h"

#define PIECE        ((guint64)64 * KIB)
#define TEMPLATE     MIB
#define STAMP_PERIOD 4096u

/* --- memory --- */

typedef struct {
    Disk disk;
    GMutex lock; /* guards the slots of pieces; their contents belong to whoever writes that range */
    guint8 **pieces;
    guint64 n_pieces;
} MemoryDisk;

static guint8 *find_piece(MemoryDisk *memory, guint64 index, gboolean allocate)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&memory->lock);

    if (memory->pieces[index] == NULL && allocate)
        memory->pieces[index] = g_malloc0(PIECE);
    return memory->pieces[index];
}

static gboolean memory_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    guint8 *target = buffer;

    for (gsize step; length > 0; length -= step, offset += step, target += step) {
        const guint8 *piece = find_piece((MemoryDisk *)disk, offset / PIECE, FALSE);

        step = (gsize)MIN(length, PIECE - offset % PIECE);
        if (piece == NULL)
            memset(target, 0, step);
        else
            memcpy(target, piece + offset % PIECE, step);
    }
    return TRUE;
}

static gboolean memory_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    const guint8 *source = buffer;

    for (gsize step; length > 0; length -= step, offset += step, source += step) {
        guint8 *piece = find_piece((MemoryDisk *)disk, offset / PIECE, TRUE);

        step = (gsize)MIN(length, PIECE - offset % PIECE);
        memcpy(piece + offset % PIECE, source, step);
    }
    return TRUE;
}

static void drop_piece(MemoryDisk *memory, guint64 index)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&memory->lock);

    g_clear_pointer(&memory->pieces[index], g_free);
}

static gboolean memory_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    MemoryDisk *memory = (MemoryDisk *)disk;

    for (guint64 step; length > 0; length -= step, offset += step) {
        guint8 *piece;

        step = MIN(length, PIECE - offset % PIECE);
        if (step == PIECE) {
            drop_piece(memory, offset / PIECE);
            continue;
        }
        piece = find_piece(memory, offset / PIECE, FALSE);
        if (piece != NULL)
            memset(piece + offset % PIECE, 0, (gsize)step);
    }
    return TRUE;
}

static gboolean memory_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    for (guint64 step; length > 0; length -= step, offset += step) {
        const guint8 *piece = find_piece((MemoryDisk *)disk, offset / PIECE, FALSE);

        step = MIN(length, PIECE - offset % PIECE);
        disk_extent_append(extents, offset, step, piece != NULL ? DISK_EXTENT_DATA : DISK_EXTENT_HOLE);
    }
    return TRUE;
}

static gboolean memory_flush(Disk *disk, GError **error)
{
    return TRUE;
}

static gboolean memory_resize(Disk *disk, guint64 size, GError **error)
{
    MemoryDisk *memory = (MemoryDisk *)disk;
    guint64 n_pieces = div_round_up(size, PIECE);
    guint8 **pieces = g_try_renew(guint8 *, memory->pieces, n_pieces);

    if (pieces == NULL)
        return vf_fail(error, VF_ERROR_TARGET_IO, "%s: no memory for its larger size", disk->name);
    memset(pieces + memory->n_pieces, 0, (n_pieces - memory->n_pieces) * sizeof *pieces);
    memory->pieces = pieces;
    memory->n_pieces = n_pieces;
    return TRUE;
}

static void memory_free(Disk *disk)
{
    MemoryDisk *memory = (MemoryDisk *)disk;

    for (guint64 i = 0; i < memory->n_pieces; i++)
        g_free(memory->pieces[i]);
    g_free(memory->pieces);
    g_mutex_clear(&memory->lock);
    disk_fini(disk);
    g_free(memory);
}

static const DiskOps memory_ops = {
    .format = "memory",
    .pread = memory_pread,
    .pwrite = memory_pwrite,
    .zero = memory_zero,
    .extents = memory_extents,
    .flush = memory_flush,
    .resize = memory_resize,
    .free = memory_free,
};

Disk *memory_disk_new(const char *name, guint64 size)
{
    MemoryDisk *memory = g_new0(MemoryDisk, 1);

    g_mutex_init(&memory->lock);
    memory->n_pieces = div_round_up(size, PIECE);
    memory->pieces = g_new0(guint8 *, memory->n_pieces);
    disk_init(&memory->disk, &memory_ops, name, size, PIECE, TRUE, TRUE);
    return &memory->disk;
}

/* --- pattern --- */

typedef struct {
    Disk disk;
    guint32 seed;
    guint data_percent;
    guint8 *template;
} PatternDisk;

/* The finaliser of splitmix64: spreads every bit of its input over all of its output. */
static guint64 mix(guint64 x)
{
    x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static gboolean is_data(const PatternDisk *pattern, guint64 offset)
{
    guint64 piece = offset / TEMPLATE;

    return mix(piece + 1 + ((guint64)pattern->seed << 32)) % 100 < pattern->data_percent;
}

/* Overwrites the part of the stamp of `block` that lies within the `length` bytes at `offset`. */
static void stamp(guint8 *target, gsize length, guint64 offset, guint64 block, guint32 seed)
{
    guint64 words[2] = {GUINT64_TO_LE(block), GUINT64_TO_LE(mix(block + seed))};
    guint64 start = MAX(block, offset);
    guint64 end = MIN(block + sizeof words, offset + length);

    if (start < end)
        memcpy(target + (start - offset), (const guint8 *)words + (start - block), (gsize)(end - start));
}

/* `length` bytes that do not cross a piece. */
static void fill(const PatternDisk *pattern, guint8 *target, gsize length, guint64 offset)
{
    if (!is_data(pattern, offset)) {
        memset(target, 0, length);
        return;
    }
    memcpy(target, pattern->template + offset % TEMPLATE, length);
    for (guint64 block = round_down(offset, STAMP_PERIOD); block < offset + length; block += STAMP_PERIOD)
        stamp(target, length, offset, block, pattern->seed);
}

static gboolean pattern_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    guint8 *target = buffer;

    for (gsize step; length > 0; length -= step, offset += step, target += step) {
        step = (gsize)MIN(length, TEMPLATE - offset % TEMPLATE);
        fill((const PatternDisk *)disk, target, step, offset);
    }
    return TRUE;
}

static gboolean pattern_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    const PatternDisk *pattern = (const PatternDisk *)disk;

    for (guint64 step; length > 0; length -= step, offset += step) {
        step = MIN(length, TEMPLATE - offset % TEMPLATE);
        disk_extent_append(extents, offset, step,
                           is_data(pattern, offset) ? DISK_EXTENT_DATA : DISK_EXTENT_HOLE);
    }
    return TRUE;
}

static void pattern_free(Disk *disk)
{
    PatternDisk *pattern = (PatternDisk *)disk;

    g_free(pattern->template);
    disk_fini(disk);
    g_free(pattern);
}

static const DiskOps pattern_ops = {
    .format = "pattern",
    .pread = pattern_pread,
    .extents = pattern_extents,
    .free = pattern_free,
};

Disk *pattern_disk_new(const char *name, guint64 size, guint32 seed, guint data_percent)
{
    PatternDisk *pattern = g_new0(PatternDisk, 1);

    pattern->seed = seed;
    pattern->data_percent = data_percent;
    pattern->template = g_malloc(TEMPLATE);
    for (gsize i = 0; i < TEMPLATE; i += sizeof(guint64)) {
        guint64 word = GUINT64_TO_LE(mix(i + 1 + ((guint64)seed << 32)));

        memcpy(pattern->template + i, &word, sizeof word);
    }
    disk_init(&pattern->disk, &pattern_ops, name, size, (guint32)TEMPLATE, FALSE, FALSE);
    return &pattern->disk;
}

/* --- fault --- */

/* A countdown: calls that still succeed; negative means that all do. */
typedef struct {
    gint64 left;
    int error_class;
} Fuse;

typedef struct {
    Disk disk;
    Disk *inner;
    GMutex lock; /* guards both fuses */
    Fuse read, write;
} FaultDisk;

static gboolean burn(FaultDisk *fault, Fuse *fuse, const char *what, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&fault->lock);

    if (fuse->left < 0)
        return TRUE;
    if (fuse->left > 0) {
        fuse->left--;
        return TRUE;
    }
    return vf_fail(error, (VfErrorClass)fuse->error_class, "%s: cannot %s: failure on demand",
                   fault->disk.name, what);
}

static gboolean fault_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    FaultDisk *fault = (FaultDisk *)disk;

    return burn(fault, &fault->read, "read", error) &&
           disk_pread(fault->inner, buffer, length, offset, error);
}

static gboolean fault_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    FaultDisk *fault = (FaultDisk *)disk;

    return burn(fault, &fault->write, "write", error) &&
           disk_pwrite(fault->inner, buffer, length, offset, error);
}

static gboolean fault_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    FaultDisk *fault = (FaultDisk *)disk;

    return burn(fault, &fault->write, "zero", error) && disk_zero(fault->inner, offset, length, error);
}

static gboolean fault_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    return disk_extents(((FaultDisk *)disk)->inner, offset, length, extents, error);
}

static gboolean fault_flush(Disk *disk, GError **error)
{
    return disk_flush(((FaultDisk *)disk)->inner, error);
}

static gboolean fault_resize(Disk *disk, guint64 size, GError **error)
{
    return disk_resize(((FaultDisk *)disk)->inner, size, error);
}

static void fault_free(Disk *disk)
{
    FaultDisk *fault = (FaultDisk *)disk;

    disk_free(fault->inner);
    g_mutex_clear(&fault->lock);
    disk_fini(disk);
    g_free(fault);
}

static const DiskOps fault_ops = {
    .format = "fault",
    .pread = fault_pread,
    .pwrite = fault_pwrite,
    .zero = fault_zero,
    .extents = fault_extents,
    .flush = fault_flush,
    .resize = fault_resize,
    .free = fault_free,
};

Disk *fault_disk_new(Disk *inner)
{
    FaultDisk *fault = g_new0(FaultDisk, 1);

    g_mutex_init(&fault->lock);
    fault->inner = inner;
    fault->read.left = fault->write.left = -1;
    disk_init(&fault->disk, &fault_ops, disk_name(inner), disk_size(inner), disk_granularity(inner),
              disk_is_writable(inner), disk_starts_zero(inner));
    return &fault->disk;
}

static void set_fuse(Disk *disk, Fuse *fuse, guint nth, int error_class)
{
    FaultDisk *fault = (FaultDisk *)disk;
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&fault->lock);

    *fuse = (Fuse){.left = (gint64)nth - 1, .error_class = error_class};
}

void fault_disk_fail_read(Disk *disk, guint nth, int error_class)
{
    set_fuse(disk, &((FaultDisk *)disk)->read, nth, error_class);
}

void fault_disk_fail_write(Disk *disk, guint nth, int error_class)
{
    set_fuse(disk, &((FaultDisk *)disk)->write, nth, error_class);
}

void fault_disk_heal(Disk *disk)
{
    fault_disk_fail_read(disk, 0, VF_ERROR_INTERNAL);
    fault_disk_fail_write(disk, 0, VF_ERROR_INTERNAL);
}
