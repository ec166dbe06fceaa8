#include "disk/bytes.h"

#include <string.h>

typedef struct {
    Bytes bytes;
    guint8 *data;
} MemoryBytes;

static gboolean memory_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    const MemoryBytes *memory = (const MemoryBytes *)bytes;

    memcpy(buffer, memory->data + offset, length);
    return TRUE;
}

static void memory_free(Bytes *bytes)
{
    MemoryBytes *memory = (MemoryBytes *)bytes;

    g_free(memory->data);
    g_free(bytes->name);
    g_free(memory);
}

static const BytesOps memory_ops = {.pread = memory_pread, .free = memory_free};

Bytes *bytes_open_memory(const void *data, gsize length, const char *name)
{
    MemoryBytes *memory = g_new0(MemoryBytes, 1);

    memory->bytes = (Bytes){.ops = &memory_ops, .name = g_strdup(name), .size = length};
    memory->data = g_memdup2(data, length);
    return &memory->bytes;
}
