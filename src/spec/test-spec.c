#include "spec/spec.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

static GPtrArray *specs_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vm_spec_free);
}

static GPtrArray *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *specs = specs_new();

    spec_parse(text, strlen(text), "a.yaml", NULL, specs, &error);
    g_assert_no_error(error);
    return specs;
}

static void assert_refused(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) specs = specs_new();

    g_assert_false(spec_parse(text, strlen(text), "a.yaml", NULL, specs, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpuint(specs->len, ==, 0);
}

static const char minimal[] = "vm: {name: web}\ntarget: {local: {directory: /images}}\n";

static void test_defaults(void)
{
    g_autoptr(GPtrArray) specs = parse(minimal);
    const VmSpec *spec = specs->pdata[0];

    g_assert_cmpuint(specs->len, ==, 1);
    g_assert_cmpstr(spec->ref, ==, "web");
    g_assert_cmpstr(spec->file, ==, "a.yaml");
    g_assert_cmpuint(spec->delta_interval, ==, 300);
    g_assert_cmpuint(spec->finalize_delta_interval, ==, 30);
    g_assert_cmpuint(spec->finalize_window, ==, 600);
    g_assert_cmpint(spec->finalize_at, ==, 0);
    g_assert_cmpint(spec->finalize_settle_seconds, ==, -1);
    g_assert_cmpuint(spec->readers, ==, 4);
    g_assert_cmpuint(spec->parallel_disks, ==, 4);
    g_assert_cmpuint(spec->max_downtime, ==, 0);
    g_assert_cmpuint(spec->max_rounds, ==, 0);
    g_assert_cmpuint(spec->bandwidth, ==, 0);
    g_assert_cmpint(spec->shutdown_mode, ==, SHUTDOWN_AUTO);
    g_assert_cmpuint(spec->shutdown_timeout, ==, 300);
    g_assert_cmpint(spec->snapshot_quiesce, ==, QUIESCE_AUTO);
    g_assert_false(spec->run_virt_v2v || spec->start_vm_after_import || spec->allow_snapshots);
    g_assert_false(spec->allow_full_reread);
    g_assert_true(spec->verify);
    g_assert_cmpuint(spec->checkpoint_seconds, ==, 5);
    g_assert_cmpstr(spec->transport, ==, "auto");
    g_assert_cmpstr(spec->target.kind, ==, "local");
    g_assert_cmpstr(spec->target.directory, ==, "/images");
    g_assert_cmpstr(spec->target.format, ==, "qcow2");
    g_assert_cmpstr(spec->target.bus, ==, "virtio");
    g_assert_cmpstr(spec->target.libvirt_uri, ==, "qemu:///system");
    g_assert_cmpstr(spec->target.network, ==, "default");
    g_assert_cmpstr(spec->target.domain_type, ==, "kvm");
    g_assert_false(spec->target.define || spec->target.start);
    g_assert_cmpuint(g_hash_table_size(spec->target.networks), ==, 0);
    g_assert_cmpuint(g_hash_table_size(spec->target.cloudstack), ==, 0);
    g_assert_cmpuint(g_hash_table_size(spec->disk_options), ==, 0);
}

static const char everything[] =
    "vm:\n"
    "  name: Centos7\n"
    "  path: /DC1/vm/prod/Centos7\n"
    "  moref: vm-3312\n"
    "migration:\n"
    "  delta_interval: 10m\n"
    "  finalize_at: \"2026-03-12T23:30:00+01:00\"\n"
    "  finalize_delta_interval: 15\n"
    "  finalize_window: 1h\n"
    "  finalize_settle_seconds: none\n"
    "  readers: 8\n"
    "  parallel_disks: 2\n"
    "  max_downtime: 30s\n"
    "  max_rounds: 12\n"
    "  bandwidth: 100M\n"
    "  shutdown_mode: manual\n"
    "  shutdown_timeout: 120\n"
    "  snapshot_quiesce: false\n"
    "  run_virt_v2v: true\n"
    "  start_vm_after_import: yes\n"
    "  verify: false\n"
    "  allow_snapshots: true\n"
    "  allow_full_reread: true\n"
    "  checkpoint: 2\n"
    "  transport: https\n"
    "target:\n"
    "  kind: local\n"
    "  local:\n"
    "    directory: /images\n"
    "    format: raw\n"
    "    bus: sata\n"
    "    networks:\n"
    "      VM Network: default\n"
    "      10.1.x net: bridge:br0\n"
    "  cloudstack:\n"
    "    zoneid: z-1\n"
    "    networkid: ''\n"
    "    nic_mappings:\n"
    "      \"4000\": {source_label: Network adapter 1, source_index: 0, networkid: n-1}\n"
    "disks:\n"
    "  \"2000\": {storageid: s-1}\n"
    "  1: {storageid: s-2, diskofferingid: o-2}\n";

static void test_everything(void)
{
    g_autoptr(GPtrArray) specs = parse(everything);
    const VmSpec *spec = specs->pdata[0];

    g_assert_cmpstr(spec->ref, ==, "vm-3312");
    g_assert_cmpuint(spec->delta_interval, ==, 600);
    g_assert_cmpint(spec->finalize_at, ==, G_GINT64_CONSTANT(1773354600000000));
    g_assert_cmpuint(spec->finalize_window, ==, 3600);
    g_assert_cmpint(spec->finalize_settle_seconds, ==, 0);
    g_assert_cmpuint(spec->max_downtime, ==, 30);
    g_assert_cmpuint(spec->bandwidth, ==, 100 * MIB);
    g_assert_cmpint(spec->shutdown_mode, ==, SHUTDOWN_MANUAL);
    g_assert_cmpint(spec->snapshot_quiesce, ==, QUIESCE_FALSE);
    g_assert_true(spec->run_virt_v2v && spec->start_vm_after_import && spec->allow_snapshots);
    g_assert_true(spec->allow_full_reread);
    g_assert_false(spec->verify);
    g_assert_true(spec->target.start && spec->target.define);
    g_assert_cmpstr(spec->target.format, ==, "raw");
    g_assert_cmpstr(g_hash_table_lookup(spec->target.networks, "10.1.x net"), ==, "bridge:br0");
    g_assert_cmpuint(g_hash_table_size(spec->target.cloudstack), ==, 4);
    g_assert_cmpstr(g_hash_table_lookup(spec->target.cloudstack, "nic_mappings.4000.source_index"), ==, "0");
    g_assert_cmpstr(g_hash_table_lookup(spec->disk_options, "2000.storageid"), ==, "s-1");
    g_assert_cmpstr(g_hash_table_lookup(spec->disk_options, "1.diskofferingid"), ==, "o-2");
}

static void assert_round_trip(const char *text)
{
    g_autoptr(GPtrArray) specs = parse(text);
    g_autofree char *first = vm_spec_to_json(specs->pdata[0]);
    g_autoptr(GPtrArray) again = parse(first);
    g_autofree char *second = vm_spec_to_json(again->pdata[0]);

    g_assert_cmpuint(again->len, ==, 1);
    g_assert_cmpstr(first, ==, second);
}

static void test_round_trip(void)
{
    g_autoptr(GPtrArray) specs = parse(everything);
    g_autofree char *json = vm_spec_to_json(specs->pdata[0]);
    g_autoptr(GPtrArray) again = parse(json);
    const VmSpec *spec = again->pdata[0];

    assert_round_trip(minimal);
    assert_round_trip(everything);
    assert_round_trip("vm: {name: 'a \"b\" \\'}\ntarget: {cloudstack: {zoneid: z}}\n");
    g_assert_cmpstr(spec->ref, ==, "vm-3312");
    g_assert_cmpint(spec->finalize_settle_seconds, ==, 0);
    g_assert_cmpint(spec->finalize_at, ==, G_GINT64_CONSTANT(1773354600000000));
    g_assert_cmpstr(g_hash_table_lookup(spec->target.networks, "10.1.x net"), ==, "bridge:br0");
    g_assert_cmpstr(g_hash_table_lookup(spec->target.cloudstack, "nic_mappings.4000.source_label"), ==,
                    "Network adapter 1");
    g_assert_cmpstr(g_hash_table_lookup(spec->disk_options, "1.diskofferingid"), ==, "o-2");
}

static void test_list(void)
{
    g_autoptr(GPtrArray) specs = parse("vms:\n"
                                       "- {vm: {name: a}, target: {local: {directory: /x}}}\n"
                                       "- vm: {uuid: 5021-aa}\n"
                                       "  target: {cloudstack: {}}\n");

    g_assert_cmpuint(specs->len, ==, 2);
    g_assert_cmpstr(((VmSpec *)specs->pdata[0])->target.kind, ==, "local");
    g_assert_cmpstr(((VmSpec *)specs->pdata[1])->ref, ==, "5021-aa");
    g_assert_cmpstr(((VmSpec *)specs->pdata[1])->target.kind, ==, "cloudstack");
    assert_refused("vms: []\n", "a.yaml:1: vms: the list is empty");
    assert_refused(
        "migration: {readers: 2}\nvms:\n- {vm: {name: a}, target: {cloudstack: {}}}\n",
        "a.yaml:1: migration: stands beside vms, where nothing reads it; put it into each VM of the list");
    assert_refused(
        "vms:\n- {vm: {name: a}, target: {cloudstack: {}}}\n- {vm: {nam: b}, target: {cloudstack: {}}}\n",
        "a.yaml:3: vms[1].vm.nam: unknown key; did you mean name?");
    assert_refused("vms: 3\n", "a.yaml:1: vms: a list of VMs is expected here");
    assert_refused("vms: [3]\n", "a.yaml:1: vms[0]: keys and values are expected here, not a value");
}

static void test_all_at_once(void)
{
    assert_refused(
        "vm:\n"
        "  name: web\n"
        "migration:\n"
        "  delta_intervall: 5\n"
        "  readers: 0\n"
        "  shutdown_mode: sometimes\n"
        "  finalize_at: tomorrow\n"
        "  verify: [1]\n"
        "readers: 4\n"
        "target: /images\n"
        "disks: {a.b: {storageid: x}}\n",
        "a.yaml:4: migration.delta_intervall: unknown key; did you mean delta_interval?\n"
        "a.yaml:5: migration.readers: 0 is out of range; 1 to 64 are allowed\n"
        "a.yaml:6: migration.shutdown_mode: \"sometimes\" is not one of auto, force, manual\n"
        "a.yaml:7: migration.finalize_at: \"tomorrow\" is not a time; write it as 2026-03-12T23:30:00Z "
        "or 2026-03-12T23:30 (UTC)\n"
        "a.yaml:8: migration.verify: true or false is expected here, not a list\n"
        "a.yaml:9: readers: unknown key; did you mean migration.readers?\n"
        "a.yaml:10: target: keys and values are expected here, not a value\n"
        "a.yaml:11: disks.a.b.storageid: \"a.b\" must not contain a dot");
}

static void test_refused(void)
{
    assert_refused("", "a.yaml:1: vm.name is missing: which VM? (vm.path, vm.moref and vm.uuid do as well)\n"
                       "a.yaml:1: target.local.directory is missing: where should the images go?");
    assert_refused("vm: {name: ''}\ntarget: {cloudstack: {}}\n",
                   "a.yaml:1: vm.name is missing: which VM? (vm.path, vm.moref and vm.uuid do as well)");
    assert_refused("vm: {name: a}\ntarget:\n  local: {directory: /x}\n  cloudstack: {zoneid: z}\n",
                   "a.yaml:2: target: both local and cloudstack are here; say which with target.kind");
    assert_refused("vm: {name: a}\ntarget: {cloudstack: {}}\nvcenter: {host: b}\n",
                   "a.yaml:3: vcenter: unknown key");
}

/* Nothing of a file is taken over when a later VM in it is wrong. */
static void test_whole_or_nothing(void)
{
    g_autoptr(GPtrArray) specs = parse(minimal);
    g_autoptr(GError) error = NULL;
    const char *text = "vms:\n- {vm: {name: a}, target: {cloudstack: {}}}\n- {}\n";

    g_assert_false(spec_parse(text, strlen(text), "b", NULL, specs, &error));
    g_assert_cmpuint(specs->len, ==, 1);
    g_clear_error(&error);
    g_assert_false(spec_load("/nonexistent/spec.yaml", NULL, specs, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_man(void)
{
    g_autofree char *man = spec_keys_to_man();

    g_assert_nonnull(strstr(man, ".B migration.delta_interval\n"));
    g_assert_nonnull(strstr(man, "(seconds or a duration, 1 to 604800 s; default 300)"));
    g_assert_nonnull(strstr(man, ".B target.local.networks.*\n"));
    g_assert_nonnull(strstr(man, ".B cloudstack_defaults.zoneid\n"));
    g_assert_nonnull(strstr(man, ".B vcenter.password_file\n"));
    g_assert_nonnull(strstr(man, "virt\\-v2v\\-in\\-place"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/spec/defaults", test_defaults);
    g_test_add_func("/spec/everything", test_everything);
    g_test_add_func("/spec/round-trip", test_round_trip);
    g_test_add_func("/spec/list", test_list);
    g_test_add_func("/spec/all-at-once", test_all_at_once);
    g_test_add_func("/spec/refused", test_refused);
    g_test_add_func("/spec/whole-or-nothing", test_whole_or_nothing);
    g_test_add_func("/spec/man", test_man);
    return g_test_run();
}
