/* Reading: libxml2 builds a tree, and what it could be made to do beyond that is taken away before it sees a
 * byte.
 *
 * A document type declaration ends the parse at its first character, so there are no entities to expand and
 * nothing to fetch.  Comments and processing instructions are not kept; together with NOCDATA this makes the
 * text of an element without children one node, which xml_text() can lend.  Without XML_PARSE_HUGE libxml2
 * itself refuses nesting beyond 256 and single texts beyond 10 MB.
 */
#include "base/xml.h"

#include "base/error.h"

#include <libxml/chvalid.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlwriter.h>
#include <stdarg.h>
#include <string.h>

#define XSI_NAMESPACE "http://www.w3.org/2001/XMLSchema-instance"

struct XmlDocument {
    xmlDoc *tree;
    GHashTable *joined; /* xmlNode -> char *: the text of mixed content, which is in no single node */
};

static gpointer initialise(gpointer data)
{
    xmlInitParser();
    return NULL;
}

static void initialise_once(void)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, initialise, NULL);
}

static void refuse_dtd(void *parser, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    xmlParserCtxt *context = parser;

    context->_private = context;
    xmlStopParser(context);
}

static void report(const xmlParserCtxt *context, GError **error)
{
    g_autofree char *message =
        g_strchomp(g_strdup(context->lastError.message != NULL ? context->lastError.message : "?"));

    if (context->_private != NULL)
        vf_fail(error, VF_ERROR_INVALID, "XML with a document type declaration is not accepted");
    else
        vf_fail(error, VF_ERROR_INVALID, "not well-formed XML: line %d: %s", context->lastError.line,
                message);
}

/* Decoders of foreign encodings report past the parser's context, by default on standard error. */
static void say_nothing(void *data, const char *format, ...)
{
}

