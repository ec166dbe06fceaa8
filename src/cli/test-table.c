#include "cli/table.h"

static void test_columns(void)
{
    static const char *const headers[] = {"NAME", ">SIZE", "NOTE", NULL};
    static const char *const rows[][3] = {
        {"web", "1", "short"}, {"B\303\274ro Server", "12345", NULL}, {"", "7", "a\033[2Jb\nc"}};
    g_autoptr(Table) table = table_new(headers);
    g_autofree char *text = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        table_add(table, rows[i]);
    text = table_to_text(table);
    g_assert_cmpstr(text, ==,
                    "NAME          SIZE  NOTE\n"
                    "web              1  short\n"
                    "B\303\274ro Server  12345  -\n"
                    "-                7  a?[2Jb?c\n");
}

static void test_printable(void)
{
    g_autofree char *bytes = table_printable("a\xff"
                                             "b\t");
    g_autofree char *text = table_printable("d\303\251j\303\240 vu");

    g_assert_cmpstr(bytes, ==, "a\357\277\275b?");
    g_assert_cmpstr(text, ==, "d\303\251j\303\240 vu");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/table/columns", test_columns);
    g_test_add_func("/table/printable", test_printable);
    return g_test_run();
}
