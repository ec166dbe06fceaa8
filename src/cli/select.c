#include "cli/select.h"

#include "base/error.h"
#include "base/json.h"

#include <string.h>

#define MAX_STORED_SPEC ((gsize)16 << 20)

void selected_free(Selected *selected)
{
    if (selected == NULL)
        return;
    vm_spec_free(selected->spec);
    store_vm_free(selected->vm);
    g_free(selected);
}

static void free_selected(gpointer selected)
{
    selected_free(selected);
}

static void free_spec(gpointer spec)
{
    vm_spec_free(spec);
}

/* The last part of a path is the name. */
static gboolean same_name(const char *ref, const char *name)
{
    const char *slash = strrchr(ref, '/');

    return g_strcmp0(slash != NULL ? slash + 1 : ref, name) == 0;
}

/* --- specs --- */

/* Drops what --vm does not name; each name must have been there. */
static gboolean keep_named(GPtrArray *specs, char **names, GError **error)
{
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    for (guint i = 0; names[i] != NULL; i++) {
        guint before = kept->len;

        for (guint j = 0; j < specs->len; j++) {
            VmSpec *spec = specs->pdata[j];

            if (same_name(spec->ref, names[i]))
                g_ptr_array_add(kept, spec);
        }
        if (kept->len == before)
            return vf_fail(error, VF_ERROR_INVALID, "no spec that was given has a VM %s", names[i]);
    }
    for (guint j = specs->len; j > 0; j--) {
        if (!g_ptr_array_find(kept, specs->pdata[j - 1], NULL))
            g_ptr_array_remove_index(specs, j - 1);
    }
    return TRUE;
}

static gboolean load_all(const Session *session, char **paths, GPtrArray *specs, GError **error)
{
    for (guint i = 0; paths != NULL && paths[i] != NULL; i++) {
        if (!spec_load(paths[i], session->config, specs, error))
            return FALSE;
    }
    return TRUE;
}

GPtrArray *select_specs(const Session *session, const Options *options, GError **error)
{
    g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func(free_spec);

    if (!load_all(session, options->specs, specs, error) ||
        !load_all(session, options->arguments, specs, error))
        return NULL;
    if (specs->len == 0) {
        vf_fail(error, VF_ERROR_INVALID, "no spec was given; --help has an example");
        return NULL;
    }
    if (options->vms != NULL && !keep_named(specs, options->vms, error))
        return NULL;
    return g_steal_pointer(&specs);
}

/* --- migrations --- */

/* What the spec called the VM when the migration was made. */
static gboolean was_called(const StoreVm *vm, const char *ref)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) spec =
        vm->spec != NULL ? json_parse(vm->spec, strlen(vm->spec), MAX_STORED_SPEC, "stored spec", &error)
                         : NULL;

    return spec != NULL && g_strcmp0(json_get_string(json_object_get(spec, "vm"), "name"), ref) == 0;
}

static gboolean fits_ref(const StoreVm *vm, const char *ref)
{
    return g_strcmp0(vm->moref, ref) == 0 || g_strcmp0(vm->instance_uuid, ref) == 0 ||
           same_name(ref, vm->name) || was_called(vm, ref);
}

static gboolean fits_id(const StoreVm *vm, const char *id)
{
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, vm->id);

    return strcmp(number, id) == 0 || g_strcmp0(vm->moref, id) == 0;
}

static gboolean fits_either(const StoreVm *vm, const char *word)
{
    return fits_id(vm, word) || fits_ref(vm, word);
}

static gboolean same_vm(const StoreVm *a, const StoreVm *b)
{
    return g_strcmp0(a->server, b->server) == 0 && g_strcmp0(a->moref, b->moref) == 0 &&
           g_strcmp0(a->instance_uuid, b->instance_uuid) == 0;
}

static gboolean ambiguous(const char *word, const StoreVm *a, const StoreVm *b, GError **error)
{
    return vf_fail(error, VF_ERROR_CONFLICT,
                   "%s fits several VMs: migration %" G_GINT64_FORMAT " (%s, %s on %s) and %" G_GINT64_FORMAT
                   " (%s, %s on %s); name one with --vm-id",
                   word, a->id, a->name, a->moref, a->server, b->id, b->name, b->moref, b->server);
}

/* *ret_vm is the newest that fits, or NULL.  `all` has the newest first. */
static gboolean find_one(GPtrArray *all, const char *word,
                         gboolean (*fits)(const StoreVm *vm, const char *word), StoreVm **ret_vm,
                         GError **error)
{
    StoreVm *found = NULL;

    for (guint i = 0; i < all->len; i++) {
        StoreVm *vm = all->pdata[i];

        if (!fits(vm, word))
            continue;
        if (found != NULL && !same_vm(found, vm))
            return ambiguous(word, found, vm, error);
        if (found == NULL)
            found = vm;
    }
    *ret_vm = found;
    return TRUE;
}

