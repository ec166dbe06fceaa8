#include "disk/vmdk-internal.h"

#include "base/error.h"

/* --- which parent --- */

/* *ret_path NULL: there is none.  `depth` is the number of `layer`, 0 for the leaf. */
static gboolean parent_by_list(const VmdkLayer *layer, guint depth, const char *const *parents,
                               char **ret_path, GError **error)
{
    gboolean expected = vmdk_descriptor_has_parent(layer->descriptor);
    const char *given = parents[depth];

    if (expected && given == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s has a parent (\"%s\"), and none is given for it",
                       layer->path,
                       layer->descriptor->parent_hint != NULL ? layer->descriptor->parent_hint : "not named");
    if (!expected && given != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s has no parent, and %s is given as one", layer->path,
                       given);
    *ret_path = g_strdup(given);
    return TRUE;
}

static gboolean parent_by_hint(const VmdkLayer *layer, const VmdkOpener *opener, char **ret_path,
                               GError **error)
{
    if (!vmdk_descriptor_has_parent(layer->descriptor)) {
        *ret_path = NULL;
        return TRUE;
    }
    if (layer->descriptor->parent_hint == NULL)
        return vf_fail(error, VF_ERROR_INVALID, "%s has a parent and does not name it: say which one it is",
                       layer->path);
    *ret_path = opener->resolve(layer->path, layer->descriptor->parent_hint, opener->data, error);
    return *ret_path != NULL;
}

/* --- does it fit --- */

static gboolean check_new(const VmdkChain *chain, const char *path, GError **error)
{
    if (chain->layers->len >= VMDK_LINKS_MAX)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "more than %u links in a chain: consolidate the snapshots", VMDK_LINKS_MAX);
    for (guint i = 0; i < chain->layers->len; i++) {
        const VmdkLayer *layer = g_ptr_array_index(chain->layers, i);

        if (strcmp(layer->path, path) == 0)
            return vf_fail(error, VF_ERROR_INVALID, "the chain is a loop: %s is a parent of itself", path);
    }
    return TRUE;
}

static gboolean check_parent(const VmdkLayer *child, const VmdkLayer *parent, gboolean strict_cids,
                             GError **error)
{
    if (parent->size != child->size)
        return vf_fail(error, VF_ERROR_INVALID,
                       "%s has %" G_GUINT64_FORMAT " bytes and its parent %s %" G_GUINT64_FORMAT
                       ": they do not belong together, or a disk with snapshots was resized",
                       child->path, child->size, parent->path, parent->size);
    if (strict_cids && child->descriptor->parent_cid != parent->descriptor->cid)
        return vf_fail(
            error, VF_ERROR_INVALID,
            "%s expects a parent with CID %08x, and %s has %08x: the parent was written to, or is another",
            child->path, child->descriptor->parent_cid, parent->path, parent->descriptor->cid);
    return TRUE;
}

/* --- opening --- */

static gboolean add_layer(VmdkChain *chain, const char *path, const VmdkOpener *opener, gboolean strict_cids,
                          GError **error)
{
    const VmdkLayer *child =
        chain->layers->len > 0 ? g_ptr_array_index(chain->layers, chain->layers->len - 1) : NULL;
    VmdkLayer *layer;

    if (!check_new(chain, path, error))
        return FALSE;
    layer = vmdk_layer_open(path, opener, error);
    if (layer == NULL) {
        if (child != NULL)
            g_prefix_error(error, "the parent of %s: ", child->path);
        return FALSE;
    }
    g_ptr_array_add(chain->layers, layer);
    return child == NULL || check_parent(child, layer, strict_cids, error);
}

static gboolean next_path(const VmdkChain *chain, const VmdkOpener *opener, const VmdkOptions *options,
                          char **ret_path, GError **error)
{
    guint depth = chain->layers->len - 1;
    const VmdkLayer *layer = g_ptr_array_index(chain->layers, depth);

    if (options != NULL && options->parents != NULL)
        return parent_by_list(layer, depth, options->parents, ret_path, error);
    return parent_by_hint(layer, opener, ret_path, error);
}

gboolean vmdk_chain_open(VmdkChain *chain, const char *path, const VmdkOpener *opener,
                         const VmdkOptions *options, GError **error)
{
    gboolean strict_cids = options != NULL && options->strict_cids;
    g_autofree char *next = g_strdup(path);

    chain->layers = g_ptr_array_new_with_free_func((GDestroyNotify)vmdk_layer_free);
    while (next != NULL) {
        g_autofree char *this = g_steal_pointer(&next);

        if (!add_layer(chain, this, opener, strict_cids, error) ||
            !next_path(chain, opener, options, &next, error))
            return FALSE;
    }
    chain->size = ((const VmdkLayer *)g_ptr_array_index(chain->layers, 0))->size;
    return TRUE;
}

void vmdk_chain_clear(VmdkChain *chain)
{
    g_clear_pointer(&chain->layers, g_ptr_array_unref);
}

/* --- walking --- */

typedef struct {
    const VmdkChain *chain;
    VmdkVisit visit;
    gpointer data;
} Walk;

/* A hole is looked into in the parent, and only there: what the child says of it is not asked for again. */
static gboolean walk_layer(const Walk *walk, guint depth, guint64 offset, guint64 length, GError **error)
{
    const VmdkLayer *layer = g_ptr_array_index(walk->chain->layers, depth);
    gboolean has_parent = depth + 1 < walk->chain->layers->len;

    while (length > 0) {
        const VmdkPart *part;
        VmdkRun run;
        gboolean ok;

        if (!vmdk_layer_lookup(layer, offset, length, &part, &run, error))
            return FALSE;
        ok = run.kind == VMDK_RUN_HOLE && has_parent ? walk_layer(walk, depth + 1, offset, run.length, error)
                                                     : walk->visit(part, &run, offset, walk->data, error);
        if (!ok)
            return FALSE;
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}

gboolean vmdk_chain_walk(const VmdkChain *chain, guint64 offset, guint64 length, VmdkVisit visit,
                         gpointer data, GError **error)
{
    const Walk walk = {chain, visit, data};

    return walk_layer(&walk, 0, offset, length, error);
}
