/* vsphere/inventory.h: what is there: datacenters, hosts, datastores, networks and VMs.
 *
 * Read through one ContainerView and paged RetrievePropertiesEx; a page is asked for until no token comes.
 * Properties that an older API does not know are left out and asked again without.
 */
#pragma once

#include "spec/machine.h"
#include "vsphere/session.h"

typedef struct {
    char *name;
    char *moref;
    guint64 capacity, free; /* bytes */
    char *type;             /* "VMFS", "NFS", "vsan", ... */
    char *url;              /* "ds:///vmfs/volumes/5f3a.../"; NULL when not said */
    char *datacenter_path;  /* dcPath of its datacenter */
    gboolean accessible;
} VsphereDatastore;

typedef struct {
    char *moref;
    char *name;
    char *parent; /* moref; NULL for top-level */
    char *description;
    gboolean quiesced, current;
} VsphereSnapshot;

/* A virtual disk as vSphere describes it, beyond MachineDisk. */
typedef struct {
    gint32 key;
    char *path;      /* backing fileName, "[ds] dir/x.vmdk"; NULL when the backing has none */
    char *backing;   /* "FlatVer2", "SeSparse", "SparseVer2", "RawDiskMappingVer1", ... */
    char *mode;      /* "persistent", "independent_persistent", ... */
    char *sharing;   /* "sharingNone", "sharingMultiWriter"; NULL when not said */
    char *rdm_mode;  /* "physicalMode", "virtualMode"; NULL when no RDM */
    char *uuid;      /* NULL when none */
    char *change_id; /* NULL: tracking not active */
    char *disk_object_id;
    guint64 size;
    gboolean has_parent; /* the backing lies on another link */
    gboolean encrypted;
    gboolean shared_bus; /* its controller shares the bus */
} VsphereDisk;

typedef struct {
    Machine *machine; /* the platform-neutral part; disks in its order */
    char *moref;
    char *path; /* inventory path, "/DC/vm/folder/name", names escaped as FindByInventoryPath wants them */
    char *datacenter_path;  /* dcPath for /folder */
    char *host;             /* name of the ESXi host it runs on; NULL when none */
    char *power_state;      /* "poweredOn", "poweredOff", "suspended" */
    char *connection_state; /* "connected", ... */
    char *tools_running;    /* "guestToolsRunning", ... */
    char *hardware_version; /* "vmx-19" */
    char *vmx_path;
    gboolean template, cbt_supported, cbt_enabled, consolidation_needed, encrypted, fault_tolerant;
    gboolean has_usb, has_pci_passthrough;
    gboolean question_pending;
    GPtrArray *disks;            /* VsphereDisk, in the machine's order: same length, same keys */
    GPtrArray *snapshots;        /* VsphereSnapshot, parents before children */
    GPtrArray *busy_tasks;       /* char *: descriptionId of queued or running tasks on it */
    GPtrArray *disabled_methods; /* char * */
} VsphereVm;

void vsphere_vm_free(VsphereVm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VsphereVm, vsphere_vm_free)

/* All VMs in summary: VsphereVm without disks' change ids guaranteed, sorted by path.  Templates only when
 * asked. */
GPtrArray *vsphere_list_vms(Vsphere *vsphere, gboolean with_templates, GError **error);
GPtrArray *vsphere_list_datastores(Vsphere *vsphere, GError **error); /* VsphereDatastore */

/* By name, inventory path ("/DC/vm/web" or "DC/vm/web"), moref ("vm-12", or a number on ESXi) or instance
 * uuid.  VF_ERROR_NOT_FOUND, with near names; VF_ERROR_CONFLICT, which lists the candidates with path and
 * moref, when a name fits several. */
VsphereVm *vsphere_find_vm(Vsphere *vsphere, const char *ref, GError **error);
/* The state of a VM that is known, read afresh; also checks that its instance uuid is still `instance_uuid`
 * (when not NULL): VF_ERROR_INTEGRITY if the moref now means another VM. */
VsphereVm *vsphere_get_vm(Vsphere *vsphere, const char *moref, const char *instance_uuid, GError **error);
