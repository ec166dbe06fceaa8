#include "spec/keys.h"

#include "base/size.h"

#define DAY 86400u

static const char *const shutdown_modes[] = {"auto", "force", "manual", NULL};
static const char *const quiesce_modes[] = {"auto", "true", "false", NULL};
static const char *const transports[] = {"auto", "https", "nbd", "vddk", NULL};
static const char *const kinds[] = {"local", "cloudstack", NULL};
static const char *const formats[] = {"qcow2", "raw", NULL};
static const char *const buses[] = {"virtio", "scsi", "sata", NULL};
static const char *const domain_types[] = {"kvm", "qemu", NULL};

#define CLOUDSTACK_KEY(name, text)                                                                           \
    {                                                                                                        \
        .path = "target.cloudstack." name, .type = KEY_TABLE, .under = 2,                                    \
        .at = KEY_AT(VmSpec, target.cloudstack), .help = text                                                \
    }

static const SchemaKey shared_rows[] = {
    {.path = "migration.delta_interval",
     .type = KEY_SECONDS,
     .fallback = "300",
     .min = 1,
     .max = 7 * DAY,
     .at = KEY_AT(VmSpec, delta_interval),
     .help = "How long to wait between two delta rounds."},
    {.path = "migration.finalize_delta_interval",
     .type = KEY_SECONDS,
     .fallback = "30",
     .min = 1,
     .max = DAY,
     .at = KEY_AT(VmSpec, finalize_delta_interval),
     .help = "The same once finalize_at is nearer than finalize_window."},
    {.path = "migration.finalize_window",
     .type = KEY_SECONDS,
     .fallback = "600",
     .max = 7 * DAY,
     .at = KEY_AT(VmSpec, finalize_window),
     .help = "How long before finalize_at rounds follow each other faster."},
    {.path = "migration.finalize_settle_seconds",
     .type = KEY_DELAY,
     .max = 3600,
     .at = KEY_AT(VmSpec, finalize_settle_seconds),
     .help = "Pause between the power off and the final round. 0 means the default, 30 for Windows and 15 "
             "for others; "
             "none means no pause."},
    {.path = "migration.readers",
     .type = KEY_UINT,
     .fallback = "4",
     .min = 1,
     .max = 64,
     .at = KEY_AT(VmSpec, readers),
     .help = "Threads that copy one disk."},
    {.path = "migration.parallel_disks",
     .type = KEY_UINT,
     .fallback = "4",
     .min = 1,
     .max = 64,
     .at = KEY_AT(VmSpec, parallel_disks),
     .help = "Disks of one VM that are copied at the same time."},
    {.path = "migration.max_downtime",
     .type = KEY_SECONDS,
     .fallback = "0",
     .max = DAY,
     .at = KEY_AT(VmSpec, max_downtime),
     .help = "Cut over by itself as soon as the predicted downtime is no longer than this. 0: wait for "
             "finalize."},
    {.path = "migration.max_rounds",
     .type = KEY_UINT,
     .fallback = "0",
     .max = 100000,
     .at = KEY_AT(VmSpec, max_rounds),
     .help = "Delta rounds after which max_downtime is given up as out of reach. 0: never."},
    {.path = "migration.bandwidth",
     .type = KEY_SIZE,
     .fallback = "0",
     .max = G_MAXINT64,
     .at = KEY_AT(VmSpec, bandwidth),
     .help = "Bytes per second that all disks of the VM may be read with together. 0: no limit."},
    {.path = "migration.shutdown_mode",
     .type = KEY_ENUM,
     .fallback = "auto",
     .words = shutdown_modes,
     .at = KEY_AT(VmSpec, shutdown_mode),
     .help = "How the source is shut down. auto asks the guest; force powers off; manual waits for somebody "
             "to do it."},
    {.path = "migration.shutdown_timeout",
     .type = KEY_SECONDS,
     .fallback = "300",
     .min = 1,
     .max = DAY,
     .at = KEY_AT(VmSpec, shutdown_timeout),
     .help = "How long the guest may take to shut down when it is asked."},
    {.path = "migration.snapshot_quiesce",
     .type = KEY_ENUM,
     .fallback = "auto",
     .words = quiesce_modes,
     .at = KEY_AT(VmSpec, snapshot_quiesce),
     .help = "Whether the guest's file systems are quiesced for a snapshot. auto tries and goes on without; "
             "true insists."},
    {.path = "migration.run_virt_v2v",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(VmSpec, run_virt_v2v),
     .help = "Convert the guest for KVM with virt-v2v-in-place after the final round."},
    {.path = "migration.start_vm_after_import",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(VmSpec, start_vm_after_import),
     .help = "Start the VM at the target."},
    {.path = "migration.verify",
     .type = KEY_BOOLEAN,
     .fallback = "true",
     .at = KEY_AT(VmSpec, verify),
     .help = "Read the target back against the checksums before it is handed over."},
    {.path = "migration.allow_snapshots",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(VmSpec, allow_snapshots),
     .help = "Go on although the VM has snapshots of its own."},
    {.path = "migration.allow_full_reread",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(VmSpec, allow_full_reread),
     .help = "Go on with disks whose changes vSphere cannot track: each round reads them in full, the last "
             "one in "
             "the downtime too."},
    {.path = "migration.checkpoint",
     .type = KEY_SECONDS,
     .fallback = "5",
     .min = 1,
     .max = 3600,
     .at = KEY_AT(VmSpec, checkpoint_seconds),
     .help = "How much copying a crash may cost: what was written is made durable and recorded this often."},
    {.path = "migration.transport",
     .type = KEY_WORD,
     .fallback = "auto",
     .words = transports,
     .at = KEY_AT(VmSpec, transport),
     .help = "How disks are read from the source."},

    {.path = "target.kind",
     .type = KEY_WORD,
     .words = kinds,
     .at = KEY_AT(VmSpec, target.kind),
     .help = "Where the VM goes. Without it the block that is there decides; without any block it is local."},
    {.path = "target.local.directory",
     .type = KEY_TEXT,
     .at = KEY_AT(VmSpec, target.directory),
     .help = "Where the images go. It must be said somewhere for a local target."},
    {.path = "target.local.format",
     .type = KEY_WORD,
     .fallback = "qcow2",
     .words = formats,
     .at = KEY_AT(VmSpec, target.format),
     .help = "Format of the images."},
    {.path = "target.local.bus",
     .type = KEY_WORD,
     .fallback = "virtio",
     .words = buses,
     .at = KEY_AT(VmSpec, target.bus),
     .help = "Bus that the disks hang on in the new VM."},
    {.path = "target.local.define",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(VmSpec, target.define),
     .help = "Define the VM in libvirt."},
    {.path = "target.local.start",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(VmSpec, target.start),
     .help = "Define the VM and start it; migration.start_vm_after_import means the same."},
    {.path = "target.local.libvirt_uri",
     .type = KEY_TEXT,
     .fallback = "qemu:///system",
     .at = KEY_AT(VmSpec, target.libvirt_uri),
     .help = "Which libvirt."},
    {.path = "target.local.network",
     .type = KEY_TEXT,
     .fallback = "default",
     .at = KEY_AT(VmSpec, target.network),
     .help = "libvirt network of adapters whose network is not in networks."},
    {.path = "target.local.networks.*",
     .type = KEY_TABLE,
     .under = 3,
     .at = KEY_AT(VmSpec, target.networks),
     .help = "The key is a network of the source; the value is a libvirt network, or bridge:NAME."},
    {.path = "target.local.domain_type",
     .type = KEY_WORD,
     .fallback = "kvm",
     .words = domain_types,
     .at = KEY_AT(VmSpec, target.domain_type),
     .help = "Kind of the libvirt domain; qemu runs without hardware support, slowly."},

    CLOUDSTACK_KEY("zoneid", "Zone."),
    CLOUDSTACK_KEY("clusterid", "Cluster."),
    CLOUDSTACK_KEY("storageid", "Primary storage of the root disk, and of disks without one of their own."),
    CLOUDSTACK_KEY("networkid", "Network of the first adapter, unless nic_mappings says it."),
    CLOUDSTACK_KEY("serviceofferingid", "Service offering."),
    CLOUDSTACK_KEY("diskofferingid", "Disk offering of data disks."),
    CLOUDSTACK_KEY("ostypeid", "Guest OS type."),
    CLOUDSTACK_KEY("boottype", "BIOS or UEFI."),
    CLOUDSTACK_KEY("bootmode", "LEGACY or SECURE, with UEFI."),
    CLOUDSTACK_KEY("rootdiskcontroller", "Controller of the root disk."),
    CLOUDSTACK_KEY("nicadapter", "Model of the adapters."),
    CLOUDSTACK_KEY("nic_mappings.*.source_label", "Label of the adapter at the source."),
    CLOUDSTACK_KEY("nic_mappings.*.source_network", "Its network at the source."),
    CLOUDSTACK_KEY("nic_mappings.*.source_mac", "Its address."),
    CLOUDSTACK_KEY("nic_mappings.*.source_device_key", "Its device key."),
    CLOUDSTACK_KEY("nic_mappings.*.source_index", "Its place, from 0."),
    CLOUDSTACK_KEY("nic_mappings.*.networkid", "The network that it gets."),
};

