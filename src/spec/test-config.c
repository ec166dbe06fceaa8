#include "spec/spec.h"

#include "base/error.h"
#include "base/io.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *directory, *path, *password_path;
} Fixture;

static void setup(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = {"V2C_VCENTER_HOST", "V2C_VCENTER_USER", "V2C_VCENTER_PASSWORD",
                                        "VC_PASSWORD"};

    fixture->directory = g_dir_make_tmp("vmferry-config-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->directory, "config.yaml", NULL);
    fixture->password_path = g_build_filename(fixture->directory, "password", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        g_unsetenv(names[i]);
}

static void teardown(Fixture *fixture, gconstpointer data)
{
    g_remove(fixture->path);
    g_remove(fixture->password_path);
    g_assert_cmpint(g_rmdir(fixture->directory), ==, 0);
    g_free(fixture->directory);
    g_free(fixture->path);
    g_free(fixture->password_path);
}

static void write_file(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;

    io_write_file(path, text, strlen(text), 0600, &error);
    g_assert_no_error(error);
}

static Config *load(Fixture *fixture, const char *text)
{
    g_autoptr(GError) error = NULL;
    Config *config = NULL;

    write_file(fixture->path, text);
    config = config_load(fixture->path, &error);
    g_assert_no_error(error);
    return config;
}

/* In `message` FILE stands for the name of the file. */
static void assert_refused(Fixture *fixture, const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) expected = g_string_new(message);

    g_string_replace(expected, "FILE", fixture->path, 0);
    write_file(fixture->path, text);
    g_assert_null(config_load(fixture->path, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, expected->str);
}

static VmSpec *spec_with(const Config *config, const char *text)
{
    g_autoptr(GPtrArray) specs = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    spec_parse(text, strlen(text), "spec", config, specs, &error);
    g_assert_no_error(error);
    return specs->pdata[0];
}

static void test_defaults(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Config) config = load(fixture, "");

    g_assert_null(config->vcenter.host);
    g_assert_null(config->vcenter.password);
    g_assert_cmpuint(config->vcenter.port, ==, 443);
    g_assert_false(config->vcenter.insecure);
    g_assert_cmpstr(config->control_dir, ==, "/var/lib/vmferry");
    g_assert_cmpuint(config->parallel_vms, ==, 3);
    g_assert_cmpstr(config->virtio_iso, ==, "/usr/share/virtio-win/virtio-win.iso");
}

/* Written as operators of the system that we take over from have it. */
static const char familiar[] = "vcenter:\n"
                               "  host: vc.example.com\n"
                               "  user: administrator@vsphere.local\n"
                               "  password: \"s3cret\"\n"
                               "cloudstack:\n"
                               "  endpoint: http://10.0.0.5:8080/client/api\n"
                               "  api_key: k\n"
                               "  secret_key: s\n"
                               "  timeout_seconds: 0\n"
                               "cloudstack_defaults:\n"
                               "  zoneid: z-1\n"
                               "  clusterid: c-1\n"
                               "  storageid: \"\"\n"
                               "migration:\n"
                               "  vddk_path: /opt/vmware-vddk/vmware-vix-disklib-distrib\n"
                               "  control_dir: /srv/migrator\n"
                               "  specs_dir: /srv/migrator/specs\n"
                               "  workdir: /opt\n"
                               "  shutdown_mode: force\n"
                               "  snapshot_quiesce: auto\n"
                               "  finalize_settle_seconds: 0\n"
                               "  parallel_disks: 2\n"
                               "  parallel_vms: 5\n"
                               "virt:\n"
                               "  run_virt_v2v: true\n"
                               "  virtio_iso: /iso\n";

static void test_familiar(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Config) config = load(fixture, familiar);
    g_autoptr(VmSpec) bare = spec_with(config, "vm: {name: web}\n");
    g_autoptr(VmSpec) local = spec_with(config, "vm: {name: web}\n"
                                                "migration: {run_virt_v2v: false, shutdown_mode: auto}\n"
                                                "target: {local: {directory: /x}}\n");
    g_autoptr(VmSpec) other = spec_with(config, "vm: {name: web}\ntarget: {cloudstack: {zoneid: z-2}}\n");
    g_autofree char *json = vm_spec_to_json(bare);

    g_assert_cmpstr(config->vcenter.user, ==, "administrator@vsphere.local");
    g_assert_cmpstr(secret_reveal(config->vcenter.password), ==, "s3cret");
    g_assert_cmpstr(config->control_dir, ==, "/srv/migrator");
    g_assert_cmpuint(config->parallel_vms, ==, 5);

    g_assert_cmpstr(bare->target.kind, ==, "cloudstack");
    g_assert_true(bare->run_virt_v2v);
    g_assert_cmpint(bare->shutdown_mode, ==, SHUTDOWN_FORCE);
    g_assert_cmpint(bare->finalize_settle_seconds, ==, -1);
    g_assert_cmpuint(bare->parallel_disks, ==, 2);
    g_assert_cmpstr(g_hash_table_lookup(bare->target.cloudstack, "zoneid"), ==, "z-1");
    g_assert_null(g_hash_table_lookup(bare->target.cloudstack, "storageid"));
    g_assert_null(strstr(json, "s3cret"));

    g_assert_cmpstr(local->target.kind, ==, "local");
    g_assert_false(local->run_virt_v2v);
    g_assert_cmpint(local->shutdown_mode, ==, SHUTDOWN_AUTO);
    g_assert_cmpstr(g_hash_table_lookup(other->target.cloudstack, "zoneid"), ==, "z-2");
    g_assert_cmpstr(g_hash_table_lookup(other->target.cloudstack, "clusterid"), ==, "c-1");
    /* What one spec says is not inherited by the next. */
    g_assert_cmpstr(g_hash_table_lookup(config->defaults->target.cloudstack, "zoneid"), ==, "z-1");
}

