/* disk/test-image.h: what the tests of image formats share: a folder, QEMU's programs, comparing.
 */
#pragma once

#include "disk/disk.h"

/* Makes the folder; FALSE, having said so, when qemu-img or qemu-io is missing. */
gboolean image_start(int *argc, char ***argv);
/* Runs the tests and removes the folder. */
int image_run(void);

char *image_path(const char *name);
/* Runs a program that must succeed, in the folder, words up to NULL. */
void image_call(const char *first, ...) G_GNUC_NULL_TERMINATED;
void image_check(const char *path); /* qemu-img check */

void image_patch(const char *path, guint64 offset, const void *data, gsize length);
guint64 image_peek64(const char *path, guint64 offset); /* big-endian there */

/* format_open() and disk_close(), which must work. */
Disk *image_open(const char *path, const char *format, gboolean writable);
void image_close(Disk *disk);
/* Both have the same size and contents, read in pieces of `piece`. */
void image_assert_equal(Disk *a, Disk *b, gsize piece);
/* The same of what QEMU makes raw of the image at `path`. */
void image_assert_as_qemu(Disk *disk, const char *path, gsize piece);

/* Bytes that compress to three quarters, or not at all. */
void image_fill(guint8 *buffer, gsize length, guint32 seed, gboolean noise);
