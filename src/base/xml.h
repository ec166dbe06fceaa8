/* base/xml.h: the one place that includes libxml2.  A reader over a parsed tree and a writer, both small.
 *
 * Foreign XML is parsed without network, without DTD and without entity expansion; what is larger than its
 * limit or nests deeper than 256 is refused.  Namespace prefixes are dropped from names and from xsi:type
 * values: vSphere servers disagree about them.
 *
 * Thread rule: a document and its nodes belong to one thread.
 */
#pragma once

#include <glib.h>

/* --- reading --- */

typedef struct XmlDocument XmlDocument; /* owns every node */
typedef struct _xmlNode XmlNode;        /* an element; borrowed from its document */

/* VF_ERROR_INVALID with line number when it is not well-formed or exceeds `max` bytes. */
XmlDocument *xml_parse(const char *text, gsize length, gsize max, GError **error);
void xml_document_free(XmlDocument *document); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlDocument, xml_document_free)

XmlNode *xml_root(const XmlDocument *document);
const char *xml_name(const XmlNode *node); /* local name, without prefix */
gboolean xml_is(const XmlNode *node, const char *name);

/* First child element; next sibling element.  `name` NULL: any.  A NULL node gives NULL. */
XmlNode *xml_child(const XmlNode *node, const char *name);
XmlNode *xml_next(const XmlNode *node, const char *name);

/* Text content of the element, "" when empty; NULL for a NULL node.  Borrowed: lives as long as the document.
 */
const char *xml_text(XmlNode *node);
/* Text of the first child `name`, or NULL when there is none. */
const char *xml_child_text(XmlNode *node, const char *name);
/* Attribute by local name, or NULL.  Borrowed. */
const char *xml_attribute(XmlNode *node, const char *name);
/* The local part of xsi:type, or NULL. */
const char *xml_xsi_type(XmlNode *node);
guint xml_line(const XmlNode *node);

/* --- writing --- */

typedef struct XmlWriter XmlWriter;

/* `indent`: 0 for one line, otherwise spaces per level.  An XML declaration is written first when
 * `declaration`. */
XmlWriter *xml_writer_new(guint indent, gboolean declaration);
void xml_writer_free(XmlWriter *writer); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlWriter, xml_writer_free)

void xml_open(XmlWriter *writer, const char *name);
/* For the element opened last.  Values are escaped; characters that XML 1.0 forbids are dropped. */
void xml_set(XmlWriter *writer, const char *attribute, const char *value);
void xml_setf(XmlWriter *writer, const char *attribute, const char *format, ...) G_GNUC_PRINTF(3, 4);
void xml_put_text(XmlWriter *writer, const char *text);
void xml_close(XmlWriter *writer);

/* <name>text</name>; nothing at all when `text` is NULL. */
void xml_element(XmlWriter *writer, const char *name, const char *text);
void xml_elementf(XmlWriter *writer, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The document so far, whose open elements must be none; frees the writer. */
char *xml_writer_finish(XmlWriter *writer);
