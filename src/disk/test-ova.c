#include "disk/ova.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/size.h"
#include "disk/format.h"
#include "disk/tar.h"
#include "disk/test-vmdk-fixture.h"

#define GRAIN ((guint64)64 * KIB)

/* --- a machine --- */

static void add_disk(Machine *machine, const char *key, const char *controller, gint bus, gint unit,
                     guint64 size)
{
    MachineDisk *disk = machine_add_disk(machine);

    disk->key = g_strdup(key);
    disk->label = g_strdup(key);
    disk->controller = g_strdup(controller);
    disk->bus = bus;
    disk->unit = unit;
    disk->size = size;
}

static void add_nic(Machine *machine, const char *model, const char *mac, const char *network,
                    gboolean connected)
{
    MachineNic *nic = machine_add_nic(machine);

    nic->key = g_strdup(mac);
    nic->model = g_strdup(model);
    nic->mac = g_strdup(mac);
    nic->network = g_strdup(network);
    nic->connected = connected;
}

static Machine *make_machine(void)
{
    Machine *machine = machine_new();

    machine->name = g_strdup("web <1> / \"a & b\"");
    machine->id = g_strdup("vm-1");
    machine->annotation = g_strdup("two\nlines");
    machine->guest_id = g_strdup("debian11_64Guest");
    machine->family = MACHINE_FAMILY_LINUX;
    machine->firmware = MACHINE_FIRMWARE_UEFI;
    machine->secure_boot = TRUE;
    machine->cpus = 4;
    machine->cores_per_socket = 2;
    machine->memory = 2 * GIB;
    add_disk(machine, "vda", "virtio", 0, 0, 5 * MIB + 3 * SECTOR_SIZE);
    add_disk(machine, "sda", "lsilogic", 1, 2, 70 * MIB);
    add_disk(machine, "sdb", "lsilogic", 1, 3, MIB);
    add_nic(machine, "virtio", "52:54:00:12:34:56", "LAN <a>", TRUE);
    add_nic(machine, "e1000", "52:54:00:12:34:57", NULL, FALSE);
    return machine;
}

static void fill(guint8 *contents, guint64 size, guint32 seed)
{
    GRand *random = g_rand_new_with_seed(seed);

    for (guint64 at = 0; at + 4 <= size; at += 4) {
        guint32 word = g_rand_int(random) & 0x0f0f0f0f;

        if (at / GRAIN % 3 != 0)
            memcpy(contents + at, &word, sizeof word);
    }
    g_rand_free(random);
}

static guint8 *contents_of(const Machine *machine, guint index)
{
    guint64 size = ((const MachineDisk *)g_ptr_array_index(machine->disks, index))->size;
    guint8 *contents = g_malloc0(size);

    fill(contents, size, index + 1);
    return contents;
}

static void write_disk(OvaWriter *writer, const guint8 *contents)
{
    GError *error = NULL;
    Disk *disk = ova_writer_next_disk(writer, &error);

    g_assert_no_error(error);
    for (guint64 at = 0; at < disk_size(disk); at += GRAIN)
        g_assert_true(disk_pwrite(disk, contents + at, (gsize)MIN(GRAIN, disk_size(disk) - at), at, &error));
    g_assert_true(disk_close(disk, &error));
}

/* Writes machine.ova. */
static void write_archive(const VmdkFixture *fixture, const Machine *machine)
{
    g_autofree char *path = fixture_path(fixture, "machine.ova");
    GError *error = NULL;
    g_autoptr(OvaWriter) writer = ova_create(path, machine, 0, 1, &error);

    g_assert_no_error(error);
    for (guint i = 0; i < machine->disks->len; i++) {
        g_autofree guint8 *contents = contents_of(machine, i);

        write_disk(writer, contents);
    }
    g_assert_true(ova_finish(writer, NULL, &error));
}

static Ova *open_archive(const VmdkFixture *fixture, GError **error)
{
    g_autofree char *path = fixture_path(fixture, "machine.ova");
    Bytes *bytes = bytes_open_file(path, BYTES_READ, error);

    return bytes != NULL ? ova_open(bytes, error) : NULL;
}

/* --- there and back --- */

