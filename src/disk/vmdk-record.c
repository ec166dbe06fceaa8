#include "disk/vmdk-record.h"

#include <string.h>

#include "base/error.h"
#include "disk/codec.h"
#include "disk/vmdk-internal.h"

VmdkRecord vmdk_record_parse(const guint8 *bytes)
{
    return (VmdkRecord){.value = vmdk_u64(bytes), .size = vmdk_u32(bytes + 8), .type = vmdk_u32(bytes + 12)};
}

guint32 vmdk_record_max_size(guint32 grain_size)
{
    return 2 * grain_size + SECTOR_SIZE;
}

gboolean vmdk_inflate(const guint8 *stream, gsize size, guint8 *grain, gsize grain_size, gsize needed,
                      GError **error)
{
    gsize length;

    if (!codec_decompress(CODEC_ZLIB, stream, size, grain, grain_size, &length, "it", error))
        return FALSE;
    if (length < needed)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "it holds %" G_GSIZE_FORMAT " bytes, and %" G_GSIZE_FORMAT " are needed", length,
                       needed);
    memset(grain + length, 0, grain_size - length);
    return TRUE;
}
