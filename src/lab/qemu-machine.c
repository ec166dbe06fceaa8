#include "lab/qemu-machine.h"

#include "base/error.h"
#include "base/io.h"

#include <unistd.h>

#define FIRMWARE_CODE      "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define FIRMWARE_VARIABLES "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define THROTTLE_OBJECT    "throttle-group,id=" QEMU_THROTTLE_GROUP
#define DEFAULT_MEMORY_MIB 512
/* pvscsi has 64 targets, and the adapter is one of them. */
#define MAX_TARGETS    64
#define ADAPTER_TARGET 7

char *qemu_disk_node(const BackingDisk *disk)
{
    return g_strdup_printf("disk-%d", disk->key);
}

char *qemu_link_node(const BackingDisk *disk, const BackingLink *link)
{
    return g_strdup_printf("link-%d-%u", disk->key, link->number);
}

Json *qemu_link_options(const LabBacking *backing, const BackingDisk *disk, const BackingLink *link,
                        const BackingLink *below)
{
    g_autofree char *node = qemu_link_node(disk, link);
    g_autofree char *path = backing_path(backing, link->data);
    Json *options = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "driver",
                              link->number == 0 ? "raw" : "qcow2", "node-name", node, "discard", "unmap",
                              "file", "driver", "file", "filename", path, "discard", "unmap");

    if (below != NULL) {
        g_autofree char *below_node = qemu_link_node(disk, below);

        json_set_string(options, "backing", below_node);
    } else if (link->number > 0) {
        json_set_string(options, "backing", NULL);
    }
    return options;
}

Json *qemu_disk_options(const BackingDisk *disk)
{
    g_autofree char *node = qemu_disk_node(disk);
    g_autofree char *leaf = qemu_link_node(disk, backing_leaf(disk));

    return json_pack("{s:s, s:s, s:s, s:s}", "driver", "throttle", "node-name", node, "throttle-group",
                     QEMU_THROTTLE_GROUP, "file", leaf);
}

Json *qemu_device_options(const BackingDisk *disk, guint place, GError **error)
{
    g_autofree char *node = qemu_disk_node(disk);
    g_autofree char *id = g_strdup_printf("scsi-%d", disk->key); /* begins with a letter, as QEMU wants it */
    guint target = place < ADAPTER_TARGET ? place : place + 1;

    if (target >= MAX_TARGETS) {
        vf_fail(error, VF_ERROR_UNSUPPORTED, "disk %s is one too many for a pvscsi controller", disk->name);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:s}", "driver", "scsi-hd", "id", id, "bus", "scsi0.0", "scsi-id",
                     (int)target, "drive", node);
}

/* --- the command line --- */

static void add(GPtrArray *argv, const char *argument)
{
    g_ptr_array_add(argv, g_strdup(argument));
}

static void add_pair(GPtrArray *argv, const char *option, char *value)
{
    add(argv, option);
    g_ptr_array_add(argv, value);
}

static void add_json(GPtrArray *argv, const char *option, Json *options)
{
    add_pair(argv, option, json_to_line(options));
    json_decref(options);
}

static gboolean add_disk(GPtrArray *argv, const LabBacking *backing, const BackingDisk *disk, guint place,
                         GError **error)
{
    const BackingLink *below = NULL;

    for (guint i = 0; i < disk->links->len; i++) {
        const BackingLink *link = g_ptr_array_index(disk->links, i);

        add_json(argv, "-blockdev", qemu_link_options(backing, disk, link, below));
        below = link;
    }
    add_json(argv, "-blockdev", qemu_disk_options(disk));
    Json *device = qemu_device_options(disk, place, error);
    if (device == NULL)
        return FALSE;
    /* 0 belongs to a kernel that is given. */
    if (place == 0)
        json_set_integer(device, "bootindex", 1);
    add_json(argv, "-device", device);
    return TRUE;
}

/* The variables of UEFI are the machine's own, and stay with its disks. */
static gboolean add_firmware(GPtrArray *argv, const LabBacking *backing, GError **error)
{
    g_autofree char *variables = backing_path(backing, "firmware.nvram");
    g_autofree char *contents = NULL;
    gsize length;

    if (access(variables, F_OK) != 0) {
        contents = io_read_file(FIRMWARE_VARIABLES, 64u << 20, &length, error);
        if (contents == NULL || !io_write_file(variables, contents, length, 0600, error))
            return FALSE;
    }
    add_json(argv, "-blockdev",
             json_pack("{s:s, s:s, s:b, s:{s:s, s:s}}", "driver", "raw", "node-name", "firmware-code",
                       "read-only", 1, "file", "driver", "file", "filename", FIRMWARE_CODE));
    add_json(argv, "-blockdev",
             json_pack("{s:s, s:s, s:{s:s, s:s}}", "driver", "raw", "node-name", "firmware-variables", "file",
                       "driver", "file", "filename", variables));
    add(argv, "-machine");
    add(argv, "pflash0=firmware-code,pflash1=firmware-variables");
    return TRUE;
}

static void add_board(GPtrArray *argv, const LabBacking *backing, const char *qmp)
{
    static const char *const fixed[] = {"qemu-system-x86_64",
                                        "-nodefaults",
                                        "-no-user-config",
                                        "-machine",
                                        "q35,accel=tcg",
                                        "-cpu",
                                        "max",
                                        "-display",
                                        "none",
                                        "-vga",
                                        "std",
                                        "-no-shutdown",
                                        "-S",
                                        "-object",
                                        THROTTLE_OBJECT,
                                        "-netdev",
                                        "user,id=net0,restrict=on",
                                        "-device",
                                        "vmxnet3,netdev=net0",
                                        "-device",
                                        "pvscsi,id=scsi0",
                                        "-device",
                                        "virtio-rng-pci"};
    const LabWriterConfig *config = &backing->config;
    g_autofree char *serial = backing_path(backing, "serial.log");

    for (guint i = 0; i < G_N_ELEMENTS(fixed); i++)
        add(argv, fixed[i]);
    add_pair(argv, "-m",
             g_strdup_printf("%u", config->memory_mib != 0 ? config->memory_mib : DEFAULT_MEMORY_MIB));
    add_pair(argv, "-smp", g_strdup_printf("%u", MAX(config->cpus, 1)));
    add_pair(argv, "-qmp", g_strdup_printf("unix:%s,server=on,wait=off", qmp));
    add_pair(argv, "-chardev", g_strdup_printf("file,id=serial0,append=on,path=%s", serial));
    add_pair(argv, "-serial", g_strdup("chardev:serial0"));
}

static void add_kernel(GPtrArray *argv, const LabWriterConfig *config)
{
    const char *const pairs[][2] = {
        {"-kernel", config->kernel}, {"-initrd", config->initrd}, {"-append", config->append}};

    for (guint i = 0; config->kernel != NULL && i < G_N_ELEMENTS(pairs); i++)
        if (pairs[i][1] != NULL)
            add_pair(argv, pairs[i][0], g_strdup(pairs[i][1]));
}

GPtrArray *qemu_command_line(const LabBacking *backing, const char *qmp, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);

    add_board(argv, backing, qmp);
    add_kernel(argv, &backing->config);
    if (backing->config.uefi && !add_firmware(argv, backing, error))
        return NULL;
    for (guint i = 0; i < backing->disks->len; i++)
        if (!add_disk(argv, backing, g_ptr_array_index(backing->disks, i), i, error))
            return NULL;
    g_ptr_array_add(argv, NULL);
    return g_steal_pointer(&argv);
}
