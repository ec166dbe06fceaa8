/* disk/bytes-window.h: parts of Bytes that are Bytes themselves: the members of an archive.
 *
 * Thread rule: a share may be used from any thread; a window is as in bytes.h.
 */
#pragma once

#include "disk/bytes.h"

/* Bytes that several windows lie on; freed with the last reference. */
typedef struct BytesShare BytesShare;

BytesShare *bytes_share_new(Bytes *bytes); /* takes over */
BytesShare *bytes_share_ref(BytesShare *share);
void bytes_share_unref(BytesShare *share); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BytesShare, bytes_share_unref)
Bytes *bytes_share_get(BytesShare *share); /* borrowed */

/* [offset, offset + length), which must lie within; read-only. */
Bytes *bytes_window_new(BytesShare *share, guint64 offset, guint64 length, const char *name);

/* What begins at `offset`, empty and writable; grows as it is written to. */
Bytes *bytes_window_new_tail(BytesShare *share, guint64 offset, const char *name);
