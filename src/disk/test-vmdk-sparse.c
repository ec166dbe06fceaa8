/* Sparse files that are not what they should be, one field at a time, and many threads on one that is. */
#include "disk/vmdk.h"

#include "base/error.h"
#include "base/size.h"
#include "disk/test-vmdk-make.h"
#include "disk/vmdk-internal.h"

#define DISK_SIZE ((guint64)40 * MIB) /* two tables of hosted files, three of the others */

/* --- damage --- */

typedef enum { STREAM, COWD, SESPARSE } Format;

typedef struct {
    const char *path;
    Format format;
    gint64 at;  /* negative: from the end */
    guint bits; /* 0: the file ends there */
    guint64 value;
    VfErrorClass class;
    const char *part;
} Damage;

/* Where the tables of what make_cowd() and make_sesparse() make are: the directory of COWD at sector 4, its
 * first table at sector 5; the directory of SESparse at sector 16, its tables from sector 17 on, its grains
 * from sector 209 on. */
#define COWD_DIRECTORY     2048
#define COWD_TABLE         2560
#define SESPARSE_DIRECTORY 8192
#define SESPARSE_TABLES    8704

static const Damage damages[] = {
    {"stream/short", STREAM, 100, 0, 0, VF_ERROR_INTEGRITY, "cut short"},
    {"stream/cut", STREAM, -512, 0, 0, VF_ERROR_INVALID, "footer"},
    {"stream/cut-in-sector", STREAM, -100, 0, 0, VF_ERROR_INVALID, "footer"},
    {"stream/no-capacity", STREAM, 12, 64, 0, VF_ERROR_INVALID, "footer"},
    {"stream/grain-size", STREAM, 20, 64, 48, VF_ERROR_INVALID, "grains of 48"},
    {"stream/no-entries", STREAM, 44, 32, 513, VF_ERROR_INVALID, "513"},
    {"stream/newlines", STREAM, 74, 32, 0, VF_ERROR_INVALID, "text mode"},
    {"stream/flags", STREAM, 8, 32, 0x80030001, VF_ERROR_UNSUPPORTED, "0x80000000"},
    {"stream/compression", STREAM, 77, 32, 2, VF_ERROR_UNSUPPORTED, "algorithm 2"},
    {"stream/descriptor", STREAM, 28, 64, (guint64)1 << 60, VF_ERROR_INVALID, "descriptor"},
    {"stream/footer-magic", STREAM, -1024, 32, 0, VF_ERROR_INVALID, "KDMV"},
    {"stream/footer-directory", STREAM, -1024 + 56, 64, (guint64)1 << 55, VF_ERROR_INVALID,
     "grain directory"},
    {"stream/footer-directory-on-header", STREAM, -1024 + 56, 64, 0, VF_ERROR_INVALID, "overlaps its header"},
    {"stream/footer-directory-on-descriptor", STREAM, -1024 + 56, 64, 20, VF_ERROR_INVALID,
     "overlaps its descriptor"},
    {"stream/table-beyond-end", STREAM, -2048, 32, 0xffffffff, VF_ERROR_INTEGRITY, "grain table 0"},
    {"stream/table-on-descriptor", STREAM, -2048, 32, 5, VF_ERROR_INTEGRITY, "overlaps its descriptor"},

    {"cowd/magic", COWD, 0, 32, 0, VF_ERROR_INVALID, "COWD"},
    {"cowd/short", COWD, 300, 0, 0, VF_ERROR_INTEGRITY, "cut short"},
    {"cowd/version", COWD, 4, 32, 2, VF_ERROR_UNSUPPORTED, "version 2"},
    {"cowd/no-capacity", COWD, 12, 32, 0, VF_ERROR_INVALID, "capacity"},
    {"cowd/capacity", COWD, 12, 32, G_MAXUINT32, VF_ERROR_INVALID, "too small"},
    {"cowd/no-grain", COWD, 16, 32, 0, VF_ERROR_INVALID, "grains of 0"},
    {"cowd/grain", COWD, 16, 32, 3, VF_ERROR_INVALID, "grains of 3"},
    {"cowd/large-grain", COWD, 16, 32, 1u << 31, VF_ERROR_INVALID, "grains of"},
    {"cowd/directory-on-header", COWD, 20, 32, 3, VF_ERROR_INVALID, "overlaps its header"},
    {"cowd/directory-beyond-end", COWD, 20, 32, 0xfffffff0, VF_ERROR_INVALID, "beyond the end"},
    {"cowd/small-directory", COWD, 24, 32, 2, VF_ERROR_INVALID, "2 entries"},
    {"cowd/table-beyond-end", COWD, COWD_DIRECTORY, 32, 0x7fffffff, VF_ERROR_INTEGRITY, "grain table 0"},
    {"cowd/table-on-directory", COWD, COWD_DIRECTORY, 32, 4, VF_ERROR_INTEGRITY,
     "overlaps its grain directory"},
    {"cowd/table-twice", COWD, COWD_DIRECTORY, 32, 37, VF_ERROR_INTEGRITY,
     "two grain tables overlap at byte 18944"},
    {"cowd/tables-overlap", COWD, COWD_DIRECTORY, 32, 36, VF_ERROR_INTEGRITY, "overlap at byte 18944"},
    {"cowd/grain-beyond-end", COWD, COWD_TABLE, 32, 0x7fffffff, VF_ERROR_INTEGRITY, "at byte 2560"},
    {"cowd/grain-on-header", COWD, COWD_TABLE, 32, 2, VF_ERROR_INTEGRITY, "into the metadata"},
    {"cowd/grain-on-directory", COWD, COWD_TABLE, 32, 4, VF_ERROR_INTEGRITY, "into the metadata"},
    {"cowd/cut", COWD, -100, 0, 0, VF_ERROR_INTEGRITY, "cut short"},

    {"sesparse/magic", SESPARSE, 0, 32, 0, VF_ERROR_INVALID, "cafebabe"},
    {"sesparse/short", SESPARSE, 300, 0, 0, VF_ERROR_INTEGRITY, "cut short"},
    {"sesparse/version", SESPARSE, 8, 64, 0x200000002, VF_ERROR_UNSUPPORTED, "0x200000002"},
    {"sesparse/no-capacity", SESPARSE, 16, 64, 0, VF_ERROR_INVALID, "capacity"},
    {"sesparse/capacity", SESPARSE, 16, 64, G_MAXUINT64, VF_ERROR_INVALID, "capacity"},
    {"sesparse/large-capacity", SESPARSE, 16, 64, (guint64)1 << 40, VF_ERROR_INVALID, "does not fit"},
    {"sesparse/grain", SESPARSE, 24, 64, 16, VF_ERROR_UNSUPPORTED, "byte 24"},
    {"sesparse/table", SESPARSE, 32, 64, 32, VF_ERROR_UNSUPPORTED, "byte 32"},
    {"sesparse/flags", SESPARSE, 40, 64, 1, VF_ERROR_UNSUPPORTED, "byte 40"},
    {"sesparse/reserved", SESPARSE, 72, 64, 1, VF_ERROR_UNSUPPORTED, "byte 72"},
    {"sesparse/volatile-beyond-end", SESPARSE, 80, 64, G_MAXUINT64, VF_ERROR_INVALID, "volatile header"},
    {"sesparse/volatile-on-header", SESPARSE, 80, 64, 0, VF_ERROR_INVALID, "overlaps its header"},
    {"sesparse/volatile-magic", SESPARSE, 512, 64, 0, VF_ERROR_INVALID, "byte 512"},
    {"sesparse/dirty-journal", SESPARSE, 512 + 24, 64, 1, VF_ERROR_CONFLICT,
     "journal was not replayed (byte 536)"},
    {"sesparse/directory-beyond-end", SESPARSE, 128, 64, (guint64)1 << 56, VF_ERROR_INVALID,
     "beyond the end"},
    {"sesparse/directory-on-header", SESPARSE, 128, 64, 1, VF_ERROR_INVALID, "overlaps its volatile header"},
    {"sesparse/no-directory", SESPARSE, 136, 64, 0, VF_ERROR_INVALID, "byte 136"},
    {"sesparse/tables-nowhere", SESPARSE, 144, 64, G_MAXUINT64, VF_ERROR_INVALID, "byte 144"},
    {"sesparse/tables-on-header", SESPARSE, 144, 64, 0, VF_ERROR_INTEGRITY, "overlaps its header"},
    {"sesparse/few-tables", SESPARSE, 152, 64, 64, VF_ERROR_INTEGRITY, "grain directory"},
    {"sesparse/grains-nowhere", SESPARSE, 192, 64, G_MAXUINT64, VF_ERROR_INVALID, "byte 192"},
    {"sesparse/directory-entry", SESPARSE, SESPARSE_DIRECTORY, 64, 1, VF_ERROR_INTEGRITY, "table 0"},
    {"sesparse/directory-number", SESPARSE, SESPARSE_DIRECTORY, 64, G_GUINT64_CONSTANT(0x10000000ffffffff),
     VF_ERROR_INTEGRITY, "table 0"},
    {"sesparse/table-twice", SESPARSE, SESPARSE_DIRECTORY, 64, G_GUINT64_CONSTANT(0x1000000000000000),
     VF_ERROR_INTEGRITY, "two grain tables overlap at byte 8704"},
    {"sesparse/entry-kind", SESPARSE, SESPARSE_TABLES, 64, (guint64)4 << 60, VF_ERROR_INTEGRITY,
     "at byte 8704"},
    {"sesparse/entry-hole", SESPARSE, SESPARSE_TABLES, 64, 7, VF_ERROR_INTEGRITY, "means nothing"},
    {"sesparse/grain-beyond-end", SESPARSE, SESPARSE_TABLES, 64, (guint64)3 << 60 | 0xffff,
     VF_ERROR_INTEGRITY, "beyond the end"},
    {"sesparse/grain-overflow", SESPARSE, SESPARSE_TABLES, 64, G_GUINT64_CONSTANT(0x3fffffffffffffff),
     VF_ERROR_INTEGRITY, "means nothing"},
    {"sesparse/cut", SESPARSE, -100, 0, 0, VF_ERROR_INTEGRITY, "cut short"},
};

