/* fuzz-vmdk.h: what the targets of the sparse VMDK formats do with a file: open it, look everything up, read
 * some of it.
 */
#pragma once

#include "fuzz.h"

#include "disk/vmdk-internal.h"

#define FUZZ_RUNS_MAX 5000u
#define FUZZ_READ_MAX (256 * KIB)

/* Runs cover the disk, one after the other. */
static inline void fuzz_look_up(VmdkSparse *sparse)
{
    guint64 offset = 0;

    for (guint i = 0; i < FUZZ_RUNS_MAX && offset < sparse->size; i++) {
        g_autoptr(GError) error = NULL;
        VmdkRun run;

        if (!vmdk_sparse_lookup(sparse, offset, sparse->size - offset, &run, &error)) {
            g_assert_nonnull(error);
            return;
        }
        g_assert_cmpuint(run.length, >, 0);
        g_assert_cmpuint(run.length, <=, sparse->size - offset);
        offset += run.length;
    }
}

static inline void fuzz_read(VmdkSparse *sparse, guint64 offset, guint64 length)
{
    VmdkPart part = {.length = sparse->size, .sparse = sparse};
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(VmdkPart));
    g_autoptr(GPtrArray) layers = g_ptr_array_new();
    VmdkLayer layer = {.size = sparse->size, .parts = parts};
    VmdkChain chain = {.layers = layers, .size = sparse->size};
    g_autofree guint8 *buffer = g_malloc(length);
    g_autoptr(GError) error = NULL;
    gboolean ok;

    g_array_append_val(parts, part);
    g_ptr_array_add(layers, &layer);
    ok = vmdk_chain_read(&chain, buffer, length, offset, &error);
    g_assert_true(ok == (error == NULL));
}

static inline int fuzz_sparse(VmdkSparse *(*open)(Bytes *bytes, GError **error), const uint8_t *data,
                              size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmdkSparse) sparse = open(bytes_open_memory(data, size, "fuzz"), &error);

    g_assert_true((sparse != NULL) == (error == NULL));
    if (sparse == NULL)
        return 0;
    fuzz_look_up(sparse);
    fuzz_read(sparse, 0, MIN(sparse->size, FUZZ_READ_MAX));
    fuzz_read(sparse, sparse->size - MIN(sparse->size, FUZZ_READ_MAX), MIN(sparse->size, FUZZ_READ_MAX));
    return 0;
}
