#include "lab/folder.h"

#include "base/io.h"
#include "base/size.h"
#include "lab/session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX   "/folder"
#define SLICE_MS 50u
#define BINARY   "application/octet-stream"

/* --- who asks --- */

static void answer_unauthorized(HttpExchange *exchange)
{
    http_add_header(exchange, "WWW-Authenticate", "Basic realm=\"VMware HTTP server\"");
    http_answer_text(exchange, 401, "text/html", "<html><body>401 Unauthorized</body></html>\n");
}

/* Basic credentials begin a session of their own each time: who does not keep its cookie runs out of
 * sessions. */
static gboolean begin_session(Lab *lab, HttpExchange *exchange)
{
    g_autofree char *user = NULL, *password = NULL;
    if (!http_basic_auth(exchange, &user, &password) || !lab_password_right(lab, user, password)) {
        answer_unauthorized(exchange);
        return FALSE;
    }
    LabSession *session = lab_session_new(lab, http_header(exchange, "User-Agent"));
    if (!lab_session_login(lab, session)) {
        lab_session_end(lab, session);
        http_answer_text(exchange, 503, "text/plain", "Out of HTTP sessions: Limited to max_sessions\n");
        return FALSE;
    }
    lab_session_tell(session, exchange);
    return TRUE;
}

static gboolean authorise(Lab *lab, HttpExchange *exchange)
{
    LabSession *session = lab_session_find(lab, http_cookie(exchange, LAB_COOKIE));
    if ((session == NULL || session->key == NULL) && !begin_session(lab, exchange))
        return FALSE;
    if (!g_hash_table_contains(lab->denied, "Datastore.Browse") &&
        !g_hash_table_contains(lab->denied, "Datastore.FileManagement"))
        return TRUE;
    http_answer_text(exchange, 403, "text/html", "<html><body>403 Forbidden</body></html>\n");
    return FALSE;
}

/* --- where it is --- */

static LabDatastore *find_datastore(Lab *lab, HttpExchange *exchange)
{
    const char *datacenter_path = http_query(exchange, "dcPath"), *name = http_query(exchange, "dsName");
    if (datacenter_path == NULL || name == NULL)
        return NULL;
    g_autofree char *again_path = g_uri_unescape_string(datacenter_path, NULL);
    g_autofree char *again_name = g_uri_unescape_string(name, NULL);
    if (lab->decode_twice) {
        datacenter_path = again_path;
        name = again_name;
    }
    for (guint i = 0; i < lab->datacenters->len; i++) {
        LabDatacenter *datacenter = g_ptr_array_index(lab->datacenters, i);
        if (g_strcmp0(datacenter->path, datacenter_path) != 0)
            continue;
        for (guint d = 0; d < datacenter->datastores->len; d++) {
            LabDatastore *datastore = g_ptr_array_index(datacenter->datastores, d);
            if (g_strcmp0(datastore->object.name, name) == 0)
                return datastore;
        }
    }
    return NULL;
}

static gboolean has_files_on(const LabVm *vm, const LabDatastore *datastore)
{
    for (guint i = 0; i < vm->disks->len; i++)
        if (((LabDisk *)g_ptr_array_index(vm->disks, i))->datastore == datastore)
            return TRUE;
    return vm->datastore == datastore;
}

static LabVm *find_home(Lab *lab, const LabDatastore *datastore, const char *home)
{
    for (guint i = 0; i < lab->vms->len; i++) {
        LabVm *vm = g_ptr_array_index(lab->vms, i);
        if (g_str_equal(vm->home, home) && has_files_on(vm, datastore))
            return vm;
    }
    return NULL;
}

/* The disk to which a file belongs: the one with the longest name that begins it. */
static const LabDisk *owner_of(const LabVm *vm, const char *file)
{
    const LabDisk *owner = NULL;
    for (guint i = 0; i < vm->disks->len; i++) {
        const LabDisk *disk = g_ptr_array_index(vm->disks, i);
        gsize length = strlen(disk->name);
        if (g_str_has_prefix(file, disk->name) && (file[length] == '.' || file[length] == '-') &&
            (owner == NULL || length > strlen(owner->name)))
            owner = disk;
    }
    return owner;
}

/* All files of a VM lie in one directory of this machine; from outside each disk lies on its own datastore.
 */
static gboolean lies_on(const LabVm *vm, const char *file, const LabDatastore *datastore)
{
    const LabDisk *owner = owner_of(vm, file);
    return (owner != NULL ? owner->datastore : vm->datastore) == datastore;
}

typedef struct {
    LabDatastore *datastore;
    LabVm *vm;  /* NULL: the top of the datastore */
    char *file; /* NULL: the directory itself */
    gboolean independent;
} Place;

