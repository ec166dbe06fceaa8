#include "base/json.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

static void test_parse(void)
{
    static const char text[] =
        "{\"name\": \"web1\", \"size\": 9007199254740993, \"on\": true, \"off\": null}";
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = json_parse(text, strlen(text), 1000, "the answer", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(json_get_string(json, "name"), ==, "web1");
    g_assert_cmpint(json_get_integer(json, "size"), ==, 9007199254740993);
    g_assert_true(json_get_boolean(json, "on"));
    g_assert_false(json_get_boolean(json, "off"));
    g_assert_null(json_get_string(json, "size"));
    g_assert_null(json_get_string(json, "missing"));
    g_assert_cmpint(json_get_integer(json, "name"), ==, 0);
}

static void test_refuse(void)
{
    static const char *const bad[] = {"",        "{", "{\"a\": 1, \"a\": 2}", "[1] 2", "{\"a\": \"\xff\"}",
                                      "\"text\""};

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(json_parse(bad[i], strlen(bad[i]), 1000, "x.json", &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "x.json: line 1, column "));
    }
}

static void test_limits(void)
{
    g_autofree char *deep = g_strnfill(100000, '[');
    g_autoptr(GError) error = NULL;

    g_assert_null(json_parse("[1]", 3, 2, "x.json", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(json_parse(deep, 100000, 100000, "x.json", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_write(void)
{
    g_autoptr(Json) json = json_object();
    g_autofree char *line = NULL, *text = NULL;

    json_set_string(json, "z", "a\"b\n");
    json_set_string(json, "bad", "\xff!");
    json_set_string(json, "none", NULL);
    json_set_integer(json, "n", G_MAXINT64);
    json_set_boolean(json, "b", TRUE);
    json_set_real(json, "inf", (double)INFINITY);
    json_set_take(json, "list", json_array());
    line = json_to_line(json);
    g_assert_cmpstr(line, ==,
                    "{\"z\":\"a\\\"b\\n\",\"bad\":\"\xef\xbf\xbd!\",\"none\":null,\"n\":9223372036854775807,"
                    "\"b\":true,\"inf\":null,\"list\":[]}");
    json_object_clear(json);
    json_set_integer(json, "n", 1);
    text = json_to_text(json);
    g_assert_cmpstr(text, ==, "{\n  \"n\": 1\n}\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/parse", test_parse);
    g_test_add_func("/json/refuse", test_refuse);
    g_test_add_func("/json/limits", test_limits);
    g_test_add_func("/json/write", test_write);
    return g_test_run();
}
