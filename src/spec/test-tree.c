#include "spec/tree.h"

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"

#include <glib/gstdio.h>
#include <string.h>

static Tree *parse_as(const char *name, const char *text)
{
    g_autoptr(GError) error = NULL;
    Tree *tree = tree_parse(text, strlen(text), name, &error);

    g_assert_no_error(error);
    g_assert_nonnull(tree);
    return tree;
}

static Tree *parse(const char *text)
{
    return parse_as("a.yaml", text);
}

/* The whole message, so that file, line and path are proved too. */
static void assert_refused_as(const char *name, const char *text, gssize length, const char *message)
{
    g_autoptr(GError) error = NULL;
    Tree *tree = tree_parse(text, length < 0 ? strlen(text) : (gsize)length, name, &error);

    g_assert_null(tree);
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, message);
}

static void assert_refused(const char *text, const char *message)
{
    assert_refused_as("a.yaml", text, -1, message);
}

/* Where the words are those of a library, only what is ours and the line are compared. */
static void assert_syntax_error(const char *name, const char *text, const char *start)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(tree_parse(text, strlen(text), name, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_test_message("%s", error->message);
    g_assert_true(g_str_has_prefix(error->message, start));
}

static void assert_place(const TreeNode *node, guint line, guint column, const char *path)
{
    g_autofree char *actual = tree_path(node);

    g_assert_cmpuint(tree_line(node), ==, line);
    g_assert_cmpuint(tree_column(node), ==, column);
    g_assert_cmpstr(actual, ==, path);
}

static void test_yaml(void)
{
    g_autoptr(Tree) tree = parse("vms:\n"
                                 "  - name: web # the first\n"
                                 "    disks: [10G, '20G']\n"
                                 "  - name: \"d\\u00e9b\"\n"
                                 "empty:\n"
                                 "text: |\n"
                                 "  two\n"
                                 "  lines\n");
    const TreeNode *root = tree_root(tree);
    const TreeNode *vms = tree_get(root, "vms");
    const TreeNode *disks = tree_get(tree_item(vms, 0), "disks");

    g_assert_cmpint(tree_kind(root), ==, TREE_MAPPING);
    g_assert_cmpuint(tree_length(root), ==, 3);
    g_assert_cmpint(tree_kind(vms), ==, TREE_SEQUENCE);
    g_assert_cmpuint(tree_length(vms), ==, 2);
    g_assert_null(tree_item(vms, 2));
    g_assert_cmpstr(tree_text(tree_item(disks, 1)), ==, "20G");
    g_assert_true(tree_quoted(tree_item(disks, 1)));
    g_assert_false(tree_quoted(tree_item(disks, 0)));
    g_assert_cmpstr(tree_text(tree_get(tree_item(vms, 1), "name")), ==, "d\303\251b");
    g_assert_cmpstr(tree_text(tree_get(root, "text")), ==, "two\nlines\n");
    g_assert_null(tree_get(root, "empty"));
    g_assert_cmpint(tree_kind(tree_item(root, 1)), ==, TREE_NULL);
    assert_place(disks, 3, 5, "vms[0].disks");
    assert_place(tree_item(disks, 1), 3, 18, "vms[0].disks[1]");
    assert_place(root, 1, 1, "");
}

static void test_json(void)
{
    /* What YAML readers stumble over: a surrogate pair, a leading tab, a raw DEL, an escaped slash. */
    g_autoptr(Tree) tree = parse("\t{\"name\": \"\\ud83d\\ude00\\/\x7f\",\n"
                                 "\t\"n\" : -12e2, \"t\":true,\"none\":null,\n"
                                 "  \"list\": [1, [\"a,]\\\"b\"], {\"deep\": {\"er\": \"x\"}}]}\n");
    const TreeNode *root = tree_root(tree);
    const TreeNode *list = tree_get(root, "list");

    g_assert_cmpstr(tree_text(tree_get(root, "name")), ==, "\360\237\230\200/\x7f");
    g_assert_true(tree_quoted(tree_get(root, "name")));
    g_assert_cmpstr(tree_text(tree_get(root, "n")), ==, "-12e2");
    g_assert_cmpstr(tree_text(tree_get(root, "t")), ==, "true");
    g_assert_false(tree_quoted(tree_get(root, "t")));
    g_assert_null(tree_get(root, "none"));
    g_assert_cmpstr(tree_text(tree_item(tree_item(list, 1), 0)), ==, "a,]\"b");
    g_assert_cmpstr(tree_text(tree_find(tree_item(list, 2), "deep.er")), ==, "x");
    assert_place(tree_get(root, "name"), 1, 3, "name");
    assert_place(tree_get(root, "t"), 2, 15, "t");
    assert_place(tree_find(tree_item(list, 2), "deep.er"), 3, 37, "list[2].deep.er");
}

static void test_flow_is_yaml_when_it_is_no_json(void)
{
    g_autoptr(Tree) tree = parse("{name: web, size: 10G}");

    g_assert_cmpstr(tree_text(tree_get(tree_root(tree), "size")), ==, "10G");
    assert_syntax_error("a.json", "{name: web}", "a.json: line 1, ");
}

static void test_empty(void)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "~\n", "{}", "\n\n"};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(Tree) tree = parse(texts[i]);

        g_assert_cmpint(tree_kind(tree_root(tree)), ==, TREE_MAPPING);
        g_assert_cmpuint(tree_length(tree_root(tree)), ==, 0);
    }
}

