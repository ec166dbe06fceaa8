/* lab/delta.h: a redo log of the synthetic writer: a sparse file of the disk's size beside a map with one bit
 * per 4 KiB block that it holds.
 *
 * The map is a mapped file, set after the data: what a killed process leaves behind is a delta that can be
 * merged. Merging twice, or again after having been killed in the middle, gives the same result.
 *
 * Thread rule: guarded by its owner.
 */
#pragma once

#include "copy/extents.h"

#include <glib.h>

#define DELTA_BLOCK 4096u

typedef struct Delta Delta;

/* Makes both files, DATA and DATA.map; what has been there is replaced. */
Delta *delta_create(const char *data_path, guint64 size, GError **error);
/* What an earlier process left behind. */
Delta *delta_open(const char *data_path, GError **error);
void delta_free(Delta *delta); /* the files stay; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Delta, delta_free)

/* `offset` and `length` are multiples of DELTA_BLOCK, but at the end of the disk. */
gboolean delta_write(Delta *delta, const void *data, gsize length, guint64 offset, GError **error);

/* Adds the blocks that it holds. */
void delta_allocated(const Delta *delta, Extents *areas);

/* Copies every block it holds into a flat file, or into the delta below. */
gboolean delta_merge_into_file(const Delta *delta, int fd, GError **error);
gboolean delta_merge_into_delta(const Delta *delta, Delta *below, GError **error);

/* Unlinks both files; fine when they do not exist. */
void delta_remove_files(const char *data_path);
/* TRUE when `data_path` has a map beside it: it is one of ours. */
gboolean delta_exists(const char *data_path);
