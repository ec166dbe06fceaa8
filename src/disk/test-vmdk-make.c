#include "disk/test-vmdk-make.h"

#include "base/size.h"
#include "disk/codec.h"
#include "disk/vmdk-internal.h"
#include "disk/vmdk-record.h"

/* --- contents --- */

static MakeLayer *layer_new(guint64 size, guint32 grain)
{
    MakeLayer *layer = g_new0(MakeLayer, 1);

    layer->size = size;
    layer->grain = grain;
    layer->n_grains = div_round_up(size, grain);
    layer->kinds = g_malloc0(layer->n_grains);
    layer->data = g_malloc0(size);
    return layer;
}

void make_layer_free(MakeLayer *layer)
{
    g_free(layer->kinds);
    g_free(layer->data);
    g_free(layer);
}

static void set_data(MakeLayer *layer, guint64 grain, GRand *random)
{
    guint64 end = MIN((grain + 1) * layer->grain, layer->size);

    layer->kinds[grain] = VMDK_RUN_DATA;
    for (guint64 at = grain * layer->grain; at < end; at += sizeof(guint32)) {
        guint32 word = g_rand_int(random);

        memcpy(layer->data + at, &word, sizeof word);
    }
}

MakeLayer *make_layer_new(guint64 size, guint32 grain, guint32 seed)
{
    MakeLayer *layer = layer_new(size, grain);
    GRand *random = g_rand_new_with_seed(seed);

    for (guint64 at = 0; at < layer->n_grains;) {
        guint kind = (guint)g_rand_int_range(random, 0, 3);
        gboolean is_long = kind == VMDK_RUN_HOLE && g_rand_int_range(random, 0, 4) == 0;
        guint64 length = (guint64)g_rand_int_range(random, 1, is_long ? 20000 : 40);

        for (guint64 i = 0; i < length && at < layer->n_grains; i++, at++) {
            layer->kinds[at] = (guint8)kind;
            if (kind == VMDK_RUN_DATA)
                set_data(layer, at, random);
        }
    }
    g_rand_free(random);
    return layer;
}

MakeLayer *make_layer_new_uniform(guint64 size, guint32 grain, gboolean full)
{
    MakeLayer *layer = layer_new(size, grain);
    GRand *random = g_rand_new_with_seed(1);

    for (guint64 i = 0; full && i < layer->n_grains; i++)
        set_data(layer, i, random);
    g_rand_free(random);
    return layer;
}

void make_layer_apply(const MakeLayer *layer, guint8 *contents)
{
    for (guint64 i = 0; i < layer->n_grains; i++) {
        guint64 at = i * layer->grain;
        gsize length = (gsize)MIN(layer->grain, layer->size - at);

        if (layer->kinds[i] != VMDK_RUN_HOLE)
            memcpy(contents + at, layer->data + at, length);
    }
}

/* --- bytes --- */

static void ensure(GByteArray *file, guint64 size)
{
    guint old = file->len;

    if (size <= old)
        return;
    g_byte_array_set_size(file, (guint)size);
    memset(file->data + old, 0, size - old);
}

static void put(GByteArray *file, guint64 at, const void *data, gsize length)
{
    ensure(file, at + length);
    memcpy(file->data + at, data, length);
}

void make_put32(GByteArray *file, guint64 at, guint32 value)
{
    guint32 little = GUINT32_TO_LE(value);

    put(file, at, &little, sizeof little);
}

void make_put64(GByteArray *file, guint64 at, guint64 value)
{
    guint64 little = GUINT64_TO_LE(value);

    put(file, at, &little, sizeof little);
}

static void put_grain(GByteArray *file, guint64 at, const MakeLayer *layer, guint64 grain)
{
    guint64 from = grain * layer->grain;

    ensure(file, at + layer->grain);
    memcpy(file->data + at, layer->data + from, MIN(layer->grain, layer->size - from));
}

/* slots[i]: which place the i-th grain of the file gets. */
static guint64 *make_slots(guint64 n, guint32 seed)
{
    guint64 *slots = g_new(guint64, n + 1);
    GRand *random = g_rand_new_with_seed(seed);

    for (guint64 i = 0; i < n; i++)
        slots[i] = i;
    for (guint64 i = n; seed != 0 && i > 1; i--) {
        guint64 other = (guint64)g_rand_int_range(random, 0, (gint32)i);
        guint64 moved = slots[other];

        slots[other] = slots[i - 1];
        slots[i - 1] = moved;
    }
    g_rand_free(random);
    return slots;
}

static guint64 count_data(const MakeLayer *layer)
{
    guint64 n = 0;

    for (guint64 i = 0; i < layer->n_grains; i++)
        n += layer->kinds[i] == VMDK_RUN_DATA;
    return n;
}

static gboolean table_is_used(const MakeLayer *layer, guint64 table, guint64 entries)
{
    for (guint64 i = table * entries; i < MIN((table + 1) * entries, layer->n_grains); i++)
        if (layer->kinds[i] != VMDK_RUN_HOLE)
            return TRUE;
    return FALSE;
}

