#include "cli/render.h"

#include <string.h>

static Json *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    Json *json = json_parse(text, strlen(text), 65536, "test", &error);

    g_assert_no_error(error);
    return json;
}

static void assert_lines(const char *text, guint width, const char *expected)
{
    g_autoptr(Json) progress = text != NULL ? parse(text) : NULL;
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *all = NULL;

    render_lines(lines, "web", progress, width);
    g_ptr_array_add(lines, NULL);
    all = g_strjoinv("\n", (char **)lines->pdata);
    g_assert_cmpstr(all, ==, expected);
}

static const char copying[] =
    "{\"stage\":\"base_copy\",\"round\":0,\"round_kind\":\"base\",\"activity\":\"copying\",\"percent\":58.39,"
    "\"rate\":327155712,\"eta\":12.3,\"dirty_rate\":1258291,\"predicted_downtime\":12.3,\"downtime_floor\":9,"
    "\"verdict\":null,\"required_action\":null,\"downtime\":null,"
    "\"disks\":[{\"key\":\"2000\",\"label\":\"Hard disk "
    "1\",\"planned\":2147483648,\"done\":1253900288,\"percent\":58.39,"
    "\"rate\":327155712,\"eta\":3},{\"key\":\"2001\",\"label\":null,\"planned\":0,\"done\":0,\"percent\":"
    "null}]}";

static void test_copying(void)
{
    g_autoptr(Json) progress = parse(copying);
    g_autofree char *line = render_line("web", progress);

    assert_lines(
        copying, 120,
        "web  base_copy  round 0 (base)  copying\n"
        "  Hard disk 1    [##############..........]  58.3%  1.17 GiB of 2.00 GiB  312 MiB/s  3.0 s\n"
        "  guest writes 1.20 MiB/s, downtime now 12.3 s, at best 9.0 s");
    g_assert_cmpstr(
        line, ==,
        "web: base_copy, round 0 (base), copying 58.3%, 312 MiB/s, 12.3 s left, predicted downtime 12.3 s");
}

static void test_nothing_known(void)
{
    g_autofree char *line = render_line("web", NULL);

    assert_lines(NULL, 80, "web");
    assert_lines("{}", 80, "web");
    assert_lines("{\"disks\":null,\"round\":null,\"downtime\":{}}", 80, "web");
    g_assert_cmpstr(line, ==, "web: ");
}

static void test_done(void)
{
    static const char done[] =
        "{\"stage\":\"done\",\"activity\":\"importing\",\"predicted_downtime\":9,"
        "\"downtime\":{\"shutdown\":1.5,\"settle\":0,\"final_round\":2,\"total\":3.5}}";
    g_autoptr(Json) progress = parse(done);
    g_autofree char *line = render_line("web", progress);

    assert_lines(done, 80, "web  done\n  downtime 3.5 s: shutdown 1.5 s, final_round 2.0 s");
    g_assert_cmpstr(line, ==, "web: done, downtime 3.5 s");
}

static void test_cutover(void)
{
    static const char cutover[] =
        "{\"stage\":\"final_sync\",\"predicted_downtime\":9,\"downtime\":{\"shutdown\":2,"
        "\"total\":2}}";
    g_autoptr(Json) progress = parse(cutover);
    g_autofree char *line = render_line("web", progress);

    assert_lines(cutover, 80, "web  final_sync\n  downtime so far 2.0 s: shutdown 2.0 s");
    g_assert_cmpstr(line, ==, "web: final_sync, downtime so far 2.0 s");
}

static void test_your_turn(void)
{
    assert_lines("{\"stage\":\"awaiting_shutdown_action\",\"required_action\":\"shutdown_choice\","
                 "\"shutdown_reason\":\"no Tools\",\"verdict\":\"x\\u001b[2J\"}",
                 80,
                 "web  awaiting_shutdown_action\n  x?[2J\n"
                 "  your turn: shut the VM down, or vmferry finalize --shutdown force (no Tools)");
}

static void test_cut(void)
{
    assert_lines("{\"stage\":\"d\303\251\303\251\303\251\"}", 8, "web  d\303\251\303\251");
}

static void test_bar(void)
{
    static const struct {
        double percent;
        const char *bar;
    } cases[] = {{0, "[....]"},    {24.9, "[....]"}, {25, "[#...]"},
                 {99.9, "[###.]"}, {100, "[####]"},  {300, "[####]"}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *bar = render_bar(cases[i].percent, 4);

        g_assert_cmpstr(bar, ==, cases[i].bar);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/render/copying", test_copying);
    g_test_add_func("/render/nothing-known", test_nothing_known);
    g_test_add_func("/render/done", test_done);
    g_test_add_func("/render/cutover", test_cutover);
    g_test_add_func("/render/your-turn", test_your_turn);
    g_test_add_func("/render/cut", test_cut);
    g_test_add_func("/render/bar", test_bar);
    return g_test_run();
}
