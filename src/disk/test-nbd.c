#include "disk/nbd.h"

#include "base/error.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/size.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A server on a unix socket, ours to kill and start again. */
typedef struct {
    char *directory, *socket, *uri, *image;
    Proc *server;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    fixture->directory = g_dir_make_tmp("nbd-XXXXXX", NULL);
    fixture->socket = g_build_filename(fixture->directory, "socket", NULL);
    fixture->image = g_build_filename(fixture->directory, "image", NULL);
    fixture->uri = g_strdup_printf("nbd+unix:///?socket=%s", fixture->socket);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    const char *const remove[] = {"rm", "-r", fixture->directory, NULL};
    g_autoptr(GError) error = NULL;

    proc_free(fixture->server);
    g_assert_true(proc_run(remove, NULL, NULL, NULL, &error));
    g_free(fixture->directory);
    g_free(fixture->socket);
    g_free(fixture->uri);
    g_free(fixture->image);
}

static void run_ok(const char *const *argv)
{
    g_autoptr(GError) error = NULL;

    proc_run(argv, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
}

/* FALSE, and the test is skipped, when the program is missing. */
static gboolean start(Fixture *fixture, const char *const *argv)
{
    g_autofree char *program = proc_find(argv[0]);
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;

    if (program == NULL) {
        g_test_skip("the server is not installed");
        return FALSE;
    }
    unlink(fixture->socket);
    fixture->server = proc_spawn(argv, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    while (!g_file_test(fixture->socket, G_FILE_TEST_EXISTS) && proc_running(fixture->server, NULL))
        cancel_sleep(never, 5, &error);
    g_assert_true(proc_running(fixture->server, NULL));
    return TRUE;
}

static void stop(Fixture *fixture)
{
    g_clear_pointer(&fixture->server, proc_free);
}

static void make_image(const Fixture *fixture, const char *format, const char *size)
{
    const char *const argv[] = {"qemu-img", "create", "-q", "-f", format, fixture->image, size, NULL};

    run_ok(argv);
}

static gboolean start_qemu_nbd(Fixture *fixture, const char *format, const char *shared)
{
    const char *const argv[] = {"qemu-nbd", "-t",   "-k",        fixture->socket, "-e",           shared,
                                "-f",       format, "--discard", "unmap",         fixture->image, NULL};

    return start(fixture, argv);
}

static gboolean start_nbdkit(Fixture *fixture, const char *const *more)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, (gpointer) "nbdkit");
    g_ptr_array_add(argv, (gpointer) "-f");
    g_ptr_array_add(argv, (gpointer) "-U");
    g_ptr_array_add(argv, fixture->socket);
    for (; *more != NULL; more++)
        g_ptr_array_add(argv, (gpointer)*more);
    g_ptr_array_add(argv, NULL);
    return start(fixture, (const char *const *)argv->pdata);
}

/* A socket that is bound and not yet listened on refuses. */
static Disk *open_ok(const Fixture *fixture, const NbdOptions *options)
{
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;
    Disk *disk;

    for (guint left = 100; (disk = nbd_open(fixture->uri, options, &error)) == NULL && left > 0; left--) {
        g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
        g_clear_error(&error);
        cancel_sleep(never, 20, &error);
    }
    g_assert_no_error(error);
    return disk;
}

static void write_letter(Disk *disk, char letter, gsize length, guint64 offset)
{
    g_autofree char *data = g_strnfill(length, letter);
    g_autoptr(GError) error = NULL;

    disk_pwrite(disk, data, length, offset, &error);
    g_assert_no_error(error);
}

static void assert_letter(Disk *disk, char letter, gsize length, guint64 offset)
{
    g_autofree char *expected = g_malloc(length);
    g_autofree char *data = g_malloc(length);
    g_autoptr(GError) error = NULL;

    memset(expected, letter, length);
    disk_pread(disk, data, length, offset, &error);
    g_assert_no_error(error);
    g_assert_cmpint(memcmp(data, expected, length), ==, 0);
}

static void assert_extents(Disk *disk, const DiskExtent *expected, guint n_expected)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    g_autoptr(GError) error = NULL;

    disk_extents(disk, 0, disk_size(disk), extents, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(extents->len, ==, n_expected);
    for (guint i = 0; i < n_expected; i++) {
        const DiskExtent *extent = &g_array_index(extents, DiskExtent, i);

        g_assert_cmpuint(extent->offset, ==, expected[i].offset);
        g_assert_cmpuint(extent->length, ==, expected[i].length);
        g_assert_cmpint(extent->kind, ==, expected[i].kind);
    }
}

