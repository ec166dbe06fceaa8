#include "vsphere/datastore.h"

#include "base/error.h"
#include "disk/https.h"
#include "disk/vmdk.h"
#include "vsphere/call.h"
#include "vsphere/inventory.h"

#include <string.h>

#define READ_ATTEMPTS 4
#define READ_PAUSE_MS 500
#define VOLUMES       "/vmfs/volumes/"
#define PLAIN_CHARACTERS                                                                                     \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/" /* what every server decodes alike  \
                                                                          */

/* A file on a datastore. */
typedef struct {
    Vsphere *vsphere;
    const char *datacenter_path; /* NULL: not said */
    const char *datastore;
    const char *file; /* with its directory */
} Place;

gboolean datastore_path_parse(const char *path, char **ret_datastore, char **ret_file, GError **error)
{
    const char *end = *path == '[' ? strstr(path, "] ") : NULL;

    if (end == NULL || end == path + 1 || end[2] == '\0' || end[2] == '/' || g_str_has_suffix(end, "/"))
        return vf_fail(error, VF_ERROR_INVALID,
                       "\"%s\" is no path on a datastore: \"[datastore] directory/file\"", path);
    *ret_datastore = g_strndup(path + 1, (gsize)(end - path - 1));
    *ret_file = g_strdup(end + 2);
    return TRUE;
}

/* --- addresses --- */

static char *encode(const char *text, gboolean keep_slash, gboolean twice)
{
    g_autofree char *once = http_encode(text, keep_slash);

    return twice ? http_encode(once, keep_slash) : g_steal_pointer(&once);
}

static char *place_url(const Place *place, gboolean twice)
{
    g_autofree char *file = encode(place->file, TRUE, twice);
    g_autofree char *datastore = encode(place->datastore, FALSE, twice);
    GString *url = g_string_new(http_client_base(vsphere_http(place->vsphere)));

    g_string_append_printf(url, "/folder/%s?", file);
    if (place->datacenter_path != NULL) {
        g_autofree char *datacenter = encode(place->datacenter_path, FALSE, twice);

        g_string_append_printf(url, "dcPath=%s&", datacenter);
    }
    g_string_append_printf(url, "dsName=%s", datastore);
    return g_string_free(url, FALSE);
}

static gboolean is_plain(const char *text)
{
    return text == NULL || text[strspn(text, PLAIN_CHARACTERS)] == '\0';
}

typedef gpointer (*UseUrl)(Vsphere *vsphere, const char *url, gpointer data, GError **error);

/* Some servers decode twice.  Which ones do is found out by the first name that makes a difference, and then
 * kept for the session. */
static gpointer with_url(const Place *place, UseUrl use, gpointer data, GError **error)
{
    gboolean twice = vsphere_encodes_twice(place->vsphere);
    gboolean plain = is_plain(place->file) && is_plain(place->datastore) && is_plain(place->datacenter_path);
    g_autofree char *url = place_url(place, twice);
    g_autofree char *other_url = place_url(place, !twice);
    g_autoptr(GError) problem = NULL;
    g_autoptr(GError) ignored = NULL;
    gpointer result = use(place->vsphere, url, data, &problem);

    if (result == NULL && !plain && vf_error_is(problem, VF_ERROR_NOT_FOUND)) {
        result = use(place->vsphere, other_url, data, &ignored);
        if (result != NULL)
            vsphere_set_encodes_twice(place->vsphere, !twice);
    }
    if (result == NULL)
        g_propagate_error(error, g_steal_pointer(&problem));
    return result;
}

/* --- small files --- */

typedef struct {
    gsize max;
    gsize length;
} WholeFile;

static char *get_once(Vsphere *vsphere, const char *url, WholeFile *file, guint *ret_status, GError **error)
{
    const HttpRequest request = {
        .method = "GET", .target = url, .max_body = file->max, .cancel = vsphere_cancel(vsphere)};
    g_auto(HttpAnswer) answer = {0};
    gboolean complete = http_request(vsphere_http(vsphere), &request, &answer, error);

    *ret_status = answer.status;
    if (!complete)
        return NULL;
    if (answer.status != 200) {
        https_fail_status(url, &answer, error);
        return NULL;
    }
    if (answer.content_type != NULL && g_str_has_prefix(answer.content_type, "text/html")) {
        vf_fail(error, VF_ERROR_INVALID, "%s: a page, not a file", url);
        return NULL;
    }
    file->length = answer.body_length;
    return g_steal_pointer(&answer.body);
}

static gboolean may_repeat(Vsphere *vsphere, guint attempt, guint status, const GError *problem,
                           GError **error)
{
    if (attempt == 0 && (status == 401 || status == 403))
        return vsphere_relogin(vsphere, error);
    if (attempt + 1 < READ_ATTEMPTS && vf_error_is(problem, VF_ERROR_TRANSIENT))
        return vsphere_pause(vsphere, READ_PAUSE_MS << attempt, error);
    g_propagate_error(error, g_error_copy(problem));
    return FALSE;
}

static gpointer get_file(Vsphere *vsphere, const char *url, gpointer data, GError **error)
{
    for (guint attempt = 0;; attempt++) {
        g_autoptr(GError) problem = NULL;
        guint status = 0;
        char *text = get_once(vsphere, url, data, &status, &problem);

        if (text != NULL)
            return text;
        if (!may_repeat(vsphere, attempt, status, problem, error))
            return NULL;
    }
}

