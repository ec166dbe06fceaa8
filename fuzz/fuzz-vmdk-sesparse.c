#include "fuzz-vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_sparse(vmdk_sesparse_open, data, size);
}