/* --- reading and writing --- */

static void exercise(Disk *disk)
{
    g_autoptr(GError) error = NULL;

    write_letter(disk, 'a', 3 * MIB, MIB);
    write_letter(disk, 'b', 512, disk_size(disk) - 512);
    disk_zero(disk, 2 * MIB, MIB, &error);
    g_assert_no_error(error);
    assert_letter(disk, 0, MIB, 0);
    assert_letter(disk, 'a', MIB, MIB);
    assert_letter(disk, 0, MIB, 2 * MIB);
    assert_letter(disk, 'a', MIB, 3 * MIB);
    assert_letter(disk, 'b', 512, disk_size(disk) - 512);
    disk_flush(disk, &error);
    g_assert_no_error(error);
}

static void test_qemu(Fixture *fixture, gconstpointer shared)
{
    const NbdOptions options = {.writable = TRUE};
    const char *const check[] = {"qemu-io",         "-f",           "qcow2", "-c", "read -P 97 1M 1M", "-c",
                                 "read -P 0 2M 1M", fixture->image, NULL};
    const DiskExtent expected[] = {
        {0, MIB, DISK_EXTENT_HOLE},
        {MIB, MIB, DISK_EXTENT_DATA},
        {2 * MIB, MIB, DISK_EXTENT_ZERO},
        {3 * MIB, MIB, DISK_EXTENT_DATA},
        {4 * MIB, 6 * GIB - 4 * MIB - 64 * KIB, DISK_EXTENT_HOLE},
        {6 * GIB - 64 * KIB, 64 * KIB, DISK_EXTENT_DATA},
    };
    g_autofree char *output = NULL;
    g_autoptr(GError) error = NULL;

    make_image(fixture, "qcow2", "6G");
    if (!start_qemu_nbd(fixture, "qcow2", shared))
        return;
    Disk *disk = open_ok(fixture, &options);
    g_assert_cmpuint(disk_size(disk), ==, 6 * GIB);
    exercise(disk);
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(DiskExtent));
    disk_extents(disk, 2 * MIB, MIB, extents, &error);
    g_assert_cmpuint(extents->len, ==, 1);
    g_assert_cmpint(g_array_index(extents, DiskExtent, 0).kind, !=, DISK_EXTENT_DATA);
    if (g_array_index(extents, DiskExtent, 0).kind == DISK_EXTENT_ZERO)
        assert_extents(disk, expected, G_N_ELEMENTS(expected));
    g_assert_true(disk_close(disk, &error));
    stop(fixture);

    g_assert_true(proc_run(check, NULL, &output, NULL, &error));
    g_assert_null(strstr(output, "failed"));
}

static void test_nbdkit(Fixture *fixture, gconstpointer data)
{
    static const char *const memory[] = {"memory", "16M", NULL};
    const NbdOptions options = {.writable = TRUE};
    g_autoptr(GError) error = NULL;

    if (!start_nbdkit(fixture, memory))
        return;
    Disk *disk = open_ok(fixture, &options);
    exercise(disk);
    g_assert_true(disk_close(disk, &error));
}

