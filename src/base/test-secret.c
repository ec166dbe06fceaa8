#include "base/secret.h"

#include "base/io.h"

#include <stdio.h>
#include <string.h>

static void test_text(void)
{
    g_autofree char *long_text = g_strnfill(10000, 's');
    g_autoptr(Secret) secret = secret_new("p\xc3\xa4ss w\"ord");
    g_autoptr(Secret) again = secret_ref(secret);
    g_autoptr(Secret) large = secret_new(long_text);
    g_autoptr(Secret) empty = secret_new("");

    g_assert_cmpstr(secret_reveal(again), ==, "p\xc3\xa4ss w\"ord");
    g_assert_cmpstr(secret_reveal(large), ==, long_text);
    g_assert_cmpstr(secret_reveal(empty), ==, "");
    secret_unref(NULL);
}

/* "dd" among the flags of the mapping says that no core file will hold it. */
static void test_not_dumped(void)
{
    g_autoptr(Secret) secret = secret_new("password");
    g_autoptr(GError) error = NULL;
    g_autofree char *maps = io_read_file("/proc/self/smaps", 16 << 20, NULL, &error);
    g_autofree char *start = g_strdup_printf("%lx-", (gulong)secret_reveal(secret));
    const char *mapping = maps != NULL ? strstr(maps, start) : NULL;
    const char *flags = mapping != NULL ? strstr(mapping, "VmFlags:") : NULL;
    g_autofree char *line = flags != NULL ? g_strndup(flags, strcspn(flags, "\n")) : NULL;

    if (line == NULL) {
        g_test_skip("this kernel does not tell the flags of mappings");
        return;
    }
    g_assert_nonnull(strstr(line, " dd"));
    g_assert_null(strstr(line, " wr"));
}

static void test_wipe(void)
{
    char buffer[] = "password";

    secret_wipe(buffer, sizeof buffer);
    for (gsize i = 0; i < sizeof buffer; i++)
        g_assert_cmpint(buffer[i], ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secret/text", test_text);
    g_test_add_func("/secret/not-dumped", test_not_dumped);
    g_test_add_func("/secret/wipe", test_wipe);
    return g_test_run();
}