static char *read_place(const Place *place, gsize max, gsize *ret_length, GError **error)
{
    WholeFile file = {.max = max};
    char *text = with_url(place, get_file, &file, error);

    if (text != NULL)
        *ret_length = file.length;
    return text;
}

char *datastore_read_file(Vsphere *vsphere, const char *datacenter_path, const char *path, gsize max,
                          gsize *ret_length, GError **error)
{
    g_autofree char *datastore = NULL;
    g_autofree char *file = NULL;

    if (!datastore_path_parse(path, &datastore, &file, error))
        return NULL;
    const Place place = {vsphere, datacenter_path, datastore, file};
    return read_place(&place, max, ret_length, error);
}

/* --- disks --- */

static gboolean log_in_again(gpointer data, GError **error)
{
    return vsphere_relogin(data, error);
}

static gpointer open_url(Vsphere *vsphere, const char *url, gpointer data, GError **error)
{
    const HttpsOptions options = {
        .relogin = log_in_again, .data = vsphere, .cancel = vsphere_cancel(vsphere)};

    return bytes_open_https(vsphere_http(vsphere), url, &options, error);
}

/* A descriptor comes with one request; a sparse file that is a link itself is too long for that. */
static Bytes *open_link(const Place *place, const char *path, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *text = NULL;
    gsize length;

    text = read_place(place, VMDK_DESCRIPTOR_MAX, &length, &problem);
    if (text != NULL)
        return bytes_open_memory(text, length, path);
    if (vf_error_is(problem, VF_ERROR_INVALID))
        return with_url(place, open_url, NULL, error);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

typedef struct {
    Vsphere *vsphere;
    const char *datacenter_path;
} Files;

static Bytes *open_path(const char *path, VmdkFileRole role, gpointer data, GError **error)
{
    const Files *files = data;
    g_autofree char *datastore = NULL;
    g_autofree char *file = NULL;

    if (!datastore_path_parse(path, &datastore, &file, error))
        return NULL;
    const Place place = {files->vsphere, files->datacenter_path, datastore, file};
    return role == VMDK_FILE_LINK ? open_link(&place, path, error) : with_url(&place, open_url, NULL, error);
}

/* "ds:///vmfs/volumes/5f3a-.../" */
static gboolean is_volume(const VsphereDatastore *datastore, const char *volume)
{
    const char *url = datastore->url != NULL ? strstr(datastore->url, VOLUMES) : NULL;
    gsize length = strlen(volume);

    if (strcmp(datastore->name, volume) == 0)
        return TRUE;
    return url != NULL && strncmp(url + strlen(VOLUMES), volume, length) == 0 &&
           strspn(url + strlen(VOLUMES) + length, "/") == strlen(url + strlen(VOLUMES) + length);
}

/* The path of `file` on the volume with that name or id. */
static char *on_volume(Vsphere *vsphere, const char *volume, const char *file, GError **error)
{
    g_autoptr(GPtrArray) datastores = vsphere_list_datastores(vsphere, error);

    if (datastores == NULL)
        return NULL;
    for (guint i = 0; i < datastores->len; i++) {
        const VsphereDatastore *datastore = g_ptr_array_index(datastores, i);

        if (is_volume(datastore, volume))
            return g_strdup_printf("[%s] %s", datastore->name, file);
    }
    vf_fail(error, VF_ERROR_NOT_FOUND,
            "no datastore that this account may see is the volume %s, on which %s lies", volume, file);
    return NULL;
}

/* Hosts write their own paths into a descriptor when the other file lies in another directory. */
static char *resolve_absolute(Vsphere *vsphere, const char *from, const char *name, GError **error)
{
    const char *volume = g_str_has_prefix(name, VOLUMES) ? name + strlen(VOLUMES) : "";
    const char *slash = strchr(volume, '/');

    if (slash == NULL || slash == volume || slash[1] == '\0') {
        vf_fail(error, VF_ERROR_INVALID, "%s: the file name \"%s\" is no path on a datastore", from, name);
        return NULL;
    }
    g_autofree char *id = g_strndup(volume, (gsize)(slash - volume));

    return on_volume(vsphere, id, slash + 1, error);
}

static char *resolve_path(const char *from, const char *name, gpointer data, GError **error)
{
    g_autofree char *datastore = NULL;
    g_autofree char *file = NULL;

    if (*name == '/')
        return resolve_absolute(((const Files *)data)->vsphere, from, name, error);
    if (!datastore_path_parse(from, &datastore, &file, error))
        return NULL;
    g_autofree char *rooted = g_strconcat("/", file, NULL);
    g_autofree char *directory = g_path_get_dirname(rooted);
    g_autofree char *path = g_canonicalize_filename(name, directory);

    return g_strdup_printf("[%s] %s", datastore, path + 1);
}

Disk *datastore_open_disk(Vsphere *vsphere, const char *datacenter_path, const char *path, GError **error)
{
    Files files = {vsphere, datacenter_path};
    const VmdkOpener opener = {.resolve = resolve_path, .open = open_path, .data = &files};

    return vmdk_open(path, &opener, NULL, error);
}
