/* spec/config.c: the config file, the environment over it, and what specs inherit from it. */
#include "base/error.h"
#include "base/io.h"
#include "net/tls-trust.h"
#include "spec/keys.h"

#include <string.h>
#include <unistd.h>

#define MAX_PASSWORD_FILE 4096

void config_free(Config *config)
{
    if (config == NULL)
        return;
    schema_clear(&config_keys, config);
    vm_spec_free(config->defaults);
    g_free(config);
}

static void complain(Complaints *complaints, const TreeNode *node, GError *why)
{
    GError *error = NULL;

    tree_fail(node, &error, "%s", why->message);
    complaints_take(complaints, error);
    g_error_free(why);
}

/* Unset and empty are the same. */
static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static void set_text(char **field, const char *text)
{
    if (text == NULL)
        return;
    g_free(*field);
    *field = g_strdup(text);
}

static void set_secret(Secret **field, const char *text)
{
    if (text == NULL)
        return;
    secret_unref(*field);
    *field = secret_new(text);
}

static void read_password_file(VcenterConfig *vcenter, const TreeNode *node, Complaints *complaints)
{
    g_autofree char *folder = g_path_get_dirname(tree_name(node));
    g_autofree char *beside = g_build_filename(folder, tree_text(node), NULL);
    const char *file = g_path_is_absolute(tree_text(node)) ? tree_text(node) : beside;
    g_autofree char *text = NULL;
    GError *why = NULL;
    gsize length = 0;

    text = io_read_file(file, MAX_PASSWORD_FILE, &length, &why);
    if (text == NULL) {
        complain(complaints, node, why);
        return;
    }
    text[strcspn(text, "\r\n")] = '\0';
    set_secret(&vcenter->password, text);
    secret_wipe(text, length);
}

static void settle_password(VcenterConfig *vcenter, const TreeNode *root, Complaints *complaints)
{
    const TreeNode *file = tree_find(root, "vcenter.password_file");
    gboolean is_given = file != NULL && *tree_text(file) != '\0';
    GError *why = NULL;

    if (is_given && vcenter->password != NULL) {
        vf_fail(&why, VF_ERROR_INVALID, "password is given too; keep one of the two");
        complain(complaints, file, why);
    } else if (is_given) {
        read_password_file(vcenter, file, complaints);
    }
    if (vcenter->password == NULL)
        set_secret(&vcenter->password, environment("VC_PASSWORD"));
    set_secret(&vcenter->password, environment("V2C_VCENTER_PASSWORD"));
}

static void settle_thumbprint(VcenterConfig *vcenter, const TreeNode *root, Complaints *complaints)
{
    GError *why = NULL;
    char *normal = NULL;

    if (vcenter->thumbprint == NULL)
        return;
    normal = tls_thumbprint_parse(vcenter->thumbprint, &why);
    if (normal == NULL) {
        complain(complaints, tree_find(root, "vcenter.thumbprint"), why);
        return;
    }
    g_free(vcenter->thumbprint);
    vcenter->thumbprint = normal;
}

static void settle_vcenter(VcenterConfig *vcenter, const TreeNode *root, Complaints *complaints)
{
    set_text(&vcenter->host, environment("V2C_VCENTER_HOST"));
    set_text(&vcenter->user, environment("V2C_VCENTER_USER"));
    settle_password(vcenter, root, complaints);
    settle_thumbprint(vcenter, root, complaints);
}

/* What a spec without any target block means. */
static void settle_default_kind(TargetSpec *target, const TreeNode *root)
{
    if (target->kind != NULL)
        return;
    if (tree_find(root, "target.local") == NULL &&
        (tree_find(root, "target.cloudstack") != NULL || tree_find(root, "cloudstack.endpoint") != NULL))
        target->kind = g_strdup("cloudstack");
}

static Config *read_config(const TreeNode *root, GError **error)
{
    g_autoptr(Config) config = g_new0(Config, 1);
    g_autoptr(GPtrArray) complaints = complaints_new();

    config->defaults = g_new0(VmSpec, 1);
    schema_init(&config_keys, config);
    schema_init(&spec_keys, config->defaults);
    schema_init(&shared_keys, config->defaults);
    schema_check(&config_keys, root, complaints);
    if (!complaints_check(complaints, error))
        return NULL;
    schema_fill(&config_keys, root, config);
    schema_fill(&config_spec_keys, root, config->defaults);
    schema_fill(&shared_keys, root, config->defaults);
    settle_vcenter(&config->vcenter, root, complaints);
    settle_default_kind(&config->defaults->target, root);
    return complaints_check(complaints, error) ? g_steal_pointer(&config) : NULL;
}

static const char *first_config(void)
{
    static const char *const paths[] = {"config.yaml", "../config.yaml", "/etc/vmferry/config.yaml"};

    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        if (access(paths[i], F_OK) == 0)
            return paths[i];
    }
    return NULL;
}

Config *config_load(const char *path, GError **error)
{
    const char *file = path != NULL ? path : first_config();
    g_autoptr(Tree) tree = file != NULL ? tree_load(file, error) : tree_parse("", 0, "no config", error);

    return tree != NULL ? read_config(tree_root(tree), error) : NULL;
}
