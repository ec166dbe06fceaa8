#include "vsphere/datastore.h"

#include "base/error.h"
#include "base/size.h"
#include "net/http-server.h"

#include <stdio.h>
#include <string.h>

#define DISK_SIZE MIB

/* --- a vCenter that knows three calls and some files --- */

typedef struct {
    HttpServer *server;
    Vsphere *vsphere;
    gint decodes_twice, logged_out, logins, folder_requests; /* atomic */
} Fixture;

static const struct {
    const char *file, *text;
} files[] = {
    {"web 1/web 1.vmdk", "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
                         "RW 2048 VMFS \"web 1-flat.vmdk\"\n"},
    {"locked.vmdk", "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
                    "RW 2048 VMFS \"locked-flat.vmdk\"\n"},
    {"vsan.vmdk", "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
                  "RW 2048 VMFS \"vsan://52ab\"\n"},
    {"web 1/web 1-000001.vmdk",
     "# Disk DescriptorFile\nCID=1\nparentCID=1\ncreateType=\"vmfsSparse\"\n"
     "parentFileNameHint=\"web 1.vmdk\"\nRW 2048 VMFSSPARSE \"web 1-000001-delta.vmdk\"\n"},
    {"clone/clone.vmdk", "# Disk DescriptorFile\nCID=1\nparentCID=1\ncreateType=\"vmfsSparse\"\n"
                         "parentFileNameHint=\"/vmfs/volumes/5f3a-01/web 1/web 1.vmdk\"\nRW 2048 VMFSSPARSE "
                         "\"web 1-000001-delta.vmdk\"\n"},
    {"elsewhere.vmdk",
     "# Disk DescriptorFile\nCID=1\nparentCID=1\ncreateType=\"vmfsSparse\"\n"
     "parentFileNameHint=\"/vmfs/volumes/99/web.vmdk\"\nRW 2048 VMFSSPARSE \"web 1-000001-delta.vmdk\"\n"},
    {"orphan.vmdk", "# Disk DescriptorFile\nCID=1\nparentCID=1\ncreateType=\"vmfsSparse\"\n"
                    "parentFileNameHint=\"gone.vmdk\"\nRW 2048 VMFSSPARSE \"web 1-000001-delta.vmdk\"\n"},
};

