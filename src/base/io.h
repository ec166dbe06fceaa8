/* base/io.h: whole reads and writes on descriptors, and files that are written whole or not at all.
 *
 * Thread rule: any thread.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>
#include <unistd.h>

/* Bytes read, fewer than `length` only at the end of the file; -1 with errno. */
gssize io_pread(int fd, void *buffer, gsize length, guint64 offset);

/* All of it, or FALSE with errno. */
gboolean io_pwrite(int fd, const void *buffer, gsize length, guint64 offset);

/* The whole file as text with a terminating NUL; VF_ERROR_INVALID when it is longer than `max`,
 * VF_ERROR_NOT_FOUND, VF_ERROR_AUTH.  `ret_length` may be NULL. */
char *io_read_file(const char *path, gsize max, gsize *ret_length, GError **error);

/* Writes beside `path`, syncs, renames, syncs the directory: after a crash the file is the old or the new
 * one. VF_ERROR_TARGET_IO, as for all that writes here. */
gboolean io_write_file(const char *path, const void *data, gsize length, mode_t mode, GError **error);

/* mkdir -p; 0700 for what is made. */
gboolean io_make_directory(const char *path, GError **error);

/* fsync of the directory that holds `path`, so that a created or renamed name survives a power cut. */
gboolean io_sync_parent(const char *path, GError **error);

/* A descriptor that closes itself: `g_auto(Fd) fd = -1;`. */
typedef int Fd;
/* Closes *fd unless it is negative, and sets it to -1.  Keeps errno. */
void fd_close(Fd *fd);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fd, fd_close)
/* Hands the descriptor over and leaves -1. */
int fd_steal(Fd *fd);
