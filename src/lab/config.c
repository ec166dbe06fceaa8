#include "lab/config.h"

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"
#include "lab/state.h"

#include <string.h>

gboolean lab_config_keys(const TreeNode *node, const char *const *allowed, GError **error)
{
    if (node == NULL)
        return TRUE;
    if (tree_kind(node) != TREE_MAPPING)
        return tree_fail(node, error, "must be a mapping, not %s", tree_kind_name(tree_kind(node)));
    for (guint i = 0; i < tree_length(node); i++) {
        const TreeNode *item = tree_item(node, i);
        if (g_strv_contains(allowed, tree_key(item)))
            continue;
        const char *meant = tree_did_you_mean(tree_key(item), allowed);
        return meant != NULL ? tree_fail(item, error, "unknown key; did you mean \"%s\"?", meant)
                             : tree_fail(item, error, "unknown key");
    }
    return TRUE;
}

char *lab_stable_uuid(const char *text)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    return g_strdup_printf("%.8s-%.4s-5%.3s-8%.3s-%.12s", sum, sum + 8, sum + 12, sum + 15, sum + 18);
}

static gboolean need_name(const TreeNode *node, char **ret_name, GError **error)
{
    const TreeNode *name = tree_kind(node) == TREE_MAPPING ? tree_get(node, "name") : node;
    if (name == NULL)
        return tree_fail(node, error, "needs a name");
    if (!tree_to_string(name, ret_name, error))
        return FALSE;
    if ((*ret_name)[0] == '\0' || g_str_equal(*ret_name, ".") || g_str_equal(*ret_name, ".."))
        return tree_fail(name, error, "\"%s\" is no name", *ret_name);
    return TRUE;
}

static gboolean is_new(const LabObject *folder, const TreeNode *node, const char *name, GError **error)
{
    g_autofree char *escaped = lab_escape_name(name);
    return lab_child(folder, escaped) == NULL ||
           tree_fail(node, error, "the name \"%s\" is taken already", name);
}

/* --- the lab itself --- */

static gboolean read_strings(const TreeNode *node, char ***ret, GError **error)
{
    if (node == NULL)
        return TRUE;
    if (tree_kind(node) != TREE_SEQUENCE)
        return tree_fail(node, error, "must be a list");
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < tree_length(node); i++) {
        char *text = NULL;
        if (!tree_to_string(tree_item(node, i), &text, error))
            return FALSE;
        g_ptr_array_add(texts, text);
    }
    g_ptr_array_add(texts, NULL);
    g_strfreev(*ret);
    *ret = (char **)g_ptr_array_steal(texts, NULL);
    return TRUE;
}

static gboolean read_denied(Lab *lab, const TreeNode *node, GError **error)
{
    g_auto(GStrv) denied = NULL;
    if (!read_strings(node, &denied, error))
        return FALSE;
    for (guint i = 0; denied != NULL && denied[i] != NULL; i++)
        g_hash_table_add(lab->denied, g_strdup(denied[i]));
    return TRUE;
}

static gboolean read_server(Lab *lab, const TreeNode *root, GError **error)
{
    guint port = lab->port;
    guint64 timeout = 1800;
    lab->user = g_strdup("administrator@vsphere.local");
    lab->password = g_strdup("vmferry-lab");
    lab->address = g_strdup("127.0.0.1");
    lab->page_size = 3;
    lab->areas_page = 2000;
    lab->task_ms = 200;
    lab->max_sessions = 100;
    gboolean read = tree_to_string(tree_get(root, "address"), &lab->address, error) &&
                    tree_to_uint(tree_get(root, "port"), 0, G_MAXUINT16, &port, error) &&
                    tree_to_string(tree_get(root, "user"), &lab->user, error) &&
                    tree_to_string(tree_get(root, "password"), &lab->password, error) &&
                    tree_to_seconds(tree_get(root, "session_timeout"), 1, 86400, &timeout, error) &&
                    tree_to_uint(tree_get(root, "page_size"), 1, 10000, &lab->page_size, error) &&
                    tree_to_uint(tree_get(root, "areas_page"), 1, 100000, &lab->areas_page, error) &&
                    tree_to_uint(tree_get(root, "task_time"), 0, 600000, &lab->task_ms, error) &&
                    tree_to_uint(tree_get(root, "max_sessions"), 1, 100000, &lab->max_sessions, error) &&
                    tree_to_boolean(tree_get(root, "decode_twice"), &lab->decode_twice, error) &&
                    read_strings(tree_get(root, "tls_names"), &lab->tls_names, error) &&
                    read_denied(lab, tree_get(root, "lacks_privileges"), error);
    lab->port = (guint16)port;
    lab->session_timeout = (guint)timeout;
    return read;
}

/* A relative directory is meant from where lab.yaml lies. */
static gboolean read_directory(Lab *lab, const TreeNode *root, const LabOverrides *overrides, GError **error)
{
    if (overrides != NULL && overrides->directory != NULL) {
        lab->directory = g_canonicalize_filename(overrides->directory, NULL);
        return TRUE;
    }
    g_autofree char *said = NULL;
    if (tree_get(root, "directory") == NULL)
        return tree_fail(root, error, "`directory` is missing: where the lab keeps its datastores");
    if (!tree_to_string(tree_get(root, "directory"), &said, error))
        return FALSE;
    g_autofree char *base = g_path_get_dirname(tree_name(root));
    g_autofree char *absolute = g_canonicalize_filename(base, NULL);
    lab->directory = g_canonicalize_filename(said, absolute);
    return TRUE;
}

