/* spec/tree-value.c: what a scalar means when somebody says which type it should have. */
#include "base/error.h"
#include "base/size.h"
#include "spec/tree.h"

#include <string.h>

/* TRUE when the node holds text. */
static gboolean scalar(const TreeNode *node, const char *wanted, GError **error)
{
    if (tree_kind(node) == TREE_SCALAR)
        return TRUE;
    return tree_fail(node, error, "%s is expected here, not %s", wanted, tree_kind_name(tree_kind(node)));
}

gboolean tree_to_string(const TreeNode *node, char **ret_text, GError **error)
{
    if (node == NULL)
        return TRUE;
    if (!scalar(node, "text", error))
        return FALSE;
    g_free(*ret_text);
    *ret_text = g_strdup(tree_text(node));
    return TRUE;
}

gboolean tree_to_integer(const TreeNode *node, gint64 min, gint64 max, gint64 *ret, GError **error)
{
    g_autoptr(GError) why = NULL;
    gint64 value = 0;

    if (node == NULL)
        return TRUE;
    if (!scalar(node, "a whole number", error))
        return FALSE;
    if (tree_quoted(node) ||
        !g_ascii_string_to_signed(tree_text(node), 10, G_MININT64, G_MAXINT64, &value, &why))
        return tree_fail(node, error, "\"%s\" is not a whole number%s", tree_text(node),
                         tree_quoted(node) ? " (leave the quotes out)" : "");
    if (value < min || value > max)
        return tree_fail(node, error,
                         "%" G_GINT64_FORMAT " is out of range; %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                         " are allowed",
                         value, min, max);
    *ret = value;
    return TRUE;
}

gboolean tree_to_uint(const TreeNode *node, guint min, guint max, guint *ret, GError **error)
{
    gint64 value = 0;

    if (node == NULL)
        return TRUE;
    if (!tree_to_integer(node, min, max, &value, error))
        return FALSE;
    *ret = (guint)value;
    return TRUE;
}

gboolean tree_to_size(const TreeNode *node, guint64 min, guint64 max, guint64 *ret_bytes, GError **error)
{
    g_autoptr(GError) why = NULL;
    guint64 bytes = 0;

    if (node == NULL)
        return TRUE;
    if (!scalar(node, "a size", error))
        return FALSE;
    if (!size_parse(tree_text(node), &bytes, &why))
        return tree_fail(node, error, "%s", why->message);
    if (bytes < min || bytes > max) {
        g_autofree char *low = size_format(min);
        g_autofree char *high = size_format(max);

        return tree_fail(node, error, "%s is out of range; %s to %s are allowed", tree_text(node), low, high);
    }
    *ret_bytes = bytes;
    return TRUE;
}

gboolean tree_to_seconds(const TreeNode *node, guint64 min, guint64 max, guint64 *ret_seconds, GError **error)
{
    g_autoptr(GError) why = NULL;
    guint64 seconds = 0;

    if (node == NULL)
        return TRUE;
    if (!scalar(node, "a duration", error))
        return FALSE;
    if (!duration_parse(tree_text(node), &seconds, &why))
        return tree_fail(node, error, "%s", why->message);
    if (seconds < min || seconds > max)
        return tree_fail(node, error,
                         "%s is out of range; %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                         " seconds are allowed",
                         tree_text(node), min, max);
    *ret_seconds = seconds;
    return TRUE;
}

gboolean tree_to_boolean(const TreeNode *node, gboolean *ret, GError **error)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};
    gboolean is_yes = FALSE;

    if (node == NULL)
        return TRUE;
    if (!scalar(node, "true or false", error))
        return FALSE;
    is_yes = g_strv_contains(yes, tree_text(node));
    if (tree_quoted(node) || (!is_yes && !g_strv_contains(no, tree_text(node))))
        return tree_fail(node, error, "\"%s\" is neither true nor false%s", tree_text(node),
                         tree_quoted(node) ? " (leave the quotes out)" : "");
    *ret = is_yes;
    return TRUE;
}

gboolean tree_to_enum(const TreeNode *node, const char *const *words, gint *ret_index, GError **error)
{
    g_autofree char *all = NULL;

    if (node == NULL)
        return TRUE;
    if (!scalar(node, "a word", error))
        return FALSE;
    for (gint i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], tree_text(node)) == 0) {
            *ret_index = i;
            return TRUE;
        }
    }
    all = g_strjoinv(", ", (char **)words);
    return tree_fail(node, error, "\"%s\" is not one of %s", tree_text(node), all);
}

/* Levenshtein's distance with one row, on bytes: keys are ASCII. */
static guint edit_distance(const char *a, const char *b)
{
    gsize columns = strlen(b);
    g_autofree guint *row = g_new(guint, columns + 1);

    for (guint j = 0; j <= columns; j++)
        row[j] = j;
    for (guint i = 1; a[i - 1] != '\0'; i++) {
        guint diagonal = row[0];

        row[0] = i;
        for (guint j = 1; j <= columns; j++) {
            guint above = row[j];

            row[j] = MIN(MIN(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[columns];
}

/* A longer word is no typing error of a key of ours, and would only cost time. */
#define LONGEST_WORD 64

const char *tree_did_you_mean(const char *word, const char *const *words)
{
    const char *best = NULL;
    guint best_distance = G_MAXUINT;

    if (strlen(word) > LONGEST_WORD)
        return NULL;
    for (guint i = 0; words[i] != NULL; i++) {
        guint distance = edit_distance(word, words[i]);

        if (distance < best_distance && distance <= MAX(1, strlen(words[i]) / 3)) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}