static void place_clear(Place *place)
{
    g_free(place->file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static gboolean find_place(Lab *lab, HttpExchange *exchange, Place *place)
{
    place->datastore = find_datastore(lab, exchange);
    if (place->datastore == NULL)
        return FALSE;
    const char *path = http_path(exchange) + strlen(PREFIX);
    g_auto(GStrv) parts = g_strsplit(path[0] == '/' ? path + 1 : path, "/", 4);
    if (parts[0] == NULL || parts[0][0] == '\0')
        return TRUE;
    place->vm = find_home(lab, place->datastore, parts[0]);
    if (place->vm == NULL)
        return FALSE;
    if (parts[1] == NULL || parts[1][0] == '\0')
        return TRUE;
    if (parts[2] != NULL || !lies_on(place->vm, parts[1], place->datastore))
        return FALSE;
    const LabDisk *owner = owner_of(place->vm, parts[1]);
    place->independent = owner != NULL && !lab_disk_snapshots(owner) && place->vm->on;
    place->file = g_strdup(parts[1]);
    return TRUE;
}

/* --- directories --- */

static void add_entry(GString *page, const char *name, const char *end)
{
    g_autofree char *link = g_uri_escape_string(name, NULL, TRUE);
    g_autofree char *text = g_markup_escape_text(name, -1);
    g_string_append_printf(page, "<tr><td><a href=\"%s%s\">%s%s</a></td></tr>\n", link, end, text, end);
}

static void list_home(GString *page, const LabVm *vm, const LabDatastore *datastore)
{
    g_autoptr(GDir) directory = g_dir_open(vm->directory, 0, NULL);
    const char *name;
    while (directory != NULL && (name = g_dir_read_name(directory)) != NULL)
        if (lies_on(vm, name, datastore))
            add_entry(page, name, "");
}

static void answer_listing(Lab *lab, HttpExchange *exchange, const Place *place)
{
    g_autoptr(GString) page = g_string_new("<html><head><title>Index of ");
    g_autofree char *title = g_markup_escape_text(http_path(exchange), -1);
    g_string_append_printf(page, "%s</title></head><body><table>\n", title);
    if (place->vm != NULL)
        list_home(page, place->vm, place->datastore);
    for (guint i = 0; place->vm == NULL && i < lab->vms->len; i++) {
        const LabVm *vm = g_ptr_array_index(lab->vms, i);
        if (has_files_on(vm, place->datastore))
            add_entry(page, vm->home, "/");
    }
    g_string_append(page, "</table></body></html>\n");
    http_answer_text(exchange, 200, "text/html; charset=utf-8", page->str);
}

/* --- ranges --- */

typedef struct {
    gboolean partial;
    guint64 start, end; /* exclusive */
} Range;

/* "bytes=a-b", "bytes=a-", "bytes=-n"; anything else is no range.  FALSE: beyond the end. */
static gboolean read_range(const char *header, guint64 size, Range *range)
{
    *range = (Range){.end = size};
    if (header == NULL || !g_str_has_prefix(header, "bytes=") || strchr(header, ',') != NULL)
        return TRUE;
    g_auto(GStrv) ends = g_strsplit(header + strlen("bytes="), "-", 2);
    guint64 first = 0, last = G_MAXUINT64;
    if (ends[0] == NULL || ends[1] == NULL ||
        (ends[0][0] != '\0' && !g_ascii_string_to_unsigned(ends[0], 10, 0, G_MAXUINT64 - 1, &first, NULL)) ||
        (ends[1][0] != '\0' && !g_ascii_string_to_unsigned(ends[1], 10, 0, G_MAXUINT64 - 1, &last, NULL)))
        return TRUE;
    if (ends[0][0] == '\0') {
        first = last >= size ? 0 : size - last;
        last = G_MAXUINT64;
    }
    if (first >= size || last < first)
        return FALSE;
    *range = (Range){.partial = TRUE, .start = first, .end = last < size - 1 ? last + 1 : size};
    return TRUE;
}

/* What shall go wrong with this answer. */
typedef struct {
    guint64 rate;   /* 0: none */
    guint64 cut_at; /* G_MAXUINT64: not */
    gboolean full, wrong;
} Spoil;

static gboolean take_one(guint *count)
{
    gboolean some = *count > 0;
    *count -= some;
    return some;
}

static Spoil take_spoil(Lab *lab, gboolean partial)
{
    Spoil spoil = {.cut_at = G_MAXUINT64};
    lab_lock(lab);
    spoil.rate = lab->troubles.rate;
    if (partial) {
        spoil.full = take_one(&lab->troubles.full_answers);
        spoil.wrong = !spoil.full && take_one(&lab->troubles.wrong_ranges);
        if (take_one(&lab->troubles.cut_after_replies) && lab->troubles.cut_after_replies == 0)
            spoil.cut_at = lab->troubles.cut_bytes;
    }
    lab_unlock(lab);
    return spoil;
}

/* --- sending --- */

typedef struct {
    Fd fd;
    guint64 offset;
    Spoil spoil;
    Cancel *cancel;
} Stream;

static gssize read_stream(gpointer data, guint64 position, char *buffer, gsize max)
{
    Stream *stream = data;
    g_autoptr(GError) stopped = NULL;
    if (position >= stream->spoil.cut_at)
        return -1;
    gsize length = (gsize)MIN(max, stream->spoil.cut_at - position);
    if (stream->spoil.rate > 0) {
        length = (gsize)CLAMP(stream->spoil.rate * SLICE_MS / 1000, 1, length);
        if (!cancel_sleep(stream->cancel, SLICE_MS, &stopped))
            return -1;
    }
    return io_pread(stream->fd, buffer, length, stream->offset + position);
}

static void stream_free(gpointer data)
{
    Stream *stream = data;
    fd_close(&stream->fd);
    cancel_unref(stream->cancel);
    g_free(stream);
}

static void send_range(Lab *lab, HttpExchange *exchange, int fd, const Range *range, const Spoil *spoil)
{
    guint status = range->partial ? 206 : 200;
    guint64 length = range->end - range->start;
    if (spoil->rate == 0 && spoil->cut_at == G_MAXUINT64) {
        http_answer_file(exchange, status, BINARY, fd, range->start, length);
        return;
    }
    Stream *stream = g_new0(Stream, 1);
    *stream = (Stream){.fd = fd, .offset = range->start, .spoil = *spoil, .cancel = cancel_ref(lab->cancel)};
    http_answer_stream(exchange, status, BINARY, length, read_stream, stream, stream_free);
}

static void answer_file(Lab *lab, HttpExchange *exchange, int fd, guint64 size)
{
    Range range;
    if (!read_range(http_header(exchange, "Range"), size, &range)) {
        g_autofree char *unsatisfied = g_strdup_printf("bytes */%" G_GUINT64_FORMAT, size);
        fd_close(&fd);
        http_add_header(exchange, "Content-Range", unsatisfied);
        http_answer_text(exchange, 416, "text/plain", "416 Requested Range Not Satisfiable\n");
        return;
    }
    Spoil spoil = take_spoil(lab, range.partial);
    if (spoil.full)
        range = (Range){.end = size};
    http_add_header(exchange, "Accept-Ranges", "bytes");
    if (range.partial) {
        guint64 shift = spoil.wrong ? SECTOR_SIZE : 0;
        g_autofree char *said =
            g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                            range.start + shift, range.end - 1 + shift, size);
        http_add_header(exchange, "Content-Range", said);
    }
    send_range(lab, exchange, fd, &range, &spoil);
}

static void answer_locked(HttpExchange *exchange)
{
    http_answer_text(exchange, 500, "text/html",
                     "<html><head><title>500 Internal Server Error</title></head>"
                     "<body>Unable to open file: Device or resource busy</body></html>\n");
}

static void answer_not_found(HttpExchange *exchange)
{
    http_answer_text(exchange, 404, "text/html", "<html><body>404 Not Found</body></html>\n");
}

static void open_and_answer(Lab *lab, HttpExchange *exchange, const Place *place)
{
    if (place->independent || lab_backing_locked(place->vm->backing, place->file)) {
        answer_locked(exchange);
        return;
    }
    g_autofree char *path = g_build_filename(place->vm->directory, place->file, NULL);
    g_auto(Fd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        answer_not_found(exchange);
    else
        answer_file(lab, exchange, fd_steal(&fd), (guint64)status.st_size);
}

void lab_folder_handle(Lab *lab, HttpExchange *exchange)
{
    g_auto(Place) place = {0};
    if (!g_str_equal(http_method(exchange), "GET") && !g_str_equal(http_method(exchange), "HEAD")) {
        http_answer_text(exchange, 405, "text/plain", "405 Method Not Allowed\n");
        return;
    }
    lab_lock(lab);
    gboolean allowed = authorise(lab, exchange);
    gboolean found = allowed && find_place(lab, exchange, &place);
    if (found && place.file == NULL)
        answer_listing(lab, exchange, &place);
    lab_unlock(lab);
    if (allowed && !found)
        answer_not_found(exchange);
    else if (found && place.file != NULL)
        open_and_answer(lab, exchange, &place);
}
