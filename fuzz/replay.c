/* Runs a fuzz target on every file of the folders named, in the order of their names: the regression test
 * that the corpus is. */
#include "fuzz.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

static int compare_names(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *list_files(const char *folder)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &error);

    if (dir == NULL) {
        fprintf(stderr, "%s\n", error->message);
        exit(EXIT_FAILURE);
    }
    for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir))
        g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
    g_ptr_array_sort(paths, compare_names);
    return paths;
}

static void replay_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    gsize length;

    if (!g_file_get_contents(path, &data, &length, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(EXIT_FAILURE);
    }
    /* Said before, so that the last line names the file that crashed. */
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput((const uint8_t *)data, length);
}

int main(int argc, char **argv)
{
    guint n_files = 0;

    for (int i = 1; i < argc; i++) {
        g_autoptr(GPtrArray) paths = list_files(argv[i]);

        for (guint j = 0; j < paths->len; j++)
            replay_file(g_ptr_array_index(paths, j));
        n_files += paths->len;
    }
    printf("%u files\n", n_files);
    return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
