#include "base/error.h"
#include "base/size.h"
#include "vsphere/inventory.h"
#include "vsphere/test-server.h"
#include "vsphere/vm-ops.h"

#include <string.h>

#define TASK(ID)                "<returnval type=\"Task\">" ID "</returnval>"
#define OBJECT(TYPE, ID, INNER) "<objects><obj type=\"" TYPE "\">" ID "</obj>" INNER "</objects>"
#define PROPERTY(NAME, VALUE)   "<propSet><name>" NAME "</name><val>" VALUE "</val></propSet>"
#define PAGE(INNER)             "<returnval>" INNER "</returnval>"
#define INFO(ID, INNER)                                                                                      \
    PAGE(OBJECT("Task", ID,                                                                                  \
                PROPERTY("info",                                                                             \
                         "<key>" ID "</key><descriptionId>VirtualMachine.createSnapshot</descriptionId>"     \
                         "<entity type=\"VirtualMachine\">vm-1</entity>" INNER)))
#define RUNNING "<state>running</state><progress>3</progress>"
#define DONE    "<state>success</state>"
#define FAILED(FAULT)                                                                                        \
    "<state>error</state><error><fault xsi:type=\"" FAULT                                                    \
    "\"/><localizedMessage>no</localizedMessage></error>"
#define SNAPSHOT(ID, NAME)                                                                                   \
    PAGE(OBJECT("VirtualMachine", "vm-1",                                                                    \
                PROPERTY("snapshot", "<rootSnapshotList><snapshot>snapshot-0</snapshot><name>old</name>"     \
                                     "<childSnapshotList><snapshot>" ID "</snapshot><name>" NAME "</name>"   \
                                     "</childSnapshotList></rootSnapshotList>")))

typedef struct {
    Server *server;
    Vsphere *vsphere;
} Fixture;

static void setup(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->server = server_start();
    fixture->vsphere = server_open(fixture->server, SERVER_PASSWORD, NULL, &error);
    g_assert_no_error(error);
}

static void teardown(Fixture *fixture, gconstpointer data)
{
    vsphere_free(fixture->vsphere);
    server_stop(fixture->server);
}

/* --- tasks and snapshots --- */

