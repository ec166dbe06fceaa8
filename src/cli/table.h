/* cli/table.h: columns that are as wide as they must be.  Text from outside cannot drive the terminal.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

typedef struct Table Table;

/* `headers` ends with NULL; a header that starts with '>' makes a column that is aligned to the right. */
Table *table_new(const char *const *headers);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* As many texts as there are headers; NULL is shown as "-". */
void table_add(Table *table, const char *const *cells);
char *table_to_text(const Table *table);
void table_print(const Table *table, FILE *out);

/* Without control characters, valid UTF-8. */
char *table_printable(const char *text);
