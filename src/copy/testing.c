#include "copy/testing.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/size.h"
#include "disk/driver.h"
#include "disk/memory.h"

#define PIECE 65536u

/* --- hooks --- */

typedef struct {
    Disk disk;
    Disk *inner;
    Hook hook;
    gpointer data;
    GMutex lock;
    guint counts[HOOK_FLUSH + 1]; /* lock */
} HookDisk;

static gboolean ask(Disk *disk, HookEvent event, GError **error)
{
    HookDisk *self = (HookDisk *)disk;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&self->lock);

    return self->hook(event, ++self->counts[event], self->data, error);
}

static gboolean hook_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    return ask(disk, HOOK_READ, error) &&
           disk_pread(((HookDisk *)disk)->inner, buffer, length, offset, error);
}

static gboolean hook_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    return ask(disk, HOOK_WRITE, error) &&
           disk_pwrite(((HookDisk *)disk)->inner, buffer, length, offset, error);
}

static gboolean hook_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    return ask(disk, HOOK_ZERO, error) && disk_zero(((HookDisk *)disk)->inner, offset, length, error);
}

static gboolean hook_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    return disk_extents(((HookDisk *)disk)->inner, offset, length, extents, error);
}

static gboolean hook_flush(Disk *disk, GError **error)
{
    return ask(disk, HOOK_FLUSH, error) && disk_flush(((HookDisk *)disk)->inner, error);
}

static void hook_free(Disk *disk)
{
    HookDisk *self = (HookDisk *)disk;

    disk_free(self->inner);
    g_mutex_clear(&self->lock);
    disk_fini(disk);
    g_free(self);
}

static const DiskOps hook_ops = {.format = "hook",
                                 .pread = hook_pread,
                                 .pwrite = hook_pwrite,
                                 .zero = hook_zero,
                                 .extents = hook_extents,
                                 .flush = hook_flush,
                                 .free = hook_free};

Disk *hook_disk_new(Disk *inner, Hook hook, gpointer data)
{
    HookDisk *self = g_new0(HookDisk, 1);

    self->inner = inner;
    self->hook = hook;
    self->data = data;
    g_mutex_init(&self->lock);
    disk_init(&self->disk, &hook_ops, disk_name(inner), disk_size(inner), disk_granularity(inner),
              disk_is_writable(inner), disk_starts_zero(inner));
    return &self->disk;
}

/* --- durability --- */

typedef struct {
    Disk disk;
    Disk *cache, *platter;
    GMutex lock; /* a flush copies what nobody writes meanwhile */
} DurableDisk;

static gboolean durable_pread(Disk *disk, void *buffer, gsize length, guint64 offset, GError **error)
{
    return disk_pread(((DurableDisk *)disk)->cache, buffer, length, offset, error);
}

static gboolean durable_pwrite(Disk *disk, const void *buffer, gsize length, guint64 offset, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&((DurableDisk *)disk)->lock);

    return disk_pwrite(((DurableDisk *)disk)->cache, buffer, length, offset, error);
}

static gboolean durable_zero(Disk *disk, guint64 offset, guint64 length, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&((DurableDisk *)disk)->lock);

    return disk_zero(((DurableDisk *)disk)->cache, offset, length, error);
}

static gboolean durable_extents(Disk *disk, guint64 offset, guint64 length, GArray *extents, GError **error)
{
    return disk_extents(((DurableDisk *)disk)->cache, offset, length, extents, error);
}

static gboolean durable_flush(Disk *disk, GError **error)
{
    DurableDisk *self = (DurableDisk *)disk;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&self->lock);
    g_autofree guint8 *piece = g_malloc(PIECE);

    for (guint64 offset = 0; offset < disk_size(disk); offset += PIECE) {
        gsize length = (gsize)MIN(PIECE, disk_size(disk) - offset);

        if (!disk_pread(self->cache, piece, length, offset, error) ||
            !disk_pwrite(self->platter, piece, length, offset, error))
            return FALSE;
    }
    return TRUE;
}

static void durable_free(Disk *disk)
{
    DurableDisk *self = (DurableDisk *)disk;

    disk_free(self->cache);
    disk_free(self->platter);
    g_mutex_clear(&self->lock);
    disk_fini(disk);
    g_free(self);
}

static const DiskOps durable_ops = {.format = "durable",
                                    .pread = durable_pread,
                                    .pwrite = durable_pwrite,
                                    .zero = durable_zero,
                                    .extents = durable_extents,
                                    .flush = durable_flush,
                                    .free = durable_free};

Disk *durable_disk_new(const char *name, guint64 size)
{
    DurableDisk *self = g_new0(DurableDisk, 1);

    self->cache = memory_disk_new(name, size);
    self->platter = memory_disk_new(name, size);
    g_mutex_init(&self->lock);
    disk_init(&self->disk, &durable_ops, name, size, PIECE, TRUE, TRUE);
    return &self->disk;
}

Disk *durable_disk_view(Disk *disk)
{
    return ((DurableDisk *)disk)->platter;
}

/* --- contents --- */

static void assert_same_range(Disk *a, Disk *b, guint64 start, guint64 end)
{
    g_autofree guint8 *x = g_malloc(PIECE);
    g_autofree guint8 *y = g_malloc(PIECE);
    g_autoptr(GError) error = NULL;

    for (guint64 offset = start; offset < end; offset += PIECE) {
        gsize length = (gsize)MIN(PIECE, end - offset);

        disk_pread(a, x, length, offset, &error);
        g_assert_no_error(error);
        disk_pread(b, y, length, offset, &error);
        g_assert_no_error(error);
        if (memcmp(x, y, length) != 0)
            g_error("contents differ at %" G_GUINT64_FORMAT, offset);
    }
}

void assert_same_contents(Disk *a, Disk *b, const Extents *where)
{
    if (where == NULL)
        assert_same_range(a, b, 0, disk_size(a));
    for (guint i = 0; where != NULL && i < extents_count(where); i++)
        assert_same_range(a, b, extents_get(where, i).start, extents_get(where, i).end);
}

void assert_zero(Disk *disk, guint64 start, guint64 end)
{
    g_autoptr(Disk) zero = memory_disk_new("zero", disk_size(disk));

    assert_same_range(disk, zero, start, end);
}

void fill_disk(Disk *disk, guint64 start, guint64 end, guint32 seed)
{
    g_autoptr(Disk) pattern = pattern_disk_new("pattern", disk_size(disk), seed, 100);
    g_autofree guint8 *piece = g_malloc(PIECE);
    g_autoptr(GError) error = NULL;

    for (guint64 offset = start; offset < end; offset += PIECE) {
        gsize length = (gsize)MIN(PIECE, end - offset);

        disk_pread(pattern, piece, length, offset, &error);
        disk_pwrite(disk, piece, length, offset, &error);
        g_assert_no_error(error);
    }
}

Sums *testing_sums(guint64 size)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-copy-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "disk.sums", NULL);
    g_autoptr(GError) error = NULL;
    Sums *sums = sums_open(path, size, &error);

    g_assert_no_error(error);
    g_unlink(path);
    g_rmdir(folder);
    return sums;
}