const Schema shared_keys = {.keys = shared_rows, .n_keys = G_N_ELEMENTS(shared_rows)};

static const SchemaKey spec_rows[] = {
    {.path = "vm.name",
     .type = KEY_TEXT,
     .help = "Name of the VM at the source. One of name, path, moref and uuid is needed."},
    {.path = "vm.path",
     .type = KEY_TEXT,
     .help = "Its inventory path, when the name is not unique: /DC/vm/folder/name."},
    {.path = "vm.moref",
     .type = KEY_TEXT,
     .help = "Its managed object reference, vm-12; wins over path and name."},
    {.path = "vm.uuid", .type = KEY_TEXT, .help = "Its instance uuid; wins over moref, path and name."},
    {.path = "migration.finalize_at",
     .type = KEY_TIME,
     .at = KEY_AT(VmSpec, finalize_at),
     .help = "When to cut over."},
    {.path = "disks.*.storageid",
     .type = KEY_TABLE,
     .under = 1,
     .at = KEY_AT(VmSpec, disk_options),
     .help = "Primary storage of this disk. The key is a device key (2000) or a unit number (0)."},
    {.path = "disks.*.diskofferingid",
     .type = KEY_TABLE,
     .under = 1,
     .at = KEY_AT(VmSpec, disk_options),
     .help = "Disk offering of this disk."},
};