static void answer_soap(HttpExchange *exchange, Fixture *fixture)
{
    static const char head[] = "<?xml version=\"1.0\"?><soapenv:Envelope "
                               "xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" "
                               "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>";
    static const char content[] =
        "<RetrieveServiceContentResponse xmlns=\"urn:vim25\"><returnval><rootFolder type=\"Folder\">group-d1"
        "</rootFolder><propertyCollector type=\"PropertyCollector\">pc</propertyCollector><viewManager "
        "type=\"ViewManager\">vm</viewManager><about><name>vc</name><fullName>vc "
        "7</fullName><vendor>V</vendor>"
        "<version>7.0.0</version><build>1</build><osType>linux</osType><productLineId>vpx</productLineId>"
        "<apiType>VirtualCenter</apiType><apiVersion>7.0</apiVersion></about><sessionManager "
        "type=\"SessionManager\">sm</sessionManager></returnval></RetrieveServiceContentResponse>";
    static const char login[] =
        "<LoginResponse xmlns=\"urn:vim25\"><returnval><key>k</key><userName>u</userName>"
        "<fullName>u</fullName><loginTime>2026-01-01T00:00:00Z</loginTime><lastActiveTime>"
        "2026-01-01T00:00:00Z</lastActiveTime><locale>en</locale><messageLocale>en"
        "</messageLocale></returnval></LoginResponse>";
    static const char time[] =
        "<CurrentTimeResponse xmlns=\"urn:vim25\"><returnval>2026-01-01T00:00:00Z</returnval>"
        "</CurrentTimeResponse>";
    static const char fault[] =
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>no</faultstring>"
        "<detail><NotAuthenticatedFault xmlns=\"urn:vim25\" xsi:type=\"NotAuthenticated\"/>"
        "</detail></soapenv:Fault>";
    static const char view[] =
        "<CreateContainerViewResponse xmlns=\"urn:vim25\"><returnval type=\"ContainerView\">"
        "v</returnval></CreateContainerViewResponse>";
    static const char datastores[] =
        "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj "
        "type=\"Datastore\">d-1</obj>"
        "<propSet><name>name</name><val xsi:type=\"xsd:string\">ds+1 "
        "%25</val></propSet><propSet><name>summary</name>"
        "<val xsi:type=\"DatastoreSummary\"><name>ds+1 "
        "%25</name><url>ds:///vmfs/volumes/5f3a-01/</url><capacity>1"
        "</capacity><freeSpace>1</freeSpace><accessible>true</accessible><type>VMFS</type></val></propSet></"
        "objects>"
        "</returnval></RetrievePropertiesExResponse>";
    static const char gone[] = "<DestroyViewResponse xmlns=\"urn:vim25\"/>";
    gsize length;
    const char *request = http_body(exchange, &length);
    gboolean refused = strstr(request, "CurrentTime") != NULL && g_atomic_int_get(&fixture->logged_out) != 0;
    const char *answer = refused                                             ? fault
                         : strstr(request, "RetrieveServiceContent") != NULL ? content
                         : strstr(request, "CurrentTime") != NULL            ? time
                         : strstr(request, "CreateContainerView") != NULL    ? view
                         : strstr(request, "RetrievePropertiesEx") != NULL   ? datastores
                         : strstr(request, "DestroyView") != NULL            ? gone
                                                                             : login;

    if (strstr(request, "<Login") != NULL) {
        g_atomic_int_inc(&fixture->logins);
        g_atomic_int_set(&fixture->logged_out, 0);
    }
    g_autofree char *text = g_strconcat(head, answer, "</soapenv:Body></soapenv:Envelope>", NULL);
    http_answer_text(exchange, refused ? 500 : 200, "text/xml", text);
}

static gssize read_letters(gpointer data, guint64 position, char *buffer, gsize max)
{
    guint64 start = *(guint64 *)data + position;

    for (gsize i = 0; i < max; i++)
        buffer[i] = (char)('a' + (start + i) / 512 % 26);
    return (gssize)max;
}

/* A vmfsSparse file in which sector 3 of the disk is full of "!": a directory in sector 4, its table from
 * sector 5 on, and the data in sector 37. */
#define DELTA_SIZE ((gsize)38 * 512)

static gssize read_delta(gpointer data, guint64 position, char *buffer, gsize max)
{
    static const guint32 header[] = {0x44574f43, 1, 3, 2048, 1, 4, 1, 38};
    const guint32 table = GUINT32_TO_LE(5), grain = GUINT32_TO_LE(37);
    guint64 start = *(guint64 *)data + position;
    g_autofree char *file = g_malloc0(DELTA_SIZE);

    for (guint i = 0; i < G_N_ELEMENTS(header); i++) {
        guint32 little = GUINT32_TO_LE(header[i]);

        memcpy(file + i * sizeof little, &little, sizeof little);
    }
    memcpy(file + 4 * 512, &table, sizeof table);
    memcpy(file + 5 * 512 + 3 * 4, &grain, sizeof grain);
    memset(file + 37 * 512, '!', 512);
    max = MIN(max, DELTA_SIZE - start);
    memcpy(buffer, file + start, max);
    return (gssize)max;
}