static void test_refused(void)
{
    assert_refused("a: 1\nb: 2\na: 3\n", "a.yaml:3: a is given twice, first in line 1");
    assert_refused("a: &x 1\n", "a.yaml:1: anchors (&x) are not supported; write the value out");
    assert_refused("a: 1\nb: *x\n", "a.yaml:2: aliases (*x) are not supported; write the value out");
    assert_refused("a: !!str 1\n", "a.yaml:1: tags (tag:yaml.org,2002:str) are not supported; leave it out");
    assert_refused("a: &x {b: 1}\n", "a.yaml:1: anchors (&x) are not supported; write the value out");
    assert_refused("a: 1\n---\nb: 2\n",
                   "a.yaml:2: a second document begins here; put it into a file of its own");
    assert_refused("? [a]\n: 1\n", "a.yaml:1: a key must be a plain word, not a list");
    assert_refused("just text\n", "a.yaml:1: keys and values are expected here, not a lone value");
    assert_refused("a: \"x\\0y\"\n", "a.yaml:1: the text holds a NUL or is not UTF-8");
    assert_syntax_error("a.yaml", "a: [1\nb: 2\n", "a.yaml:2: column ");
    assert_syntax_error("a.yaml", "a: \xff\n", "a.yaml: not UTF-8 text (");
    assert_syntax_error("a.json", "{\n\"a\":1,\"a\":2}", "a.json: line 2, ");
    assert_syntax_error("a.json", "{} {}", "a.json: line 1, ");
}

static void test_limits(void)
{
    g_autoptr(GString) deep = g_string_new(NULL);
    g_autoptr(GString) wide = g_string_new("{\"a\": [");
    g_autofree char *large = g_malloc(TREE_MAX_BYTES + 1);

    for (guint i = 0; i < TREE_MAX_DEPTH; i++)
        g_string_append(deep, "[");
    g_string_prepend(deep, "a: ");
    assert_refused(deep->str, "a.yaml:1: nested deeper than 32");

    g_string_assign(deep, "{\"a\": ");
    for (guint i = 0; i < TREE_MAX_DEPTH; i++)
        g_string_append(deep, "[");
    for (guint i = 0; i < TREE_MAX_DEPTH; i++)
        g_string_append(deep, "]");
    g_string_append(deep, "}");
    assert_refused_as("a.json", deep->str, -1, "a.json:1: nested deeper than 32");

    for (guint i = 0; i < TREE_MAX_NODES; i++)
        g_string_append(wide, "0,\n");
    g_string_append(wide, "0]}");
    assert_refused_as("a.json", wide->str, -1,
                      "a.json:65535: more than 65536 values; that is no configuration");

    memset(large, '#', TREE_MAX_BYTES + 1);
    assert_refused_as("a.yaml", large, (gssize)TREE_MAX_BYTES + 1,
                      "a.yaml: is larger than 1024 KiB; that is no configuration");
}

