/* spec/machine.h: what a virtual machine is, in nobody's platform's words.
 *
 * vsphere/ fills one from what the API says, an OVF reader will from its hardware section, targets make a
 * domain of it.  A disk is known by `key` together with `uuid` (vSphere: device key and backing uuid), never
 * by its place.
 *
 * Ownership: a Machine owns all that hangs on it.  Thread rule: belongs to one thread; immutable after it was
 * filled.
 */
#pragma once

#include <glib.h>

typedef enum { MACHINE_FIRMWARE_BIOS, MACHINE_FIRMWARE_UEFI } MachineFirmware;

typedef enum {
    MACHINE_FAMILY_OTHER,
    MACHINE_FAMILY_LINUX,
    MACHINE_FAMILY_WINDOWS,
} MachineFamily;

typedef struct {
    char *key;         /* stable identity at the source, e.g. "2000"; unique in the machine */
    char *uuid;        /* of the backing; NULL when the source has none */
    char *label;       /* "Hard disk 1" */
    char *controller;  /* "pvscsi", "lsilogic", "lsisas", "buslogic", "ahci", "ide", "nvme", "other" */
    gint bus, unit;    /* place on that controller: 0:0 */
    guint64 size;      /* bytes */
    guint64 allocated; /* bytes stored at the source; 0 when not known */
    gboolean boot;     /* the disk the firmware starts from */
} MachineDisk;

typedef struct {
    char *key;
    char *label;        /* "Network adapter 1" */
    char *model;        /* "vmxnet3", "e1000", "e1000e", "pcnet32", "other" */
    char *mac;          /* "00:50:56:..", lower case */
    char *network;      /* name at the source */
    gboolean connected; /* at power on */
} MachineNic;

typedef struct {
    char *name;
    char *id; /* at the source: moref */
    char *instance_uuid;
    char *bios_uuid;  /* SMBIOS uuid, which the guest sees; NULL when unknown */
    char *annotation; /* NULL when empty */
    char *guest_id;   /* source's word: "debian11_64Guest" */
    MachineFamily family;
    MachineFirmware firmware;
    gboolean secure_boot, tpm;
    guint cpus, cores_per_socket;
    guint64 memory;   /* bytes */
    GPtrArray *disks; /* MachineDisk, boot disk first, then by controller kind, bus, unit */
    GPtrArray *nics;  /* MachineNic, in order of their keys */
} Machine;

Machine *machine_new(void);
void machine_free(Machine *machine); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Machine, machine_free)
MachineDisk *machine_add_disk(Machine *machine);
MachineNic *machine_add_nic(Machine *machine);
const MachineDisk *machine_disk(const Machine *machine, const char *key); /* NULL when there is none */
guint64 machine_total_size(const Machine *machine);

/* To and from JSON, for the store: what was discovered before the first byte must be there after a crash. */
char *machine_to_json(const Machine *machine);
Machine *machine_from_json(const char *json, GError **error);