const Schema spec_keys = {.keys = spec_rows, .n_keys = G_N_ELEMENTS(spec_rows), .also = &shared_keys};

static const SchemaKey spec_list_rows[] = {
    {.path = "vms",
     .type = KEY_LIST,
     .items = &spec_keys,
     .help = "Several VMs, each with all the keys below."},
};

const Schema spec_list_keys = {.keys = spec_list_rows, .n_keys = G_N_ELEMENTS(spec_list_rows)};

#define CLOUDSTACK_DEFAULT(name)                                                                             \
    {                                                                                                        \
        .path = "cloudstack_defaults." name, .type = KEY_TABLE, .under = 1,                                  \
        .at = KEY_AT(VmSpec, target.cloudstack), .help = "Default of target.cloudstack." name "."            \
    }

static const SchemaKey config_spec_rows[] = {
    {.path = "virt.run_virt_v2v",
     .type = KEY_BOOLEAN,
     .at = KEY_AT(VmSpec, run_virt_v2v),
     .help = "Default of migration.run_virt_v2v."},
    CLOUDSTACK_DEFAULT("zoneid"),
    CLOUDSTACK_DEFAULT("clusterid"),
    CLOUDSTACK_DEFAULT("storageid"),
    CLOUDSTACK_DEFAULT("networkid"),
    CLOUDSTACK_DEFAULT("serviceofferingid"),
    CLOUDSTACK_DEFAULT("diskofferingid"),
    CLOUDSTACK_DEFAULT("ostypeid"),
    CLOUDSTACK_DEFAULT("boottype"),
    CLOUDSTACK_DEFAULT("bootmode"),
    CLOUDSTACK_DEFAULT("rootdiskcontroller"),
    CLOUDSTACK_DEFAULT("nicadapter"),
};

const Schema config_spec_keys = {
    .keys = config_spec_rows, .n_keys = G_N_ELEMENTS(config_spec_rows), .also = &shared_keys};

