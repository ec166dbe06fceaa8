#include "fuzz-vmdk.h"

static void read_descriptor(const uint8_t *data, size_t size)
{
    g_autoptr(Bytes) bytes = bytes_open_memory(data, size, "fuzz");
    g_autoptr(GError) error = NULL;
    gboolean only_text;
    g_autoptr(VmdkDescriptor) descriptor = vmdk_hosted_descriptor(bytes, &only_text, &error);

    g_assert_true(descriptor == NULL || error == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_descriptor(data, size);
    return fuzz_sparse(vmdk_hosted_open, data, size);
}
