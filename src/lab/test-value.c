/* Values are written as the schema has them, whatever the order in which they were made. */
#include "lab/schema.h"
#include "lab/value.h"

static char *written(const Value *value, const char *declared)
{
    XmlWriter *writer = xml_writer_new(0, FALSE);
    value_write(value, writer, "val", declared);
    return xml_writer_finish(writer);
}

static void test_order(void)
{
    g_autoptr(Value) value = value_new("VirtualHardware");
    value_set_int(value, "memoryMB", 512);
    value_set_int(value, "numCPU", 2);
    g_autofree char *text = written(value, "VirtualHardware");
    g_assert_cmpstr(text, ==, "<val><numCPU>2</numCPU><memoryMB>512</memoryMB></val>");
    value_set_int(value, "numCPU", 3);
    g_autofree char *again = written(value, "anyType");
    g_assert_cmpstr(again, ==,
                    "<val xsi:type=\"VirtualHardware\"><numCPU>3</numCPU><memoryMB>512</memoryMB></val>");
}

/* Inherited fields come first; a type that is not the declared one is said. */
static void test_polymorphic(void)
{
    g_autoptr(Value) hardware = value_new("VirtualHardware");
    Value *disk = value_new("VirtualDisk");
    value_set_int(disk, "capacityInKB", 4);
    value_set_int(disk, "key", 2000);
    value_append(hardware, "device", disk);
    g_autofree char *text = written(hardware, "VirtualHardware");
    g_assert_cmpstr(text, ==,
                    "<val><device xsi:type=\"VirtualDisk\"><key>2000</key>"
                    "<capacityInKB>4</capacityInKB></device></val>");
}

static void test_boxed(void)
{
    g_autoptr(Value) names = value_array("string");
    value_add(names, value_text("string", "a<b"));
    g_autofree char *boxed = written(names, "anyType");
    g_assert_cmpstr(boxed, ==, "<val xsi:type=\"ArrayOfString\"><string>a&lt;b</string></val>");
    g_autofree char *repeated = written(names, "string");
    g_assert_cmpstr(repeated, ==, "<val>a&lt;b</val>");

    g_autoptr(Value) refs = value_array("ManagedObjectReference");
    value_add(refs, value_ref("Datastore", "datastore-1"));
    g_autofree char *text = written(refs, "anyType");
    g_assert_cmpstr(text, ==,
                    "<val xsi:type=\"ArrayOfManagedObjectReference\"><ManagedObjectReference "
                    "type=\"Datastore\" xsi:type=\"ManagedObjectReference\">datastore-1"
                    "</ManagedObjectReference></val>");
}

static void test_copy_and_walk(void)
{
    g_autoptr(Value) config = value_new("VirtualMachineConfigInfo");
    Value *hardware = value_new("VirtualHardware");
    value_set_int(hardware, "numCPU", 8);
    value_set(config, "hardware", hardware);
    g_autoptr(Value) copy = value_copy(config);
    g_assert_cmpstr(value_get_text(value_walk(copy, "hardware.numCPU")), ==, "8");
    g_assert_null(value_walk(copy, "hardware.memoryMB"));
    g_assert_null(value_walk(copy, "hardware.numCPU.deeper"));
}

static void test_paths(void)
{
    g_assert_nonnull(schema_path("VirtualMachine", "name"));
    g_assert_nonnull(schema_path("VirtualMachine", "config.cpuAffinity.affinitySet"));
    g_assert_true(schema_path("VirtualMachine", "config.hardware.device")->array);
    g_assert_true(schema_path("VirtualMachine", "runtime.host")->reference);
    g_assert_null(schema_path("VirtualMachine", "config.hardware.device.key"));
    g_assert_null(schema_path("VirtualMachine", "runtime.host.name"));
    g_assert_null(schema_path("VirtualMachine", "config.nonsense"));
    g_assert_null(schema_path("VirtualMachine", ""));
    g_assert_null(schema_path("NoSuchType", "name"));
    g_assert_true(schema_is("ParaVirtualSCSIController", "VirtualDevice"));
    g_assert_false(schema_is("VirtualDevice", "ParaVirtualSCSIController"));
}

/* A field that does not exist is a fault of ours, and never goes out. */
static void test_wrong_field(void)
{
    if (g_test_subprocess()) {
        g_autoptr(Value) value = value_new("VirtualHardware");
        value_set_int(value, "numGPU", 1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*has no field numGPU*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/value/order", test_order);
    g_test_add_func("/value/polymorphic", test_polymorphic);
    g_test_add_func("/value/boxed", test_boxed);
    g_test_add_func("/value/copy-and-walk", test_copy_and_walk);
    g_test_add_func("/value/paths", test_paths);
    g_test_add_func("/value/wrong-field", test_wrong_field);
    return g_test_run();
}
