#include "spec/machine.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

static Machine *example(void)
{
    Machine *machine = machine_new();
    MachineDisk *disk = machine_add_disk(machine);
    MachineNic *nic = machine_add_nic(machine);

    machine->name = g_strdup("web \"1\"");
    machine->id = g_strdup("vm-12");
    machine->instance_uuid = g_strdup("5021aa00-0000-0000-0000-000000000001");
    machine->guest_id = g_strdup("windows2019srv_64Guest");
    machine->family = MACHINE_FAMILY_WINDOWS;
    machine->firmware = MACHINE_FIRMWARE_UEFI;
    machine->secure_boot = TRUE;
    machine->cpus = 4;
    machine->cores_per_socket = 2;
    machine->memory = 8 * GIB;
    *disk = (MachineDisk){.key = g_strdup("2000"),
                          .uuid = g_strdup("6000C29a"),
                          .label = g_strdup("Hard disk 1"),
                          .controller = g_strdup("pvscsi"),
                          .bus = 1,
                          .unit = 15,
                          .size = 62 * TIB,
                          .allocated = 3,
                          .boot = TRUE};
    disk = machine_add_disk(machine);
    disk->key = g_strdup("2001");
    disk->size = GIB;
    *nic = (MachineNic){.key = g_strdup("4000"), .mac = g_strdup("00:50:56:00:00:01"), .connected = TRUE};
    return machine;
}

static void test_round_trip(void)
{
    g_autoptr(Machine) machine = example();
    g_autofree char *first = machine_to_json(machine);
    g_autoptr(GError) error = NULL;
    g_autoptr(Machine) back = machine_from_json(first, &error);
    g_autofree char *second = NULL;

    g_assert_no_error(error);
    second = machine_to_json(back);
    g_assert_cmpstr(first, ==, second);
    g_assert_cmpint(back->family, ==, MACHINE_FAMILY_WINDOWS);
    g_assert_cmpint(back->firmware, ==, MACHINE_FIRMWARE_UEFI);
    g_assert_true(back->secure_boot);
    g_assert_null(back->bios_uuid);
    g_assert_cmpuint(back->memory, ==, 8 * GIB);
    g_assert_cmpuint(back->disks->len, ==, 2);
    g_assert_cmpuint(machine_disk(back, "2000")->size, ==, 62 * TIB);
    g_assert_cmpint(machine_disk(back, "2000")->unit, ==, 15);
    g_assert_true(machine_disk(back, "2000")->boot);
    g_assert_null(machine_disk(back, "2001")->uuid);
    g_assert_null(machine_disk(back, "2"));
    g_assert_cmpuint(machine_total_size(back), ==, 62 * TIB + GIB);
    g_assert_true(((MachineNic *)back->nics->pdata[0])->connected);
}

/* Every way in which the text can be cut short is refused, none crashes. */
static void test_damaged(void)
{
    g_autoptr(Machine) machine = example();
    g_autofree char *text = machine_to_json(machine);

    for (gsize length = 0; length < strlen(text); length++) {
        g_autofree char *cut = g_strndup(text, length);
        g_autoptr(GError) error = NULL;

        g_assert_null(machine_from_json(cut, &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    }
}

static void assert_refused(const char *from, const char *to)
{
    g_autoptr(Machine) machine = example();
    g_autofree char *text = machine_to_json(machine);
    g_autoptr(GString) changed = g_string_new(text);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(g_string_replace(changed, from, to, 1), ==, 1);
    g_assert_null(machine_from_json(changed->str, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_refused(void)
{
    assert_refused("\"windows\"", "\"beos\"");
    assert_refused("\"uefi\"", "null");
    assert_refused("\"key\":\"2001\"", "\"key\":\"2000\"");
    assert_refused("\"key\":\"2000\"", "\"key\":7");
    assert_refused("\"size\":1073741824", "\"size\":-1");
    assert_refused("\"unit\":15", "\"unit\":3000000000");
    assert_refused("\"cpus\":4", "\"cpus\":\"4\"");
}

static void test_total_saturates(void)
{
    g_autoptr(Machine) machine = example();
    MachineDisk *disk = machine_add_disk(machine);

    disk->size = G_MAXUINT64;
    g_assert_cmpuint(machine_total_size(machine), ==, G_MAXUINT64);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/round-trip", test_round_trip);
    g_test_add_func("/machine/damaged", test_damaged);
    g_test_add_func("/machine/refused", test_refused);
    g_test_add_func("/machine/total-saturates", test_total_saturates);
    return g_test_run();
}
