/* spec/tree-yaml.c: the YAML side of the tree, over libyaml's event parser.
 *
 * libyaml speaks YAML 1.1 and leaves the meaning of plain scalars to its caller, which suits us: `no`, 1_000
 * and 0o17 stay the text that was written until a getter asks for a type.  Only null is decided here, because
 * it stands for "not given".
 */
#include "spec/tree-build.h"

#include "base/error.h"

#include <string.h>
#include <yaml.h>

static void yaml_fini(yaml_parser_t *parser)
{
    yaml_parser_delete(parser);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(yaml_parser_t, yaml_fini)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(yaml_event_t, yaml_event_delete)

static TreePlace place_of(yaml_mark_t mark)
{
    return (TreePlace){(guint)mark.line + 1, (guint)mark.column + 1};
}

static gboolean is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           g_strv_contains(words, (const char *)event->data.scalar.value);
}

static gboolean on_scalar(TreeBuilder *builder, const yaml_event_t *event, GError **error)
{
    const char *text = (const char *)event->data.scalar.value;
    gsize length = event->data.scalar.length;
    TreePlace place = place_of(event->start_mark);

    if (tree_builder_wants_key(builder))
        return tree_builder_key(builder, text, length, place, error);
    return tree_builder_leaf(builder, is_null(event) ? TREE_NULL : TREE_SCALAR,
                             event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, text, length, place, error);
}

static gboolean on_start(TreeBuilder *builder, TreeKind kind, const yaml_event_t *event, GError **error)
{
    if (tree_builder_wants_key(builder))
        return tree_builder_fail(builder, place_of(event->start_mark), error,
                                 "a key must be a plain word, not %s", tree_kind_name(kind));
    return tree_builder_open(builder, kind, place_of(event->start_mark), error);
}

/* Anchors and tags are written on three kinds of event, at the same two fields each. */
static gboolean refuse_extras(TreeBuilder *builder, const yaml_event_t *event, const yaml_char_t *anchor,
                              const yaml_char_t *tag, GError **error)
{
    TreePlace place = place_of(event->start_mark);

    if (anchor != NULL)
        return tree_builder_fail(builder, place, error,
                                 "anchors (&%s) are not supported; write the value out",
                                 (const char *)anchor);
    if (tag != NULL)
        return tree_builder_fail(builder, place, error, "tags (%s) are not supported; leave it out",
                                 (const char *)tag);
    return TRUE;
}

static gboolean on_event(TreeBuilder *builder, const yaml_event_t *event, guint *documents, GError **error)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return TRUE;
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1)
            return tree_builder_fail(builder, place_of(event->start_mark), error,
                                     "a second document begins here; put it into a file of its own");
        return TRUE;
    case YAML_ALIAS_EVENT:
        return tree_builder_fail(builder, place_of(event->start_mark), error,
                                 "aliases (*%s) are not supported; write the value out",
                                 (const char *)event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        return refuse_extras(builder, event, event->data.scalar.anchor, event->data.scalar.tag, error) &&
               on_scalar(builder, event, error);
    case YAML_SEQUENCE_START_EVENT:
        return refuse_extras(builder, event, event->data.sequence_start.anchor,
                             event->data.sequence_start.tag, error) &&
               on_start(builder, TREE_SEQUENCE, event, error);
    case YAML_MAPPING_START_EVENT:
        return refuse_extras(builder, event, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                             error) &&
               on_start(builder, TREE_MAPPING, event, error);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        tree_builder_close(builder);
        return TRUE;
    }
    return TRUE;
}

static gboolean syntax_error(const TreeBuilder *builder, const yaml_parser_t *parser, GError **error)
{
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";

    /* The reader, which is below lines, knows only an offset. */
    if (parser->error == YAML_READER_ERROR)
        return vf_fail(error, VF_ERROR_INVALID, "%s: not UTF-8 text (%s, byte %zu)", builder->tree->name,
                       problem, parser->problem_offset);
    return tree_builder_fail(builder, place_of(parser->problem_mark), error, "column %zu: %s%s%s",
                             parser->problem_mark.column + 1, problem, parser->context != NULL ? ", " : "",
                             parser->context != NULL ? parser->context : "");
}

gboolean tree_read_yaml(TreeBuilder *builder, const char *text, gsize length, GError **error)
{
    g_auto(yaml_parser_t) parser = {0};
    gboolean end = FALSE;
    guint documents = 0;

    if (!yaml_parser_initialize(&parser))
        return vf_fail(error, VF_ERROR_INTERNAL, "libyaml could not be started");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    while (!end) {
        g_auto(yaml_event_t) event = {0};

        if (!yaml_parser_parse(&parser, &event))
            return syntax_error(builder, &parser, error);
        if (!on_event(builder, &event, &documents, error))
            return FALSE;
        end = event.type == YAML_STREAM_END_EVENT;
    }
    return TRUE;
}
