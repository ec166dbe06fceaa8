#include "disk/test-vmdk-stream-check.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/codec.h"

#define GRAIN   65536u
#define ENTRIES 512u

typedef struct {
    const guint8 *file;
    gsize length;
    guint64 at; /* bytes */
    guint64 size;
    guint64 last_grain; /* + 1; 0: none yet */
    guint32 table[ENTRIES];
    guint32 *directory; /* as it should be */
    guint64 n_tables;
    gboolean open_table; /* has entries that are not in the file yet */
    StreamSeen *seen;
} Reader;

void stream_seen_free(StreamSeen *seen)
{
    if (seen == NULL)
        return;
    g_byte_array_unref(seen->contents);
    g_free(seen->descriptor);
    g_free(seen);
}

static guint64 get(const guint8 *from, guint bytes)
{
    guint64 value = 0;

    for (guint i = 0; i < bytes; i++)
        value |= (guint64)from[i] << 8 * i;
    return value;
}

static const guint8 *take(Reader *r, gsize length)
{
    const guint8 *at = r->file + r->at;

    g_assert_true(range_within(r->at, length, r->length));
    r->at += length;
    return at;
}

static void check_header(const guint8 *h, guint64 directory)
{
    g_assert_cmpmem(h, 4, "KDMV", 4);
    g_assert_cmpuint(get(h + 4, 4), ==, 3);
    g_assert_cmphex(get(h + 8, 4), ==, 0x30001);
    g_assert_cmpuint(get(h + 20, 8), ==, 128);
    g_assert_cmpuint(get(h + 28, 8), ==, 1);
    g_assert_cmpuint(get(h + 36, 8), ==, 20);
    g_assert_cmpuint(get(h + 44, 4), ==, ENTRIES);
    g_assert_cmpuint(get(h + 48, 8), ==, 0);
    g_assert_cmphex(get(h + 56, 8), ==, directory);
    g_assert_cmpuint(get(h + 64, 8), ==, 128);
    g_assert_cmpmem(h + 72, 5, "\0\n \r\n", 5);
    g_assert_cmpuint(get(h + 77, 2), ==, 1);
    g_assert_true(buffer_is_zero(h + 79, 512 - 79));
}

static void read_front(Reader *r)
{
    const guint8 *header = take(r, 512);
    const guint8 *text = take(r, 20 * 512);

    check_header(header, G_MAXUINT64);
    r->size = get(header + 12, 8) * 512;
    r->n_tables = div_round_up(r->size, (guint64)GRAIN * ENTRIES);
    r->directory = g_new0(guint32, r->n_tables);
    r->seen->descriptor = g_strndup((const char *)text, 20 * 512);
    g_assert_true(g_str_has_prefix(r->seen->descriptor, "# Disk DescriptorFile\n"));
    g_assert_nonnull(strstr(r->seen->descriptor, "\ncreateType=\"streamOptimized\"\n"));
    g_assert_true(buffer_is_zero(take(r, 107 * 512), 107 * 512));
    g_byte_array_set_size(r->seen->contents, (guint)r->size);
    memset(r->seen->contents->data, 0, r->size);
}

static void read_grain(Reader *r)
{
    guint64 sector = r->at / 512;
    guint64 grain = get(r->file + r->at, 8) / 128;
    gsize size = get(r->file + r->at + 8, 4);
    gsize expected = MIN(GRAIN, r->size - grain * GRAIN);
    const guint8 *record = take(r, round_up(12 + size, 512));
    GError *error = NULL;

    g_assert_cmpuint(get(record, 8) % 128, ==, 0);
    g_assert_cmpuint(grain * GRAIN, <, r->size);
    g_assert_cmpuint(grain + 1, >, r->last_grain);
    /* The table of the last range must have come before a grain of the next. */
    if (r->open_table)
        g_assert_cmpuint(grain / ENTRIES, ==, (r->last_grain - 1) / ENTRIES);
    codec_decompress(CODEC_ZLIB, record + 12, size, r->seen->contents->data + grain * GRAIN, expected, NULL,
                     "grain", &error);
    g_assert_no_error(error);
    g_assert_false(buffer_is_zero(r->seen->contents->data + grain * GRAIN, expected));
    g_assert_true(buffer_is_zero(record + 12 + size, round_up(12 + size, 512) - 12 - size));
    r->table[grain % ENTRIES] = (guint32)sector;
    r->open_table = TRUE;
    r->last_grain = grain + 1;
    r->seen->n_grains++;
}

static void read_table(Reader *r, guint64 sectors)
{
    guint64 sector = r->at / 512;
    const guint8 *table = take(r, sectors * 512);

    g_assert_cmpuint(sectors, ==, 4);
    g_assert_true(r->open_table);
    for (guint i = 0; i < ENTRIES; i++)
        g_assert_cmpuint(get(table + 4 * i, 4), ==, r->table[i]);
    memset(r->table, 0, sizeof r->table);
    r->open_table = FALSE;
    r->directory[(r->last_grain - 1) / ENTRIES] = (guint32)sector;
    r->seen->n_tables++;
}

static void read_directory(Reader *r, guint64 sectors)
{
    gsize used = r->n_tables * 4;
    const guint8 *directory = take(r, sectors * 512);

    g_assert_cmpuint(sectors, ==, div_round_up(used, 512));
    g_assert_false(r->open_table);
    for (guint i = 0; i < r->n_tables; i++)
        g_assert_cmpuint(get(directory + 4 * i, 4), ==, r->directory[i]);
    g_assert_true(buffer_is_zero(directory + used, sectors * 512 - used));
}

static guint32 read_marker(Reader *r, guint64 *ret_sectors)
{
    const guint8 *marker = take(r, 512);

    *ret_sectors = get(marker, 8);
    g_assert_true(buffer_is_zero(marker + 16, 512 - 16));
    return (guint32)get(marker + 12, 4);
}

static void expect_marker(Reader *r, guint32 type, guint64 sectors)
{
    guint64 seen;

    g_assert_cmpuint(read_marker(r, &seen), ==, type);
    g_assert_cmpuint(seen, ==, sectors);
}

static void read_records(Reader *r)
{
    for (;;) {
        guint64 sectors, directory;

        g_assert_true(range_within(r->at, 512, r->length));
        if (get(r->file + r->at + 8, 4) > 0) {
            read_grain(r);
            continue;
        }
        if (read_marker(r, &sectors) == 1) {
            read_table(r, sectors);
            continue;
        }
        g_assert_cmpuint(get(r->file + r->at - 500, 4), ==, 2);
        directory = r->at / 512;
        read_directory(r, sectors);
        expect_marker(r, 3, 1);
        check_header(take(r, 512), directory);
        expect_marker(r, 0, 0);
        g_assert_cmpuint(r->at, ==, r->length);
        return;
    }
}

StreamSeen *stream_check(const guint8 *file, gsize length)
{
    Reader reader = {.file = file, .length = length, .seen = g_new0(StreamSeen, 1)};

    reader.seen->contents = g_byte_array_new();
    read_front(&reader);
    read_records(&reader);
    g_free(reader.directory);
    return reader.seen;
}
