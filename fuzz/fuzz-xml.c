#include "fuzz.h"

#include "base/error.h"
#include "base/xml.h"

#include <string.h>

/* Copies an element with everything that the reader tells of it. */
static void copy_element(XmlWriter *writer, XmlNode *node)
{
    XmlNode *child = xml_child(node, NULL);
    const char *type = xml_xsi_type(node);
    const char *attribute = xml_attribute(node, "type");

    xml_open(writer, "e");
    xml_set(writer, "name", xml_name(node));
    if (type != NULL)
        xml_set(writer, "xsi", type);
    if (attribute != NULL)
        xml_set(writer, "type", attribute);
    if (child == NULL)
        xml_put_text(writer, xml_text(node));
    else
        g_assert_nonnull(xml_text(node));
    for (; child != NULL; child = xml_next(child, NULL))
        copy_element(writer, child);
    xml_close(writer);
}

/* What can be read can be written and read again, unless the escapes make it longer than the limit. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { LIMIT = 1 << 20 };
    g_autoptr(GError) error = NULL;
    g_autoptr(XmlDocument) document = xml_parse((const char *)data, size, LIMIT, &error);
    g_autoptr(XmlDocument) again = NULL;
    g_autofree char *text = NULL;
    XmlWriter *writer;

    g_assert_true((document != NULL) == (error == NULL));
    if (document == NULL)
        return 0;
    writer = xml_writer_new(0, TRUE);
    copy_element(writer, xml_root(document));
    text = xml_writer_finish(writer);
    again = xml_parse(text, strlen(text), LIMIT, &error);
    g_assert_true(again != NULL || strlen(text) > LIMIT);
    return 0;
}
