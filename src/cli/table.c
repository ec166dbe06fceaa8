#include "cli/table.h"

#define GAP "  "

struct Table {
    guint columns;
    gboolean *right;
    GPtrArray *rows; /* GStrv; the first is the header */
};

static void free_row(gpointer row)
{
    g_strfreev(row);
}

char *table_printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) out = g_string_new(NULL);

    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

Table *table_new(const char *const *headers)
{
    Table *table = g_new0(Table, 1);
    g_autofree const char **cells = NULL;

    table->columns = g_strv_length((char **)headers);
    table->right = g_new0(gboolean, table->columns);
    table->rows = g_ptr_array_new_with_free_func(free_row);
    cells = g_new0(const char *, table->columns);
    for (guint i = 0; i < table->columns; i++) {
        table->right[i] = headers[i][0] == '>';
        cells[i] = headers[i] + (table->right[i] ? 1 : 0);
    }
    table_add(table, cells);
    return table;
}

void table_free(Table *table)
{
    if (table == NULL)
        return;
    g_free(table->right);
    g_ptr_array_unref(table->rows);
    g_free(table);
}

void table_add(Table *table, const char *const *cells)
{
    char **row = g_new0(char *, table->columns + 1);

    for (guint i = 0; i < table->columns; i++)
        row[i] = table_printable(cells[i] != NULL && *cells[i] != '\0' ? cells[i] : "-");
    g_ptr_array_add(table->rows, row);
}

static guint width_of(const Table *table, guint column)
{
    glong width = 0;

    for (guint i = 0; i < table->rows->len; i++) {
        char *const *row = table->rows->pdata[i];

        width = MAX(width, g_utf8_strlen(row[column], -1));
    }
    return (guint)width;
}

static void append_padding(GString *out, guint width)
{
    for (guint i = 0; i < width; i++)
        g_string_append_c(out, ' ');
}

static void append_cell(GString *out, const Table *table, const char *text, guint column, guint width)
{
    guint padding = width - (guint)g_utf8_strlen(text, -1);

    if (table->right[column])
        append_padding(out, padding);
    g_string_append(out, text);
    /* No blanks at the end of a line. */
    if (!table->right[column] && column + 1 < table->columns)
        append_padding(out, padding);
}

char *table_to_text(const Table *table)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree guint *widths = g_new0(guint, table->columns);

    for (guint column = 0; column < table->columns; column++)
        widths[column] = width_of(table, column);
    for (guint i = 0; i < table->rows->len; i++) {
        char *const *row = table->rows->pdata[i];

        for (guint column = 0; column < table->columns; column++) {
            if (column > 0)
                g_string_append(out, GAP);
            append_cell(out, table, row[column], column, widths[column]);
        }
        g_string_append_c(out, '\n');
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

void table_print(const Table *table, FILE *out)
{
    g_autofree char *text = table_to_text(table);

    fputs(text, out);
}
