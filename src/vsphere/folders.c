#include "vsphere/folders.h"

#define DEPTH_MAX 64 /* no inventory is so deep; parents that run in a circle are */

Folders *folders_new(const GPtrArray *objects)
{
    Folders *folders = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < objects->len; i++) {
        VimManaged *object = objects->pdata[i];

        g_hash_table_insert(folders, object->moref, object);
    }
    return folders;
}

static const VimManaged *parent_of(Folders *folders, const VimManaged *object)
{
    static const char *const ways[] = {"parent", "parentVApp", "parentFolder"};

    for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
        const char *moref = vim_get_string(object, ways[i]);

        if (moref != NULL)
            return g_hash_table_lookup(folders, moref);
    }
    return NULL;
}

char *folders_path(Folders *folders, const VimManaged *object, const char *root)
{
    GString *path = g_string_new(NULL);

    for (int depth = 0; object != NULL && depth < DEPTH_MAX; depth++) {
        const char *name = vim_get_string(object, "name");

        if (name == NULL || g_strcmp0(object->moref, root) == 0)
            break;
        g_string_prepend(path, name);
        g_string_prepend_c(path, '/');
        object = parent_of(folders, object);
    }
    return g_string_free(path, FALSE);
}

static const VimManaged *datacenter_of(Folders *folders, const VimManaged *object)
{
    for (int depth = 0; object != NULL && depth < DEPTH_MAX; depth++) {
        if (object->header.type == &vim_datacenter_type)
            return object;
        object = parent_of(folders, object);
    }
    return NULL;
}

char *folders_datacenter_path(Folders *folders, const VimManaged *object, const char *root)
{
    g_autofree char *path = folders_path(folders, datacenter_of(folders, object), root);

    return g_strdup(*path == '/' ? path + 1 : path);
}

char *folders_name(Folders *folders, const char *moref)
{
    const VimManaged *object = moref != NULL ? g_hash_table_lookup(folders, moref) : NULL;
    const char *name = vim_get_string(object, "name");

    return name != NULL ? folders_unescape(name) : NULL;
}

static char escaped_character(const char *text)
{
    int value = text[0] == '%' && g_ascii_isxdigit(text[1]) && g_ascii_isxdigit(text[2])
                    ? g_ascii_xdigit_value(text[1]) * 16 + g_ascii_xdigit_value(text[2])
                    : 0;

    return value == '/' || value == '\\' || value == '%' ? (char)value : '\0';
}

char *folders_unescape(const char *name)
{
    GString *plain = g_string_new(NULL);

    while (*name != '\0') {
        char character = escaped_character(name);

        g_string_append_c(plain, character != '\0' ? character : *name);
        name += character != '\0' ? 3 : 1;
    }
    return g_string_free(plain, FALSE);
}
