#include "base/error.h"
#include "vsphere/inventory.h"
#include "vsphere/test-server.h"
#include "vsphere/vm-ops.h"

#include <string.h>

#define POWER(STATE)                                                                                         \
    "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj><propSet><name>runtime.powerState</name>"    \
    "<val xsi:type=\"VirtualMachinePowerState\">" STATE "</val></propSet></objects></returnval>"

static Vsphere *open_or_die(Server *server)
{
    g_autoptr(GError) error = NULL;
    Vsphere *vsphere = server_open(server, SERVER_PASSWORD, NULL, &error);

    g_assert_no_error(error);
    g_free(server_asked(server));
    return vsphere;
}

static void test_open(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(GError) error = NULL;
    Vsphere *vsphere = server_open(server, SERVER_PASSWORD, NULL, &error);
    g_autofree char *action = NULL, *cookie = NULL, *asked = NULL;

    g_assert_no_error(error);
    g_assert_true(vsphere_about(vsphere)->is_vcenter);
    g_assert_cmpstr(vsphere_about(vsphere)->full_name, ==, "Test vCenter 8.0.3");
    g_assert_true(g_str_has_prefix(vsphere_server(vsphere), "127.0.0.1:"));
    vsphere_free(vsphere);
    asked = server_asked(server);
    action = server_last_action(server);
    cookie = server_last_cookie(server);
    g_assert_cmpstr(asked, ==, "RetrieveServiceContent Login Logout");
    g_assert_cmpstr(action, ==, "\"urn:vim25/8.0.3.0\"");
    g_assert_nonnull(strstr(cookie, "vmware_soap_session=\"c0ffee\""));
}

