#include "disk/create.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "disk/format.h"
#include "disk/qcow2.h"
#include "disk/raw.h"
#include "disk/vmdk-create.h"
#include "spec/tree.h"

struct CreateOptions {
    const CreateFormat *format;
    GTree *values; /* key -> value, sorted */
    gboolean compressed;
    guint level;
    char *name;
};

/* --- the formats --- */

static Bytes *new_file(const char *path, GError **error)
{
    return bytes_open_file(path, BYTES_WRITE | BYTES_CREATE | BYTES_DIRECT, error);
}

static Disk *create_raw(const char *path, guint64 size, const CreateOptions *options, GError **error)
{
    Bytes *bytes = new_file(path, error);

    return bytes == NULL ? NULL : raw_create(bytes, size, error);
}

static gboolean cluster_bits_of(const CreateOptions *options, guint *ret_bits, GError **error)
{
    guint64 size = create_options_number(options, "cluster_size", 65536);

    if (size < 512 || size > 2 * MIB || (size & (size - 1)) != 0)
        return vf_fail(error, VF_ERROR_INVALID,
                       "cluster_size=%" G_GUINT64_FORMAT " is not a power of two from 512 to 2M", size);
    *ret_bits = (guint)g_bit_nth_lsf((gulong)size, -1);
    return TRUE;
}

static Qcow2Compression compression_of(const CreateOptions *options)
{
    const char *type = create_options_text(options, "compression_type", "zlib");

    if (!create_options_compressed(options))
        return QCOW2_PLAIN;
    return strcmp(type, "zstd") == 0 ? QCOW2_ZSTD : QCOW2_ZLIB;
}

/* The operator names it, so it may be anywhere; what it names itself may not. */
static gboolean open_backing(const char *path, Qcow2Options *qcow2, GError **error)
{
    g_autofree char *backing = NULL;

    if (qcow2->backing_file == NULL)
        return TRUE;
    if (qcow2->backing_format == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "backing_file=%s needs backing_fmt", qcow2->backing_file);
    backing = format_beside(path, qcow2->backing_file);
    qcow2->backing = format_open(backing, qcow2->backing_format, FALSE, error);
    return qcow2->backing != NULL;
}

static Disk *create_qcow2(const char *path, guint64 size, const CreateOptions *options, GError **error)
{
    Qcow2Options qcow2 = {
        .compression = compression_of(options),
        .level = create_options_level(options),
        .backing_file = create_options_text(options, "backing_file", NULL),
        .backing_format = create_options_text(options, "backing_fmt", NULL),
        .lazy_refcounts = create_options_boolean(options, "lazy_refcounts"),
    };
    Bytes *bytes;

    if (qcow2.compression == QCOW2_PLAIN && create_options_text(options, "compression_type", NULL) != NULL) {
        vf_fail(error, VF_ERROR_INVALID, "compression_type is said, but not that anything is compressed");
        return NULL;
    }
    if (!cluster_bits_of(options, &qcow2.cluster_bits, error) || !open_backing(path, &qcow2, error))
        return NULL;
    bytes = new_file(path, error);
    if (bytes != NULL)
        return qcow2_create(bytes, size, &qcow2, error);
    disk_free(qcow2.backing);
    return NULL;
}

static void go_on_qcow2(Disk *disk, const CreateOptions *options)
{
    if (create_options_compressed(options))
        qcow2_compress(disk, create_options_level(options));
}

static Disk *create_vmdk(const char *path, guint64 size, const CreateOptions *options, GError **error)
{
    const char *usual = create_options_compressed(options) ? "streamOptimized" : "monolithicSparse";
    VmdkCreateOptions vmdk = {
        .subformat = create_options_text(options, "subformat", usual),
        .name = create_options_name(options),
        .adapter_type = create_options_text(options, "adapter_type", NULL),
        .hw_version = (guint)MIN(create_options_number(options, "hwversion", 0), G_MAXUINT),
        .level = create_options_level(options),
    };

    if (create_options_compressed(options) && strcmp(vmdk.subformat, "streamOptimized") != 0) {
        vf_fail(error, VF_ERROR_UNSUPPORTED, "only a VMDK with subformat=streamOptimized is compressed");
        return NULL;
    }
    return vmdk_create(path, size, &vmdk, error);
}

static const char *const only_off[] = {"off", NULL};
static const char *const compat_words[] = {"1.1", "v3", NULL};
static const char *const refcount_words[] = {"16", NULL};
static const char *const compression_words[] = {"zlib", "zstd", NULL};

static const CreateOption raw_options[] = {
    {"preallocation", CREATE_WORD, only_off, "storage is allocated as it is written"},
    {NULL},
};

