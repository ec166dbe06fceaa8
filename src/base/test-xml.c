#include "base/xml.h"

#include "base/error.h"

#include <string.h>

static XmlDocument *parsed(const char *text)
{
    g_autoptr(GError) error = NULL;
    XmlDocument *document = xml_parse(text, strlen(text), 1 << 20, &error);

    g_assert_no_error(error);
    return document;
}

static void test_read(void)
{
    g_autoptr(XmlDocument) document =
        parsed("<?xml version='1.0'?>\n"
               "<s:Envelope xmlns:s='urn:s' "
               "xmlns:i='http://www.w3.org/2001/XMLSchema-instance'>\n"
               "  <s:Body><a type='VirtualMachine'>vm-1</a><b/><a>v&lt;&#65;<!-- no -->"
               "<![CDATA[m>]]></a>\n"
               "  <val i:type='v:Disk' type='plain'>1<c>2</c>3</val></s:Body></s:Envelope>");
    XmlNode *body = xml_child(xml_root(document), "Body");
    XmlNode *a = xml_child(body, "a");
    XmlNode *value = xml_child(body, "val");

    g_assert_cmpstr(xml_name(xml_root(document)), ==, "Envelope");
    g_assert_true(xml_is(body, "Body"));
    g_assert_cmpstr(xml_text(a), ==, "vm-1");
    g_assert_cmpstr(xml_attribute(a, "type"), ==, "VirtualMachine");
    g_assert_null(xml_attribute(a, "nothing"));
    g_assert_cmpstr(xml_name(xml_next(a, NULL)), ==, "b");
    g_assert_cmpstr(xml_text(xml_next(a, NULL)), ==, "");
    g_assert_cmpstr(xml_text(xml_next(a, "a")), ==, "v<Am>");
    g_assert_cmpstr(xml_xsi_type(value), ==, "Disk");
    g_assert_cmpstr(xml_attribute(value, "type"), ==, "plain");
    g_assert_null(xml_xsi_type(a));
    g_assert_cmpstr(xml_text(value), ==, "123");
    g_assert_true(xml_text(value) == xml_text(value));
    g_assert_cmpstr(xml_child_text(value, "c"), ==, "2");
    g_assert_null(xml_child_text(value, "d"));
    g_assert_cmpuint(xml_line(value), ==, 4);
    g_assert_null(xml_text(xml_child(xml_child(NULL, "x"), "y")));
    g_assert_null(xml_next(value, NULL));
}

/* Some servers use the prefix without declaring it. */
static void test_undeclared_prefix(void)
{
    g_autoptr(XmlDocument) document = parsed("<v:a xsi:type='vim25:T'/>");

    g_assert_cmpstr(xml_name(xml_root(document)), ==, "a");
    g_assert_cmpstr(xml_xsi_type(xml_root(document)), ==, "T");
}

static void assert_refused(const char *text, gsize length, gsize max, const char *reason)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(xml_parse(text, length, max, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, reason));
}

static void test_refuse(void)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "not well-formed"},
        {"plain", "line 1"},
        {"<a>\n<b></a>", "line 2"},
        {"<a/><b/>", "not well-formed"},
        {"<a>&unknown;</a>", "not well-formed"},
        {"<!DOCTYPE a><a/>", "document type"},
        {"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type"},
        {"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "document type"},
        {"<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'><!ENTITY y '&x;&x;&x;&x;'>]><a>&y;</a>", "document type"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_refused(rows[i].text, strlen(rows[i].text), 1000, rows[i].reason);
    assert_refused("<a></a>", 7, 6, "allowed");
    assert_refused("<a>\0</a>", 8, 100, "not well-formed");
}

static char *nested(guint depth)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < depth; i++)
        g_string_append(text, "<a>");
    for (guint i = 0; i < depth; i++)
        g_string_append(text, "</a>");
    return g_string_free(text, FALSE);
}

static void test_depth(void)
{
    g_autofree char *deep = nested(256);
    g_autofree char *deeper = nested(258);
    g_autoptr(XmlDocument) document = parsed(deep);

    g_assert_nonnull(document);
    assert_refused(deeper, strlen(deeper), 10000, "depth");
}

static void test_write(void)
{
    XmlWriter *writer = xml_writer_new(2, TRUE);
    g_autofree char *text = NULL;

    xml_open(writer, "domain");
    xml_set(writer, "type", "k<\"v\"&m");
    xml_setf(writer, "id", "%d", 7);
    xml_element(writer, "name", "a<b>&\x01\x1f\xff c");
    xml_element(writer, "nothing", NULL);
    xml_elementf(writer, "memory", "%u", 1024u);
    xml_open(writer, "empty");
    xml_close(writer);
    xml_close(writer);
    text = xml_writer_finish(writer);
    g_assert_cmpstr(text, ==,
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                    "<domain type=\"k&lt;&quot;v&quot;&amp;m\" id=\"7\">\n"
                    "  <name>a&lt;b&gt;&amp;\xef\xbf\xbd c</name>\n"
                    "  <memory>1024</memory>\n"
                    "  <empty/>\n"
                    "</domain>\n");
}

static void test_round_trip(void)
{
    static const char odd[] = "tab\tnew\nline ]]> \xc3\xa9 \xf0\x9f\x9a\xa2 & < > \" '";
    XmlWriter *writer = xml_writer_new(0, FALSE);
    g_autofree char *text = NULL;
    g_autoptr(XmlDocument) document = NULL;

    xml_open(writer, "a");
    xml_set(writer, "b", odd);
    xml_put_text(writer, odd);
    xml_close(writer);
    text = xml_writer_finish(writer);
    document = parsed(text);
    g_assert_cmpstr(xml_text(xml_root(document)), ==, odd);
    g_assert_cmpstr(xml_attribute(xml_root(document), "b"), ==, odd);
}

/* What a server sends does not appear on our standard error. */
static void test_silence(void)
{
    static const char text[] = "<?xml version='1.0' encoding='euc-jp'?><a>\xe9\xff\xff</a>";

    if (g_test_subprocess()) {
        g_autoptr(GError) error = NULL;
        g_autoptr(XmlDocument) document = xml_parse(text, strlen(text), sizeof text, &error);

        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/read", test_read);
    g_test_add_func("/xml/undeclared-prefix", test_undeclared_prefix);
    g_test_add_func("/xml/refuse", test_refuse);
    g_test_add_func("/xml/depth", test_depth);
    g_test_add_func("/xml/write", test_write);
    g_test_add_func("/xml/round-trip", test_round_trip);
    g_test_add_func("/xml/silence", test_silence);
    return g_test_run();
}