static void test_wrong_password(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(GError) error = NULL;
    g_autofree char *asked = NULL;

    g_assert_null(server_open(server, "s3kr1t", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_AUTH);
    g_assert_true(vsphere_fault_is(error, "InvalidLogin"));
    g_assert_nonnull(strstr(error->message, SERVER_USER));
    g_assert_null(strstr(error->message, "s3kr1t"));
    asked = server_asked(server);
    g_assert_cmpstr(asked, ==, "RetrieveServiceContent Login");
}

static void test_wrong_certificate(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Secret) password = secret_new("x");
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    VsphereOptions options = {.host = vsphere_server(vsphere), .user = "u", .password = password};
    g_autoptr(GError) error = NULL;

    g_assert_null(vsphere_open(&options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_AUTH);
    g_assert_cmpuint(server_count(server, "Login"), ==, 1);
}

static void test_unreachable(void)
{
    g_autoptr(Secret) password = secret_new("x");
    VsphereOptions options = {.host = "127.0.0.1", .port = 1, .user = "u", .password = password};
    gint64 begin = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    g_assert_null(vsphere_open(&options, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 3 * G_USEC_PER_SEC);
}

static void test_relogin(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    g_autoptr(GError) error = NULL;
    g_autofree char *state = NULL, *asked = NULL;

    server_say(server, "RetrievePropertiesEx", POWER("suspended"));
    server_expire(server, FALSE);
    state = vsphere_power_state(vsphere, "vm-1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(state, ==, "suspended");
    asked = server_asked(server);
    g_assert_cmpstr(asked, ==, "RetrievePropertiesEx CurrentTime Login RetrievePropertiesEx");
}

static void test_session_never_stays(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    g_autoptr(GError) error = NULL;

    server_say(server, "RetrievePropertiesEx", POWER("suspended"));
    server_expire(server, TRUE);
    g_assert_null(vsphere_power_state(vsphere, "vm-1", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_true(vsphere_fault_is(error, "NotAuthenticated"));
    g_assert_cmpuint(server_count(server, "RetrievePropertiesEx"), ==, 2);
}

static gpointer relogin_thread(gpointer data)
{
    g_autoptr(GError) error = NULL;

    vsphere_relogin(data, &error);
    g_assert_no_error(error);
    return NULL;
}

static void test_relogin_threads(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    GThread *threads[6];

    server_expire(server, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("relogin", relogin_thread, vsphere);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(server_count(server, "Login"), ==, 2); /* one at open, one for all */
}

static void test_busy_server(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    g_autoptr(GError) error = NULL;
    g_autofree char *state = NULL;

    server_raw(server, "RetrievePropertiesEx", 503, "<html>later</html>");
    server_raw(server, "RetrievePropertiesEx", 0, "");
    server_say(server, "RetrievePropertiesEx", POWER("poweredOn"));
    state = vsphere_power_state(vsphere, "vm-1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(state, ==, "poweredOn");
    g_assert_cmpuint(server_count(server, "RetrievePropertiesEx"), >=, 3);
}

/* A snapshot may have been made although the answer was lost. */
static void test_not_repeated(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    g_autoptr(GError) error = NULL;
    g_autofree char *moref = NULL;

    server_raw(server, "CreateSnapshot_Task", 503, "<html>later</html>");
    g_assert_false(vsphere_create_snapshot(vsphere, "vm-1", "n", "d", FALSE, &moref, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_assert_cmpuint(server_count(server, "CreateSnapshot_Task"), ==, 1);
    g_assert_null(moref);
}

static void test_malformed(void)
{
    static const struct {
        guint status;
        const char *body;
        VfErrorClass class;
    } cases[] = {
        {200, "", VF_ERROR_INVALID},
        {200, "<html>Welcome</html>", VF_ERROR_INVALID},
        {200, "<a", VF_ERROR_INVALID},
        {200, "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", VF_ERROR_INVALID},
        {200, "<Envelope><Body/></Envelope>", VF_ERROR_INVALID},
        {200, "<Envelope><Body><LoginResponse/></Body></Envelope>", VF_ERROR_INVALID},
        {200, "<Envelope><Body><Fault/></Body></Envelope>", VF_ERROR_INTERNAL},
        {200, "<Envelope><Body><RetrievePropertiesExResponse/></Body></Envelope>", VF_ERROR_NOT_FOUND},
        {200,
         "<Envelope><Body><RetrievePropertiesExResponse><returnval><objects/></returnval>"
         "</RetrievePropertiesExResponse></Body></Envelope>",
         VF_ERROR_INVALID},
        {404, "<html>no</html>", VF_ERROR_NOT_FOUND},
        {403, "<html>no</html>", VF_ERROR_AUTH},
        {302, "<html>there</html>", VF_ERROR_INTERNAL},
        {500, "<html>oops</html>", VF_ERROR_TRANSIENT},
    };
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        server_raw(server, "RetrievePropertiesEx", cases[i].status, cases[i].body);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vsphere_power_state(vsphere, "vm-1", &error));
        g_test_message("%s -> %s", cases[i].body, error->message);
        g_assert_error(error, VF_ERROR, (int)cases[i].class);
    }
}

static void test_packed(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Vsphere) vsphere = open_or_die(server);
    g_autoptr(GError) error = NULL;
    g_autofree char *state = NULL;

    server_pack(server);
    server_say(server, "RetrievePropertiesEx", POWER("poweredOff"));
    state = vsphere_power_state(vsphere, "vm-1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(state, ==, "poweredOff");
}

/* Cancelled while it waits for a busy server; the session is closed all the same. */
static void test_cancel(void)
{
    g_autoptr(Server) server = server_start();
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(GError) error = NULL;
    Vsphere *vsphere = server_open(server, SERVER_PASSWORD, cancel, &error);

    g_assert_no_error(error);
    cancel_fire(cancel);
    g_assert_null(vsphere_power_state(vsphere, "vm-1", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    vsphere_free(vsphere);
    g_assert_cmpuint(server_count(server, "Logout"), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session/open", test_open);
    g_test_add_func("/session/wrong-password", test_wrong_password);
    g_test_add_func("/session/wrong-certificate", test_wrong_certificate);
    g_test_add_func("/session/unreachable", test_unreachable);
    g_test_add_func("/session/relogin", test_relogin);
    g_test_add_func("/session/never-stays", test_session_never_stays);
    g_test_add_func("/session/relogin-threads", test_relogin_threads);
    g_test_add_func("/session/busy-server", test_busy_server);
    g_test_add_func("/session/not-repeated", test_not_repeated);
    g_test_add_func("/session/malformed", test_malformed);
    g_test_add_func("/session/packed", test_packed);
    g_test_add_func("/session/cancel", test_cancel);
    return g_test_run();
}