static const CreateOption qcow2_options[] = {
    {"backing_file", CREATE_TEXT, NULL, "what is read where nothing was written, relative to the image"},
    {"backing_fmt", CREATE_TEXT, NULL, "format of the backing file"},
    {"cluster_size", CREATE_SIZE, NULL, "unit of allocation, a power of two from 512 to 2M (default 64K)"},
    {"compat", CREATE_WORD, compat_words, "version of the format: 1.1 is version 3"},
    {"compression_type", CREATE_WORD, compression_words, "how clusters are compressed (default zlib)"},
    {"lazy_refcounts", CREATE_BOOLEAN, NULL, "QEMU may count late when it writes to the image"},
    {"preallocation", CREATE_WORD, only_off, "storage is allocated as it is written"},
    {"refcount_bits", CREATE_WORD, refcount_words, "width of a reference count"},
    {NULL},
};

static const CreateOption vmdk_options[] = {
    {"adapter_type", CREATE_WORD, vmdk_adapter_types, "what the disk is said to hang on (default lsilogic)"},
    {"hwversion", CREATE_NUMBER, NULL, "version of the virtual hardware (default 13: vSphere 6.5)"},
    {"subformat", CREATE_WORD, vmdk_subformats, "how it is stored (default monolithicSparse)"},
    {NULL},
};

static const CreateFormat formats[] = {
    {.name = "raw", .options = raw_options, .can_resume = TRUE, .create = create_raw},
    {.name = "qcow2",
     .options = qcow2_options,
     .can_compress = TRUE,
     .can_resume = TRUE,
     .create = create_qcow2,
     .go_on = go_on_qcow2},
    {.name = "vmdk", .options = vmdk_options, .can_compress = TRUE, .create = create_vmdk},
};

char *create_format_names(void)
{
    const char *names[G_N_ELEMENTS(formats) + 1] = {NULL};

    for (guint i = 0; i < G_N_ELEMENTS(formats); i++)
        names[i] = formats[i].name;
    return g_strjoinv(", ", (char **)names);
}

const CreateFormat *create_format_find(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(formats) + 1] = {NULL};
    g_autofree char *list = create_format_names();
    const char *meant;

    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        names[i] = formats[i].name;
        if (strcmp(name, names[i]) == 0)
            return &formats[i];
    }
    meant = tree_did_you_mean(name, names);
    vf_fail(error, VF_ERROR_UNSUPPORTED, "cannot make images of format %s%s%s%s; possible are %s", name,
            meant != NULL ? ": did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?" : "",
            list);
    return NULL;
}

char *create_format_help(const CreateFormat *format)
{
    GString *text = g_string_new(NULL);

    for (const CreateOption *option = format->options; option->key != NULL; option++) {
        g_autofree char *words =
            option->words != NULL ? g_strjoinv("|", (char **)option->words) : g_strdup("VALUE");

        g_string_append_printf(text, "  %s=%s  %s\n", option->key, words, option->help);
    }
    return g_string_free(text, FALSE);
}

/* --- what was said --- */

static int compare_keys(gconstpointer a, gconstpointer b, gpointer data)
{
    return strcmp(a, b);
}

CreateOptions *create_options_new(const CreateFormat *format)
{
    CreateOptions *options = g_new0(CreateOptions, 1);

    options->format = format;
    options->values = g_tree_new_full(compare_keys, NULL, g_free, g_free);
    return options;
}

void create_options_free(CreateOptions *options)
{
    if (options == NULL)
        return;
    g_tree_unref(options->values);
    g_free(options->name);
    g_free(options);
}

static gboolean fail_unknown(const CreateFormat *format, const char *key, GError **error)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    g_autofree char *list = NULL;
    const char *meant;

    for (const CreateOption *option = format->options; option->key != NULL; option++)
        g_ptr_array_add(keys, (gpointer)option->key);
    g_ptr_array_add(keys, NULL);
    meant = tree_did_you_mean(key, (const char *const *)keys->pdata);
    if (meant != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "format %s has no option %s; did you mean %s?", format->name,
                       key, meant);
    list = g_strjoinv(", ", (char **)keys->pdata);
    return vf_fail(error, VF_ERROR_INVALID, "format %s has no option %s; it has %s", format->name, key, list);
}

static const CreateOption *find_option(const CreateFormat *format, const char *key, GError **error)
{
    for (const CreateOption *option = format->options; option->key != NULL; option++)
        if (strcmp(option->key, key) == 0)
            return option;
    fail_unknown(format, key, error);
    return NULL;
}

static char *word_value(const CreateOption *option, const char *value, GError **error)
{
    g_autofree char *list = g_strjoinv(", ", (char **)option->words);

    if (g_strv_contains(option->words, value))
        return g_strdup(value);
    vf_fail(error, VF_ERROR_UNSUPPORTED, "%s=%s is not possible; possible is %s", option->key, value, list);
    return NULL;
}

static char *boolean_value(const CreateOption *option, const char *value, GError **error)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    static const char *const no[] = {"off", "no", "false", "n", NULL};

    if (g_strv_contains(yes, value))
        return g_strdup("on");
    if (g_strv_contains(no, value))
        return g_strdup("off");
    vf_fail(error, VF_ERROR_INVALID, "%s=%s: on or off is expected", option->key, value);
    return NULL;
}

