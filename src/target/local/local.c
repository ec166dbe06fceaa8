#include "target/local/local.h"

#include "base/error.h"
#include "base/io.h"
#include "base/size.h"
#include "disk/format.h"
#include "target/local/domain.h"
#include "target/local/libvirt.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAME_MAX_BYTES 100u

typedef struct {
    Target target;
    const TargetSpec *spec; /* outlives the target */
} LocalTarget;

static const TargetSpec *spec_of(const Target *target)
{
    return ((const LocalTarget *)target)->spec;
}

static gboolean uses_libvirt(const TargetSpec *spec)
{
    return spec->define || spec->start;
}

char *local_safe_name(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    gsize length = strlen(valid);

    for (char *p = valid; *p != '\0'; p++)
        if (*p == '/' || *p == '\\' || (guchar)*p < 0x20 || *p == 0x7f)
            *p = '_';
    if (valid[0] == '.' || valid[0] == '-' || valid[0] == '\0')
        return g_strconcat("_", valid[0] != '\0' ? valid + 1 : "", NULL);
    if (length > NAME_MAX_BYTES)
        *g_utf8_find_prev_char(valid, valid + NAME_MAX_BYTES + 1) = '\0';
    return g_steal_pointer(&valid);
}

/* DIRECTORY/NAME_ID without an ending.  The id makes it unique where two VMs have one name. */
static char *base_path(const TargetSpec *spec, const Machine *machine)
{
    g_autofree char *name = local_safe_name(machine->name);
    g_autofree char *id = local_safe_name(machine->id);
    g_autofree char *file = g_strdup_printf("%s_%s", name, id);

    return g_build_filename(spec->directory, file, NULL);
}

static char *xml_path(const TargetSpec *spec, const Machine *machine)
{
    g_autofree char *base = base_path(spec, machine);

    return g_strconcat(base, ".xml", NULL);
}

static char *local_disk_path(Target *target, const Machine *machine, const MachineDisk *disk)
{
    const TargetSpec *spec = spec_of(target);
    g_autofree char *base = base_path(spec, machine);
    g_autofree char *key = local_safe_name(disk->key);

    return g_strdup_printf("%s_disk%s.%s", base, key, spec->format);
}

/* --- preflight --- */

static void check_files(Target *target, const Machine *machine, gboolean existing, Findings *findings,
                        guint64 *ret_present)
{
    guint64 present = 0;

    for (guint i = 0; i < machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(machine->disks, i);
        g_autofree char *path = local_disk_path(target, machine, disk);
        struct stat status;

        if (lstat(path, &status) != 0)
            continue;
        present += (guint64)status.st_blocks * SECTOR_SIZE;
        if (!existing)
            findings_add(
                findings, FINDING_BLOCKER, "target-file-exists", path,
                "move it away or delete it if nothing needs it, or choose another target.local.directory",
                "the file is there already and is not this migration's");
    }
    *ret_present = present;
}

/* What the images will take at least, as far as the source says. */
static guint64 space_needed(const Machine *machine)
{
    guint64 needed = 0;

    for (guint i = 0; i < machine->disks->len; i++) {
        const MachineDisk *disk = g_ptr_array_index(machine->disks, i);

        needed += MIN(disk->allocated, disk->size);
    }
    return needed;
}

/* Of the directory, or of the one in which it will be made. */
static gboolean free_space(const TargetSpec *spec, guint64 *ret_bytes)
{
    g_autofree char *parent = g_path_get_dirname(spec->directory);
    struct statvfs status;

    if (statvfs(spec->directory, &status) != 0 && statvfs(parent, &status) != 0)
        return FALSE;
    *ret_bytes = (guint64)status.f_bavail * status.f_frsize;
    return TRUE;
}

/* How much a retry still has to write nobody knows before it reads, so then a lack is only a warning. */
static void check_space(const TargetSpec *spec, const Machine *machine, guint64 present, gboolean existing,
                        Findings *findings)
{
    guint64 needed = space_needed(machine), total = machine_total_size(machine), free_bytes;
    g_autofree char *needed_text = NULL, *total_text = NULL, *free_text = NULL;

    if (!free_space(spec, &free_bytes))
        return;
    needed = needed > present ? needed - present : 0;
    needed_text = size_format(needed);
    total_text = size_format(total);
    free_text = size_format(free_bytes);
    if (free_bytes < needed)
        findings_add(findings, existing ? FINDING_WARNING : FINDING_BLOCKER, "target-space", spec->directory,
                     "free space there or choose another target.local.directory",
                     "%s are needed and %s are free", needed_text, free_text);
    else if (free_bytes + present < total)
        findings_add(findings, FINDING_WARNING, "target-space-thin", spec->directory,
                     "watch the file system when guests fill their disks",
                     "the disks fit as they are now, but not if they were written full: %s, and %s are free",
                     total_text, free_text);
}

