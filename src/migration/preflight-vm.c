#include "migration/preflight.h"

#include <stdlib.h>
#include <string.h>

#define OLDEST_HARDWARE 7
#define SNAPSHOTS_MAX   28u

static gboolean is_on(const VsphereVm *vm)
{
    return strcmp(vm->power_state, "poweredOn") == 0;
}

/* --- what the VM is --- */

/* A row for each property that decides by itself. */
typedef struct {
    FindingSeverity severity;
    const char *code;
    gboolean (*applies)(const VsphereVm *vm);
    const char *message, *advice;
} VmRule;

static gboolean is_template(const VsphereVm *vm)
{
    return vm->template;
}

static gboolean is_disconnected(const VsphereVm *vm)
{
    return vm->connection_state != NULL && strcmp(vm->connection_state, "connected") != 0;
}

static gboolean is_suspended(const VsphereVm *vm)
{
    return strcmp(vm->power_state, "suspended") == 0;
}

static gboolean has_question(const VsphereVm *vm)
{
    return vm->question_pending;
}

static gboolean is_encrypted(const VsphereVm *vm)
{
    return vm->encrypted;
}

static gboolean is_fault_tolerant(const VsphereVm *vm)
{
    return vm->fault_tolerant;
}

static gboolean needs_consolidation(const VsphereVm *vm)
{
    return vm->consolidation_needed;
}

static gboolean has_usb(const VsphereVm *vm)
{
    return vm->has_usb;
}

static gboolean has_pci(const VsphereVm *vm)
{
    return vm->has_pci_passthrough;
}

static gboolean has_tpm(const VsphereVm *vm)
{
    return vm->machine->tpm;
}

static gboolean has_secure_boot(const VsphereVm *vm)
{
    return vm->machine->secure_boot;
}

static gboolean is_off(const VsphereVm *vm)
{
    return strcmp(vm->power_state, "poweredOff") == 0;
}

static gboolean has_no_disks(const VsphereVm *vm)
{
    return vm->disks->len == 0;
}

static gboolean is_busy(const VsphereVm *vm)
{
    return vm->busy_tasks != NULL && vm->busy_tasks->len > 0;
}

static const VmRule vm_rules[] = {
    {FINDING_BLOCKER, "template", is_template, "it is a template",
     "convert it to a VM, or deploy one from it"},
    {FINDING_BLOCKER, "disconnected", is_disconnected,
     "its host is not connected, or its files are not found", "bring the host back, then try again"},
    {FINDING_BLOCKER, "vm-suspended", is_suspended, "it is suspended: its disks lack what is in its memory",
     "resume it, or shut it down"},
    {FINDING_BLOCKER, "question-pending", has_question, "it waits for the answer to a question",
     "answer it in the vSphere client"},
    {FINDING_BLOCKER, "vm-encrypted", is_encrypted, "it is encrypted, and its files are read as they lie",
     "decrypt it first"},
    {FINDING_BLOCKER, "fault-tolerance", is_fault_tolerant, "fault tolerance is on, which forbids snapshots",
     "turn fault tolerance off"},
    {FINDING_BLOCKER, "no-disks", has_no_disks, "it has no disk", "check that this is the right VM"},
    {FINDING_WARNING, "consolidation-needed", needs_consolidation, "its disks need consolidation",
     "it is done before the first snapshot; it can take long"},
    {FINDING_WARNING, "usb-passthrough", has_usb, "a USB device of the host is passed through",
     "it will be missing at the target"},
    {FINDING_WARNING, "pci-passthrough", has_pci, "a PCI device of the host is passed through",
     "it will be missing at the target; a snapshot of it may be impossible while it runs"},
    {FINDING_WARNING, "tpm", has_tpm, "it has a virtual TPM, whose contents stay behind",
     "have recovery keys at hand (BitLocker) and suspend the protection before the cutover"},
    {FINDING_WARNING, "secure-boot", has_secure_boot, "it starts with secure boot",
     "the target has its own variables; check that the guest's boot loader is signed for them"},
    {FINDING_INFO, "vm-off", is_off, "it is off: it is copied as it lies, in one go",
     "leave it off until the migration is done"},
    {FINDING_INFO, "busy", is_busy, "a task runs on it", "it is waited for"},
};

