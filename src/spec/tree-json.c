/* spec/tree-json.c: the JSON side of the tree.
 *
 * jansson says what the text means and refuses what is not JSON, but it does not keep where a value stood. So
 * its values, which are in the order of the text, are walked together with a scanner over that text.  As the
 * text is known to be correct JSON by then, the scanner needs to know tokens only, no grammar.
 */
#include "base/error.h"
#include "base/json.h"
#include "spec/tree-build.h"

#include <string.h>

typedef struct {
    const char *next, *end;
    TreePlace place; /* of `next` */
} Scanner;

typedef struct {
    const char *text;
    gsize length;
    TreePlace place;
} Token;

static void skip_space(Scanner *scanner)
{
    for (; scanner->next < scanner->end && memchr(" \t\r\n,:", *scanner->next, 6) != NULL; scanner->next++) {
        scanner->place.column++;
        if (*scanner->next == '\n')
            scanner->place = (TreePlace){scanner->place.line + 1, 1};
    }
}

static gsize token_length(const char *text, const char *end)
{
    const char *p = text + 1;

    if (*text == '"') {
        while (p < end && *p != '"')
            p += *p == '\\' ? 2 : 1;
        return (gsize)(MIN(p + 1, end) - text);
    }
    if (memchr("{}[]", *text, 4) != NULL)
        return 1;
    while (p < end && memchr(" \t\r\n,:{}[]", *p, 10) == NULL)
        p++;
    return (gsize)(p - text);
}

/* Commas and colons are passed over. */
static Token next_token(Scanner *scanner)
{
    Token token = {0};

    skip_space(scanner);
    token.text = scanner->next;
    token.place = scanner->place;
    if (scanner->next < scanner->end)
        token.length = token_length(scanner->next, scanner->end);
    scanner->next += token.length;
    scanner->place.column += (guint)g_utf8_strlen(token.text, (gssize)token.length);
    return token;
}

static gboolean walk(TreeBuilder *builder, Scanner *scanner, Json *value, GError **error);

static gboolean walk_object(TreeBuilder *builder, Scanner *scanner, Json *object, TreePlace place,
                            GError **error)
{
    const char *key = NULL;
    Json *value = NULL;

    if (!tree_builder_open(builder, TREE_MAPPING, place, error))
        return FALSE;
    json_object_foreach(object, key, value)
    {
        Token token = next_token(scanner);

        if (!tree_builder_key(builder, key, strlen(key), token.place, error) ||
            !walk(builder, scanner, value, error))
            return FALSE;
    }
    next_token(scanner);
    tree_builder_close(builder);
    return TRUE;
}

static gboolean walk_array(TreeBuilder *builder, Scanner *scanner, Json *array, TreePlace place,
                           GError **error)
{
    gsize i = 0;
    Json *value = NULL;

    if (!tree_builder_open(builder, TREE_SEQUENCE, place, error))
        return FALSE;
    json_array_foreach(array, i, value)
    {
        if (!walk(builder, scanner, value, error))
            return FALSE;
    }
    next_token(scanner);
    tree_builder_close(builder);
    return TRUE;
}

/* The depth is bounded by the builder, which refuses to open more than TREE_MAX_DEPTH. */
static gboolean walk(TreeBuilder *builder, Scanner *scanner, Json *value, GError **error)
{
    Token token = next_token(scanner);

    if (json_is_object(value))
        return walk_object(builder, scanner, value, token.place, error);
    if (json_is_array(value))
        return walk_array(builder, scanner, value, token.place, error);
    if (json_is_string(value))
        return tree_builder_leaf(builder, TREE_SCALAR, TRUE, json_string_value(value),
                                 json_string_length(value), token.place, error);
    return tree_builder_leaf(builder, json_is_null(value) ? TREE_NULL : TREE_SCALAR, FALSE, token.text,
                             token.length, token.place, error);
}

gboolean tree_read_json(TreeBuilder *builder, const char *text, gsize length, GError **error)
{
    Scanner scanner = {.next = text, .end = text + length, .place = {1, 1}};
    g_autoptr(Json) json = json_parse(text, length, TREE_MAX_BYTES, builder->tree->name, error);

    return json != NULL && walk(builder, &scanner, json, error);
}