static void check_directory(const TargetSpec *spec, Findings *findings)
{
    g_autofree char *parent = g_path_get_dirname(spec->directory);

    if (!g_path_is_absolute(spec->directory)) {
        findings_add(findings, FINDING_BLOCKER, "target-directory", spec->directory,
                     "write target.local.directory as an absolute path", "the path is relative");
    } else if (g_file_test(spec->directory, G_FILE_TEST_IS_DIR)) {
        if (access(spec->directory, W_OK | X_OK) != 0)
            findings_add(findings, FINDING_BLOCKER, "target-directory", spec->directory,
                         "give this user the right to write there", "the directory is not writable: %s",
                         g_strerror(errno));
    } else if (g_file_test(spec->directory, G_FILE_TEST_EXISTS)) {
        findings_add(findings, FINDING_BLOCKER, "target-directory", spec->directory, "choose a directory",
                     "it exists and is no directory");
    } else if (!g_file_test(parent, G_FILE_TEST_IS_DIR) || access(parent, W_OK | X_OK) != 0) {
        findings_add(findings, FINDING_BLOCKER, "target-directory", spec->directory,
                     "create it, and make it writable for this user", "the directory does not exist");
    }
}

/* Domains of the system libvirtd run as a user of their own, who must be able to reach the images. */
static void check_reachable(const TargetSpec *spec, Findings *findings)
{
    if (!g_str_has_suffix(spec->libvirt_uri, "/system"))
        return;
    for (g_autofree char *path = g_strdup(spec->directory);
         strcmp(path, "/") != 0 && strcmp(path, ".") != 0;) {
        struct stat status;
        char *parent = g_path_get_dirname(path);

        if (stat(path, &status) == 0 && (status.st_mode & S_IXOTH) == 0)
            findings_add(findings, FINDING_WARNING, "target-directory-private", path,
                         "chmod o+x it, or give libvirt's emulator user (libvirt-qemu) access",
                         "only its owner can get through, so a domain may not be able to open its disks");
        g_free(path);
        path = parent;
    }
}

static gboolean check_networks(const TargetSpec *spec, const Machine *machine, Findings *findings,
                               GError **error)
{
    for (guint i = 0; i < machine->nics->len; i++) {
        const MachineNic *nic = g_ptr_array_index(machine->nics, i);
        const char *network = domain_nic_network(spec, nic);
        gboolean exists = TRUE;

        if (network == NULL || strcmp(network, "none") == 0 || g_str_has_prefix(network, "bridge:"))
            continue;
        if (!libvirt_network_exists(spec->libvirt_uri, network, &exists, error))
            return FALSE;
        if (!exists)
            findings_add(findings, FINDING_BLOCKER, "target-network", nic->label,
                         "define that network in libvirt, or map the NIC with target.local.networks "
                         "(\"none\" leaves it out)",
                         "libvirt at %s has no network \"%s\"", spec->libvirt_uri, network);
    }
    return TRUE;
}

static gboolean check_domain(const TargetSpec *spec, const Machine *machine, gboolean existing,
                             Findings *findings, GError **error)
{
    g_autofree char *name = domain_name(machine);
    g_autoptr(GError) problem = NULL;
    LibvirtDomain domain;

    if (!libvirt_look(spec->libvirt_uri, name, domain_uuid(machine), &domain, &problem)) {
        findings_add(findings, FINDING_BLOCKER, "target-libvirt", spec->libvirt_uri,
                     "start libvirtd or correct target.local.libvirt_uri", "%s", problem->message);
        return TRUE;
    }
    if (domain.name_taken)
        findings_add(findings, FINDING_BLOCKER, "target-name-taken", name,
                     "rename or remove that domain, or rename the VM",
                     "libvirt has another domain of that name");
    if (domain.uuid_known && !existing)
        findings_add(findings, FINDING_BLOCKER, "target-uuid-taken", domain_uuid(machine),
                     "remove the domain that has this uuid if it is left from an earlier migration",
                     "libvirt has a domain of that uuid");
    check_reachable(spec, findings);
    return check_networks(spec, machine, findings, error);
}