static void check_tracking(const VmSpec *spec, const VsphereVm *vm, Findings *findings)
{
    gint hardware = 0;
    gboolean old;

    if (!is_on(vm) || vm->template)
        return;
    if (vm->hardware_version != NULL && g_str_has_prefix(vm->hardware_version, "vmx-"))
        hardware = atoi(vm->hardware_version + strlen("vmx-"));
    old = hardware > 0 && hardware < OLDEST_HARDWARE;
    if (vm->cbt_supported && !old)
        return;
    findings_add(findings, spec->allow_full_reread ? FINDING_WARNING : FINDING_BLOCKER, "cbt-unsupported",
                 vm->machine->name,
                 "upgrade its virtual hardware, migrate it switched off, or set migration.allow_full_reread",
                 "vSphere cannot track what changes on it (hardware %s)",
                 vm->hardware_version != NULL ? vm->hardware_version : "unknown");
}

static void check_snapshots(const VmSpec *spec, const VsphereVm *vm, Findings *findings)
{
    for (guint i = 0; i < vm->snapshots->len; i++) {
        const VsphereSnapshot *snapshot = g_ptr_array_index(vm->snapshots, i);

        findings_add(findings, spec->allow_snapshots ? FINDING_WARNING : FINDING_BLOCKER, "snapshot-exists",
                     snapshot->name,
                     "remove it first; with migration.allow_snapshots it is left, and change tracking is not "
                     "dependable",
                     "%s has a snapshot of its own", vm->machine->name);
    }
}

/* A chain has 32 links at most, and each round adds one. */
static void check_depth(const VsphereVm *vm, Findings *findings)
{
    if (vm->snapshots->len >= SNAPSHOTS_MAX)
        findings_add(findings, FINDING_BLOCKER, "snapshot-depth", vm->machine->name, "remove snapshots",
                     "it has %u snapshots, and vSphere allows hardly more", vm->snapshots->len);
}

static void check_tools(const VmSpec *spec, const VsphereVm *vm, Findings *findings)
{
    if (!is_on(vm) || spec->shutdown_mode != SHUTDOWN_AUTO ||
        g_strcmp0(vm->tools_running, "guestToolsRunning") == 0)
        return;
    findings_add(findings, FINDING_WARNING, "tools-not-running", vm->machine->name,
                 "start VMware Tools in the guest, or be there at the cutover to shut it down",
                 "VMware Tools do not run, so that the guest cannot be asked to shut down");
}

static void check_methods(const VsphereVm *vm, Findings *findings)
{
    static const char *const needed[] = {"CreateSnapshot_Task", "RemoveSnapshot_Task", "PowerOffVM_Task"};

    for (guint i = 0; is_on(vm) && vm->disabled_methods != NULL && i < G_N_ELEMENTS(needed); i++) {
        for (guint j = 0; j < vm->disabled_methods->len; j++) {
            if (strcmp(g_ptr_array_index(vm->disabled_methods, j), needed[i]) == 0)
                findings_add(findings, FINDING_BLOCKER, "method-disabled", needed[i],
                             "wait until the backup or other product that disabled it is done with the VM",
                             "%s is disabled for %s", needed[i], vm->machine->name);
        }
    }
}

void preflight_check_vm(const VmSpec *spec, const VsphereVm *vm, Findings *findings)
{
    for (guint i = 0; i < G_N_ELEMENTS(vm_rules); i++) {
        if (vm_rules[i].applies(vm))
            findings_add(findings, vm_rules[i].severity, vm_rules[i].code, vm->machine->name,
                         vm_rules[i].advice, "%s", vm_rules[i].message);
    }
    check_tracking(spec, vm, findings);
    check_snapshots(spec, vm, findings);
    check_depth(vm, findings);
    check_tools(spec, vm, findings);
    check_methods(vm, findings);
    if (spec->run_virt_v2v)
        findings_add(findings, FINDING_BLOCKER, "conversion-unsupported", vm->machine->name,
                     "set migration.run_virt_v2v to false, and prepare the guest before",
                     "converting guests is not built yet");
}