/* Data at both ends, a hole between them. */
static GByteArray *make(Format format)
{
    g_autoptr(MakeLayer) layer = make_layer_new_uniform(DISK_SIZE, format == STREAM ? 65536 : 4096, FALSE);

    for (guint64 i = 0; i < 20; i++)
        layer->kinds[i] = layer->kinds[layer->n_grains - 1 - i] = VMDK_RUN_DATA;
    if (format == STREAM)
        return make_stream(layer, VMDK_NO_PARENT);
    return format == COWD ? make_cowd(layer, 0) : make_sesparse(layer, 0);
}

static VmdkSparse *open_memory(Format format, const GByteArray *file, GError **error)
{
    VmdkSparse *(*const opens[])(Bytes *, GError **) = {vmdk_hosted_open, vmdk_cowd_open, vmdk_sesparse_open};

    return opens[format](bytes_open_memory(file->data, file->len, "x.vmdk"), error);
}

/* Looks everything up, and reads every grain. */
static gboolean read_all(VmdkSparse *sparse, GError **error)
{
    g_autofree guint8 *buffer = g_malloc(DISK_SIZE);
    VmdkLayer layer = {.size = sparse->size, .parts = g_array_new(FALSE, FALSE, sizeof(VmdkPart))};
    VmdkPart part = {.length = sparse->size, .sparse = sparse};
    VmdkChain chain = {.layers = g_ptr_array_new(), .size = sparse->size};
    gboolean ok;

    g_array_append_val(layer.parts, part);
    g_ptr_array_add(chain.layers, &layer);
    ok = vmdk_chain_read(&chain, buffer, sparse->size, 0, error);
    g_ptr_array_unref(chain.layers);
    g_array_unref(layer.parts);
    return ok;
}

