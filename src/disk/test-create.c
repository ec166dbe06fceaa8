#include "disk/create.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"

static CreateOptions *options_of(const char *format)
{
    g_autoptr(GError) error = NULL;
    const CreateFormat *found = create_format_find(format, &error);

    g_assert_no_error(error);
    return create_options_new(found);
}

static void assert_refused(const char *format, const char *text, VfErrorClass class, const char *words)
{
    g_autoptr(CreateOptions) options = options_of(format);
    g_autoptr(GError) error = NULL;

    g_assert_false(create_options_parse(options, text, &error));
    g_assert_error(error, VF_ERROR, (int)class);
    if (strstr(error->message, words) == NULL)
        g_error("%s is not in: %s", words, error->message);
}

static void test_parse(void)
{
    g_autoptr(CreateOptions) options = options_of("qcow2");
    g_autofree char *text = NULL;
    GError *error = NULL;

    g_assert_true(create_options_parse(options, "preallocation=off,cluster_size=128K", &error));
    g_assert_cmpuint(create_options_number(options, "cluster_size", 1), ==, 128 * KIB);
    g_assert_cmpuint(create_options_number(options, "refcount_bits", 7), ==, 7);
    g_assert_cmpstr(create_options_text(options, "preallocation", NULL), ==, "off");
    text = create_options_to_text(options);
    g_assert_cmpstr(text, ==, "qcow2,cluster_size=131072,preallocation=off");
}

static void test_refused(void)
{
    g_autoptr(GError) error = NULL;

    assert_refused("qcow2", "cluster_sise=64K", VF_ERROR_INVALID, "did you mean cluster_size?");
    assert_refused("qcow2", "nonsense=1", VF_ERROR_INVALID,
                   "it has backing_file, backing_fmt, cluster_size, compat");
    assert_refused("qcow2", "cluster_size", VF_ERROR_INVALID, "KEY=VALUE");
    assert_refused("qcow2", "cluster_size=x", VF_ERROR_INVALID, "cluster_size");
    assert_refused("qcow2", "cluster_size=64K,cluster_size=64K", VF_ERROR_INVALID, "twice");
    assert_refused("qcow2", "compat=0.10", VF_ERROR_UNSUPPORTED, "possible is 1.1");
    assert_refused("raw", "cluster_size=64K", VF_ERROR_INVALID, "format raw has no option");
    assert_refused("raw", "", VF_ERROR_INVALID, "KEY=VALUE");
    g_assert_null(create_format_find("qcow", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "did you mean qcow2?"));
}

static void test_create(void)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "a.qcow2", NULL);
    g_autoptr(CreateOptions) options = options_of("qcow2");
    g_autoptr(CreateOptions) wrong = options_of("qcow2");
    g_autoptr(GError) error = NULL;
    Disk *disk;

    g_assert_true(create_options_set(wrong, "cluster_size", "65537", &error));
    g_assert_null(create_image(path, MIB, wrong, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_true(create_options_set(options, "cluster_size", "1M", &error));
    disk = create_image(path, MIB, options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_granularity(disk), ==, MIB);
    g_assert_true(disk_close(disk, &error));
    g_assert_null(create_image(path, MIB, options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_unlink(path);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/create/parse", test_parse);
    g_test_add_func("/create/refused", test_refused);
    g_test_add_func("/create/create", test_create);
    return g_test_run();
}