static const SchemaKey config_rows[] = {
    {.path = "vcenter.host",
     .type = KEY_TEXT,
     .at = KEY_AT(Config, vcenter.host),
     .help =
         "vCenter or ESXi host, with :PORT if need be. V2C_VCENTER_HOST in the environment overrides it."},
    {.path = "vcenter.port",
     .type = KEY_UINT16,
     .fallback = "443",
     .min = 1,
     .max = 65535,
     .at = KEY_AT(Config, vcenter.port),
     .help = "Its port."},
    {.path = "vcenter.user",
     .type = KEY_TEXT,
     .at = KEY_AT(Config, vcenter.user),
     .help = "Who logs in. V2C_VCENTER_USER in the environment overrides it."},
    {.path = "vcenter.password",
     .type = KEY_SECRET,
     .at = KEY_AT(Config, vcenter.password),
     .help = "The password. V2C_VCENTER_PASSWORD in the environment overrides it; VC_PASSWORD is taken when "
             "there is none."},
    {.path = "vcenter.password_file",
     .type = KEY_TEXT,
     .help = "A file whose first line is the password; beside the config file when the path is relative."},
    {.path = "vcenter.ca_file",
     .type = KEY_TEXT,
     .at = KEY_AT(Config, vcenter.ca_file),
     .help = "PEM file of the authorities that may have signed its certificate, instead of the system's."},
    {.path = "vcenter.thumbprint",
     .type = KEY_TEXT,
     .at = KEY_AT(Config, vcenter.thumbprint),
     .help = "SHA-1 or SHA-256 of exactly its certificate (vmferry cert shows both); authorities are not "
             "asked then."},
    {.path = "vcenter.insecure",
     .type = KEY_BOOLEAN,
     .fallback = "false",
     .at = KEY_AT(Config, vcenter.insecure),
     .help = "Believe any certificate. For laboratories."},
    {.path = "migration.control_dir",
     .type = KEY_TEXT,
     .fallback = "/var/lib/vmferry",
     .at = KEY_AT(Config, control_dir),
     .help = "Where the state of all migrations is kept."},
    {.path = "migration.parallel_vms",
     .type = KEY_UINT,
     .fallback = "3",
     .min = 1,
     .max = 64,
     .at = KEY_AT(Config, parallel_vms),
     .help = "VMs that are migrated at the same time."},
    {.path = "migration.vddk_path",
     .type = KEY_TEXT,
     .help = "Accepted for compatibility; disks are read without VDDK."},
    {.path = "migration.specs_dir",
     .type = KEY_TEXT,
     .help = "Accepted for compatibility; specs are kept in the store."},
    {.path = "migration.workdir",
     .type = KEY_TEXT,
     .help = "Accepted for compatibility; nothing is written there."},
    {.path = "virt.virtio_iso",
     .type = KEY_TEXT,
     .fallback = "/usr/share/virtio-win/virtio-win.iso",
     .at = KEY_AT(Config, virtio_iso),
     .help = "Windows drivers for the conversion."},
    {.path = "cloudstack.endpoint",
     .type = KEY_TEXT,
     .help = "Address of the CloudStack API. With it and without target blocks the target is cloudstack, "
             "which is accepted "
             "in this version and not built yet."},
    {.path = "cloudstack.api_key", .type = KEY_TEXT, .help = "API key."},
    {.path = "cloudstack.secret_key", .type = KEY_SECRET, .help = "Secret key."},
    {.path = "cloudstack.timeout_seconds",
     .type = KEY_SECONDS,
     .fallback = "45",
     .max = 3600,
     .help = "How long an answer of the API may take. 0: the default."},
};

const Schema config_keys = {
    .keys = config_rows, .n_keys = G_N_ELEMENTS(config_rows), .also = &config_spec_keys};

char *spec_keys_to_man(void)
{
    GString *out = g_string_new(".SH KEYS OF A SPEC\n");

    schema_to_man(&spec_list_keys, out);
    schema_to_man(&spec_keys, out);
    g_string_append(out, ".SH KEYS OF A SPEC THAT THE CONFIG MAY GIVE DEFAULTS FOR\n");
    schema_to_man(&shared_keys, out);
    g_string_append(out, ".SH KEYS OF THE CONFIG\n");
    schema_to_man(&config_keys, out);
    schema_to_man(&config_spec_keys, out);
    return g_string_free(out, FALSE);
}
