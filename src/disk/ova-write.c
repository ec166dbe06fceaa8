/* The members of an OVA come in the order envelope, manifest, disks, and the first two say things that are
 * known last: the sizes of the disk files and all checksums.  So their room is kept: the manifest has lines
 * of fixed length, and the envelope is written with the largest sizes there are, and in the end with the real
 * ones and empty lines behind it.  The disks are written straight into their places.
 */
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/bytes-window.h"
#include "disk/ova.h"
#include "disk/tar.h"
#include "disk/vmdk-create.h"
#include "disk/vmdk-write-stream.h"

#define HW_VERSION 13u
/* "SHA256(" ")= " and its digits and the end of the line. */
#define MANIFEST_LINE (7u + 3u + 64u + 1u)
#define STEM_MAX      80u
/* An archive ends with two blocks of zeros, and is filled up to a record of twenty. */
#define TAR_RECORD (20u * TAR_BLOCK)

struct OvaWriter {
    char *path;
    const Machine *machine;
    guint hw_version, level;
    char *stem;
    BytesShare *share;
    OvfDisk *files;   /* one for each disk; sizes are known when they are closed */
    guint64 *offsets; /* of their contents */
    guint n_disks;    /* handed out */
    gsize ovf_room, manifest_room;
    guint64 first_disk; /* where its header lies */
};

/* --- room --- */