static void apply(const Damage *damage, GByteArray *file)
{
    guint64 at = (guint64)(damage->at < 0 ? damage->at + file->len : damage->at);

    if (damage->bits == 0)
        g_byte_array_set_size(file, (guint)at);
    else if (damage->bits == 32)
        make_put32(file, at, (guint32)damage->value);
    else
        make_put64(file, at, damage->value);
}

static void test_damage(gconstpointer data)
{
    const Damage *this = data;
    g_autoptr(GByteArray) file = make(this->format);
    g_autoptr(GError) error = NULL;

    apply(this, file);
    g_autoptr(VmdkSparse) sparse = open_memory(this->format, file, &error);
    if (sparse != NULL)
        g_assert_false(read_all(sparse, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, VF_ERROR, (gint)this->class);
    g_assert_nonnull(strstr(error->message, "x.vmdk"));
    g_assert_nonnull(strstr(error->message, this->part));
}

/* Undamaged, they can be read: the tests above fail for the reason that they name. */
static void test_undamaged(void)
{
    for (Format format = STREAM; format <= SESPARSE; format++) {
        g_autoptr(GByteArray) file = make(format);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmdkSparse) sparse = open_memory(format, file, &error);

        g_assert_no_error(error);
        read_all(sparse, &error);
        g_assert_no_error(error);
    }
}