static void answer_bytes(HttpExchange *exchange, guint64 size, HttpReader read)
{
    const char *range = http_header(exchange, "Range");
    guint64 first = 0, last = size - 1;

    if (range != NULL) {
        g_assert_cmpint(sscanf(range, "bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, &first, &last), ==,
                        2);
        g_autofree char *content_range = g_strdup_printf(
            "bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, first, last, size);
        http_add_header(exchange, "Content-Range", content_range);
    }
    http_answer_stream(exchange, range != NULL ? 206 : 200, "application/octet-stream", last - first + 1,
                       read, g_memdup2(&first, sizeof first), g_free);
}

/* What the server takes the request to mean: decoded once by the HTTP server, and again by an old vCenter. */
static char *meaning(const Fixture *fixture, const char *text)
{
    return g_atomic_int_get(&fixture->decodes_twice) ? g_uri_unescape_string(text, NULL) : g_strdup(text);
}

static void answer_folder(HttpExchange *exchange, Fixture *fixture)
{
    g_autofree char *file = meaning(fixture, http_path(exchange) + strlen("/folder/"));
    g_autofree char *datacenter = meaning(fixture, http_query(exchange, "dcPath"));
    g_autofree char *datastore = meaning(fixture, http_query(exchange, "dsName"));

    g_atomic_int_inc(&fixture->folder_requests);
    if (g_atomic_int_get(&fixture->logged_out)) {
        http_answer_text(exchange, 401, "text/plain", "log in");
        return;
    }
    if (g_strcmp0(datacenter, "Europe/DC 1") == 0 && g_strcmp0(datastore, "ds+1 %") == 0) {
        for (guint i = 0; i < G_N_ELEMENTS(files); i++)
            if (strcmp(file, files[i].file) == 0) {
                http_answer_text(exchange, 200, "application/octet-stream", files[i].text);
                return;
            }
        if (strcmp(file, "locked-flat.vmdk") == 0) {
            http_answer_text(exchange, 500, "text/html", "error");
            return;
        }
        if (strcmp(file, "web 1/web 1-flat.vmdk") == 0) {
            answer_bytes(exchange, DISK_SIZE, read_letters);
            return;
        }
        if (g_str_has_suffix(file, "web 1-000001-delta.vmdk")) {
            answer_bytes(exchange, DELTA_SIZE, read_delta);
            return;
        }
    }
    http_answer_text(exchange, 404, "text/plain", "no such file");
}

static void handle(HttpExchange *exchange, gpointer data)
{
    if (g_str_has_prefix(http_path(exchange), "/folder/"))
        answer_folder(exchange, data);
    else if (strcmp(http_path(exchange), "/sdk") == 0)
        answer_soap(exchange, data);
    else
        http_answer_text(exchange, 404, "text/plain", "nothing");
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    static const char *const names[] = {"127.0.0.1", NULL};
    g_autofree char *key = NULL;
    g_autofree char *certificate = NULL;
    g_autoptr(Secret) password = secret_new("p");
    g_autoptr(GError) error = NULL;

    g_assert_true(tls_make_certificate(names, &key, &certificate, &error));
    const HttpServerOptions options = {
        .handler = handle, .data = fixture, .key_pem = key, .cert_pem = certificate};
    fixture->server = http_server_start(&options, &error);
    g_assert_no_error(error);
    const VsphereOptions to = {.host = "127.0.0.1",
                               .port = http_server_port(fixture->server),
                               .user = "u",
                               .password = password,
                               .trust = {.insecure = TRUE}};
    fixture->vsphere = vsphere_open(&to, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    vsphere_free(fixture->vsphere);
    http_server_stop(fixture->server);
}

/* --- paths --- */

static void test_path(void)
{
    static const char *const bad[] = {"",     "x",    "[x",     "[x]",    "[x] ",
                                      "[] a", "[x]a", "[x] /a", "[x] a/", "x] a"};
    g_autofree char *datastore = NULL;
    g_autofree char *file = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(datastore_path_parse("[my ds (1)] dir/a b.vmdk", &datastore, &file, &error));
    g_assert_cmpstr(datastore, ==, "my ds (1)");
    g_assert_cmpstr(file, ==, "dir/a b.vmdk");
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) problem = NULL;

        g_assert_false(datastore_path_parse(bad[i], &datastore, &file, &problem));
        g_assert_error(problem, VF_ERROR, VF_ERROR_INVALID);
    }
}

/* --- disks --- */

static void read_disk(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    char sectors[1024];

    g_autoptr(Disk) disk =
        datastore_open_disk(fixture->vsphere, "Europe/DC 1", "[ds+1 %] web 1/web 1.vmdk", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(disk_size(disk), ==, DISK_SIZE);
    g_assert_true(disk_pread(disk, sectors, sizeof sectors, 3 * 512, &error));
    g_assert_cmpint(sectors[0], ==, 'd');
    g_assert_cmpint(sectors[1023], ==, 'e');
}

/* A delta upon the disk, in the same directory and, by the path that the host knows, in another. */
static void test_chain(Fixture *fixture, gconstpointer path)
{
    g_autoptr(GError) error = NULL;
    char sectors[1024];

    g_autoptr(Disk) disk = datastore_open_disk(fixture->vsphere, "Europe/DC 1", path, &error);
    g_assert_no_error(error);
    g_assert_true(disk_pread(disk, sectors, sizeof sectors, 3 * 512, &error));
    g_assert_cmpint(sectors[0], ==, '!');
    g_assert_cmpint(sectors[511], ==, '!');
    g_assert_cmpint(sectors[512], ==, 'e');
}

static void test_read(Fixture *fixture, gconstpointer data)
{
    read_disk(fixture);
    /* the descriptor, HEAD, two probes, one read */
    g_assert_cmpint(fixture->folder_requests, ==, 5);
}

/* The way of encoding is found out by the descriptor and kept for all that follows. */
static void test_decodes_twice(Fixture *fixture, gconstpointer data)
{
    g_atomic_int_set(&fixture->decodes_twice, 1);
    read_disk(fixture);
    g_assert_cmpint(fixture->folder_requests, ==, 6);
    read_disk(fixture);
    g_assert_cmpint(fixture->folder_requests, ==, 11);
}

static void test_relogin(Fixture *fixture, gconstpointer data)
{
    g_atomic_int_set(&fixture->logged_out, 1);
    read_disk(fixture);
    g_assert_cmpint(fixture->logins, ==, 2);
}

static void assert_refused(Fixture *fixture, const char *path, VfErrorClass class, const char *part)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(datastore_open_disk(fixture->vsphere, "Europe/DC 1", path, &error));
    g_assert_error(error, VF_ERROR, (gint) class);
    g_assert_nonnull(strstr(error->message, part));
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    assert_refused(fixture, "[ds+1 %] orphan.vmdk", VF_ERROR_NOT_FOUND, "the parent of [ds+1 %] orphan.vmdk");
    assert_refused(fixture, "[ds+1 %] elsewhere.vmdk", VF_ERROR_NOT_FOUND, "the volume 99");
    assert_refused(fixture, "[ds+1 %] vsan.vmdk", VF_ERROR_UNSUPPORTED, "vsan://52ab");
    assert_refused(fixture, "[ds+1 %] locked.vmdk", VF_ERROR_CONFLICT, "locked");
    assert_refused(fixture, "[ds+1 %] missing.vmdk", VF_ERROR_NOT_FOUND, "404");
    assert_refused(fixture, "missing.vmdk", VF_ERROR_INVALID, "no path");
}

static void test_read_file(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    g_autofree char *text =
        datastore_read_file(fixture->vsphere, "Europe/DC 1", "[ds+1 %] vsan.vmdk", KIB, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(length, ==, strlen(text));
    g_assert_true(g_str_has_prefix(text, "# Disk DescriptorFile\n"));
    g_assert_null(
        datastore_read_file(fixture->vsphere, "Europe/DC 1", "[ds+1 %] vsan.vmdk", 10, &length, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/datastore/path", test_path);
#define WITH(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
    WITH("/datastore/read", test_read);
    g_test_add("/datastore/chain", Fixture, "[ds+1 %] web 1/web 1-000001.vmdk", set_up, test_chain,
               tear_down);
    g_test_add("/datastore/chain-by-volume", Fixture, "[ds+1 %] clone/clone.vmdk", set_up, test_chain,
               tear_down);
    WITH("/datastore/decodes-twice", test_decodes_twice);
    WITH("/datastore/relogin", test_relogin);
    WITH("/datastore/refused", test_refused);
    WITH("/datastore/read-file", test_read_file);
    return g_test_run();
}