/* What file systems and manifests can bear. */
static char *stem_of(const Machine *machine)
{
    g_autofree char *stem =
        g_strdup(machine->name != NULL && machine->name[0] != '\0' ? machine->name : "vm");

    g_strcanon(stem, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_.", '_');
    if (stem[0] == '.')
        stem[0] = '_';
    return g_strndup(stem, STEM_MAX);
}

static char *name_of(const OvaWriter *w, const char *suffix)
{
    return g_strconcat(w->stem, suffix, NULL);
}

static void plan(OvaWriter *w)
{
    guint n = w->machine->disks->len;
    gsize manifest = MANIFEST_LINE + strlen(w->stem) + strlen(".ovf");
    g_autofree char *text = NULL;

    w->files = g_new0(OvfDisk, n);
    w->offsets = g_new0(guint64, n);
    for (guint i = 0; i < n; i++) {
        w->files[i].file = g_strdup_printf("%s-disk%u.vmdk", w->stem, i + 1);
        w->files[i].size = G_MAXUINT64;
        manifest += MANIFEST_LINE + strlen(w->files[i].file);
    }
    text = ovf_write(w->machine, w->hw_version, w->files);
    w->ovf_room = strlen(text);
    w->manifest_room = manifest;
    w->first_disk = TAR_BLOCK + round_up(w->ovf_room, TAR_BLOCK) + TAR_BLOCK + round_up(manifest, TAR_BLOCK);
}

OvaWriter *ova_create(const char *path, const Machine *machine, guint hw_version, guint level, GError **error)
{
    Bytes *bytes = bytes_open_file(path, BYTES_WRITE | BYTES_CREATE, error);
    OvaWriter *w;

    if (bytes == NULL)
        return NULL;
    w = g_new0(OvaWriter, 1);
    w->path = g_strdup(path);
    w->machine = machine;
    w->hw_version = hw_version != 0 ? hw_version : HW_VERSION;
    w->level = level;
    w->stem = stem_of(machine);
    w->share = bytes_share_new(bytes);
    plan(w);
    return w;
}

void ova_writer_free(OvaWriter *w)
{
    if (w == NULL)
        return;
    for (guint i = 0; i < w->machine->disks->len; i++)
        g_free(w->files[i].file);
    g_free(w->files);
    g_free(w->offsets);
    bytes_share_unref(w->share);
    g_free(w->stem);
    g_free(w->path);
    g_free(w);
}

/* --- disks --- */

/* Where the header of the next disk goes: behind the file so far, which the last disk has ended. */
static guint64 next_header(const OvaWriter *w)
{
    return w->n_disks == 0 ? w->first_disk : round_up(bytes_size(bytes_share_get(w->share)), TAR_BLOCK);
}

/* The disk handed out last is closed: its size is known. */
static void end_disk(OvaWriter *w)
{
    guint last = w->n_disks - 1;

    if (w->n_disks > 0 && w->files[last].size == G_MAXUINT64)
        w->files[last].size = bytes_size(bytes_share_get(w->share)) - w->offsets[last];
}

Disk *ova_writer_next_disk(OvaWriter *w, GError **error)
{
    const VmdkCreateOptions options = {.hw_version = w->hw_version};
    g_autofree char *name = NULL;
    g_autofree char *text = NULL;
    const MachineDisk *disk;

    if (w->n_disks == w->machine->disks->len) {
        vf_fail(error, VF_ERROR_INTERNAL, "%s: all its disks are written", w->path);
        return NULL;
    }
    disk = g_ptr_array_index(w->machine->disks, w->n_disks);
    name = g_strdup_printf("%s:%s", w->path, w->files[w->n_disks].file);
    if (!vmdk_create_options_check(&options, disk->size, name, error))
        return NULL;
    end_disk(w);
    w->offsets[w->n_disks] = next_header(w) + TAR_BLOCK;
    text = vmdk_text(&(VmdkText){.create_type = "streamOptimized",
                                 .access = "RDONLY",
                                 .extent_type = "SPARSE",
                                 .file = w->files[w->n_disks].file,
                                 .size = round_up(disk->size, SECTOR_SIZE),
                                 .options = &options});
    return vmdk_stream_create(bytes_window_new_tail(w->share, w->offsets[w->n_disks++], name),
                              round_up(disk->size, SECTOR_SIZE), text, w->level, error);
}

/* --- the end --- */

static gboolean put_header(OvaWriter *w, const char *name, guint64 size, guint64 at, GError **error)
{
    guint8 block[TAR_BLOCK];

    tar_header(name, size, block);
    return bytes_pwrite(bytes_share_get(w->share), block, sizeof block, at, error);
}

static gboolean put_text_member(OvaWriter *w, const char *name, const char *text, guint64 at, GError **error)
{
    return put_header(w, name, strlen(text), at, error) &&
           bytes_pwrite(bytes_share_get(w->share), text, strlen(text), at + TAR_BLOCK, error);
}

static gboolean append_disk_sums(OvaWriter *w, GString *manifest, const Cancel *cancel, GError **error)
{
    for (guint i = 0; i < w->n_disks; i++) {
        g_autoptr(Bytes) bytes =
            bytes_window_new(w->share, w->offsets[i], w->files[i].size, w->files[i].file);
        g_autofree char *digits = ova_checksum(bytes, G_CHECKSUM_SHA256, cancel, error);

        if (digits == NULL)
            return FALSE;
        g_string_append_printf(manifest, "SHA256(%s)= %s\n", w->files[i].file, digits);
    }
    return TRUE;
}

/* The envelope in the room that was kept for it. */
static char *final_envelope(const OvaWriter *w)
{
    g_autofree char *text = ovf_write(w->machine, w->hw_version, w->files);
    GString *filled = g_string_new(text);

    while (filled->len < w->ovf_room)
        g_string_append_c(filled, '\n');
    return g_string_free(filled, FALSE);
}

static gboolean put_texts(OvaWriter *w, const Cancel *cancel, GError **error)
{
    g_autofree char *ovf = final_envelope(w);
    g_autofree char *ovf_name = name_of(w, ".ovf");
    g_autofree char *manifest_name = name_of(w, ".mf");
    g_autofree char *digits = g_compute_checksum_for_string(G_CHECKSUM_SHA256, ovf, -1);
    GString *manifest = g_string_new(NULL);
    gboolean ok;

    g_string_append_printf(manifest, "SHA256(%s)= %s\n", ovf_name, digits);
    ok =
        append_disk_sums(w, manifest, cancel, error) && put_text_member(w, ovf_name, ovf, 0, error) &&
        put_text_member(w, manifest_name, manifest->str, TAR_BLOCK + round_up(w->ovf_room, TAR_BLOCK), error);
    g_string_free(manifest, TRUE);
    return ok;
}

static gboolean put_disk_headers(OvaWriter *w, GError **error)
{
    for (guint i = 0; i < w->n_disks; i++)
        if (!put_header(w, w->files[i].file, w->files[i].size, w->offsets[i] - TAR_BLOCK, error))
            return FALSE;
    return TRUE;
}

static gboolean put_end(OvaWriter *w, GError **error)
{
    Bytes *bytes = bytes_share_get(w->share);
    guint64 end = MAX(bytes_size(bytes), w->first_disk);
    guint64 whole = div_round_up(end + 2 * (guint64)TAR_BLOCK, TAR_RECORD) * TAR_RECORD;

    return bytes_truncate(bytes, whole, error);
}

gboolean ova_finish(OvaWriter *w, const Cancel *cancel, GError **error)
{
    if (w->n_disks < w->machine->disks->len)
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: only %u of %u disks are written", w->path, w->n_disks,
                       w->machine->disks->len);
    end_disk(w);
    return put_end(w, error) && put_disk_headers(w, error) && put_texts(w, cancel, error) &&
           bytes_flush(bytes_share_get(w->share), error);
}