static void test_stream_tables_overlap(void)
{
    g_autoptr(GByteArray) file = make(STREAM);
    g_autoptr(GError) error = NULL;

    make_put32(file, file->len - 2048, vmdk_u32(file->data + file->len - 2044) - 1);
    g_assert_null(open_memory(STREAM, file, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    g_assert_nonnull(strstr(error->message, "two grain tables overlap"));
}

/* An entry that leads to the record of another grain. */
static void test_record_of_other(void)
{
    g_autoptr(GByteArray) file = make(STREAM);
    guint64 directory = vmdk_u64(file->data + file->len - 1024 + 56) * SECTOR_SIZE;
    guint64 table = vmdk_u32(file->data + directory) * (guint64)SECTOR_SIZE;
    g_autoptr(GError) error = NULL;

    make_put32(file, table + 4, vmdk_u32(file->data + table));
    g_autoptr(VmdkSparse) sparse = open_memory(STREAM, file, &error);
    g_assert_no_error(error);
    g_assert_false(read_all(sparse, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
    g_assert_nonnull(
        strstr(error->message, "the grain of sector 128 at byte 65536: its record is that of sector 0"));
}

/* --- the redundant directory --- */

/* An empty monolithicSparse file of one table: header, directory in sector 1, its table from sector 2 on, and
 * the same again from sector 6 on. */
static GByteArray *make_redundant(void)
{
    GByteArray *file = g_byte_array_new();

    make_put32(file, 0, VMDK_HOSTED_MAGIC);
    make_put32(file, 4, 1);
    make_put32(file, 8, 3);
    make_put64(file, 12, 256);
    make_put64(file, 20, 128);
    make_put32(file, 44, 512);
    make_put64(file, 48, 6);
    make_put64(file, 56, 1);
    make_put64(file, 64, 128);
    make_put32(file, 73, 0x0a0d200a);
    make_put32(file, 1 * SECTOR_SIZE, 2);
    make_put32(file, 6 * SECTOR_SIZE, 7);
    make_put64(file, 11 * SECTOR_SIZE - 8, 0);
    return file;
}

static void test_redundant(void)
{
    g_autoptr(GByteArray) file = make_redundant();
    g_autoptr(GError) error = NULL;

    g_autoptr(VmdkSparse) whole = open_memory(STREAM, file, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(whole->directory[0], ==, 2);
    make_put32(file, 1 * SECTOR_SIZE, 0x1000000);
    g_autoptr(VmdkSparse) half = open_memory(STREAM, file, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(half->directory[0], ==, 7);
    make_put32(file, 6 * SECTOR_SIZE, 0x1000000);
    g_assert_null(open_memory(STREAM, file, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

/* --- threads --- */

#define N_THREADS 8u
#define N_READS   150u

typedef struct {
    Disk *disk;
    const guint8 *expected;
    guint32 seed;
} Reader;

static gpointer read_here_and_there(gpointer data)
{
    const Reader *reader = data;
    GRand *random = g_rand_new_with_seed(reader->seed);
    g_autofree guint8 *buffer = g_malloc(MIB);

    for (guint i = 0; i < N_READS; i++) {
        guint64 sectors = (guint64)g_rand_int_range(random, 1, i % 8 == 0 ? 2048 : 200);
        guint64 at =
            (guint64)g_rand_int_range(random, 0, (gint32)(DISK_SIZE / SECTOR_SIZE - sectors)) * SECTOR_SIZE;
        g_autoptr(GError) error = NULL;

        g_assert_true(disk_pread(reader->disk, buffer, sectors * SECTOR_SIZE, at, &error));
        g_assert_true(memcmp(buffer, reader->expected + at, sectors * SECTOR_SIZE) == 0);
    }
    g_rand_free(random);
    return NULL;
}

static char *same_name(const char *from, const char *name, gpointer data, GError **error)
{
    return g_strdup(name);
}

static Bytes *open_array(const char *path, VmdkFileRole role, gpointer data, GError **error)
{
    const GByteArray *file = data;

    return bytes_open_memory(file->data, file->len, path);
}

/* More grains than the cache of inflated ones holds, so that blocks come and go while others use them. */
static void test_threads(void)
{
    g_autoptr(MakeLayer) layer = make_layer_new(DISK_SIZE, 65536, 5);
    g_autoptr(GByteArray) file = make_stream(layer, VMDK_NO_PARENT);
    const VmdkOpener opener = {.resolve = same_name, .open = open_array, .data = file};
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = vmdk_open("x.vmdk", &opener, NULL, &error);
    Reader readers[N_THREADS];
    GThread *threads[N_THREADS];

    g_assert_no_error(error);
    for (guint i = 0; i < N_THREADS; i++) {
        readers[i] = (Reader){disk, layer->data, i};
        threads[i] = g_thread_new("reader", read_here_and_there, &readers[i]);
    }
    for (guint i = 0; i < N_THREADS; i++)
        g_thread_join(threads[i]);
}

/* --- the cache --- */

static gboolean load_or_fail(gpointer owner, guint64 number, guint8 *block, GError **error)
{
    guint *n_loads = owner;

    (*n_loads)++;
    if (number == 99)
        return vf_fail(error, VF_ERROR_SOURCE_IO, "no");
    memset(block, (int)number, 16);
    return TRUE;
}

static void test_cache(void)
{
    guint n_loads = 0;
    VmdkCache *cache = vmdk_cache_new(16, 4, load_or_fail, &n_loads);
    g_autoptr(GError) error = NULL;
    guint8 byte = 0;

    for (guint round = 0; round < 2; round++)
        for (guint64 i = 0; i < 4; i++) {
            g_assert_true(vmdk_cache_copy(cache, i, 15, 1, &byte, &error));
            g_assert_cmpuint(byte, ==, i);
        }
    g_assert_cmpuint(n_loads, ==, 4);
    g_assert_true(vmdk_cache_copy(cache, 0, 0, 1, &byte, &error)); /* 1 is the oldest now */
    g_assert_true(vmdk_cache_copy(cache, 7, 0, 1, &byte, &error));
    g_assert_true(vmdk_cache_copy(cache, 0, 0, 1, &byte, &error));
    g_assert_cmpuint(n_loads, ==, 5);
    g_assert_true(vmdk_cache_copy(cache, 1, 0, 1, &byte, &error));
    g_assert_cmpuint(n_loads, ==, 6);
    g_assert_false(vmdk_cache_copy(cache, 99, 0, 1, &byte, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_SOURCE_IO);
    g_clear_error(&error);
    g_assert_false(vmdk_cache_copy(cache, 99, 0, 1, &byte, &error));
    g_assert_cmpuint(n_loads, ==, 8);
    vmdk_cache_free(cache);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *path = g_strconcat("/vmdk-sparse/damage/", damages[i].path, NULL);

        g_test_add_data_func(path, &damages[i], test_damage);
    }
    g_test_add_func("/vmdk-sparse/undamaged", test_undamaged);
    g_test_add_func("/vmdk-sparse/stream-tables-overlap", test_stream_tables_overlap);
    g_test_add_func("/vmdk-sparse/record-of-other", test_record_of_other);
    g_test_add_func("/vmdk-sparse/redundant", test_redundant);
    g_test_add_func("/vmdk-sparse/threads", test_threads);
    g_test_add_func("/vmdk-sparse/cache", test_cache);
    return g_test_run();
}