/* --- COWD --- */

GByteArray *make_cowd(const MakeLayer *layer, guint32 seed)
{
    GByteArray *file = g_byte_array_new();
    g_autofree guint64 *slots = make_slots(count_data(layer), seed);
    guint64 n_tables = div_round_up(layer->n_grains, 4096);
    guint64 free_sector = 4 + div_round_up(n_tables * 4, SECTOR_SIZE);
    guint64 done = 0;

    g_byte_array_append(file, (const guint8 *)"COWD", 4);
    make_put32(file, 4, 1);
    make_put32(file, 8, 3);
    make_put32(file, 12, (guint32)(layer->size / SECTOR_SIZE));
    make_put32(file, 16, layer->grain / SECTOR_SIZE);
    make_put32(file, 20, 4);
    make_put32(file, 24, (guint32)n_tables);
    ensure(file, free_sector * SECTOR_SIZE);
    for (guint64 table = 0; table < n_tables; table++)
        if (table_is_used(layer, table, 4096)) {
            make_put32(file, 4 * SECTOR_SIZE + table * 4, (guint32)free_sector);
            free_sector += 32;
            ensure(file, free_sector * SECTOR_SIZE);
        }
    for (guint64 i = 0; i < layer->n_grains; i++) {
        guint64 table = vmdk_u32(file->data + 4 * SECTOR_SIZE + i / 4096 * 4) * (guint64)SECTOR_SIZE;
        guint64 at;

        if (layer->kinds[i] == VMDK_RUN_HOLE)
            continue;
        at = layer->kinds[i] == VMDK_RUN_ZERO ? SECTOR_SIZE
                                              : free_sector * SECTOR_SIZE + slots[done++] * layer->grain;
        make_put32(file, table + i % 4096 * 4, (guint32)(at / SECTOR_SIZE));
        if (layer->kinds[i] == VMDK_RUN_DATA)
            put_grain(file, at, layer, i);
    }
    make_put32(file, 28, (guint32)(file->len / SECTOR_SIZE));
    return file;
}

/* --- SESparse --- */

static void put_sesparse_header(GByteArray *file, const MakeLayer *layer, guint64 directory_sectors,
                                guint64 n_tables)
{
    guint64 tables = 16 + directory_sectors, grains = tables + n_tables * 64;
    const guint64 words[] = {0xcafebabe,
                             0x200000001,
                             layer->size / SECTOR_SIZE,
                             8,
                             64,
                             0,
                             0,
                             0,
                             0,
                             0,
                             1,
                             1, /* volatile header */
                             2,
                             1,
                             3,
                             1, /* journal header, journal */
                             16,
                             directory_sectors,
                             tables,
                             n_tables * 64, /* directory, tables */
                             4,
                             1,
                             5,
                             1, /* free bitmap, back map */
                             grains,
                             (layer->n_grains + 1) * 8};

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        make_put64(file, 8 * i, words[i]);
    make_put64(file, SECTOR_SIZE, 0xcafecafe);
    make_put64(file, SECTOR_SIZE + 8, n_tables);
    ensure(file, grains * SECTOR_SIZE);
}

GByteArray *make_sesparse(const MakeLayer *layer, guint32 seed)
{
    GByteArray *file = g_byte_array_new();
    g_autofree guint64 *slots = make_slots(count_data(layer), seed);
    guint64 n_tables = div_round_up(layer->n_grains, 4096);
    guint64 directory_sectors = div_round_up(n_tables * 8, SECTOR_SIZE);
    guint64 tables = 16 + directory_sectors, grains = tables + n_tables * 64;
    guint64 done = 0, used = 0;

    g_assert_cmpuint(layer->grain, ==, 4096);
    put_sesparse_header(file, layer, directory_sectors, n_tables);
    for (guint64 table = n_tables; table > 0; table--) /* from the last: numbers are not places on the disk */
        if (table_is_used(layer, table - 1, 4096))
            make_put64(file, 16 * SECTOR_SIZE + (table - 1) * 8,
                       G_GUINT64_CONSTANT(0x1000000000000000) | used++);
    for (guint64 i = 0; i < layer->n_grains; i++) {
        guint64 table = vmdk_u64(file->data + 16 * SECTOR_SIZE + i / 4096 * 8) & G_MAXUINT32;
        guint64 number = layer->kinds[i] == VMDK_RUN_DATA ? slots[done++] : 0;
        guint64 entry = layer->kinds[i] == VMDK_RUN_ZERO
                            ? (i % 2 + 1) << 60
                            : (guint64)3 << 60 | (number & 0xfff) << 48 | number >> 12;

        if (layer->kinds[i] == VMDK_RUN_HOLE)
            continue;
        make_put64(file, tables * SECTOR_SIZE + table * 32768 + i % 4096 * 8, entry);
        if (layer->kinds[i] == VMDK_RUN_DATA)
            put_grain(file, grains * SECTOR_SIZE + number * 4096, layer, i);
    }
    return file;
}