static void assert_why(GError **error, const char *message)
{
    g_assert_error(*error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_cmpstr((*error)->message, ==, message);
    g_clear_error(error);
}

static void test_getters(void)
{
    static const char *const words[] = {"auto", "force", "manual", NULL};
    g_autoptr(Tree) tree = parse("n: 12\nneg: -3\nsize: 1.5K\nwait: 5m\nplain: 90\nyes: on\nno: False\n"
                                 "word: force\ntext: 0012\n");
    const TreeNode *root = tree_root(tree);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup("old");
    gint64 integer = 0;
    guint small = 0;
    guint64 big = 0;
    gboolean flag = FALSE;
    gint index = -1;

    g_assert_true(tree_to_uint(tree_get(root, "n"), 0, 12, &small, &error));
    g_assert_cmpuint(small, ==, 12);
    g_assert_true(tree_to_integer(tree_get(root, "neg"), -3, 0, &integer, &error));
    g_assert_cmpint(integer, ==, -3);
    g_assert_true(tree_to_size(tree_get(root, "size"), 0, KIB * 2, &big, &error));
    g_assert_cmpuint(big, ==, 1536);
    g_assert_true(tree_to_seconds(tree_get(root, "wait"), 0, 300, &big, &error));
    g_assert_cmpuint(big, ==, 300);
    g_assert_true(tree_to_seconds(tree_get(root, "plain"), 0, 300, &big, &error));
    g_assert_cmpuint(big, ==, 90);
    g_assert_true(tree_to_boolean(tree_get(root, "yes"), &flag, &error));
    g_assert_true(flag);
    g_assert_true(tree_to_boolean(tree_get(root, "no"), &flag, &error));
    g_assert_false(flag);
    g_assert_true(tree_to_enum(tree_get(root, "word"), words, &index, &error));
    g_assert_cmpint(index, ==, 1);
    g_assert_true(tree_to_string(tree_get(root, "text"), &text, &error));
    g_assert_cmpstr(text, ==, "0012");
    g_assert_no_error(error);
}

static void test_getters_refuse(void)
{
    static const char *const words[] = {"auto", "force", NULL};
    g_autoptr(Tree) tree = parse("n: 12x\nquoted: '12'\nbig: 99\nsize: 3Q\nwait: -1s\nflag: maybe\n"
                                 "word: Auto\nmap: {a: 1}\n");
    const TreeNode *root = tree_root(tree);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    guint small = 7;
    guint64 big = 7;
    gboolean flag = 7;
    gint index = 7;

    g_assert_false(tree_to_uint(tree_get(root, "n"), 0, 99, &small, &error));
    assert_why(&error, "a.yaml:1: n: \"12x\" is not a whole number");
    g_assert_false(tree_to_uint(tree_get(root, "quoted"), 0, 99, &small, &error));
    assert_why(&error, "a.yaml:2: quoted: \"12\" is not a whole number (leave the quotes out)");
    g_assert_false(tree_to_uint(tree_get(root, "big"), 1, 98, &small, &error));
    assert_why(&error, "a.yaml:3: big: 99 is out of range; 1 to 98 are allowed");
    g_assert_false(tree_to_size(tree_get(root, "size"), 0, KIB, &big, &error));
    g_clear_error(&error);
    g_assert_false(tree_to_size(tree_get(root, "big"), KIB, MIB, &big, &error));
    assert_why(&error, "a.yaml:3: big: 99 is out of range; 1.00 KiB to 1.00 MiB are allowed");
    g_assert_false(tree_to_seconds(tree_get(root, "wait"), 0, 99, &big, &error));
    g_clear_error(&error);
    g_assert_false(tree_to_boolean(tree_get(root, "flag"), &flag, &error));
    assert_why(&error, "a.yaml:6: flag: \"maybe\" is neither true nor false");
    g_assert_false(tree_to_enum(tree_get(root, "word"), words, &index, &error));
    assert_why(&error, "a.yaml:7: word: \"Auto\" is not one of auto, force");
    g_assert_false(tree_to_string(tree_get(root, "map"), &text, &error));
    assert_why(&error, "a.yaml:8: map: text is expected here, not a mapping");
    g_assert_cmpuint(small, ==, 7);
    g_assert_cmpuint(big, ==, 7);
    g_assert_cmpint(flag, ==, 7);
    g_assert_cmpint(index, ==, 7);
}

static void test_default_stays(void)
{
    g_autoptr(Tree) tree = parse("a:\n");
    g_autoptr(GError) error = NULL;
    guint value = 5;

    g_assert_true(tree_to_uint(tree_get(tree_root(tree), "a"), 0, 9, &value, &error));
    g_assert_true(tree_to_uint(tree_get(tree_root(tree), "missing"), 0, 9, &value, &error));
    g_assert_null(tree_find(tree_root(tree), "a.b.c"));
    g_assert_cmpuint(value, ==, 5);
}

static void test_did_you_mean(void)
{
    static const char *const words[] = {"delta_interval", "readers", "verify", NULL};

    g_assert_cmpstr(tree_did_you_mean("delta_intervall", words), ==, "delta_interval");
    g_assert_cmpstr(tree_did_you_mean("reader", words), ==, "readers");
    g_assert_cmpstr(tree_did_you_mean("Verify", words), ==, "verify");
    g_assert_null(tree_did_you_mean("bandwidth", words));
    g_assert_null(tree_did_you_mean("", words));
}

static void test_load(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("vmferry-tree-XXXXXX", &error);
    g_autofree char *path = g_build_filename(directory, "x.yaml", NULL);
    g_autoptr(Tree) tree = NULL;

    g_assert_null(tree_load(path, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_true(io_write_file(path, "a: 1\n", 5, 0600, &error));
    tree = tree_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(tree_name(tree_root(tree)), ==, path);
    g_remove(path);
    g_rmdir(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/yaml", test_yaml);
    g_test_add_func("/tree/json", test_json);
    g_test_add_func("/tree/flow", test_flow_is_yaml_when_it_is_no_json);
    g_test_add_func("/tree/empty", test_empty);
    g_test_add_func("/tree/refused", test_refused);
    g_test_add_func("/tree/limits", test_limits);
    g_test_add_func("/tree/getters", test_getters);
    g_test_add_func("/tree/getters-refuse", test_getters_refuse);
    g_test_add_func("/tree/default-stays", test_default_stays);
    g_test_add_func("/tree/did-you-mean", test_did_you_mean);
    g_test_add_func("/tree/load", test_load);
    return g_test_run();
}
