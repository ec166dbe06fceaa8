/* Which VM is meant.  All names are read once, and every VM is held against the reference in every way that
 * it could be meant: so a VM that is called like another one's moref is noticed, and not chosen.
 */
#include "base/error.h"
#include "vsphere/folders.h"
#include "vsphere/inventory.h"
#include "vsphere/property.h"

#include <string.h>

#define LISTED_MAX 8
#define NEAR_MAX   3
#define WORD_MAX   128

typedef struct {
    Folders *folders;
    const char *root;
    const GPtrArray *objects;
} Names;

static gboolean path_matches(const Names *names, const VimVmName *vm, const char *ref)
{
    g_autofree char *path = folders_path(names->folders, &vm->managed, names->root);
    g_autofree char *plain = folders_unescape(path);
    gsize skip = *ref == '/' ? 0 : 1;

    return *path == '/' && (strcmp(path + skip, ref) == 0 || strcmp(plain + skip, ref) == 0);
}

static gboolean is_meant(const Names *names, const VimVmName *vm, const char *ref)
{
    g_autofree char *plain = vm->name != NULL ? folders_unescape(vm->name) : NULL;

    return g_strcmp0(vm->name, ref) == 0 || g_strcmp0(plain, ref) == 0 ||
           strcmp(vm->managed.moref, ref) == 0 ||
           (vm->instance_uuid != NULL && g_ascii_strcasecmp(vm->instance_uuid, ref) == 0) ||
           path_matches(names, vm, ref);
}

static GPtrArray *find_candidates(const Names *names, const char *ref)
{
    GPtrArray *candidates = g_ptr_array_new();

    for (guint i = 0; i < names->objects->len; i++) {
        const VimVmName *vm = vim_cast(names->objects->pdata[i], &vim_vm_name_type);

        if (vm != NULL && is_meant(names, vm, ref))
            g_ptr_array_add(candidates, names->objects->pdata[i]);
    }
    return candidates;
}

/* --- near names --- */

/* Levenshtein's, over bytes in lower case; of the first WORD_MAX bytes. */
static guint distance(const char *a, const char *b)
{
    gsize n = MIN(strlen(a), WORD_MAX), m = MIN(strlen(b), WORD_MAX);
    guint row[WORD_MAX + 1];

    for (guint j = 0; j <= m; j++)
        row[j] = j;
    for (guint i = 1; i <= n; i++) {
        guint diagonal = row[0];

        row[0] = i;
        for (guint j = 1; j <= m; j++) {
            guint above = row[j];
            guint change = g_ascii_tolower(a[i - 1]) != g_ascii_tolower(b[j - 1]);

            row[j] = MIN(MIN(above, row[j - 1]) + 1, diagonal + change);
            diagonal = above;
        }
    }
    return row[m];
}

typedef struct {
    guint distance;
    char *name;
} Near;

static void near_clear(gpointer data)
{
    g_free(((Near *)data)->name);
}

static int compare_near(gconstpointer a, gconstpointer b)
{
    const Near *left = a, *right = b;

    return left->distance != right->distance ? (left->distance < right->distance ? -1 : 1)
                                             : strcmp(left->name, right->name);
}

static gboolean is_listed(const GArray *near, const char *name)
{
    for (guint i = 0; i < near->len; i++)
        if (strcmp(g_array_index(near, Near, i).name, name) == 0)
            return TRUE;
    return FALSE;
}

/* A path is held against names by its last part. */
static GArray *near_names(const Names *names, const char *ref)
{
    const char *slash = strrchr(ref, '/');
    const char *word = slash != NULL ? slash + 1 : ref;
    GArray *near = g_array_new(FALSE, FALSE, sizeof(Near));

    g_array_set_clear_func(near, near_clear);
    for (guint i = 0; i < names->objects->len; i++) {
        const VimVmName *vm = vim_cast(names->objects->pdata[i], &vim_vm_name_type);
        g_autofree char *plain = vm != NULL && vm->name != NULL ? folders_unescape(vm->name) : NULL;
        guint apart = plain != NULL ? distance(word, plain) : G_MAXUINT;

        if (apart <= MAX(2, strlen(word) / 3) && !is_listed(near, plain))
            g_array_append_vals(near, &(Near){apart, g_steal_pointer(&plain)}, 1);
    }
    g_array_sort(near, compare_near);
    return near;
}

static void fail_not_found(const Vsphere *vsphere, const Names *names, const char *ref, GError **error)
{
    g_autoptr(GArray) near = near_names(names, ref);
    g_autoptr(GString) hint = g_string_new(NULL);

    for (guint i = 0; i < MIN(near->len, NEAR_MAX); i++)
        g_string_append_printf(hint, "%s\"%s\"", i == 0 ? "; did you mean " : ", ",
                               g_array_index(near, Near, i).name);
    vf_fail(error, VF_ERROR_NOT_FOUND, "%s: there is no VM \"%s\"%s", vsphere_server(vsphere), ref,
            hint->str);
}

static void fail_ambiguous(const Vsphere *vsphere, const Names *names, const char *ref,
                           const GPtrArray *candidates, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < MIN(candidates->len, LISTED_MAX); i++) {
        const VimVmName *vm = candidates->pdata[i];
        g_autofree char *path = folders_path(names->folders, &vm->managed, names->root);

        g_string_append_printf(list, "%s%s (%s)", i == 0 ? "" : ", ", path, vm->managed.moref);
    }
    if (candidates->len > LISTED_MAX)
        g_string_append(list, ", ...");
    vf_fail(error, VF_ERROR_CONFLICT,
            "%s: \"%s\" may be any of %u VMs: %s; give the path, the instance uuid or the moref",
            vsphere_server(vsphere), ref, candidates->len, list->str);
}

VsphereVm *vsphere_find_vm(Vsphere *vsphere, const char *ref, GError **error)
{
    static const VimType *const wanted[] = {&vim_vm_name_type, &vim_folder_type, &vim_datacenter_type,
                                            &vim_virtual_app_type, NULL};
    g_autoptr(GPtrArray) objects = property_read_all(vsphere, wanted, error);
    g_autoptr(Folders) folders = objects != NULL ? folders_new(objects) : NULL;
    g_autoptr(GPtrArray) candidates = NULL;
    Names names = {.folders = folders, .root = vsphere_content(vsphere)->root_folder, .objects = objects};

    if (objects == NULL)
        return NULL;
    candidates = find_candidates(&names, ref);
    if (candidates->len == 1)
        return vsphere_get_vm(vsphere, ((VimManaged *)candidates->pdata[0])->moref, NULL, error);
    if (candidates->len == 0)
        fail_not_found(vsphere, &names, ref, error);
    else
        fail_ambiguous(vsphere, &names, ref, candidates, error);
    return NULL;
}
