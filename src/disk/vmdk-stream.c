/* The order of a stream:
 *
 *     header | descriptor, padded to overHead sectors | { grain | table marker, table }...
 *     directory marker, directory | footer marker, footer | end marker
 *
 * All of it comes in whole sectors; vmdk-record.h says what a record is.  Grains may come in any order.
 * Tables and directory are for those who can seek, and are skipped; but that they come, that the footer says
 * what the header said and where the directory was, and that the end marker closes it all, is what tells a
 * whole stream from one that was cut.  An end marker is a sector of zeros, which a hole in a damaged stream
 * is too: only behind a footer it is the end.
 *
 * VMware's open-vmdk goes back when it is done, and so has directory and tables in front and no footer, but
 * an end marker.  QEMU has them in front as well, and zeros behind the last grain: nothing tells that it was
 * the last, so that such a file is refused here, and can only be opened as a file.
 */
#include "disk/vmdk-stream.h"

#include "base/error.h"
#include "disk/vmdk-internal.h"
#include "disk/vmdk-record.h"

/* Sectors. */
#define PREFACE_MAX  ((guint64)(VMDK_DESCRIPTOR_MAX + 65536) / SECTOR_SIZE)
#define OVERHEAD_MAX ((guint64)1 << 32) /* as far as an entry of a table reaches */
#define PROGRESS_MAX 128u

typedef enum { IN_HEADER, IN_PREFACE, IN_RECORDS, IN_FOOTER, AT_END, FAILED } State;

struct VmdkStream {
    char *name;
    VmdkStreamFound found;
    gpointer data;

    State state;
    guint64 position;   /* bytes before what is being looked at */
    guint64 skip;       /* bytes that are of no interest */
    gsize want;         /* bytes that the next step needs */
    GByteArray *buffer; /* fewer than that, which have come */

    VmdkHostedHeader header;
    guint64 directory_at; /* 0: not come yet */
    gboolean has_footer;
};

VmdkStream *vmdk_stream_new(const char *name, VmdkStreamFound found, gpointer data)
{
    VmdkStream *stream = g_new0(VmdkStream, 1);

    stream->name = g_strdup(name);
    stream->found = found;
    stream->data = data;
    stream->want = SECTOR_SIZE;
    stream->buffer = g_byte_array_new();
    return stream;
}

void vmdk_stream_free(VmdkStream *stream)
{
    if (stream == NULL)
        return;
    g_byte_array_unref(stream->buffer);
    g_free(stream->name);
    g_free(stream);
}

guint64 vmdk_stream_size(const VmdkStream *stream)
{
    return stream->state == IN_HEADER ? 0 : stream->header.capacity * SECTOR_SIZE;
}

/* --- head and foot --- */

static gboolean fail_not_in_order(const VmdkStream *stream, GError **error)
{
    return vf_fail(error, VF_ERROR_UNSUPPORTED,
                   "%s: a sparse VMDK that is not made to be read in order, or damaged: open it as a file",
                   stream->name);
}

/* What is kept behind the header: up to the end of the descriptor, when there is one. */
static guint64 preface_sectors(const VmdkHostedHeader *header)
{
    guint64 end;

    if (header->descriptor_offset == 0 || header->descriptor_size == 0)
        return 0;
    return size_add(header->descriptor_offset - 1, header->descriptor_size, &end) ? end : G_MAXUINT64;
}

/* After `sectors` of padding, or of tables for those who can seek. */
static gboolean expect_records(VmdkStream *stream, guint64 sectors)
{
    stream->state = IN_RECORDS;
    stream->want = SECTOR_SIZE;
    stream->skip = sectors * SECTOR_SIZE;
    return TRUE;
}

static gboolean take_header(VmdkStream *stream, const guint8 *sector, GError **error)
{
    VmdkHostedHeader *header = &stream->header;

    if (!vmdk_hosted_header_parse(sector, stream->name, 0, header, error))
        return FALSE;
    if ((header->flags & VMDK_HOSTED_COMPRESSED) == 0)
        return fail_not_in_order(stream, error);
    if (header->capacity == 0)
        return vf_fail(error, VF_ERROR_INVALID, "%s: its capacity is 0", stream->name);
    if (header->overhead == 0 || header->overhead > OVERHEAD_MAX || preface_sectors(header) > PREFACE_MAX ||
        !range_within(header->descriptor_offset, header->descriptor_size, header->overhead))
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s: a descriptor of %" G_GUINT64_FORMAT " sectors at sector %" G_GUINT64_FORMAT
                       " with the data from sector %" G_GUINT64_FORMAT " on is not possible",
                       stream->name, header->descriptor_size, header->descriptor_offset, header->overhead);
    if (preface_sectors(header) > 0) {
        stream->state = IN_PREFACE;
        stream->want = preface_sectors(header) * SECTOR_SIZE;
        return TRUE;
    }
    return expect_records(stream, header->overhead - 1);
}

