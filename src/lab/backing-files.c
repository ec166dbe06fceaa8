#include "lab/backing-files.h"

#include "base/cancel.h"
#include "base/error.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/size.h"
#include "lab/delta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILL_PIECE    MIB
#define LOCK_ATTEMPTS 50
#define LOCK_PAUSE_MS 100
#define COPY_CHUNK    ((gsize)1 << 20)

/* --- links --- */

BackingLink *backing_link_new(const char *name, guint number)
{
    BackingLink *link = g_new0(BackingLink, 1);

    link->number = number;
    if (number == 0) {
        link->descriptor = g_strdup_printf("%s.vmdk", name);
        link->data = g_strdup_printf("%s-flat.vmdk", name);
    } else {
        link->descriptor = g_strdup_printf("%s-%06u.vmdk", name, number);
        link->data = g_strdup_printf("%s-%06u-delta.vmdk", name, number);
    }
    return link;
}

void backing_link_free(BackingLink *link)
{
    if (link == NULL)
        return;
    if (link->free_state != NULL && link->state != NULL)
        link->free_state(link->state);
    g_free(link->descriptor);
    g_free(link->data);
    g_free(link);
}

/* --- descriptors --- */

/* The same at every start of the lab: "60 00 C2 9x ...-...", made of the disk's name and directory. */
static char *disk_uuid(const char *directory, const char *name)
{
    g_autofree char *text = g_strconcat(directory, "/", name, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    GString *uuid = g_string_new("60 00 C2 9");

    g_string_append_c(uuid, sum[0]);
    for (guint i = 4; i < 16; i++)
        g_string_append_printf(uuid, "%s%.2s", i == 8 ? "-" : " ", sum + 2 * (gsize)i);
    return g_string_free(uuid, FALSE);
}

static void append_database(GString *text, const char *directory, const char *name, guint64 size)
{
    g_autofree char *uuid = disk_uuid(directory, name);

    g_string_append_printf(text,
                           "\n# The Disk Data Base \n#DDB\n\n"
                           "ddb.adapterType = \"lsilogic\"\n"
                           "ddb.geometry.cylinders = \"%" G_GUINT64_FORMAT "\"\n"
                           "ddb.geometry.heads = \"255\"\n"
                           "ddb.geometry.sectors = \"63\"\n"
                           "ddb.thinProvisioned = \"1\"\n"
                           "ddb.uuid = \"%s\"\n"
                           "ddb.virtualHWVersion = \"19\"\n",
                           MAX((guint64)1, size / SECTOR_SIZE / ((guint64)255 * 63)), uuid);
}

gboolean backing_write_descriptor(const char *directory, const char *name, const BackingLink *link,
                                  const BackingLink *parent, guint64 size, GError **error)
{
    GString *text = g_string_new("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\n");
    g_autofree char *path = g_build_filename(directory, link->descriptor, NULL);

    /* A new delta carries its parent's CID. */
    g_string_append_printf(text, "parentCID=%s\ncreateType=\"%s\"\n",
                           parent == NULL ? "ffffffff" : "fffffffe", parent == NULL ? "vmfs" : "vmfsSparse");
    if (parent != NULL)
        g_string_append_printf(text, "parentFileNameHint=\"%s\"\n", parent->descriptor);
    g_string_append_printf(text, "\n# Extent description\nRW %" G_GUINT64_FORMAT " %s \"%s\"\n",
                           size / SECTOR_SIZE, parent == NULL ? "VMFS" : "VMFSSPARSE", link->data);
    if (parent == NULL)
        append_database(text, directory, name, size);

    g_autofree char *contents = g_string_free(text, FALSE);
    return io_write_file(path, contents, strlen(contents), 0600, error);
}

/* --- the first contents --- */

/* splitmix64: every value gives another stream, and streams of neighbouring values have nothing in common. */
static guint64 mix(guint64 value)
{
    value += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void backing_pattern(void *buffer, gsize length, guint64 value)
{
    guint64 state = mix(value);

    for (gsize i = 0; i < length; i += sizeof state) {
        guint64 word = mix(state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15));

        memcpy((char *)buffer + i, &word, sizeof word);
    }
}

static gboolean fill_pattern(int fd, const LabDiskConfig *disk, guint32 seed, GError **error)
{
    g_autofree char *buffer = g_malloc(FILL_PIECE);
    guint64 stream = mix((guint64)seed << 32 | (guint32)disk->key);

    for (guint64 offset = 0; offset < disk->size; offset += FILL_PIECE) {
        gsize length = (gsize)MIN(FILL_PIECE, disk->size - offset);

        if (mix(stream ^ offset) % 100 >= disk->fill_percent)
            continue;
        backing_pattern(buffer, FILL_PIECE, stream + offset);
        if (!io_pwrite(fd, buffer, length, offset))
            return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "filling disk %s", disk->name);
    }
    return TRUE;
}

