#include "base/error.h"

#include <errno.h>

static void test_traits(void)
{
    for (guint i = 0; i < VF_ERROR_N_CLASSES; i++) {
        const VfErrorTraits *traits = vf_error_traits((VfErrorClass)i);

        g_assert_nonnull(traits->name);
        g_assert_cmpuint(traits->http_status, >=, 400);
        g_assert_cmpint(traits->exit_code, >=, 1);
        g_assert_cmpint(traits->exit_code, <=, 125);
        for (guint j = 0; j < i; j++) {
            g_assert_cmpstr(traits->name, !=, vf_error_traits((VfErrorClass)j)->name);
            g_assert_cmpint(traits->exit_code, !=, vf_error_traits((VfErrorClass)j)->exit_code);
        }
    }
    g_assert_true(vf_error_traits(VF_ERROR_TRANSIENT)->retry);
    g_assert_false(vf_error_traits(VF_ERROR_CANCELLED)->retry);
}

static void test_fail(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vf_fail(&error, VF_ERROR_CONFLICT, "VM %s is busy", "web1"));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, "VM web1 is busy");
    g_assert_true(vf_error_is(error, VF_ERROR_CONFLICT));
    g_assert_false(vf_error_is(error, VF_ERROR_INVALID));
    g_assert_false(vf_error_is(NULL, VF_ERROR_CANCELLED));
}

static void test_errno(void)
{
    g_autoptr(GError) error = NULL;

    vf_fail_errno(&error, VF_ERROR_TARGET_IO, EIO, "cannot write %s", "a");
    g_assert_cmpstr(error->message, ==, "cannot write a: Input/output error");
    g_clear_error(&error);
    vf_fail_errno(&error, VF_ERROR_TARGET_IO, ENOSPC, "cannot write %s", "a");
    g_assert_nonnull(strstr(error->message, "No space left on device; free space"));
}

static void test_foreign_domain(void)
{
    g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, 0, "foreign");

    g_assert_cmpint(vf_error_class(error), ==, VF_ERROR_INTERNAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/traits", test_traits);
    g_test_add_func("/error/fail", test_fail);
    g_test_add_func("/error/errno", test_errno);
    g_test_add_func("/error/foreign-domain", test_foreign_domain);
    return g_test_run();
}