/* --- what its disks are --- */

typedef struct {
    FindingSeverity severity;
    const char *code;
    gboolean (*applies)(const VsphereDisk *disk);
    const char *message, *advice;
} DiskRule;

static gboolean is_independent(const VsphereDisk *disk)
{
    return disk->mode != NULL && g_str_has_prefix(disk->mode, "independent");
}

static gboolean is_shared(const VsphereDisk *disk)
{
    return disk->shared_bus || (disk->sharing != NULL && strcmp(disk->sharing, "sharingNone") != 0);
}

static gboolean is_rdm(const VsphereDisk *disk)
{
    return disk->rdm_mode != NULL ||
           (disk->backing != NULL && g_str_has_prefix(disk->backing, "RawDiskMapping"));
}

static gboolean is_disk_encrypted(const VsphereDisk *disk)
{
    return disk->encrypted;
}

static gboolean is_delta(const VsphereDisk *disk)
{
    return disk->has_parent;
}

static gboolean has_no_file(const VsphereDisk *disk)
{
    return disk->path == NULL;
}

static const DiskRule disk_rules[] = {
    {FINDING_BLOCKER, "disk-shared", is_shared, "it is shared with other VMs",
     "stop sharing it, or detach it and move it apart"},
    {FINDING_BLOCKER, "disk-rdm", is_rdm, "it is a raw device of a storage array",
     "detach it, and give the device itself to the target"},
    {FINDING_BLOCKER, "disk-encrypted", is_disk_encrypted, "it is encrypted, and its file is read as it lies",
     "decrypt it first"},
    {FINDING_BLOCKER, "disk-delta", is_delta, "its file is a link of a chain, which cannot be read by itself",
     "remove the VM's snapshots; a linked clone has to be made a full one"},
    {FINDING_BLOCKER, "disk-no-file", has_no_file, "it has no file on a datastore", "detach it"},
};

static void check_independent(const VsphereVm *vm, const VsphereDisk *disk, const char *object,
                              Findings *findings)
{
    if (!is_independent(disk))
        return;
    if (is_on(vm))
        findings_add(findings, FINDING_BLOCKER, "disk-independent", object,
                     "shut the VM down and set the disk to dependent, or migrate the VM switched off",
                     "it is %s: snapshots leave it out, so that it cannot be copied while the VM runs",
                     disk->mode);
    else
        findings_add(findings, FINDING_INFO, "disk-independent", object,
                     "leave the VM off until the migration is done",
                     "it is %s; with the VM off that does not matter", disk->mode);
}

static void check_disk(const VsphereVm *vm, const VsphereDisk *disk, const char *object, Findings *findings)
{
    for (guint i = 0; i < G_N_ELEMENTS(disk_rules); i++) {
        if (disk_rules[i].applies(disk))
            findings_add(findings, disk_rules[i].severity, disk_rules[i].code, object, disk_rules[i].advice,
                         "%s", disk_rules[i].message);
    }
    if (disk->size == 0)
        findings_add(findings, FINDING_BLOCKER, "disk-empty", object, "detach it", "its size is zero");
    check_independent(vm, disk, object, findings);
}

void preflight_check_disks(const VmSpec *spec, const VsphereVm *vm, Findings *findings)
{
    g_autoptr(GHashTable) files = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) keys = g_hash_table_new(g_direct_hash, g_direct_equal);

    for (guint i = 0; i < vm->disks->len; i++) {
        const VsphereDisk *disk = g_ptr_array_index(vm->disks, i);
        g_autofree char *object =
            g_strdup_printf("disk %d (%s)", disk->key, disk->path != NULL ? disk->path : "no file");
        gboolean again = !g_hash_table_add(keys, GINT_TO_POINTER(disk->key));

        check_disk(vm, disk, object, findings);
        if (disk->path != NULL && !g_hash_table_add(files, disk->path))
            again = TRUE;
        if (again)
            findings_add(findings, FINDING_BLOCKER, "duplicate-disk", object, "check the VM's settings",
                         "another disk of the VM has the same key or the same file");
    }
}
