#include "disk/bytes-window.h"

struct BytesShare {
    gint references; /* atomic */
    Bytes *bytes;
};

typedef struct {
    Bytes bytes;
    BytesShare *share;
    guint64 offset;
} Window;

BytesShare *bytes_share_new(Bytes *bytes)
{
    BytesShare *share = g_new0(BytesShare, 1);

    share->references = 1;
    share->bytes = bytes;
    return share;
}

BytesShare *bytes_share_ref(BytesShare *share)
{
    g_atomic_int_inc(&share->references);
    return share;
}

void bytes_share_unref(BytesShare *share)
{
    if (share == NULL || !g_atomic_int_dec_and_test(&share->references))
        return;
    bytes_free(share->bytes);
    g_free(share);
}

Bytes *bytes_share_get(BytesShare *share)
{
    return share->bytes;
}

static gboolean window_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    const Window *window = (const Window *)bytes;

    return bytes_pread(window->share->bytes, buffer, length, window->offset + offset, error);
}

static gboolean window_pwrite(Bytes *bytes, const void *buffer, gsize length, guint64 offset, GError **error)
{
    const Window *window = (const Window *)bytes;

    return bytes_pwrite(window->share->bytes, buffer, length, window->offset + offset, error);
}

static gboolean window_flush(Bytes *bytes, GError **error)
{
    return bytes_flush(((const Window *)bytes)->share->bytes, error);
}

static void window_free(Bytes *bytes)
{
    Window *window = (Window *)bytes;

    bytes_share_unref(window->share);
    g_free(bytes->name);
    g_free(window);
}

static const BytesOps window_ops = {
    .pread = window_pread,
    .pwrite = window_pwrite,
    .flush = window_flush,
    .free = window_free,
};

static Bytes *new_window(BytesShare *share, guint64 offset, guint64 length, const char *name,
                         gboolean writable)
{
    Window *window = g_new0(Window, 1);

    window->bytes = (Bytes){.ops = &window_ops, .name = g_strdup(name), .size = length, .writable = writable};
    window->share = bytes_share_ref(share);
    window->offset = offset;
    return &window->bytes;
}

Bytes *bytes_window_new(BytesShare *share, guint64 offset, guint64 length, const char *name)
{
    return new_window(share, offset, length, name, FALSE);
}

Bytes *bytes_window_new_tail(BytesShare *share, guint64 offset, const char *name)
{
    return new_window(share, offset, 0, name, TRUE);
}