static gboolean copy_range(int from, int to, guint64 offset, guint64 end, const char *name, GError **error)
{
    g_autofree char *buffer = g_malloc(COPY_CHUNK);

    while (offset < end) {
        gsize length = (gsize)MIN(COPY_CHUNK, end - offset);

        if (io_pread(from, buffer, length, offset) != (gssize)length)
            return vf_fail_errno(error, VF_ERROR_SOURCE_IO, errno, "reading %s", name);
        if (!io_pwrite(to, buffer, length, offset))
            return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "copying %s", name);
        offset += length;
    }
    return TRUE;
}

static gboolean copy_image(int fd, const LabDiskConfig *disk, GError **error)
{
    g_auto(Fd) image = open(disk->image, O_RDONLY | O_CLOEXEC);
    g_autoptr(Extents) data = extents_new();
    struct stat status;

    if (image < 0 || fstat(image, &status) < 0)
        return vf_fail_errno(error, errno == ENOENT ? VF_ERROR_NOT_FOUND : VF_ERROR_SOURCE_IO, errno, "%s",
                             disk->image);
    if ((guint64)status.st_size > disk->size)
        return vf_fail(error, VF_ERROR_INVALID, "image %s is larger than disk %s", disk->image, disk->name);
    if (!backing_file_allocated(disk->image, data, error))
        return FALSE;
    for (guint i = 0; i < extents_count(data); i++) {
        Extent extent = extents_get(data, i);

        if (!copy_range(image, fd, extent.start, extent.end, disk->image, error))
            return FALSE;
    }
    return TRUE;
}

