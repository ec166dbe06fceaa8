#include "base/io.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    char *folder;
    char *path;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    fixture->folder = g_dir_make_tmp("vmferry-io-XXXXXX", NULL);
    g_assert_nonnull(fixture->folder);
    fixture->path = g_build_filename(fixture->folder, "file", NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    unlink(fixture->path);
    g_assert_cmpint(rmdir(fixture->folder), ==, 0);
    g_free(fixture->path);
    g_free(fixture->folder);
}

static void test_write_and_read(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL, *again = NULL;
    struct stat information;
    gsize length = 0;

    g_assert_true(io_write_file(fixture->path, "one", 3, 0640, &error));
    g_assert_true(io_write_file(fixture->path, "second", 6, 0600, &error));
    text = io_read_file(fixture->path, 6, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, "second");
    g_assert_cmpuint(length, ==, 6);
    g_assert_cmpint(stat(fixture->path, &information), ==, 0);
    g_assert_cmpuint(information.st_mode & 07777, ==, 0600);

    again = io_read_file(fixture->path, 5, NULL, &error);
    g_assert_null(again);
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *below = g_build_filename(fixture->path, "below", NULL);

    g_assert_null(io_read_file(fixture->path, 10, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(io_read_file(fixture->folder, 10, NULL, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(io_write_file(below, "x", 1, 0600, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
    g_assert_nonnull(strstr(error->message, below));
    g_clear_error(&error);
    /* A rename that fails leaves nothing behind: tear_down() finds the folder empty. */
    g_assert_false(io_write_file(fixture->folder, "x", 1, 0600, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
}

static void test_file_without_size(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = io_read_file("/proc/self/status", 65536, NULL, &error);

    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(text, "Name:"));
}

static void test_positions(Fixture *fixture, gconstpointer data)
{
    g_auto(Fd) fd = open(fixture->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char buffer[8] = "";

    g_assert_true(io_pwrite(fd, "abcdef", 6, 100));
    g_assert_cmpint(io_pread(fd, buffer, 4, 101), ==, 4);
    g_assert_cmpmem(buffer, 4, "bcde", 4);
    g_assert_cmpint(io_pread(fd, buffer, 8, 104), ==, 2);
    g_assert_cmpint(io_pread(fd, buffer, 8, 1000), ==, 0);
    g_assert_cmpint(io_pread(-1, buffer, 8, 0), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    g_assert_false(io_pwrite(-1, buffer, 8, 0));
}

static void close_by_scope(int number)
{
    g_auto(Fd) fd = dup(number);
    g_auto(Fd) never = -1;

    g_assert_cmpint(fd, >, never);
    errno = EILSEQ;
}

static void test_fd(Fixture *fixture, gconstpointer data)
{
    int before = dup(STDERR_FILENO);
    Fd fd = before;

    close(before);
    close_by_scope(STDERR_FILENO);
    g_assert_cmpint(errno, ==, EILSEQ);
    g_assert_cmpint(fcntl(before, F_GETFD), ==, -1);

    g_assert_cmpint(fd_steal(&fd), ==, before);
    g_assert_cmpint(fd, ==, -1);
    fd_close(&fd);
}

static void test_directory(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *inner = g_build_filename(fixture->folder, "a", NULL);
    g_autofree char *deep = g_build_filename(inner, "b", NULL);
    struct stat information;

    g_assert_true(io_make_directory(deep, &error));
    g_assert_true(io_make_directory(deep, &error));
    g_assert_no_error(error);
    g_assert_cmpint(stat(deep, &information), ==, 0);
    g_assert_cmpuint(information.st_mode & 0777, ==, 0700);
    g_assert_true(io_sync_parent(deep, &error));
    g_assert_cmpint(rmdir(deep), ==, 0);
    g_assert_cmpint(rmdir(inner), ==, 0);
    g_assert_false(io_sync_parent(deep, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_TARGET_IO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/io/write-and-read", Fixture, NULL, set_up, test_write_and_read, tear_down);
    g_test_add("/io/refused", Fixture, NULL, set_up, test_refused, tear_down);
    g_test_add("/io/file-without-size", Fixture, NULL, set_up, test_file_without_size, tear_down);
    g_test_add("/io/positions", Fixture, NULL, set_up, test_positions, tear_down);
    g_test_add("/io/fd", Fixture, NULL, set_up, test_fd, tear_down);
    g_test_add("/io/directory", Fixture, NULL, set_up, test_directory, tear_down);
    return g_test_run();
}