static void test_snapshot(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *moref = NULL, *request = NULL;

    server_say(fixture->server, "CreateSnapshot_Task", TASK("task-1"));
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", RUNNING));
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", RUNNING));
    server_say(fixture->server, "RetrievePropertiesEx",
               INFO("task-1", DONE "<result type=\"VirtualMachineSnapshot\">snapshot-9</result>"));
    vsphere_create_snapshot(fixture->vsphere, "vm-1", "a<b", "why & how", TRUE, &moref, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(moref, ==, "snapshot-9");
    request = server_last(fixture->server, "CreateSnapshot_Task");
    g_assert_nonnull(strstr(request, "<_this type=\"VirtualMachine\">vm-1</_this><name>a&lt;b</name>"
                                     "<description>why &amp; how</description><memory>false</memory>"
                                     "<quiesce>true</quiesce></CreateSnapshot_Task>"));
}

static void test_quiesce_fault(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *moref = NULL;

    server_say(fixture->server, "CreateSnapshot_Task", TASK("task-1"));
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", FAILED("ApplicationQuiesceFault")));
    g_assert_false(vsphere_create_snapshot(fixture->vsphere, "vm-1", "n", "d", TRUE, &moref, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
    g_assert_true(vsphere_fault_is(error, "SnapshotFault"));
}

/* Refused at once, then by the task itself. */
static void test_task_in_progress(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *request = NULL;

    server_fault(fixture->server, "RemoveSnapshot_Task", "TaskInProgress",
                 "<task type=\"Task\">task-0</task>");
    server_say(fixture->server, "RemoveSnapshot_Task", TASK("task-1"));
    server_say(fixture->server, "RemoveSnapshot_Task", TASK("task-2"));
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", FAILED("TaskInProgress")));
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-2", DONE));
    vsphere_remove_snapshot(fixture->vsphere, "snapshot-9", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(server_count(fixture->server, "RemoveSnapshot_Task"), ==, 3);
    request = server_last(fixture->server, "RemoveSnapshot_Task");
    g_assert_nonnull(
        strstr(request, "<removeChildren>false</removeChildren><consolidate>true</consolidate>"));
}

static void test_snapshot_gone(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    server_fault(fixture->server, "RemoveSnapshot_Task", "ManagedObjectNotFound",
                 "<obj type=\"VirtualMachineSnapshot\">snapshot-9</obj>");
    g_assert_true(vsphere_remove_snapshot(fixture->vsphere, "snapshot-9", &error));
    g_assert_no_error(error);
}

/* The server forgot the task; the snapshot it made tells. */
static void test_task_vanished(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *moref = NULL;

    server_say(fixture->server, "CreateSnapshot_Task", TASK("task-1"));
    server_fault(fixture->server, "RetrievePropertiesEx", "ManagedObjectNotFound", "");
    server_say(fixture->server, "RetrievePropertiesEx", SNAPSHOT("snapshot-5", "mine 100%25"));
    vsphere_create_snapshot(fixture->vsphere, "vm-1", "mine 100%", "d", FALSE, &moref, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(moref, ==, "snapshot-5");
    g_clear_pointer(&moref, g_free);
    moref = vsphere_find_snapshot(fixture->vsphere, "vm-1", "other", &error);
    g_assert_no_error(error);
    g_assert_null(moref);
}

static void test_power(Fixture *fixture, gconstpointer data)
{
    static const char off[] =
        PAGE(OBJECT("VirtualMachine", "vm-1", PROPERTY("runtime.powerState", "poweredOff")));
    g_autoptr(GError) error = NULL;

    server_say(fixture->server, "RetrievePropertiesEx", off);
    server_fault(fixture->server, "PowerOffVM_Task", "InvalidPowerState",
                 "<existingState>poweredOff</existingState>");
    g_assert_true(vsphere_power_off(fixture->vsphere, "vm-1", &error));
    g_assert_no_error(error);
    server_fault(fixture->server, "PowerOnVM_Task", "InvalidPowerState",
                 "<existingState>suspended</existingState>");
    g_assert_false(vsphere_power_on(fixture->vsphere, "vm-1", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    server_fault(fixture->server, "ShutdownGuest", "ToolsUnavailable", "");
    g_assert_false(vsphere_shutdown_guest(fixture->vsphere, "vm-1", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
}

static void test_wait_idle(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", RUNNING));
    g_assert_false(vsphere_wait_idle(fixture->vsphere, "vm-1", 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "VirtualMachine.createSnapshot"));
    g_clear_error(&error);
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", DONE));
    g_assert_true(vsphere_wait_idle(fixture->vsphere, "vm-1", 5, &error));
    g_assert_no_error(error);
}

static void count_tick(gpointer data)
{
    (*(guint *)data)++;
}

static void test_tick(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(GError) error = NULL;
    guint ticks = 0;
    g_autoptr(Vsphere) vsphere = server_open_ticking(server, count_tick, &ticks, &error);

    g_assert_no_error(error);
    server_say(server, "ConsolidateVMDisks_Task", TASK("task-1"));
    for (guint i = 0; i < 6; i++) /* asked 1550 ms after the first for the sixth time */
        server_say(server, "RetrievePropertiesEx", INFO("task-1", RUNNING));
    server_say(server, "RetrievePropertiesEx", INFO("task-1", DONE));
    g_assert_true(vsphere_consolidate(vsphere, "vm-1", &error));
    g_assert_no_error(error);
    g_assert_cmpuint(ticks, ==, 2);
}

/* --- inventory --- */

#define NAME_OF(ID, NAME, UUID)                                                                              \
    OBJECT("VirtualMachine", ID,                                                                             \
           PROPERTY("name", NAME) PROPERTY("parent", "group-v2") PROPERTY("config.instanceUuid", UUID))
#define FOLDERS                                                                                              \
    OBJECT("Datacenter", "dc-1", PROPERTY("name", "DC") PROPERTY("parent", "group-d1"))                      \
    OBJECT("Folder", "group-v2", PROPERTY("name", "vm") PROPERTY("parent", "dc-1"))
#define VIEW "<returnval type=\"ContainerView\">view-1</returnval>"

static void say_names(Server *server)
{
    server_forget(server, "RetrievePropertiesEx");
    server_forget(server, "ContinueRetrievePropertiesEx");
    server_say(server, "CreateContainerView", VIEW);
    server_say(
        server, "RetrievePropertiesEx",
        PAGE("<token>t1</token>" NAME_OF("vm-1", "web", "u-1") NAME_OF("vm-2", "db%2fmain", "u-2") FOLDERS));
    server_say(server, "ContinueRetrievePropertiesEx",
               PAGE(NAME_OF("vm-3", "web", "u-3") NAME_OF("vm-4", "vm-2", "u-4")));
}

static void test_find_fails(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *ref;
        VfErrorClass class;
        const char *says;
    } cases[] = {
        {"web", VF_ERROR_CONFLICT, "/DC/vm/web (vm-1), /DC/vm/web (vm-3)"},
        {"vm-2", VF_ERROR_CONFLICT, "/DC/vm/db%2fmain (vm-2), /DC/vm/vm-2 (vm-4)"},
        {"/DC/vm/wbe", VF_ERROR_NOT_FOUND, "did you mean \"web\" (end)"},
        {"dbmain", VF_ERROR_NOT_FOUND, "did you mean \"db/main\""},
        {"nothing-like-it", VF_ERROR_NOT_FOUND, "there is no VM \"nothing-like-it\" (end)"},
        {"", VF_ERROR_NOT_FOUND, "there is no VM"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *said = NULL;

        say_names(fixture->server);
        g_assert_null(vsphere_find_vm(fixture->vsphere, cases[i].ref, &error));
        said = g_strconcat(error->message, " (end)", NULL);
        g_test_message("%s", said);
        g_assert_error(error, VF_ERROR, (int)cases[i].class);
        g_assert_nonnull(strstr(said, cases[i].says));
        g_assert_cmpuint(server_count(fixture->server, "DestroyView"), ==, i + 1);
        g_assert_cmpuint(server_count(fixture->server, "ContinueRetrievePropertiesEx"), ==, i + 1);
    }
}

static void test_page_fails(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    server_say(fixture->server, "CreateContainerView", VIEW);
    server_say(fixture->server, "RetrievePropertiesEx", PAGE("<token>t1</token>"));
    server_fault(fixture->server, "ContinueRetrievePropertiesEx", "InvalidArgument", "");
    g_assert_null(vsphere_list_vms(fixture->vsphere, TRUE, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_assert_cmpuint(server_count(fixture->server, "CancelRetrievePropertiesEx"), ==, 1);
    g_assert_cmpuint(server_count(fixture->server, "DestroyView"), ==, 1);
}

/* An older server: asked again without what it may not know, and never for it again. */
static void test_invalid_property(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) vms = NULL;
    g_autofree char *request = NULL;

    server_say(fixture->server, "CreateContainerView", VIEW);
    server_fault(fixture->server, "RetrievePropertiesEx", "InvalidProperty", "<name>config.keyId</name>");
    server_say(fixture->server, "RetrievePropertiesEx", PAGE(NAME_OF("vm-1", "web", "u-1") FOLDERS));
    vms = vsphere_list_vms(fixture->vsphere, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vms->len, ==, 1);
    request = server_last(fixture->server, "RetrievePropertiesEx");
    g_assert_null(strstr(request, "config.keyId"));
    g_assert_nonnull(strstr(request, "config.hardware.device"));
    g_assert_cmpuint(server_count(fixture->server, "RetrievePropertiesEx"), ==, 2);
}

/* A VM whose configuration cannot be read is not one without disks. */
static void test_unreadable(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    server_say(fixture->server, "RetrievePropertiesEx",
               PAGE(OBJECT("VirtualMachine", "vm-1",
                           PROPERTY("name", "web") PROPERTY("runtime.connectionState", "inaccessible"))));
    g_assert_null(vsphere_get_vm(fixture->vsphere, "vm-1", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "inaccessible"));
}

/* A task may go while the VM is read with it; a VM that went stays away. */
static void test_vanishing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    server_fault(fixture->server, "RetrievePropertiesEx", "ManagedObjectNotFound", "<obj>task-7</obj>");
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-8", DONE));
    g_assert_true(vsphere_wait_idle(fixture->vsphere, "vm-1", 5, &error));
    g_assert_no_error(error);
    server_forget(fixture->server, "RetrievePropertiesEx");
    server_fault(fixture->server, "RetrievePropertiesEx", "ManagedObjectNotFound", "<obj>vm-1</obj>");
    g_assert_null(vsphere_get_vm(fixture->vsphere, "vm-1", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

static void test_other_vm(Fixture *fixture, gconstpointer data)
{
    static const char vm[] =
        PAGE(OBJECT("VirtualMachine", "vm-1",
                    PROPERTY("name", "web") PROPERTY("config.instanceUuid",
                                                     "u-1") PROPERTY("config.files.vmPathName", "[a] b.vmx")
                        PROPERTY("config.hardware.device", "<VirtualDevice><key>1</key></VirtualDevice>")));
    g_autoptr(GError) error = NULL;
    g_autoptr(VsphereVm) same = NULL;

    server_say(fixture->server, "RetrievePropertiesEx", vm);
    same = vsphere_get_vm(fixture->vsphere, "vm-1", "u-1", &error);
    g_assert_no_error(error);
    g_assert_null(vsphere_get_vm(fixture->vsphere, "vm-1", "u-2", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

static void test_privileges(Fixture *fixture, gconstpointer data)
{
    static const char *const asked[] = {"A.b", "A.c", "New.d", NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) missing = NULL;
    g_autofree char *request = NULL;

    server_say(
        fixture->server, "RetrievePropertiesEx",
        PAGE(OBJECT("AuthorizationManager", "am",
                    PROPERTY("privilegeList",
                             "<AuthorizationPrivilege><privId>A.b</privId></AuthorizationPrivilege>"
                             "<AuthorizationPrivilege><privId>A.c</privId></AuthorizationPrivilege>"))));
    server_say(fixture->server, "HasPrivilegeOnEntity",
               "<returnval>true</returnval><returnval>false</returnval>");
    missing = vsphere_missing_privileges(fixture->vsphere, "VirtualMachine", "vm-1", asked, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(missing->len, ==, 1);
    g_assert_cmpstr(missing->pdata[0], ==, "A.c");
    request = server_last(fixture->server, "HasPrivilegeOnEntity");
    g_assert_nonnull(strstr(request,
                            "<entity type=\"VirtualMachine\">vm-1</entity><sessionId>session-1</sessionId>"
                            "<privId>A.b</privId><privId>A.c</privId></HasPrivilegeOnEntity>"));
}

/* --- change tracking --- */

/* `n` areas of 64 KiB, one in two, from `start` on; the piece ends where they do, but not before `least`. */
static void say_areas(Server *server, guint64 start, guint n, guint64 least)
{
    GString *inner = g_string_new(NULL);
    guint64 length = MAX(n * 128 * KIB, least);

    g_string_append_printf(inner,
                           "<returnval><startOffset>%" G_GUINT64_FORMAT
                           "</startOffset><length>%" G_GUINT64_FORMAT "</length>",
                           start, length);
    for (guint i = 0; i < n; i++)
        g_string_append_printf(
            inner, "<changedArea><start>%" G_GUINT64_FORMAT "</start><length>65536</length></changedArea>",
            start + i * 128 * KIB);
    g_string_append(inner, "</returnval>");
    server_say(server, "QueryChangedDiskAreas", inner->str);
    g_string_free(inner, TRUE);
}

static void test_areas(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Extents) areas = extents_new();
    g_autofree char *request = NULL;

    say_areas(fixture->server, 0, 2000, 0);
    say_areas(fixture->server, 250 * MIB, 2000, 0);
    say_areas(fixture->server, 500 * MIB, 0, 100 * MIB);
    say_areas(fixture->server, 600 * MIB, 1, 424 * MIB);
    extents_add(areas, GIB, GIB + 1);
    g_assert_true(
        vsphere_changed_areas(fixture->vsphere, "vm-1", "snapshot-9", 2000, GIB, "52/7", areas, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(extents_count(areas), ==, 4002);
    g_assert_cmpuint(extents_total(areas), ==, 4001 * 64 * KIB + 1);
    g_assert_cmpuint(server_count(fixture->server, "QueryChangedDiskAreas"), ==, 4);
    request = server_last(fixture->server, "QueryChangedDiskAreas");
    g_assert_nonnull(strstr(request, "<snapshot type=\"VirtualMachineSnapshot\">snapshot-9</snapshot>"
                                     "<deviceKey>2000</deviceKey><startOffset>629145600</startOffset>"
                                     "<changeId>52/7</changeId>"));
}

static void test_areas_fault(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *fault;
        VfErrorClass class;
    } cases[] = {
        {"FileFault", VF_ERROR_INTEGRITY},       {"FileNotFound", VF_ERROR_INTEGRITY},
        {"InvalidArgument", VF_ERROR_INTEGRITY}, {"NoPermission", VF_ERROR_AUTH},
        {"NotFound", VF_ERROR_NOT_FOUND},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Extents) areas = extents_new();

        say_areas(fixture->server, 0, 10, MIB);
        server_fault(fixture->server, "QueryChangedDiskAreas", cases[i].fault, "");
        g_assert_false(vsphere_changed_areas(fixture->vsphere, "vm-1", NULL, 2000, GIB, "*", areas, &error));
        g_assert_error(error, VF_ERROR, (int)cases[i].class);
        g_assert_cmpuint(extents_count(areas), ==, 0);
        server_forget(fixture->server, "QueryChangedDiskAreas");
    }
}

static void test_reconfigure(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *request = NULL;

    server_say(fixture->server, "ReconfigVM_Task", TASK("task-1"));
    server_say(fixture->server, "RetrievePropertiesEx", INFO("task-1", DONE));
    g_assert_true(vsphere_set_change_tracking(fixture->vsphere, "vm-1", TRUE, &error));
    g_assert_no_error(error);
    request = server_last(fixture->server, "ReconfigVM_Task");
    g_assert_nonnull(strstr(request, "<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *fixture, gconstpointer data);
    } tests[] = {
        {"/ops/snapshot", test_snapshot},
        {"/ops/quiesce-fault", test_quiesce_fault},
        {"/ops/task-in-progress", test_task_in_progress},
        {"/ops/snapshot-gone", test_snapshot_gone},
        {"/ops/task-vanished", test_task_vanished},
        {"/ops/power", test_power},
        {"/ops/wait-idle", test_wait_idle},
        {"/ops/find-fails", test_find_fails},
        {"/ops/page-fails", test_page_fails},
        {"/ops/invalid-property", test_invalid_property},
        {"/ops/unreadable", test_unreadable},
        {"/ops/vanishing", test_vanishing},
        {"/ops/other-vm", test_other_vm},
        {"/ops/privileges", test_privileges},
        {"/ops/areas", test_areas},
        {"/ops/areas-fault", test_areas_fault},
        {"/ops/reconfigure", test_reconfigure},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, setup, tests[i].run, teardown);
    g_test_add_func("/ops/tick", test_tick);
    return g_test_run();
}
