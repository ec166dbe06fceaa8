/* spec/spec.h: what the operator wrote: the config file (who we talk to, defaults) and run specs (which VMs,
 * how).
 *
 * YAML or JSON.  Either is read into one tree that remembers file, line and column of every key; one table
 * (keys.c) describes every key with its type, default, range, and one line of help, and validator, error
 * messages and the man page vmferry-spec(5) come from it.  Unknown keys, wrong types and values out of range
 * are refused, all of them at once, each with file, line and key: "demo.yaml:7: migration.delta_intervall:
 * unknown key; did you mean delta_interval?".
 *
 * Keys and defaults are those of the seed system (config.yaml, run spec) with our own beside them.  A spec
 * file holds one VM, or `vms:` with a list of them.  The config fills what a spec leaves out.
 *
 * Ownership: Config and VmSpec own their strings.  Thread rule: immutable after loading.
 */
#pragma once

#include "base/secret.h"

#include <glib.h>

typedef enum { SHUTDOWN_AUTO, SHUTDOWN_FORCE, SHUTDOWN_MANUAL } ShutdownMode;
typedef enum { QUIESCE_AUTO, QUIESCE_TRUE, QUIESCE_FALSE } QuiesceMode;

/* Whom to ask for VMs, and how far to trust him. */
typedef struct {
    char *host;   /* name or address; ":port" allowed */
    guint16 port; /* 443 */
    char *user;
    Secret *password; /* vcenter.password, vcenter.password_file, VC_PASSWORD, V2C_VCENTER_PASSWORD; NULL when
                         none */
    char *ca_file, *thumbprint; /* NULL when not given */
    gboolean insecure;
} VcenterConfig;

typedef struct {
    char *kind;             /* "local" (default without cloudstack), "cloudstack" (accepted; later) */
    char *directory;        /* local: where the images go */
    char *format;           /* local: "qcow2" or "raw" */
    char *bus;              /* local: "virtio" (default), "scsi", "sata" */
    gboolean define, start; /* local: through libvirt */
    char *libvirt_uri;      /* "qemu:///system" */
    char *network;          /* local: libvirt network for NICs without a mapping: "default" */
    GHashTable *networks;   /* local: source network name -> libvirt network or "bridge:NAME" */
    char *domain_type;      /* local: "kvm" or "qemu" */
    GHashTable *cloudstack; /* cloudstack: key -> text, as written, with the config's defaults */
} TargetSpec;

typedef struct {
    /* Which VM.  `ref` is name, inventory path, moref ("vm-12") or instance uuid; from vm.name, vm.path,
     * vm.moref, vm.uuid. */
    char *ref;
    char *file; /* where it was written, for messages */

    /* migration: */
    guint delta_interval;          /* s, 300 */
    guint finalize_delta_interval; /* s, 30 */
    guint finalize_window;         /* s, 600 */
    gint64 finalize_at;            /* microseconds since 1970; 0: not given */
    gint finalize_settle_seconds;  /* -1: 30 for Windows, 15 otherwise; (seed: 0 means that default too) */
    guint readers;                 /* threads per disk, 4 */
    guint parallel_disks;          /* 4 */
    guint max_downtime;            /* s; 0: not given.  Cut over when the prediction fits */
    guint max_rounds;              /* 0: no limit.  Delta rounds before it gives up on max_downtime */
    guint64 bandwidth;             /* bytes/s over all disks of this VM; 0: no limit */
    ShutdownMode shutdown_mode;
    guint shutdown_timeout; /* s, 300: auto: how long the guest may take */
    QuiesceMode snapshot_quiesce;
    gboolean run_virt_v2v;
    gboolean start_vm_after_import;
    gboolean verify;            /* read the target back before it is handed over: true */
    gboolean allow_snapshots;   /* go on although the VM has snapshots of its own: false */
    gboolean allow_full_reread; /* go on with disks that have no change tracking: each round reads them in
                                   full: false */
    guint checkpoint_seconds;   /* 5 */
    char *transport;            /* "auto", "https", "nbd", later "vddk" */

    TargetSpec target;
    GHashTable *disk_options; /* disks.<key>.storageid, .diskofferingid: "2000.storageid" -> text */
} VmSpec;

typedef struct {
    VcenterConfig vcenter;
    char *control_dir;  /* where the store lies: /var/lib/vmferry */
    guint parallel_vms; /* 3 */
    char *virtio_iso;
    VmSpec *defaults; /* what specs inherit */
} Config;

/* NULL path: ./config.yaml, ../config.yaml, /etc/vmferry/config.yaml, the first that exists; none is fine and
 * gives defaults.  Environment overrides as in the seed: V2C_VCENTER_HOST, _USER, _PASSWORD, VC_PASSWORD. */
Config *config_load(const char *path, GError **error);
void config_free(Config *config); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* Appends VmSpecs.  The whole file is refused when anything in it is wrong. */
gboolean spec_load(const char *path, const Config *config, GPtrArray *specs, GError **error);
/* The same from text, whose name is `name`. */
gboolean spec_parse(const char *text, gsize length, const char *name, const Config *config, GPtrArray *specs,
                    GError **error);
void vm_spec_free(VmSpec *spec); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmSpec, vm_spec_free)

/* The effective spec as JSON that spec_parse() reads back to the same: kept in the store for retry.  No
 * secrets. */
char *vm_spec_to_json(const VmSpec *spec);

/* The table of keys as text, for the man page: troff. */
char *spec_keys_to_man(void);