/* Under another name until it is whole: a flat file that is there is used as it is. */
static gboolean create_flat(const char *path, const LabDiskConfig *disk, guint32 seed, GError **error)
{
    g_autofree char *partial = g_strconcat(path, ".new", NULL);
    g_auto(Fd) fd = open(partial, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (disk->size == 0 || disk->size % SECTOR_SIZE != 0 || disk->size > G_MAXINT64)
        return vf_fail(error, VF_ERROR_INVALID, "disk %s: %" G_GUINT64_FORMAT " is no size for a disk",
                       disk->name, disk->size);
    if (fd < 0 || ftruncate(fd, (off_t)disk->size) < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", partial);
    if (!(disk->image != NULL ? copy_image(fd, disk, error) : fill_pattern(fd, disk, seed, error)))
        return FALSE;
    if (rename(partial, path) < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", path);
    return TRUE;
}

gboolean backing_file_allocated(const char *path, Extents *areas, GError **error)
{
    g_auto(Fd) fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t start = 0, end = 0;

    if (fd < 0)
        return vf_fail_errno(error, VF_ERROR_SOURCE_IO, errno, "%s", path);
    while ((start = lseek(fd, end, SEEK_DATA)) >= 0) {
        end = lseek(fd, start, SEEK_HOLE);
        if (end < 0)
            return vf_fail_errno(error, VF_ERROR_SOURCE_IO, errno, "%s", path);
        extents_add(areas, (guint64)start, (guint64)end);
    }
    if (errno != ENXIO)
        return vf_fail_errno(error, VF_ERROR_SOURCE_IO, errno, "%s", path);
    return TRUE;
}

/* --- what a killed lab left behind --- */

static gint compare_numbers_down(gconstpointer a, gconstpointer b)
{
    guint left = *(const guint *)a, right = *(const guint *)b;

    return left < right ? 1 : left > right ? -1 : 0;
}

/* The number of "NAME-000001-delta.vmdk"; 0 for any other file. */
static guint delta_number(const char *file, const char *name)
{
    gsize length = strlen(name);
    guint64 number = 0;

    if (strncmp(file, name, length) != 0 || file[length] != '-' || !g_str_has_suffix(file, "-delta.vmdk"))
        return 0;
    g_autofree char *digits = g_strndup(file + length + 1, 6);
    if (strlen(digits) != 6 || strcmp(file + length + 7, "-delta.vmdk") != 0 ||
        !g_ascii_string_to_unsigned(digits, 10, 1, 999999, &number, NULL))
        return 0;
    return (guint)number;
}

/* Numbers of the deltas of `name`, the leaf first: a chain only grows at its end, with ever larger numbers.
 */
static GArray *find_deltas(const char *directory, const char *name)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *file;

    while (dir != NULL && (file = g_dir_read_name(dir)) != NULL) {
        guint number = delta_number(file, name);

        if (number != 0)
            g_array_append_val(numbers, number);
    }
    g_array_sort(numbers, compare_numbers_down);
    return numbers;
}

static gboolean is_qcow2(const char *path)
{
    g_auto(Fd) fd = open(path, O_RDONLY | O_CLOEXEC);
    char magic[4] = "";

    return fd >= 0 && io_pread(fd, magic, sizeof magic, 0) == sizeof magic &&
           memcmp(magic, "QFI\xfb", 4) == 0;
}

/* A delta without a map had not been used yet. */
static gboolean merge_synthetic(const char *delta_path, const char *below_path, GError **error)
{
    if (!delta_exists(delta_path))
        return TRUE;
    g_autoptr(Delta) delta = delta_open(delta_path, error);
    if (delta == NULL)
        return FALSE;
    if (delta_exists(below_path)) {
        g_autoptr(Delta) below = delta_open(below_path, error);

        return below != NULL && delta_merge_into_delta(delta, below, error);
    }
    g_auto(Fd) fd = open(below_path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s", below_path);
    return delta_merge_into_file(delta, fd, error);
}

/* The QEMU of a lab that was killed a moment ago may still be dying, and holds its locks until it is dead. */
static gboolean merge_overlay(const char *path, GError **error)
{
    const char *const argv[] = {"qemu-img", "commit", "-q", "-d", "-f", "qcow2", path, NULL};
    g_autoptr(Cancel) never = cancel_new();

    for (guint left = LOCK_ATTEMPTS;; left--) {
        g_autoptr(GError) problem = NULL;

        if (proc_run(argv, NULL, NULL, NULL, &problem))
            return TRUE;
        if (left == 0 || strstr(problem->message, "lock") == NULL) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
        if (!cancel_sleep(never, LOCK_PAUSE_MS, error))
            return FALSE;
    }
}

static gboolean merge_leftover(const char *delta_path, const char *below_path, GError **error)
{
    log_warning("merging %s, which a lab that was killed left behind", delta_path);
    if (is_qcow2(delta_path) ? !merge_overlay(delta_path, error)
                             : !merge_synthetic(delta_path, below_path, error))
        return FALSE;
    delta_remove_files(delta_path);
    return TRUE;
}

/* From the leaf down, so that a lab killed in here too finds a chain that is still whole. */
static gboolean merge_leftovers(const char *directory, const char *name, GError **error)
{
    g_autoptr(GArray) numbers = find_deltas(directory, name);

    for (guint i = 0; i < numbers->len; i++) {
        guint below = i + 1 < numbers->len ? g_array_index(numbers, guint, i + 1) : 0;
        BackingLink *upper_link = backing_link_new(name, g_array_index(numbers, guint, i));
        BackingLink *lower_link = backing_link_new(name, below);
        g_autofree char *descriptor = g_build_filename(directory, upper_link->descriptor, NULL);
        g_autofree char *upper = g_build_filename(directory, upper_link->data, NULL);
        g_autofree char *lower = g_build_filename(directory, lower_link->data, NULL);

        backing_link_free(upper_link);
        backing_link_free(lower_link);
        if (!merge_leftover(upper, lower, error))
            return FALSE;
        unlink(descriptor);
    }
    return TRUE;
}

/* --- all together --- */

gboolean backing_files_prepare(const char *directory, const LabDiskConfig *disk, guint32 seed,
                               guint64 *ret_size, GError **error)
{
    BackingLink *link = backing_link_new(disk->name, 0);
    g_autofree char *flat = g_build_filename(directory, link->data, NULL);
    g_autofree char *descriptor = g_build_filename(directory, link->descriptor, NULL);
    struct stat status;
    gboolean fresh = access(flat, F_OK) != 0;
    gboolean ok =
        (fresh ? create_flat(flat, disk, seed, error) : merge_leftovers(directory, disk->name, error));

    if (ok && stat(flat, &status) < 0)
        ok = vf_fail_errno(error, VF_ERROR_SOURCE_IO, errno, "%s", flat);
    if (ok && (fresh || access(descriptor, F_OK) != 0))
        ok = backing_write_descriptor(directory, disk->name, link, NULL, (guint64)status.st_size, error);
    if (ok)
        *ret_size = (guint64)status.st_size;
    backing_link_free(link);
    return ok;
}
