#include "copy/image-source.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/size.h"
#include "disk/format.h"
#include "disk/padded.h"

typedef struct {
    int fd;
    dev_t device;
    ino_t inode;
    gint64 size;
    gint64 changed_s, changed_ns;
} SourceFile;

/* The files and devices that this process has open. */
static GArray *open_files(void)
{
    GArray *files = g_array_new(FALSE, FALSE, sizeof(SourceFile));
    g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        SourceFile file = {.fd = atoi(name)};
        struct stat status;

        if (fstat(file.fd, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
            continue;
        file.device = status.st_dev;
        file.inode = status.st_ino;
        file.size = status.st_size;
        file.changed_s = status.st_mtim.tv_sec;
        file.changed_ns = status.st_mtim.tv_nsec;
        g_array_append_val(files, file);
    }
    return files;
}

static gboolean has_descriptor(const GArray *files, int fd)
{
    for (guint i = 0; i < files->len; i++)
        if (g_array_index(files, SourceFile, i).fd == fd)
            return TRUE;
    return FALSE;
}

static int compare_files(gconstpointer a, gconstpointer b)
{
    const SourceFile *x = a, *y = b;

    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* Those of `after` that were not open before, each once, in an order that does not depend on descriptors. */
static GArray *newly_opened(const GArray *before, const GArray *after)
{
    GArray *files = g_array_new(FALSE, FALSE, sizeof(SourceFile));

    for (guint i = 0; i < after->len; i++)
        if (!has_descriptor(before, g_array_index(after, SourceFile, i).fd))
            g_array_append_val(files, g_array_index(after, SourceFile, i));
    g_array_sort(files, compare_files);
    for (guint i = files->len; i > 1; i--)
        if (compare_files(&g_array_index(files, SourceFile, i - 1),
                          &g_array_index(files, SourceFile, i - 2)) == 0)
            g_array_remove_index(files, i - 1);
    return files;
}

ImageSource *image_source_open(const char *path, const char *format, GError **error)
{
    g_autoptr(GArray) before = open_files();
    g_autoptr(GArray) after = NULL;
    Disk *disk = format_open(path, format, FALSE, error);
    ImageSource *source;

    if (disk == NULL)
        return NULL;
    after = open_files();
    source = g_new0(ImageSource, 1);
    source->path = g_strdup(path);
    source->disk = padded_disk_new(disk);
    source->files = newly_opened(before, after);
    return source;
}

void image_source_free(ImageSource *source)
{
    if (source == NULL)
        return;
    disk_free(source->disk);
    g_array_unref(source->files);
    g_free(source->path);
    g_free(source);
}

static char *absolute(const char *path)
{
    g_autofree char *scheme = g_uri_parse_scheme(path);

    return scheme != NULL ? g_strdup(path) : g_canonicalize_filename(path, NULL);
}

Json *image_source_identity(const ImageSource *source)
{
    g_autofree char *path = absolute(source->path);
    Json *identity = json_object();
    Json *files = json_array();

    json_set_string(identity, "path", path);
    json_set_string(identity, "format", disk_format(source->disk));
    json_set_integer(identity, "size", (gint64)disk_size(source->disk));
    for (guint i = 0; i < source->files->len; i++) {
        const SourceFile *file = &g_array_index(source->files, SourceFile, i);
        g_autofree char *text = g_strdup_printf(
            "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT
            ".%09" G_GINT64_FORMAT,
            (guint64)file->device, (guint64)file->inode, file->size, file->changed_s, file->changed_ns);

        json_array_append_new(files, json_string(text));
    }
    json_set_take(identity, "files", files);
    return identity;
}

gboolean image_source_is_made_of(const ImageSource *source, const char *path)
{
    struct stat status, own;

    if (stat(path, &status) != 0)
        return FALSE;
    /* A descriptor is read and closed again. */
    if (stat(source->path, &own) == 0 && own.st_dev == status.st_dev && own.st_ino == status.st_ino)
        return TRUE;
    for (guint i = 0; i < source->files->len; i++) {
        const SourceFile *file = &g_array_index(source->files, SourceFile, i);

        if (file->device == status.st_dev && file->inode == status.st_ino)
            return TRUE;
    }
    return FALSE;
}

guint64 image_source_allocated(const ImageSource *source)
{
    guint64 bytes = 0;

    for (guint i = 0; i < source->files->len; i++) {
        struct stat status;

        if (fstat(g_array_index(source->files, SourceFile, i).fd, &status) == 0)
            bytes += (guint64)status.st_blocks * SECTOR_SIZE;
    }
    return bytes;
}

static int compare_descriptors(gconstpointer a, gconstpointer b)
{
    return ((const SourceFile *)a)->fd - ((const SourceFile *)b)->fd;
}

GPtrArray *image_source_paths(const ImageSource *source)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) files = g_array_copy(source->files);

    g_array_sort(files, compare_descriptors);
    for (guint i = 0; i < files->len; i++) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", g_array_index(files, SourceFile, i).fd);
        char *path = g_file_read_link(link, NULL);

        if (path != NULL)
            g_ptr_array_add(paths, path);
    }
    return paths;
}
