#include "disk/vmdk-reorder.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/io.h"

typedef struct {
    guint64 key;
    gsize length;
    guint8 *data;   /* NULL: in the file */
    guint64 offset; /* there */
} Record;

struct VmdkReorder {
    char *folder;
    gsize memory_max, memory; /* bytes */
    GHashTable *records;      /* key -> Record, the same memory */
    Fd fd;                    /* -1: none yet */
    guint64 tail;             /* where the next record goes in the file */
    guint n_in_file;
    guint64 spilled;
};

static void record_free(gpointer data)
{
    Record *record = data;

    g_free(record->data);
    g_free(record);
}

VmdkReorder *vmdk_reorder_new(const char *folder, gsize memory)
{
    VmdkReorder *reorder = g_new0(VmdkReorder, 1);

    reorder->folder = g_strdup(folder);
    reorder->memory_max = memory;
    reorder->records = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, record_free);
    reorder->fd = -1;
    return reorder;
}

void vmdk_reorder_free(VmdkReorder *reorder)
{
    if (reorder == NULL)
        return;
    g_hash_table_unref(reorder->records);
    fd_close(&reorder->fd);
    g_free(reorder->folder);
    g_free(reorder);
}

/* Some file systems make no files without a name; there it gets one for a moment. */
static gboolean open_file(VmdkReorder *reorder, GError **error)
{
    g_autofree char *path = g_build_filename(reorder->folder, ".vmferry-XXXXXX", NULL);

    if (reorder->fd >= 0)
        return TRUE;
    reorder->fd = open(reorder->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (reorder->fd < 0) {
        reorder->fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
        if (reorder->fd >= 0)
            g_unlink(path);
    }
    return reorder->fd >= 0 ||
           vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s: making a temporary file", reorder->folder);
}

static gboolean put_in_file(VmdkReorder *reorder, Record *record, const void *data, GError **error)
{
    if (!open_file(reorder, error))
        return FALSE;
    if (reorder->n_in_file == 0)
        reorder->tail = 0;
    record->offset = reorder->tail;
    if (!io_pwrite(reorder->fd, data, record->length, record->offset))
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s: writing a temporary file",
                             reorder->folder);
    reorder->tail += record->length;
    reorder->spilled += record->length;
    reorder->n_in_file++;
    return TRUE;
}

gboolean vmdk_reorder_put(VmdkReorder *reorder, guint64 key, const void *data, gsize length, GError **error)
{
    Record *record = g_new0(Record, 1);

    record->key = key;
    record->length = length;
    if (length <= reorder->memory_max - reorder->memory) {
        record->data = g_memdup2(data, length);
        reorder->memory += length;
    } else if (!put_in_file(reorder, record, data, error)) {
        record_free(record);
        return FALSE;
    }
    g_hash_table_insert(reorder->records, &record->key, record);
    return TRUE;
}

static gboolean take_from_file(VmdkReorder *reorder, const Record *record, guint8 *to, GError **error)
{
    gssize n = io_pread(reorder->fd, to, record->length, record->offset);

    if (n < 0)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "%s: reading a temporary file",
                             reorder->folder);
    if ((gsize)n != record->length)
        return vf_fail(error, VF_ERROR_INTEGRITY, "%s: a temporary file has become shorter", reorder->folder);
    reorder->n_in_file--;
    return TRUE;
}

gboolean vmdk_reorder_take(VmdkReorder *reorder, guint64 key, GByteArray *to, GError **error)
{
    Record *record = g_hash_table_lookup(reorder->records, &key);

    g_byte_array_set_size(to, record != NULL ? (guint)record->length : 0);
    if (record == NULL)
        return TRUE;
    if (record->data == NULL) {
        if (!take_from_file(reorder, record, to->data, error))
            return FALSE;
    } else {
        memcpy(to->data, record->data, record->length);
        reorder->memory -= record->length;
    }
    g_hash_table_remove(reorder->records, &key);
    return TRUE;
}

guint64 vmdk_reorder_spilled(const VmdkReorder *reorder)
{
    return reorder->spilled;
}