static gboolean local_preflight(Target *target, const Machine *machine, gboolean existing, Findings *findings,
                                GError **error)
{
    const TargetSpec *spec = spec_of(target);
    guint64 present = 0;

    check_files(target, machine, existing, findings, &present);
    check_directory(spec, findings);
    check_space(spec, machine, present, existing, findings);
    return !uses_libvirt(spec) || check_domain(spec, machine, existing, findings, error);
}

/* --- images --- */

static gboolean local_remove_disk(Target *target, const char *path, GError **error)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot delete %s", path);
    return TRUE;
}

/* The emulator that libvirt starts is another user: it must get through, but need not see what else is there.
 */
static gboolean make_directory(const char *path, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_IS_DIR))
        return TRUE;
    if (!io_make_directory(path, error))
        return FALSE;
    return chmod(path, 0711) == 0 ||
           vf_fail_errno(error, VF_ERROR_TARGET_IO, errno, "cannot open up %s", path);
}

static Disk *local_create_disk(Target *target, const char *path, guint64 size, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autoptr(Disk) disk = NULL;

    if (!make_directory(directory, error) || !local_remove_disk(target, path, error))
        return NULL;
    disk = format_create(path, spec_of(target)->format, size, error);
    if (disk == NULL || !io_sync_parent(path, error))
        return NULL;
    return g_steal_pointer(&disk);
}

static Disk *local_open_disk(Target *target, const char *path, gboolean writable, GError **error)
{
    return format_open(path, spec_of(target)->format, writable, error);
}

/* --- the domain --- */

static gboolean local_import(Target *target, const Machine *machine, const char *const *paths, char **ret_id,
                             GError **error)
{
    const TargetSpec *spec = spec_of(target);
    g_autofree char *xml = domain_xml(spec, machine, paths);
    g_autofree char *path = xml_path(spec, machine);

    for (guint i = 0; paths[i] != NULL; i++)
        if (!g_file_test(paths[i], G_FILE_TEST_EXISTS))
            return vf_fail(error, VF_ERROR_NOT_FOUND, "image %s of %s is not there", paths[i], machine->name);
    if (!io_write_file(path, xml, strlen(xml), 0644, error))
        return FALSE;
    if (uses_libvirt(spec)) {
        if (!libvirt_define(spec->libvirt_uri, xml, error)) {
            g_prefix_error(error, "%s: ", machine->name);
            return FALSE;
        }
        *ret_id = domain_name(machine);
    } else {
        *ret_id = g_steal_pointer(&path);
    }
    return TRUE;
}

static gboolean local_wants_start(Target *target)
{
    return spec_of(target)->start;
}

static gboolean local_start(Target *target, const char *id, GError **error)
{
    return libvirt_start(spec_of(target)->libvirt_uri, id, error);
}

static gboolean local_remove(Target *target, const Machine *machine, const char *id, GError **error)
{
    const TargetSpec *spec = spec_of(target);
    g_autofree char *path = xml_path(spec, machine);

    if (uses_libvirt(spec) && !libvirt_remove(spec->libvirt_uri, domain_uuid(machine), error))
        return FALSE;
    return local_remove_disk(target, path, error);
}

static void local_free(Target *target)
{
    g_free(target);
}

static const TargetOps local_ops = {
    .name = "local",
    .preflight = local_preflight,
    .disk_path = local_disk_path,
    .create_disk = local_create_disk,
    .open_disk = local_open_disk,
    .import = local_import,
    .wants_start = local_wants_start,
    .start = local_start,
    .remove = local_remove,
    .remove_disk = local_remove_disk,
    .free = local_free,
};

Target *local_target_open(const TargetSpec *spec, const Cancel *cancel, GError **error)
{
    LocalTarget *local;

    if (spec->directory == NULL) {
        vf_fail(error, VF_ERROR_INVALID, "target.local.directory is missing: say where the images go");
        return NULL;
    }
    local = g_new0(LocalTarget, 1);
    local->target.ops = &local_ops;
    local->spec = spec;
    return &local->target;
}