static void test_inherits_target(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Config) config = load(fixture, "target: {local: {directory: /srv, networks: {A: a, B: b}}}\n"
                                             "migration: {max_downtime: 1m, bandwidth: 1G}\n");
    g_autoptr(VmSpec) spec = spec_with(config, "vm: {name: web}\ntarget: {local: {networks: {B: c}}}\n");

    g_assert_cmpstr(spec->target.kind, ==, "local");
    g_assert_cmpstr(spec->target.directory, ==, "/srv");
    g_assert_cmpstr(g_hash_table_lookup(spec->target.networks, "A"), ==, "a");
    g_assert_cmpstr(g_hash_table_lookup(spec->target.networks, "B"), ==, "c");
    g_assert_cmpuint(spec->max_downtime, ==, 60);
    g_assert_cmpuint(spec->bandwidth, ==, 1 << 30);
}

static void test_environment(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Config) config = NULL;

    g_setenv("VC_PASSWORD", "fallback", TRUE);
    config = load(fixture, "vcenter: {host: a, user: b}\n");
    g_assert_cmpstr(secret_reveal(config->vcenter.password), ==, "fallback");
    g_clear_pointer(&config, config_free);
    config = load(fixture, familiar);
    g_assert_cmpstr(secret_reveal(config->vcenter.password), ==, "s3cret");
    g_clear_pointer(&config, config_free);
    g_setenv("V2C_VCENTER_HOST", "other", TRUE);
    g_setenv("V2C_VCENTER_USER", "me", TRUE);
    g_setenv("V2C_VCENTER_PASSWORD", "override", TRUE);
    config = load(fixture, familiar);
    g_assert_cmpstr(config->vcenter.host, ==, "other");
    g_assert_cmpstr(config->vcenter.user, ==, "me");
    g_assert_cmpstr(secret_reveal(config->vcenter.password), ==, "override");
}

static void test_password_file(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Config) config = NULL;

    write_file(fixture->password_path, "from a file \r\nsecond line\n");
    config = load(fixture, "vcenter: {password_file: password}\n");
    g_assert_cmpstr(secret_reveal(config->vcenter.password), ==, "from a file ");
    assert_refused(fixture, "vcenter:\n  password: x\n  password_file: password\n",
                   "FILE:3: vcenter.password_file: password is given too; keep one of the two");
}

static void test_trust(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Config) config = load(
        fixture,
        "vcenter:\n  thumbprint: 00112233445566778899aabbccddeeff00112233\n  ca_file: /ca\n  port: 8443\n");

    g_assert_cmpstr(config->vcenter.thumbprint, ==,
                    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33");
    g_assert_cmpuint(config->vcenter.port, ==, 8443);
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    assert_refused(
        fixture, "vcentre: {host: a}\nmigration: {paralell_vms: 3, finalize_at: 2026-01-01}\nvm: {name: a}\n",
        "FILE:1: vcentre: unknown key; did you mean vcenter?\n"
        "FILE:2: migration.paralell_vms: unknown key; did you mean parallel_vms?\n"
        "FILE:2: migration.finalize_at: unknown key\n"
        "FILE:3: vm: unknown key");
    assert_refused(fixture, "vcenter: {port: 65536}\n",
                   "FILE:1: vcenter.port: 65536 is out of range; 1 to 65535 are allowed");
    g_assert_null(config_load("/nonexistent/config.yaml", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/config/defaults", test_defaults);
    ADD("/config/familiar", test_familiar);
    ADD("/config/inherits-target", test_inherits_target);
    ADD("/config/environment", test_environment);
    ADD("/config/password-file", test_password_file);
    ADD("/config/trust", test_trust);
    ADD("/config/refused", test_refused);
    return g_test_run();
}
