#include "base/crash-point.h"

#include "base/error.h"
#include "base/proc.h"

#include <string.h>

/* This program again, with a point armed: it arrives at "copy.mid" three times, then says so. */
static char *arrive(const char *program, const char *armed, GError **error)
{
    g_autofree char *setting = g_strconcat("VMFERRY_CRASH_AT=", armed, NULL);
    const char *const environment[] = {setting, NULL};
    const char *const argv[] = {program, "arrive", NULL};
    char *output = NULL;

    return proc_run(argv, &(ProcOptions){.environment = environment}, &output, NULL, error) ? output : NULL;
}

static void assert_killed(const char *program, const char *armed)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(arrive(program, armed, &error));
    g_assert_nonnull(strstr(error->message, "signal 9"));
}

static void assert_survives(const char *program, const char *armed)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = arrive(program, armed, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(output, ==, "survived\n");
}

static void test_arrivals(gconstpointer program)
{
    assert_killed(program, "copy.mid");
    assert_killed(program, "copy.mid:3");
    assert_survives(program, "copy.mid:4");
    assert_survives(program, "init.recorded");
    assert_survives(program, "");
}

static void test_table(void)
{
    const char *const *names = crash_point_names();

    for (guint i = 0; names[i] != NULL; i++)
        for (guint j = 0; j < i; j++)
            g_assert_cmpstr(names[i], !=, names[j]);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "arrive") == 0) {
        for (guint i = 0; i < 3; i++)
            crash_point("copy.mid");
        g_print("survived\n");
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/crash-point/arrivals", argv[0], test_arrivals);
    g_test_add_func("/crash-point/table", test_table);
    return g_test_run();
}