static void check_machine(const Machine *seen, const Machine *machine)
{
    static const char *const controllers[] = {"pvscsi", "lsilogic", "lsilogic"};

    g_assert_cmpstr(seen->name, ==, machine->name);
    g_assert_cmpstr(seen->annotation, ==, machine->annotation);
    g_assert_cmpstr(seen->guest_id, ==, machine->guest_id);
    g_assert_cmpint(seen->family, ==, MACHINE_FAMILY_LINUX);
    g_assert_cmpint(seen->firmware, ==, MACHINE_FIRMWARE_UEFI);
    g_assert_true(seen->secure_boot);
    g_assert_cmpuint(seen->cpus, ==, 4);
    g_assert_cmpuint(seen->cores_per_socket, ==, 2);
    g_assert_cmpuint(seen->memory, ==, 2 * GIB);
    g_assert_cmpuint(seen->disks->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        const MachineDisk *disk = g_ptr_array_index(seen->disks, i);
        const MachineDisk *expected = g_ptr_array_index(machine->disks, i);

        g_assert_cmpstr(disk->controller, ==, controllers[i]);
        g_assert_cmpint(disk->bus, ==, expected->bus);
        g_assert_cmpint(disk->unit, ==, expected->unit);
        g_assert_cmpuint(disk->size, ==, expected->size);
        g_assert_true(disk->boot == (i == 0));
    }
    g_assert_cmpuint(seen->nics->len, ==, 2);
    g_assert_cmpstr(((const MachineNic *)g_ptr_array_index(seen->nics, 0))->model, ==, "vmxnet3");
    g_assert_cmpstr(((const MachineNic *)g_ptr_array_index(seen->nics, 0))->network, ==, "LAN <a>");
    g_assert_cmpstr(((const MachineNic *)g_ptr_array_index(seen->nics, 1))->mac, ==, "52:54:00:12:34:57");
    g_assert_false(((const MachineNic *)g_ptr_array_index(seen->nics, 1))->connected);
}

static void test_round_trip(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(Machine) machine = make_machine();
    g_autoptr(GError) error = NULL;
    g_autoptr(Ova) ova = NULL;

    write_archive(fixture, machine);
    ova = open_archive(fixture, &error);
    g_assert_no_error(error);
    check_machine(ova_machine(ova), machine);
    g_assert_true(ova_verify(ova, NULL, &error));
    for (guint i = 0; i < 3; i++) {
        const MachineDisk *seen = g_ptr_array_index(ova_machine(ova)->disks, i);
        g_autofree guint8 *contents = contents_of(machine, i);
        g_autoptr(Disk) disk = ova_open_disk(ova, ova_disk_file(ova, seen->key), &error);

        g_assert_no_error(error);
        fixture_check(disk, contents, seen->size);
    }
}

