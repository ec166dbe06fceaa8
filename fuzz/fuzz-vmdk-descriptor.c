#include "fuzz.h"

#include "disk/vmdk-descriptor.h"

#include <string.h>

/* No file name may reach another directory, whatever the text says. */
static void check_names(const VmdkDescriptor *descriptor)
{
    for (guint i = 0; i < descriptor->extents->len; i++) {
        const VmdkExtent *extent = g_ptr_array_index(descriptor->extents, i);

        g_assert_cmpuint(extent->length, >, 0);
        if (extent->file != NULL && strstr(extent->file, "://") == NULL)
            g_assert_null(strchr(extent->file, '/'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmdkDescriptor) descriptor = vmdk_descriptor_parse((const char *)data, size, "fuzz", &error);

    g_assert_true((descriptor != NULL) == (error == NULL));
    if (descriptor != NULL)
        check_names(descriptor);
    return 0;
}
