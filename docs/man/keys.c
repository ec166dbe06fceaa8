/* docs/man/keys.c: puts the table of keys into the page that explains them, at build time, so that the two
 * cannot disagree. */
#include "spec/spec.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    g_autofree char *page = NULL;
    g_autofree char *keys = spec_keys_to_man();
    g_autoptr(GString) out = NULL;

    if (argc != 2 || !g_file_get_contents(argv[1], &page, NULL, NULL)) {
        fprintf(stderr, "usage: keys PAGE.in\n");
        return EXIT_FAILURE;
    }
    out = g_string_new(page);
    if (g_string_replace(out, "@KEYS@\n", keys, 1) != 1) {
        fprintf(stderr, "%s: there is no line @KEYS@\n", argv[1]);
        return EXIT_FAILURE;
    }
    fputs(out->str, stdout);
    return EXIT_SUCCESS;
}