/* --- datacenters --- */

static gboolean read_datastore(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error)
{
    static const char *const KEYS[] = {"name", "type", "capacity", NULL};
    static const char *const KINDS[] = {"VMFS", "NFS", "NFS41", "vsan", "VVOL", NULL};
    g_autofree char *name = NULL;
    guint64 capacity = TIB;
    gint kind = 0;
    if ((tree_kind(node) != TREE_SCALAR && !lab_config_keys(node, KEYS, error)) ||
        !need_name(node, &name, error) || !is_new(datacenter->datastore_folder, node, name, error) ||
        !tree_to_enum(tree_get(node, "type"), KINDS, &kind, error) ||
        !tree_to_size(tree_get(node, "capacity"), MIB, G_MAXINT64, &capacity, error))
        return FALSE;
    LabDatastore *datastore = lab_datastore_new(lab, datacenter, name);
    datastore->kind = g_strdup(KINDS[kind]);
    datastore->capacity = capacity;
    g_autofree char *seed = g_strconcat(datacenter->path, "/", name, NULL);
    datastore->uuid = lab_stable_uuid(seed);
    return io_make_directory(datastore->directory, error);
}

static gboolean read_host(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error)
{
    g_autofree char *name = NULL;
    if (!need_name(node, &name, error))
        return FALSE;
    lab_host_new(lab, datacenter, name);
    return TRUE;
}

static gboolean read_network(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error)
{
    g_autofree char *name = NULL;
    if (!need_name(node, &name, error) || !is_new(datacenter->network_folder, node, name, error))
        return FALSE;
    lab_network_new(lab, datacenter, name);
    return TRUE;
}

typedef gboolean (*ReadOne)(Lab *lab, LabDatacenter *datacenter, const TreeNode *node, GError **error);

static gboolean read_each(Lab *lab, LabDatacenter *datacenter, const TreeNode *list, ReadOne read_one,
                          GError **error)
{
    if (list != NULL && tree_kind(list) != TREE_SEQUENCE)
        return tree_fail(list, error, "must be a list");
    for (guint i = 0; i < tree_length(list); i++)
        if (!read_one(lab, datacenter, tree_item(list, i), error))
            return FALSE;
    return TRUE;
}

LabObject *lab_folder_path(Lab *lab, LabObject *start, const char *moref_prefix, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (guint i = 0; parts[i] != NULL; i++) {
        if (parts[i][0] == '\0')
            continue;
        g_autofree char *escaped = lab_escape_name(parts[i]);
        LabObject *child = lab_child(start, escaped);
        start = child != NULL ? child : lab_folder_new(lab, moref_prefix, parts[i], start);
    }
    return start;
}

static gboolean read_datacenter(Lab *lab, LabDatacenter *unused, const TreeNode *node, GError **error)
{
    static const char *const KEYS[] = {"name", "folder", "hosts", "datastores", "networks", "vms", NULL};
    g_autofree char *name = NULL, *folder = g_strdup("");
    if (!lab_config_keys(node, KEYS, error) || !need_name(node, &name, error) ||
        !tree_to_string(tree_get(node, "folder"), &folder, error))
        return FALSE;
    LabObject *parent = lab_folder_path(lab, lab->root, "group-d", folder);
    if (!is_new(parent, node, name, error))
        return FALSE;
    LabDatacenter *datacenter = lab_datacenter_new(lab, name, parent);
    if (!read_each(lab, datacenter, tree_get(node, "hosts"), read_host, error) ||
        !read_each(lab, datacenter, tree_get(node, "datastores"), read_datastore, error) ||
        !read_each(lab, datacenter, tree_get(node, "networks"), read_network, error))
        return FALSE;
    if (datacenter->hosts->len == 0)
        lab_host_new(lab, datacenter, "esx1.lab.test");
    if (datacenter->networks->len == 0)
        lab_network_new(lab, datacenter, "VM Network");
    if (datacenter->datastores->len == 0)
        return tree_fail(node, error, "a datacenter needs at least one datastore");
    return read_each(lab, datacenter, tree_get(node, "vms"), lab_config_vm, error);
}

gboolean lab_config_read(Lab *lab, const TreeNode *root, const LabOverrides *overrides, GError **error)
{
    static const char *const KEYS[] = {"directory",   "address",         "port",
                                       "user",        "password",        "tls_names",
                                       "datacenters", "session_timeout", "page_size",
                                       "areas_page",  "task_time",       "max_sessions",
                                       "faults",      "decode_twice",    "lacks_privileges",
                                       NULL};
    if (!lab_config_keys(root, KEYS, error) || !read_server(lab, root, error) ||
        !read_directory(lab, root, overrides, error) || !io_make_directory(lab->directory, error))
        return FALSE;
    if (overrides != NULL && overrides->port >= 0)
        lab->port = (guint16)overrides->port;
    if (!lab_state_load(lab, error))
        return FALSE;
    if (tree_length(tree_get(root, "datacenters")) == 0)
        return tree_fail(root, error, "`datacenters` is missing or empty");
    lab->instance_uuid = lab_stable_uuid(lab->directory);
    return read_each(lab, NULL, tree_get(root, "datacenters"), read_datacenter, error);
}