/* A disk by its path; and it outlives the archive that it was found in. */
static void test_path(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(Machine) machine = make_machine();
    g_autofree char *path = fixture_path(fixture, "machine.ova");
    g_autofree char *second = g_strconcat(path, ":web__1_____a___b_-disk2.vmdk", NULL);
    g_autofree guint8 *contents = contents_of(machine, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(Disk) disk = NULL;

    write_archive(fixture, machine);
    disk = format_open(second, NULL, FALSE, &error);
    g_assert_no_error(error);
    fixture_check(disk, contents, 70 * MIB);
    g_assert_null(format_open(path, NULL, FALSE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "several disks"));
    g_clear_error(&error);
    g_free(second);
    second = g_strconcat(path, ":x.vmdk", NULL);
    g_assert_null(format_open(second, NULL, FALSE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);

    g_ptr_array_set_size(machine->disks, 1);
    g_unlink(path);
    write_archive(fixture, machine);
    disk_free(disk);
    disk = format_open(path, NULL, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, 5 * MIB + 3 * SECTOR_SIZE);
}

/* --- others look at it --- */

static void test_python(VmdkFixture *fixture, gconstpointer data)
{
    static const char script[] =
        "import hashlib, re, tarfile\n"
        "tar = tarfile.open('machine.ova', format=tarfile.USTAR_FORMAT)\n"
        "names = tar.getnames()\n"
        "stem = names[0][:-4]\n"
        "assert names == [stem + '.ovf', stem + '.mf'] + [f'{stem}-disk{i}.vmdk' for i in (1, 2, 3)], names\n"
        "lines = tar.extractfile(names[1]).read().decode().splitlines()\n"
        "assert len(lines) == 4\n"
        "for line in lines:\n"
        "    name, digits = re.fullmatch(r'SHA256\\((.*)\\)= ([0-9a-f]{64})', line).groups()\n"
        "    assert hashlib.sha256(tar.extractfile(name).read()).hexdigest() == digits, name\n"
        "tar.extractall('.')\n";
    g_autoptr(Machine) machine = make_machine();

    write_archive(fixture, machine);
    fixture_put_text(fixture, "look.py", script);
    fixture_run(fixture, "python3 look.py");
    fixture_run(fixture, "test $(($(stat -c %s machine.ova) % 10240)) = 0");
    if (!fixture_no_qemu())
        fixture_run(fixture, "for d in *.vmdk; do qemu-img check -q -f vmdk $d; done");
}

/* As importers do that are built upon govmomi, govc among them. */
static void test_govmomi(VmdkFixture *fixture, gconstpointer data)
{
    static const char expected[] =
        "disk vmdisk1 file1 5244416 byte\\ndisk vmdisk2 file2 73400320 byte\\ndisk vmdisk3 file3 1048576 "
        "byte\\n"
        "network LAN <a>\\nnetwork VM Network\\n"
        "system web <1> / \"a & b\" web <1> / \"a & b\" vmx-13\\n"
        "item 1 type 3 4\\nitem 2 type 4 2048\\n"
        "item 3 type 6 VirtualSCSI\\nitem 4 type 6 lsilogic\\n"
        "item 6 type 17 on 3 at 0\\nitem 7 type 17 on 4 at 2\\nitem 8 type 17 on 4 at 3\\n"
        "item 9 type 10 VmxNet3\\nitem 10 type 10 E1000\\n";
    g_autofree char *go = g_find_program_in_path("go");
    g_autofree char *program = g_test_build_filename(G_TEST_DIST, "test-ova-govmomi.go", NULL);
    g_autofree char *built = g_test_build_filename(G_TEST_BUILT, "../../go-cache", NULL);
    g_autofree char *cache = g_canonicalize_filename(built, NULL);
    g_autofree char *command =
        g_strdup_printf("tar xf machine.ova --wildcards '*.ovf'\n"
                        "GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE='%s' go run %s *.ovf "
                        "| tee all | grep -v ^file > seen\n"
                        "printf '%%b' '%s' | diff - seen >&2\ngrep -c '^file' all | grep -qx 3",
                        cache, program, expected);
    g_autoptr(Machine) machine = make_machine();

    if (go == NULL ||
        !g_file_test("/usr/share/gocode/src/github.com/vmware/govmomi/ovf", G_FILE_TEST_IS_DIR)) {
        g_test_skip("go or govmomi is not installed");
        return;
    }
    write_archive(fixture, machine);
    fixture_run(fixture, command);
}

/* The formats that tar programs write long names and large members in. */
static void test_tar_formats(VmdkFixture *fixture, gconstpointer data)
{
    static const char *const formats[] = {"ustar", "gnu", "posix", "v7"};
    g_autofree char *long_name = g_strnfill(120, 'n');

    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        gboolean is_long = i == 1 || i == 2;
        g_autofree char *command =
            g_strdup_printf("printf hello > %s; printf x > b; tar cf t.tar --format=%s %s ./b",
                            is_long ? long_name : "a", formats[i], is_long ? long_name : "a");
        g_autofree char *path = fixture_path(fixture, "t.tar");
        g_autoptr(GPtrArray) members = NULL;
        g_autoptr(Bytes) bytes = NULL;
        GError *error = NULL;
        char text[6] = {0};
        const TarMember *first;

        fixture_run(fixture, command);
        bytes = bytes_open_file(path, BYTES_READ, &error);
        members = tar_read(bytes, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(members->len, ==, 2);
        first = g_ptr_array_index(members, 0);
        g_assert_cmpstr(first->name, ==, is_long ? long_name : "a");
        g_assert_cmpuint(first->size, ==, 5);
        g_assert_true(bytes_pread(bytes, text, 5, first->offset, &error));
        g_assert_cmpstr(text, ==, "hello");
        g_assert_cmpstr(((const TarMember *)g_ptr_array_index(members, 1))->name, ==, "b");
    }
}

/* 20 GiB do not fit in eleven octal digits. */
static void test_tar_large(VmdkFixture *fixture, gconstpointer data)
{
    guint8 block[TAR_BLOCK];
    g_autofree char *path = fixture_path(fixture, "large.tar");
    g_autoptr(GPtrArray) members = NULL;
    g_autoptr(Bytes) bytes = NULL;
    GError *error = NULL;

    tar_header("large", 20 * GIB, block);
    g_assert_true(g_file_set_contents(path, (const char *)block, sizeof block, &error));
    fixture_run(fixture, "truncate -s $((20 << 30 | 512)) large.tar; truncate -s +1024 large.tar");
    fixture_run(fixture, "test \"$(tar tvf large.tar | awk '{print $3, $6}')\" = '21474836480 large'");
    bytes = bytes_open_file(path, BYTES_READ, &error);
    members = tar_read(bytes, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(((const TarMember *)g_ptr_array_index(members, 0))->size, ==, 20 * GIB);
}

/* --- what is refused --- */

static void refuse(const VmdkFixture *fixture, const char *prepare, VfErrorClass class, const char *part)
{
    g_autofree char *command = g_strdup_printf("cp machine.ova kept.ova; %s", prepare);
    g_autoptr(GError) error = NULL;
    g_autoptr(Ova) ova = NULL;
    gboolean ok;

    fixture_run(fixture, command);
    ova = open_archive(fixture, &error);
    ok = ova != NULL && ova_verify(ova, NULL, &error);
    g_assert_false(ok);
    if (!g_error_matches(error, VF_ERROR, (int)class) || strstr(error->message, part) == NULL ||
        strstr(error->message, "machine.ova") == NULL)
        g_error("%s: %s is not in: %s", prepare, part, error->message);
    fixture_run(fixture, "mv kept.ova machine.ova");
}

#define UNPACKED "mkdir u; tar xf machine.ova -C u; cd u; "
#define PACKED   "; tar cf ../machine.ova *.ovf $(ls | grep -v ovf); cd ..; rm -r u"

static void test_refused(VmdkFixture *fixture, gconstpointer data)
{
    g_autoptr(Machine) machine = make_machine();

    g_free(machine->name);
    machine->name = g_strdup("web");
    write_archive(fixture, machine);
    refuse(fixture, "printf x | dd of=machine.ova bs=1 seek=20 conv=notrunc status=none", VF_ERROR_INVALID,
           "member at 0: this is no header");
    refuse(fixture, "truncate -s 100000 machine.ova", VF_ERROR_INVALID, "it was cut short");
    refuse(fixture, ": > machine.ova", VF_ERROR_INVALID, "no tar archive");
    refuse(fixture, "printf x | dd of=machine.ova bs=1 seek=600 conv=notrunc status=none", VF_ERROR_INTEGRITY,
           "machine.ova:web.ovf: its checksum");
    refuse(fixture, "printf x | dd of=machine.ova bs=1 seek=200000 conv=notrunc status=none",
           VF_ERROR_INTEGRITY, "machine.ova:web-disk1.vmdk: its checksum");
    refuse(fixture, UNPACKED "rm web-disk2.vmdk" PACKED, VF_ERROR_INVALID,
           "web-disk2.vmdk of disk vmdisk2 is missing");
    refuse(fixture, UNPACKED "printf x >> web-disk2.vmdk" PACKED, VF_ERROR_INVALID, "the envelope says");
    refuse(fixture, UNPACKED "rm *.mf" PACKED, VF_ERROR_NOT_FOUND, "no manifest");
    refuse(fixture,
           UNPACKED "rm *.ovf; touch x"
                    "; tar cf ../machine.ova *; cd ..; rm -r u",
           VF_ERROR_INVALID, "no .ovf");
    refuse(fixture, UNPACKED "cp web.ovf two.ovf" PACKED, VF_ERROR_INVALID, "both two.ovf and web.ovf");
    refuse(fixture, UNPACKED "ln -s /etc/passwd p" PACKED, VF_ERROR_INVALID, "type '2'");
    refuse(fixture, UNPACKED "mkdir d; touch d/x" PACKED, VF_ERROR_INVALID, "without folders");
    refuse(fixture, UNPACKED "echo hello >> web.mf" PACKED, VF_ERROR_INVALID, "web.mf: line 5");
    refuse(fixture, UNPACKED "rm web.mf; sed -i s/vmdisk2/vmdisk1/ web.ovf" PACKED, VF_ERROR_INVALID,
           "machine.ova:web.ovf: line");
    refuse(fixture, UNPACKED "rm web.mf; sed -i s,web-disk1,../web-disk1, web.ovf" PACKED, VF_ERROR_INVALID,
           "beside the envelope");
    refuse(fixture, UNPACKED "rm web.mf; echo '<a' > web.ovf" PACKED, VF_ERROR_INVALID,
           "machine.ova:web.ovf: ");
}

/* An envelope as VirtualBox and old vSphere write it: other units, no sizes, a controller that is not said.
 */
static void test_foreign(void)
{
    static const char text[] =
        "<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1' "
        "xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1'"
        " xmlns:r='urn:r'><References><File ovf:href='d.vmdk' ovf:id='f'/></References>"
        "<DiskSection><Disk ovf:capacity='8' ovf:capacityAllocationUnits='byte * 2^30' ovf:diskId='d' "
        "ovf:fileRef='f'/><Disk ovf:capacity='1024' ovf:diskId='empty'/></DiskSection>"
        "<VirtualSystem ovf:id='old'><VirtualHardwareSection>"
        "<Item><r:InstanceID>1</r:InstanceID><r:ResourceType>3</r:ResourceType><r:VirtualQuantity>2</"
        "r:VirtualQuantity>"
        "</Item><Item><r:AllocationUnits>MegaBytes</r:AllocationUnits><r:ResourceType>4</r:ResourceType>"
        "<r:VirtualQuantity>512</r:VirtualQuantity></Item>"
        "<Item><r:InstanceID>5</r:InstanceID><r:ResourceSubType>AHCI</r:ResourceSubType>"
        "<r:ResourceType>20</r:ResourceType></Item>"
        "<Item><r:HostResource>/disk/d</r:HostResource><r:Parent>5</r:Parent><r:ResourceType>17</"
        "r:ResourceType>"
        "</Item><Item><r:HostResource>/disk/empty</r:HostResource><r:ResourceType>17</r:ResourceType></Item>"
        "</VirtualHardwareSection></VirtualSystem></Envelope>";
    GError *error = NULL;
    g_autoptr(Ovf) ovf = ovf_parse(text, sizeof text - 1, "old.ovf", &error);
    const MachineDisk *disk;

    g_assert_no_error(error);
    g_assert_cmpstr(ovf->machine->name, ==, "old");
    g_assert_cmpuint(ovf->machine->cpus, ==, 2);
    g_assert_cmpuint(ovf->machine->memory, ==, 512 * MIB);
    g_assert_cmpint(ovf->machine->firmware, ==, MACHINE_FIRMWARE_BIOS);
    disk = g_ptr_array_index(ovf->machine->disks, 0);
    g_assert_cmpuint(disk->size, ==, 8 * GIB);
    g_assert_cmpstr(disk->controller, ==, "ahci");
    g_assert_cmpstr(((const OvfDisk *)g_ptr_array_index(ovf->disks, 0))->file, ==, "d.vmdk");
    g_assert_null(((const OvfDisk *)g_ptr_array_index(ovf->disks, 1))->file);
}

#define ADD(name, test) g_test_add("/ova/" name, VmdkFixture, NULL, fixture_set_up, test, fixture_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("round-trip", test_round_trip);
    ADD("path", test_path);
    ADD("python", test_python);
    ADD("govmomi", test_govmomi);
    ADD("tar-formats", test_tar_formats);
    ADD("tar-large", test_tar_large);
    ADD("refused", test_refused);
    g_test_add_func("/ova/foreign", test_foreign);
    return g_test_run();
}