/* --- streamOptimized --- */

static void put_hosted_header(GByteArray *file, guint64 at, const MakeLayer *layer, guint64 directory)
{
    put(file, at, "KDMV", 4);
    make_put32(file, at + 4, 3);
    make_put32(file, at + 8, 0x30001);
    make_put64(file, at + 12, layer->size / SECTOR_SIZE);
    make_put64(file, at + 20, layer->grain / SECTOR_SIZE);
    make_put64(file, at + 28, 1);
    make_put64(file, at + 36, 20);
    make_put32(file, at + 44, 512);
    make_put64(file, at + 48, 0);
    make_put64(file, at + 56, directory);
    make_put64(file, at + 64, 128);
    put(file, at + 73, "\n \r\n\1", 5);
    ensure(file, at + SECTOR_SIZE);
}

/* Returns the sector behind the marker. */
static guint32 put_marker(GByteArray *file, VmdkMarker type, guint64 sectors)
{
    guint64 at = file->len;

    make_put64(file, at, sectors);
    make_put32(file, at + 12, (guint32)type);
    ensure(file, at + SECTOR_SIZE);
    return file->len / SECTOR_SIZE;
}

static guint32 put_record(GByteArray *file, const MakeLayer *layer, guint64 grain)
{
    guint64 at = file->len, from = grain * layer->grain;
    guint8 raw[65536] = {0}, packed[2 * sizeof raw];
    gsize length;

    memcpy(raw, layer->data + from, MIN(sizeof raw, layer->size - from));
    length = codec_compress(CODEC_ZLIB, 1, raw, sizeof raw, packed, sizeof packed);
    make_put64(file, at, from / SECTOR_SIZE);
    make_put32(file, at + 8, (guint32)length);
    put(file, at + 12, packed, length);
    ensure(file, round_up(file->len, SECTOR_SIZE));
    return (guint32)(at / SECTOR_SIZE);
}

static guint32 put_table(GByteArray *file, const MakeLayer *layer, guint64 table)
{
    guint32 entries[512] = {0};
    guint32 sector;

    if (!table_is_used(layer, table, 512))
        return 0;
    for (guint64 i = 0; i < 512 && table * 512 + i < layer->n_grains; i++)
        if (layer->kinds[table * 512 + i] != VMDK_RUN_HOLE)
            entries[i] = GUINT32_TO_LE(put_record(file, layer, table * 512 + i));
    sector = put_marker(file, VMDK_MARKER_TABLE, 4);
    put(file, file->len, entries, sizeof entries);
    return sector;
}

GByteArray *make_stream(const MakeLayer *layer, guint32 parent_cid)
{
    GByteArray *file = g_byte_array_new();
    guint64 n_tables = div_round_up(layer->n_grains, 512);
    g_autofree guint32 *directory = g_new0(guint32, n_tables);
    g_autofree char *text = make_descriptor("streamOptimized", "SPARSE", "x.vmdk", layer->size, 0x77,
                                            parent_cid, parent_cid == VMDK_NO_PARENT ? NULL : "parent.vmdk");
    guint32 sector;

    g_assert_cmpuint(layer->grain, ==, 65536);
    put_hosted_header(file, 0, layer, VMDK_HOSTED_AT_END);
    put(file, SECTOR_SIZE, text, strlen(text));
    ensure(file, 128 * SECTOR_SIZE);
    for (guint64 i = 0; i < n_tables; i++)
        directory[i] = GUINT32_TO_LE(put_table(file, layer, i));
    sector = put_marker(file, VMDK_MARKER_DIRECTORY, div_round_up(n_tables * 4, SECTOR_SIZE));
    put(file, file->len, directory, n_tables * 4);
    ensure(file, round_up(file->len, SECTOR_SIZE));
    put_marker(file, VMDK_MARKER_FOOTER, 1);
    put_hosted_header(file, file->len, layer, sector);
    put_marker(file, VMDK_MARKER_END, 0);
    return file;
}

/* --- text, and files --- */

char *make_descriptor(const char *create_type, const char *extent_type, const char *file, guint64 size,
                      guint32 cid, guint32 parent_cid, const char *parent)
{
    g_autofree char *hint =
        parent != NULL ? g_strdup_printf("parentFileNameHint=\"%s\"\n", parent) : g_strdup("");
    gboolean flat = strcmp(extent_type, "FLAT") == 0;

    return g_strdup_printf("# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=%08x\n%screateType=\"%s\"\n"
                           "RW %" G_GUINT64_FORMAT " %s \"%s\"%s\n",
                           cid, parent_cid, hint, create_type, size / SECTOR_SIZE, extent_type, file,
                           flat ? " 0" : "");
}

void make_file(const char *directory, const char *name, const void *data, gsize length)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, data, (gssize)length, &error);
    g_assert_no_error(error);
}
