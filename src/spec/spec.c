#include "spec/spec.h"

#include "base/error.h"
#include "base/json.h"
#include "spec/keys.h"

#include <string.h>

static VmSpec *vm_spec_new(const VmSpec *defaults)
{
    VmSpec *spec = g_new0(VmSpec, 1);

    schema_init(&spec_keys, spec);
    schema_init(&shared_keys, spec);
    if (defaults != NULL) {
        schema_copy(&spec_keys, defaults, spec);
        schema_copy(&shared_keys, defaults, spec);
    }
    return spec;
}

void vm_spec_free(VmSpec *spec)
{
    if (spec == NULL)
        return;
    schema_clear(&spec_keys, spec);
    schema_clear(&shared_keys, spec);
    g_free(spec->ref);
    g_free(spec->file);
    g_free(spec);
}

static void free_spec(gpointer spec)
{
    vm_spec_free(spec);
}

static void complain(Complaints *complaints, const TreeNode *node, const char *why)
{
    GError *error = NULL;

    tree_fail(node, &error, "%s", why);
    complaints_take(complaints, error);
}

/* The most exact of what the spec says about which VM it means. */
static char *ref_of(const TreeNode *root, Complaints *complaints)
{
    static const char *const paths[] = {"vm.uuid", "vm.moref", "vm.path", "vm.name"};

    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        const TreeNode *node = tree_find(root, paths[i]);

        if (node != NULL && tree_text(node) != NULL && *tree_text(node) != '\0')
            return g_strdup(tree_text(node));
    }
    complain(complaints, root, "vm.name is missing: which VM? (vm.path, vm.moref and vm.uuid do as well)");
    return NULL;
}

/* What stands in the file decides before what was inherited. */
static void settle_kind(VmSpec *spec, const TreeNode *root, Complaints *complaints)
{
    const TreeNode *local = tree_find(root, "target.local");
    const TreeNode *cloudstack = tree_find(root, "target.cloudstack");
    const TreeNode *kind = tree_find(root, "target.kind");

    if (kind == NULL && local != NULL && cloudstack != NULL) {
        complain(complaints, tree_find(root, "target"),
                 "both local and cloudstack are here; say which with target.kind");
    } else if (kind == NULL && (local != NULL || cloudstack != NULL)) {
        g_free(spec->target.kind);
        spec->target.kind = g_strdup(local != NULL ? "local" : "cloudstack");
    }
    if (spec->target.kind == NULL)
        spec->target.kind = g_strdup("local");
}

static void settle_target(VmSpec *spec, const TreeNode *root, Complaints *complaints)
{
    settle_kind(spec, root, complaints);
    if (strcmp(spec->target.kind, "local") != 0)
        return;
    if (spec->target.directory == NULL)
        complain(complaints, root, "target.local.directory is missing: where should the images go?");
    spec->target.start = spec->target.start || spec->start_vm_after_import;
    spec->target.define = spec->target.define || spec->target.start;
}

static VmSpec *read_spec(const TreeNode *root, const Config *config, Complaints *complaints)
{
    g_autoptr(VmSpec) spec = vm_spec_new(config != NULL ? config->defaults : NULL);
    guint before = complaints->len;

    schema_check(&spec_keys, root, complaints);
    if (complaints->len > before)
        return NULL;
    schema_fill(&spec_keys, root, spec);
    schema_fill(&shared_keys, root, spec);
    spec->file = g_strdup(tree_name(root));
    spec->ref = ref_of(root, complaints);
    settle_target(spec, root, complaints);
    return complaints->len == before ? g_steal_pointer(&spec) : NULL;
}

/* What stands beside the list would be read by nobody. */
static void check_beside_list(const TreeNode *root, const TreeNode *list, Complaints *complaints)
{
    for (guint i = 0; i < tree_length(root); i++) {
        const TreeNode *node = tree_item(root, i);

        if (node != list)
            complain(complaints, node,
                     "stands beside vms, where nothing reads it; put it into each VM of the list");
    }
    if (tree_kind(list) != TREE_SEQUENCE)
        complain(complaints, list, "a list of VMs is expected here");
    else if (tree_length(list) == 0)
        complain(complaints, list, "the list is empty");
}

static void read_specs(const TreeNode *root, const Config *config, GPtrArray *specs, Complaints *complaints)
{
    const TreeNode *list = tree_get(root, "vms");
    guint n = list != NULL ? tree_length(list) : 1;

    if (list != NULL)
        check_beside_list(root, list, complaints);
    for (guint i = 0; i < n; i++) {
        VmSpec *spec = read_spec(list != NULL ? tree_item(list, i) : root, config, complaints);

        if (spec != NULL)
            g_ptr_array_add(specs, spec);
    }
}

static gboolean add_specs(const Tree *tree, const Config *config, GPtrArray *specs, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(free_spec);
    g_autoptr(GPtrArray) complaints = complaints_new();

    read_specs(tree_root(tree), config, found, complaints);
    if (!complaints_check(complaints, error))
        return FALSE;
    while (found->len > 0)
        g_ptr_array_add(specs, g_ptr_array_steal_index(found, 0));
    return TRUE;
}

gboolean spec_load(const char *path, const Config *config, GPtrArray *specs, GError **error)
{
    g_autoptr(Tree) tree = tree_load(path, error);

    return tree != NULL && add_specs(tree, config, specs, error);
}

gboolean spec_parse(const char *text, gsize length, const char *name, const Config *config, GPtrArray *specs,
                    GError **error)
{
    g_autoptr(Tree) tree = tree_parse(text, length, name, error);

    return tree != NULL && add_specs(tree, config, specs, error);
}

char *vm_spec_to_json(const VmSpec *spec)
{
    g_autoptr(Json) json = json_object();
    Json *vm = json_object();

    json_set_take(json, "vm", vm);
    json_set_string(vm, "name", spec->ref);
    schema_to_json(&spec_keys, spec, json);
    schema_to_json(&shared_keys, spec, json);
    return json_to_line(json);
}