/* `preface` begins with sector 1 and ends with the descriptor. */
static gboolean take_preface(VmdkStream *stream, const guint8 *preface, GError **error)
{
    const VmdkHostedHeader *header = &stream->header;
    g_autoptr(VmdkDescriptor) descriptor =
        vmdk_descriptor_parse((const char *)preface + (header->descriptor_offset - 1) * SECTOR_SIZE,
                              header->descriptor_size * SECTOR_SIZE, stream->name, error);

    if (descriptor == NULL)
        return FALSE;
    if (vmdk_descriptor_has_parent(descriptor))
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s is the delta of a snapshot, and what is missing in it is in its parent: export "
                       "the whole disk",
                       stream->name);
    return expect_records(stream, header->overhead - 1 - preface_sectors(header));
}

static gboolean take_footer(VmdkStream *stream, const guint8 *sector, GError **error)
{
    VmdkHostedHeader footer;

    if (!vmdk_hosted_header_parse(sector, stream->name, stream->position, &footer, error) ||
        !vmdk_hosted_footer_check(&stream->header, &footer, stream->name, error))
        return FALSE;
    if (footer.directory_offset != stream->directory_at / SECTOR_SIZE)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%s: its footer says that the directory is at sector %" G_GUINT64_FORMAT
                       ", and it came at sector %" G_GUINT64_FORMAT,
                       stream->name, footer.directory_offset, stream->directory_at / SECTOR_SIZE);
    stream->has_footer = TRUE;
    stream->state = IN_RECORDS;
    return TRUE;
}

/* --- records --- */

static gboolean fail_record(const VmdkStream *stream, const char *reason, GError **error)
{
    return vf_fail(error, VF_ERROR_INTEGRITY, "%s: at byte %" G_GUINT64_FORMAT " %s: the stream is damaged",
                   stream->name, stream->position, reason);
}

static gboolean take_grain(VmdkStream *stream, const VmdkRecord *record, const guint8 *bytes, GError **error)
{
    guint64 size = stream->header.capacity * SECTOR_SIZE;
    VmdkStreamGrain grain = {
        .offset = record->value * SECTOR_SIZE,
        .grain_size = (guint32)(stream->header.grain_size * SECTOR_SIZE),
        .data = bytes + VMDK_RECORD_HEADER,
        .size = record->size,
        .at = stream->position,
    };

    grain.length = (guint32)MIN(grain.grain_size, size - grain.offset);
    return stream->found(&grain, stream->data, error);
}

static gboolean check_grain(const VmdkStream *stream, const VmdkRecord *record, GError **error)
{
    const VmdkHostedHeader *header = &stream->header;

    if (stream->has_footer)
        return fail_record(stream, "a grain follows the footer", error);
    if (record->value >= header->capacity || record->value % header->grain_size != 0)
        return fail_record(stream, "a grain comes for a sector where none begins", error);
    if (record->size > vmdk_record_max_size((guint32)(header->grain_size * SECTOR_SIZE)))
        return fail_record(stream, "a grain comes that is too large", error);
    return TRUE;
}

/* What the marker says must follow is what such a marker has. */
static gboolean check_follows(const VmdkStream *stream, const VmdkRecord *record, GError **error)
{
    const VmdkHostedHeader *header = &stream->header;
    guint64 expected = 0;

    if (record->type == VMDK_MARKER_PROGRESS)
        return record->value <= PROGRESS_MAX || fail_record(stream, "a progress marker is too long", error);
    if (record->type == VMDK_MARKER_TABLE)
        expected = div_round_up(header->table_entries * sizeof(guint32), SECTOR_SIZE);
    if (record->type == VMDK_MARKER_DIRECTORY)
        expected = div_round_up(vmdk_hosted_tables(header) * sizeof(guint32), SECTOR_SIZE);
    if (record->type == VMDK_MARKER_FOOTER)
        expected = 1;
    return record->value == expected || fail_record(stream, "a marker has the wrong length", error);
}

static gboolean take_end(VmdkStream *stream, GError **error)
{
    if (!stream->has_footer && stream->header.directory_offset == VMDK_HOSTED_AT_END)
        return fail_record(stream, "the end comes before the footer", error);
    stream->state = AT_END;
    return TRUE;
}

static gboolean take_marker(VmdkStream *stream, const VmdkRecord *record, GError **error)
{
    if (!check_follows(stream, record, error))
        return FALSE;
    if (stream->has_footer && record->type != VMDK_MARKER_END)
        return fail_record(stream, "something other than the end follows the footer", error);
    switch (record->type) {
    case VMDK_MARKER_END:
        return take_end(stream, error);
    case VMDK_MARKER_FOOTER:
        stream->state = IN_FOOTER;
        return stream->directory_at != 0 ||
               fail_record(stream, "the footer comes before the directory", error);
    case VMDK_MARKER_DIRECTORY:
        stream->directory_at = stream->position + SECTOR_SIZE;
        stream->skip = record->value * SECTOR_SIZE;
        return TRUE;
    case VMDK_MARKER_TABLE:
    case VMDK_MARKER_PROGRESS:
        stream->skip = record->value * SECTOR_SIZE;
        return TRUE;
    default:
        return fail_record(stream, "a marker of an unknown type comes", error);
    }
}