static char *size_value(const CreateOption *option, const char *value, GError **error)
{
    guint64 bytes = 0;

    if (size_parse(value, &bytes, error))
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    g_prefix_error(error, "%s: ", option->key);
    return NULL;
}

static char *number_value(const CreateOption *option, const char *value, GError **error)
{
    guint64 number;

    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL))
        return g_strdup_printf("%" G_GUINT64_FORMAT, number);
    vf_fail(error, VF_ERROR_INVALID, "%s=%s: a number is expected", option->key, value);
    return NULL;
}

static char *check_value(const CreateOption *option, const char *value, GError **error)
{
    switch (option->kind) {
    case CREATE_WORD:
        return word_value(option, value, error);
    case CREATE_BOOLEAN:
        return boolean_value(option, value, error);
    case CREATE_NUMBER:
        return number_value(option, value, error);
    case CREATE_SIZE:
        return size_value(option, value, error);
    case CREATE_TEXT:
        break;
    }
    return g_strdup(value);
}

gboolean create_options_set(CreateOptions *options, const char *key, const char *value, GError **error)
{
    const CreateOption *option = find_option(options->format, key, error);
    char *checked = option != NULL ? check_value(option, value, error) : NULL;

    if (checked == NULL)
        return FALSE;
    if (g_tree_lookup(options->values, key) != NULL) {
        g_free(checked);
        return vf_fail(error, VF_ERROR_INVALID, "option %s is given twice", key);
    }
    g_tree_insert(options->values, g_strdup(key), checked);
    return TRUE;
}

/* Up to the next comma that is not doubled; *rest is what follows it, or NULL. */
static char *next_item(const char *text, const char **ret_rest)
{
    GString *item = g_string_new(NULL);

    for (; *text != '\0' && (*text != ',' || text[1] == ','); text++) {
        g_string_append_c(item, *text);
        text += *text == ',';
    }
    *ret_rest = *text == ',' ? text + 1 : NULL;
    return g_string_free(item, FALSE);
}

gboolean create_options_parse(CreateOptions *options, const char *text, GError **error)
{
    for (const char *rest = text; rest != NULL;) {
        g_autofree char *item = next_item(rest, &rest);
        char *equals = strchr(item, '=');

        if (equals == NULL)
            return vf_fail(error, VF_ERROR_INVALID, "-o %s: KEY=VALUE,... is expected", text);
        *equals = '\0';
        if (!create_options_set(options, item, equals + 1, error))
            return FALSE;
    }
    return TRUE;
}

gboolean create_options_compress(CreateOptions *options, guint level, GError **error)
{
    if (!options->format->can_compress)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "images of format %s cannot be compressed",
                       options->format->name);
    options->compressed = TRUE;
    options->level = level;
    return TRUE;
}

void create_options_set_name(CreateOptions *options, const char *path)
{
    g_free(options->name);
    options->name = g_path_get_basename(path);
}

const CreateFormat *create_options_format(const CreateOptions *options)
{
    return options->format;
}

const char *create_options_text(const CreateOptions *options, const char *key, const char *fallback)
{
    const char *value = g_tree_lookup(options->values, key);

    return value != NULL ? value : fallback;
}

guint64 create_options_number(const CreateOptions *options, const char *key, guint64 fallback)
{
    const char *value = g_tree_lookup(options->values, key);

    return value != NULL ? g_ascii_strtoull(value, NULL, 10) : fallback;
}

gboolean create_options_boolean(const CreateOptions *options, const char *key)
{
    return g_strcmp0(g_tree_lookup(options->values, key), "on") == 0;
}

gboolean create_options_compressed(const CreateOptions *options)
{
    return options->compressed;
}

guint create_options_level(const CreateOptions *options)
{
    return options->level;
}

const char *create_options_name(const CreateOptions *options)
{
    return options->name;
}

static gboolean append_value(gpointer key, gpointer value, gpointer data)
{
    g_string_append_printf(data, ",%s=%s", (const char *)key, (const char *)value);
    return FALSE;
}

char *create_options_to_text(const CreateOptions *options)
{
    GString *text = g_string_new(options->format->name);

    g_tree_foreach(options->values, append_value, text);
    if (options->compressed)
        g_string_append_printf(text, " compressed %u", options->level);
    return g_string_free(text, FALSE);
}

Disk *create_image(const char *path, guint64 size, const CreateOptions *options, GError **error)
{
    return options->format->create(path, size, options, error);
}

Disk *create_go_on(const char *path, const CreateOptions *options, GError **error)
{
    Disk *disk = format_open(path, options->format->name, TRUE, error);

    if (disk != NULL && options->format->go_on != NULL)
        options->format->go_on(disk, options);
    return disk;
}
