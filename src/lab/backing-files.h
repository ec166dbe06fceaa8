/* lab/backing-files.h: the files of one disk of the lab: flat file, descriptors, and what a killed lab left
 * behind.
 *
 * Thread rule: pure functions on a directory that nobody else uses.
 */
#pragma once

#include "lab/backing-writer.h"

BackingLink *backing_link_new(const char *name, guint number);
void backing_link_free(BackingLink *link); /* the files stay; NULL is fine */

/* Makes NAME-flat.vmdk from `disk` unless it is there, merges deltas that were left behind into it, and
 * writes its descriptor unless it is there.  *ret_size is the size of the file, which wins over the one that
 * was asked for. */
gboolean backing_files_prepare(const char *directory, const LabDiskConfig *disk, guint32 seed,
                               guint64 *ret_size, GError **error);

/* `parent` NULL: the flat file's. */
gboolean backing_write_descriptor(const char *directory, const char *name, const BackingLink *link,
                                  const BackingLink *parent, guint64 size, GError **error);

/* Adds the ranges of a file that are stored, as far as the file system knows. */
gboolean backing_file_allocated(const char *path, Extents *areas, GError **error);

/* Fills `length` bytes (a multiple of 8) with a pattern that only `value` determines. */
void backing_pattern(void *buffer, gsize length, guint64 value);