typedef struct {
    const Session *session;
    GPtrArray *all;   /* StoreVm */
    GPtrArray *found; /* Selected */
} Selection;

/* Reads the row again, so that every Selected owns its own. */
static gboolean add(Selection *selection, VmSpec *spec, const StoreVm *vm, GError **error)
{
    g_autoptr(Selected) selected = g_new0(Selected, 1);

    selected->spec = spec;
    if (vm != NULL)
        selected->vm = store_vm_get(selection->session->store, vm->id, error);
    if (vm != NULL && selected->vm == NULL)
        return FALSE;
    g_ptr_array_add(selection->found, g_steal_pointer(&selected));
    return TRUE;
}

static gboolean add_by(Selection *selection, const char *word,
                       gboolean (*fits)(const StoreVm *vm, const char *word), GError **error)
{
    StoreVm *vm = NULL;

    if (!find_one(selection->all, word, fits, &vm, error))
        return FALSE;
    return vm != NULL ? add(selection, NULL, vm, error)
                      : vf_fail(error, VF_ERROR_NOT_FOUND,
                                "there is no migration of %s in %s, and no file of that name", word,
                                store_directory(selection->session->store));
}

static gboolean add_specs(Selection *selection, GPtrArray *specs, GError **error)
{
    while (specs->len > 0) {
        VmSpec *spec = g_ptr_array_steal_index(specs, 0);
        StoreVm *vm = NULL;

        if (!find_one(selection->all, spec->ref, fits_ref, &vm, error)) {
            vm_spec_free(spec);
            return FALSE;
        }
        if (!add(selection, spec, vm, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean add_words(Selection *selection, char **words,
                          gboolean (*fits)(const StoreVm *vm, const char *word), GError **error)
{
    for (guint i = 0; words != NULL && words[i] != NULL; i++) {
        if (!add_by(selection, words[i], fits, error))
            return FALSE;
    }
    return TRUE;
}

/* Arguments that are files are specs; the others stay. */
static void split_arguments(char **arguments, GPtrArray *files, GPtrArray *words)
{
    for (guint i = 0; arguments != NULL && arguments[i] != NULL; i++)
        g_ptr_array_add(g_file_test(arguments[i], G_FILE_TEST_EXISTS) ? files : words, arguments[i]);
    g_ptr_array_add(files, NULL);
    g_ptr_array_add(words, NULL);
}

static gboolean add_named(Selection *selection, const Options *options, GError **error)
{
    g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func(free_spec);
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    gboolean has_specs = FALSE;

    split_arguments(options->arguments, files, words);
    if (!load_all(selection->session, options->specs, specs, error) ||
        !load_all(selection->session, (char **)files->pdata, specs, error))
        return FALSE;
    has_specs = specs->len > 0;
    if (has_specs && options->vms != NULL && !keep_named(specs, options->vms, error))
        return FALSE;
    return add_specs(selection, specs, error) &&
           add_words(selection, (char **)words->pdata, fits_either, error) &&
           add_words(selection, options->vm_ids, fits_id, error) &&
           (has_specs || add_words(selection, options->vms, fits_ref, error));
}

static gboolean names_nothing(const Options *options)
{
    return options->specs == NULL && options->arguments == NULL && options->vms == NULL &&
           options->vm_ids == NULL;
}

static gboolean add_all(Selection *selection, GError **error)
{
    for (guint i = 0; i < selection->all->len; i++) {
        if (!add(selection, NULL, selection->all->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

GPtrArray *select_migrations(const Session *session, const Options *options, gboolean all_by_default,
                             GError **error)
{
    g_autoptr(GPtrArray) all = store_vm_list(session->store, error);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(free_selected);
    Selection selection = {session, all, found};

    if (all == NULL)
        return NULL;
    if (names_nothing(options) && !all_by_default) {
        vf_fail(error, VF_ERROR_INVALID, "which migration? Name a spec, or an id that vmferry status shows");
        return NULL;
    }
    if (!(names_nothing(options) ? add_all(&selection, error) : add_named(&selection, options, error)))
        return NULL;
    return g_steal_pointer(&found);
}

GPtrArray *select_existing(const Session *session, const Options *options, GError **error)
{
    g_autoptr(GPtrArray) found = select_migrations(session, options, FALSE, error);

    for (guint i = 0; found != NULL && i < found->len; i++) {
        const Selected *selected = found->pdata[i];

        if (selected->vm == NULL) {
            vf_fail(error, VF_ERROR_NOT_FOUND, "no migration of %s was started yet", selected->spec->ref);
            return NULL;
        }
    }
    return g_steal_pointer(&found);
}