/* A record that is larger than what has come so far is looked at again when it is complete. */
static gboolean take_record(VmdkStream *stream, const guint8 *bytes, gsize *ret_taken, GError **error)
{
    VmdkRecord record = vmdk_record_parse(bytes);
    gsize length;

    if (record.size == 0)
        return take_marker(stream, &record, error);
    if (!check_grain(stream, &record, error))
        return FALSE;
    length = round_up((gsize)VMDK_RECORD_HEADER + record.size, SECTOR_SIZE);
    if (length > stream->want) {
        stream->want = length;
        *ret_taken = 0;
        return TRUE;
    }
    stream->want = SECTOR_SIZE;
    return take_grain(stream, &record, bytes, error);
}

/* --- feeding --- */

/* QEMU pads its files with zeros, the first of which look like an end. */
static gboolean fail_behind_end(const VmdkStream *stream, GError **error)
{
    if (stream->header.directory_offset == VMDK_HOSTED_AT_END)
        return fail_record(stream, "more follows the end", error);
    return fail_not_in_order(stream, error);
}

/* Of stream->want bytes; *ret_taken becomes 0 when more are wanted first. */
static gboolean take(VmdkStream *stream, const guint8 *bytes, gsize *ret_taken, GError **error)
{
    *ret_taken = stream->want;
    switch (stream->state) {
    case IN_HEADER:
        return take_header(stream, bytes, error);
    case IN_PREFACE:
        return take_preface(stream, bytes, error);
    case IN_RECORDS:
        return take_record(stream, bytes, ret_taken, error);
    case IN_FOOTER:
        return take_footer(stream, bytes, error);
    case AT_END:
        return fail_behind_end(stream, error);
    case FAILED:
    default:
        return vf_fail(error, VF_ERROR_INTERNAL, "%s: fed after a failure", stream->name);
    }
}

/* Steps over bytes that are all there; how many is *ret_used. */
static gboolean feed_directly(VmdkStream *stream, const guint8 *bytes, gsize length, gsize *ret_used,
                              GError **error)
{
    gsize used = 0;

    while (length - used >= stream->want && stream->skip == 0) {
        gsize taken;

        if (!take(stream, bytes + used, &taken, error))
            return FALSE;
        used += taken;
        stream->position += taken;
    }
    *ret_used = used;
    return TRUE;
}

/* Collects what the next step wants, and steps. */
static gboolean feed_buffer(VmdkStream *stream, const guint8 *bytes, gsize length, gsize *ret_used,
                            GError **error)
{
    gsize piece = MIN(length, stream->want - stream->buffer->len);
    gsize taken;

    g_byte_array_append(stream->buffer, bytes, (guint)piece);
    *ret_used = piece;
    if (stream->buffer->len < stream->want)
        return TRUE;
    if (!take(stream, stream->buffer->data, &taken, error))
        return FALSE;
    stream->position += taken;
    if (taken > 0)
        g_byte_array_set_size(stream->buffer, 0);
    return TRUE;
}

static gboolean feed(VmdkStream *stream, const guint8 *bytes, gsize length, gsize *ret_used, GError **error)
{
    if (stream->skip > 0) {
        *ret_used = (gsize)MIN(length, stream->skip);
        stream->skip -= *ret_used;
        stream->position += *ret_used;
        return TRUE;
    }
    if (stream->buffer->len == 0 && length >= stream->want)
        return feed_directly(stream, bytes, length, ret_used, error);
    return feed_buffer(stream, bytes, length, ret_used, error);
}

gboolean vmdk_stream_feed(VmdkStream *stream, const void *data, gsize length, GError **error)
{
    const guint8 *bytes = data;

    while (length > 0) {
        gsize used = 0;

        if (!feed(stream, bytes, length, &used, error)) {
            stream->state = FAILED;
            return FALSE;
        }
        bytes += used;
        length -= used;
    }
    return TRUE;
}

gboolean vmdk_stream_end(VmdkStream *stream, GError **error)
{
    if (stream->state == AT_END && stream->buffer->len == 0)
        return TRUE;
    return vf_fail(
        error, VF_ERROR_INTEGRITY,
        "%s ends after %" G_GUINT64_FORMAT
        " bytes without its end marker: it was cut short, or is no stream and must be opened as a file",
        stream->name, stream->position + stream->buffer->len);
}

gboolean vmdk_stream_inflate(const VmdkStreamGrain *grain, const char *name, guint8 *to, GError **error)
{
    if (vmdk_inflate(grain->data, grain->size, to, grain->grain_size, grain->length, error))
        return TRUE;
    g_prefix_error(error, "%s: the grain of sector %" G_GUINT64_FORMAT " at byte %" G_GUINT64_FORMAT ": ",
                   name, grain->offset / SECTOR_SIZE, grain->at);
    return FALSE;
}