/* Nothing that may be left out: no zeroing, no flush, no structured replies, 64 KiB a request. */
static void test_poor_server(Fixture *fixture, gconstpointer data)
{
    static const char *const poor[] = {
        "--no-sr",       "--filter=nozero",         "--filter=blocksize-policy",    "memory", "16M",
        "zeromode=none", "blocksize-maximum=65536", "blocksize-error-policy=error", NULL};
    const NbdOptions options = {.writable = TRUE};
    const NbdOptions dirty = {.meta_context = "qemu:dirty-bitmap:x"};
    const DiskExtent all = {0, 16 * MIB, DISK_EXTENT_DATA};
    g_autoptr(GError) error = NULL;

    if (!start_nbdkit(fixture, poor))
        return;
    g_autoptr(Disk) disk = open_ok(fixture, &options);
    exercise(disk);
    assert_extents(disk, &all, 1);
    g_assert_null(nbd_open(fixture->uri, &dirty, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_UNSUPPORTED);
}

static gpointer write_stripe(gpointer data)
{
    static gint next;
    Disk *disk = data;
    guint64 stripe = (guint64)g_atomic_int_add(&next, 1) % 8;

    for (guint i = 0; i < 32; i++)
        write_letter(disk, (char)('A' + stripe), 64 * KIB, (i * 8 + stripe) * 64 * KIB);
    return NULL;
}

/* Eight threads over many connections, over one, and over as many as a server lets in. */
static void test_threads(Fixture *fixture, gconstpointer shared)
{
    const NbdOptions options = {.writable = TRUE};
    GThread *threads[8];
    g_autoptr(GError) error = NULL;

    make_image(fixture, "raw", "16M");
    if (!start_qemu_nbd(fixture, "raw", shared))
        return;
    Disk *disk = open_ok(fixture, &options);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("writer", write_stripe, disk);
    for (guint i = 0; i < 10; i++) {
        disk_flush(disk, &error);
        g_assert_no_error(error);
    }
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    for (guint i = 0; i < 256; i++)
        assert_letter(disk, (char)('A' + i % 8), 64 * KIB, i * 64 * KIB);
    g_assert_true(disk_close(disk, &error));
}

/* --- what changed --- */

static void test_dirty_bitmap(Fixture *fixture, gconstpointer data)
{
    const char *const add[] = {"qemu-img", "bitmap", "--add", "-g", "65536", fixture->image, "epoch", NULL};
    const char *const write[] = {"qemu-io",       "-f",           "qcow2", "-c", "write 1M 1k", "-c",
                                 "write 5G 100k", fixture->image, NULL};
    const char *const serve[] = {"qemu-nbd", "-t",    "-r",           "-k", fixture->socket, "-f", "qcow2",
                                 "-B",       "epoch", fixture->image, NULL};
    const char *const disable[] = {"qemu-img", "bitmap", "--disable", fixture->image, "epoch", NULL};
    const NbdOptions options = {.meta_context = "qemu:dirty-bitmap:epoch"};
    const DiskExtent expected[] = {
        {0, MIB, DISK_EXTENT_HOLE},
        {MIB, 64 * KIB, DISK_EXTENT_DATA},
        {MIB + 64 * KIB, 5 * GIB - MIB - 64 * KIB, DISK_EXTENT_HOLE},
        {5 * GIB, 128 * KIB, DISK_EXTENT_DATA},
        {5 * GIB + 128 * KIB, GIB - 128 * KIB, DISK_EXTENT_HOLE},
    };

    make_image(fixture, "qcow2", "6G");
    run_ok(add);
    run_ok(write);
    run_ok(disable);
    if (!start(fixture, serve))
        return;
    g_autoptr(Disk) disk = open_ok(fixture, &options);
    assert_extents(disk, expected, G_N_ELEMENTS(expected));
}

/* --- servers that go away --- */

static gpointer restart_later(gpointer data)
{
    Fixture *fixture = data;
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;

    cancel_sleep(never, 150, &error);
    start_qemu_nbd(fixture, "raw", "0");
    return NULL;
}

static void restart(Fixture *fixture)
{
    stop(fixture);
    g_thread_join(g_thread_new("restart", restart_later, fixture));
}

/* Reads go on after the server was killed, also while it is away. */
static void test_reconnect(Fixture *fixture, gconstpointer data)
{
    const NbdOptions writable = {.writable = TRUE};
    GThread *thread;
    g_autoptr(GError) error = NULL;

    make_image(fixture, "raw", "16M");
    if (!start_qemu_nbd(fixture, "raw", "0"))
        return;
    Disk *writer = open_ok(fixture, &writable);
    write_letter(writer, 'x', MIB, MIB);
    g_assert_true(disk_close(writer, &error));

    g_autoptr(Disk) disk = open_ok(fixture, NULL);
    assert_letter(disk, 'x', MIB, MIB);
    restart(fixture);
    assert_letter(disk, 'x', MIB, MIB);
    stop(fixture);
    thread = g_thread_new("restart", restart_later, fixture);
    assert_letter(disk, 'x', MIB, MIB);
    g_thread_join(thread);
}

/* A flush after a restart must not vouch for what was written before. */
static void test_lost_writes(Fixture *fixture, gconstpointer data)
{
    const NbdOptions writable = {.writable = TRUE};
    g_autoptr(GError) error = NULL;

    make_image(fixture, "raw", "16M");
    if (!start_qemu_nbd(fixture, "raw", "0"))
        return;
    g_autoptr(Disk) disk = open_ok(fixture, &writable);
    write_letter(disk, 'x', MIB, 0);
    disk_flush(disk, &error);
    g_assert_no_error(error);
    restart(fixture);
    write_letter(disk, 'y', MIB, MIB);
    disk_flush(disk, &error);
    g_assert_no_error(error);

    write_letter(disk, 'z', MIB, 2 * MIB);
    restart(fixture);
    g_assert_false(disk_flush(disk, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_clear_error(&error);
    g_assert_false(disk_flush(disk, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
}

static void test_other_export(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    char block[512];

    make_image(fixture, "raw", "16M");
    if (!start_qemu_nbd(fixture, "raw", "0"))
        return;
    g_autoptr(Disk) disk = open_ok(fixture, NULL);
    stop(fixture);
    make_image(fixture, "raw", "17M");
    start_qemu_nbd(fixture, "raw", "0");
    g_assert_false(disk_pread(disk, block, sizeof block, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INTEGRITY);
}

static gpointer fire_later(gpointer cancel)
{
    g_autoptr(Cancel) never = cancel_new();
    g_autoptr(GError) error = NULL;

    cancel_sleep(never, 100, &error);
    cancel_fire(cancel);
    return NULL;
}

/* A server that does not answer does not hold a cancelled reader. */
static void test_cancel(Fixture *fixture, gconstpointer data)
{
    static const char *const slow[] = {"--filter=delay", "memory", "16M", "rdelay=20", NULL};
    g_autoptr(Cancel) cancel = cancel_new();
    const NbdOptions options = {.cancel = cancel};
    g_autoptr(GError) error = NULL;
    char block[512];

    if (!start_nbdkit(fixture, slow))
        return;
    g_autoptr(Disk) disk = open_ok(fixture, &options);
    GThread *thread = g_thread_new("cancel", fire_later, cancel);
    g_assert_false(disk_pread(disk, block, sizeof block, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CANCELLED);
    g_thread_join(thread);
}

static void test_server_error(Fixture *fixture, gconstpointer data)
{
    static const char *const failing[] = {"--filter=error",        "memory", "16M", "error-pread=EIO",
                                          "error-pread-rate=100%", NULL};
    g_autoptr(GError) error = NULL;
    char block[512];

    if (!start_nbdkit(fixture, failing))
        return;
    g_autoptr(Disk) disk = open_ok(fixture, NULL);
    g_assert_false(disk_pread(disk, block, sizeof block, 0, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_SOURCE_IO);
}

static void test_open_errors(Fixture *fixture, gconstpointer data)
{
    static const char *const readonly[] = {"-r", "memory", "1M", NULL};
    const NbdOptions writable = {.writable = TRUE};
    g_autofree char *other = g_strdup_printf("nbd+unix:///missing?socket=%s", fixture->socket);
    g_autoptr(GError) error = NULL;

    g_assert_null(nbd_open(fixture->uri, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(nbd_open("http://x", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(nbd_open("nbd://127.0.0.1:1", NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TRANSIENT);
    g_clear_error(&error);

    if (!start_nbdkit(fixture, readonly))
        return;
    disk_free(open_ok(fixture, NULL));
    g_assert_null(nbd_open(fixture->uri, &writable, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    stop(fixture);
    g_clear_error(&error);
    make_image(fixture, "raw", "1M");
    if (!start_qemu_nbd(fixture, "raw", "0"))
        return;
    disk_free(open_ok(fixture, NULL));
    g_assert_null(nbd_open(other, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define WITH(path, data, function) g_test_add(path, Fixture, data, set_up, function, tear_down)
    WITH("/nbd/qemu-one", "1", test_qemu);
    WITH("/nbd/qemu-many", "0", test_qemu);
    WITH("/nbd/nbdkit", NULL, test_nbdkit);
    WITH("/nbd/poor-server", NULL, test_poor_server);
    WITH("/nbd/threads-one", "1", test_threads);
    WITH("/nbd/threads-many", "0", test_threads);
    WITH("/nbd/threads-three", "3", test_threads);
    WITH("/nbd/dirty-bitmap", NULL, test_dirty_bitmap);
    WITH("/nbd/reconnect", NULL, test_reconnect);
    WITH("/nbd/lost-writes", NULL, test_lost_writes);
    WITH("/nbd/other-export", NULL, test_other_export);
    WITH("/nbd/cancel", NULL, test_cancel);
    WITH("/nbd/server-error", NULL, test_server_error);
    WITH("/nbd/open-errors", NULL, test_open_errors);
    return g_test_run();
}