static xmlDoc *parse_tree(const char *text, gsize length, GError **error)
{
    xmlParserCtxt *context = xmlNewParserCtxt();
    xmlDoc *tree;

    xmlSetGenericErrorFunc(NULL, say_nothing); /* for this thread */
    context->sax->internalSubset = refuse_dtd;
    context->sax->comment = NULL;
    context->sax->processingInstruction = NULL;
    tree = xmlCtxtReadMemory(context, text, (int)length, NULL, NULL,
                             XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (tree != NULL && (context->_private != NULL || xmlDocGetRootElement(tree) == NULL))
        g_clear_pointer(&tree, xmlFreeDoc);
    if (tree == NULL)
        report(context, error);
    xmlFreeParserCtxt(context);
    return tree;
}

XmlDocument *xml_parse(const char *text, gsize length, gsize max, GError **error)
{
    XmlDocument *document;
    xmlDoc *tree;

    initialise_once();
    if (length > max || length > G_MAXINT) {
        vf_fail(error, VF_ERROR_INVALID, "%zu bytes of XML are more than the %zu that are allowed", length,
                max);
        return NULL;
    }
    tree = parse_tree(text, length, error);
    if (tree == NULL)
        return NULL;
    document = g_new(XmlDocument, 1);
    *document = (XmlDocument){.tree = tree, .joined = g_hash_table_new_full(NULL, NULL, NULL, xmlFree)};
    tree->_private = document;
    return document;
}

void xml_document_free(XmlDocument *document)
{
    if (document == NULL)
        return;
    xmlFreeDoc(document->tree);
    g_hash_table_unref(document->joined);
    g_free(document);
}

XmlNode *xml_root(const XmlDocument *document)
{
    return xmlDocGetRootElement(document->tree);
}

/* A prefix that was never declared is still part of the name. */
static const char *local_part(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon != NULL ? colon + 1 : name;
}

const char *xml_name(const XmlNode *node)
{
    return node != NULL ? local_part((const char *)node->name) : NULL;
}

gboolean xml_is(const XmlNode *node, const char *name)
{
    return node != NULL && strcmp(xml_name(node), name) == 0;
}

static XmlNode *first_element(XmlNode *node, const char *name)
{
    while (node != NULL && (node->type != XML_ELEMENT_NODE || (name != NULL && !xml_is(node, name))))
        node = node->next;
    return node;
}

XmlNode *xml_child(const XmlNode *node, const char *name)
{
    return node != NULL ? first_element(node->children, name) : NULL;
}

XmlNode *xml_next(const XmlNode *node, const char *name)
{
    return node != NULL ? first_element(node->next, name) : NULL;
}

static const char *joined_text(XmlNode *node)
{
    XmlDocument *document = node->doc->_private;
    char *text = g_hash_table_lookup(document->joined, node);

    if (text == NULL) {
        text = (char *)xmlNodeGetContent(node);
        g_hash_table_insert(document->joined, node, text);
    }
    return text;
}

const char *xml_text(XmlNode *node)
{
    if (node == NULL)
        return NULL;
    if (node->children == NULL)
        return "";
    if (node->children->next == NULL && node->children->type == XML_TEXT_NODE)
        return (const char *)node->children->content;
    return joined_text(node);
}

const char *xml_child_text(XmlNode *node, const char *name)
{
    return xml_text(xml_child(node, name));
}

static const char *attribute_value(xmlAttr *attribute)
{
    if (attribute->children == NULL)
        return "";
    return (const char *)attribute->children->content;
}

const char *xml_attribute(XmlNode *node, const char *name)
{
    const char *qualified = NULL;

    for (xmlAttr *attribute = node != NULL ? node->properties : NULL; attribute != NULL;
         attribute = attribute->next) {
        if (strcmp(local_part((const char *)attribute->name), name) != 0)
            continue;
        if (attribute->ns == NULL && strchr((const char *)attribute->name, ':') == NULL)
            return attribute_value(attribute);
        qualified = attribute_value(attribute);
    }
    return qualified;
}

static gboolean is_xsi_type(const xmlAttr *attribute)
{
    if (attribute->ns == NULL)
        return strcmp((const char *)attribute->name, "xsi:type") == 0;
    return strcmp((const char *)attribute->name, "type") == 0 &&
           strcmp((const char *)attribute->ns->href, XSI_NAMESPACE) == 0;
}

const char *xml_xsi_type(XmlNode *node)
{
    for (xmlAttr *attribute = node != NULL ? node->properties : NULL; attribute != NULL;
         attribute = attribute->next)
        if (is_xsi_type(attribute))
            return local_part(attribute_value(attribute));
    return NULL;
}

guint xml_line(const XmlNode *node)
{
    long line = node != NULL ? xmlGetLineNo(node) : 0;

    return line > 0 ? (guint)line : 0;
}

/* --- writing --- */

struct XmlWriter {
    xmlBuffer *buffer;
    xmlTextWriter *text;
    guint open; /* elements not yet closed */
};

/* Everything goes to memory, so nothing fails but for want of it. */
static void must(int result)
{
    if (result < 0)
        g_error("libxml2 cannot write to memory");
}

XmlWriter *xml_writer_new(guint indent, gboolean declaration)
{
    XmlWriter *writer = g_new0(XmlWriter, 1);
    g_autofree char *spaces = g_strnfill(indent, ' ');

    initialise_once();
    writer->buffer = xmlBufferCreate();
    writer->text = xmlNewTextWriterMemory(writer->buffer, 0);
    g_assert(writer->text != NULL);
    if (indent > 0) {
        must(xmlTextWriterSetIndent(writer->text, 1));
        must(xmlTextWriterSetIndentString(writer->text, BAD_CAST spaces));
    }
    if (declaration)
        must(xmlTextWriterStartDocument(writer->text, NULL, "UTF-8", NULL));
    return writer;
}

void xml_writer_free(XmlWriter *writer)
{
    if (writer == NULL)
        return;
    xmlFreeTextWriter(writer->text);
    xmlBufferFree(writer->buffer);
    g_free(writer);
}

/* Valid UTF-8 without the characters that XML 1.0 has no way to write. */
static char *writable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *kept = g_string_sized_new(strlen(valid));

    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar character = g_utf8_get_char(p);

        if (xmlIsCharQ(character))
            g_string_append_unichar(kept, character);
    }
    return g_string_free(kept, FALSE);
}

void xml_open(XmlWriter *writer, const char *name)
{
    must(xmlTextWriterStartElement(writer->text, BAD_CAST name));
    writer->open++;
}

void xml_set(XmlWriter *writer, const char *attribute, const char *value)
{
    g_autofree char *safe = writable(value);

    must(xmlTextWriterWriteAttribute(writer->text, BAD_CAST attribute, BAD_CAST safe));
}

void xml_setf(XmlWriter *writer, const char *attribute, const char *format, ...)
{
    g_autofree char *value = NULL;
    va_list arguments;

    va_start(arguments, format);
    value = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    xml_set(writer, attribute, value);
}

void xml_put_text(XmlWriter *writer, const char *text)
{
    g_autofree char *safe = writable(text);

    must(xmlTextWriterWriteString(writer->text, BAD_CAST safe));
}

void xml_close(XmlWriter *writer)
{
    g_assert(writer->open > 0);
    must(xmlTextWriterEndElement(writer->text));
    writer->open--;
}

void xml_element(XmlWriter *writer, const char *name, const char *text)
{
    if (text == NULL)
        return;
    xml_open(writer, name);
    xml_put_text(writer, text);
    xml_close(writer);
}

void xml_elementf(XmlWriter *writer, const char *name, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    xml_element(writer, name, text);
}

char *xml_writer_finish(XmlWriter *writer)
{
    char *text;

    g_assert(writer->open == 0);
    must(xmlTextWriterFlush(writer->text));
    text = g_strdup((const char *)xmlBufferContent(writer->buffer));
    xml_writer_free(writer);
    return text;
}
