#include "disk/vmdk-layout.h"

#include "base/size.h"

#define FLAG_NEWLINES   (1u << 0)
#define FLAG_REDUNDANT  (1u << 1)
#define FLAG_COMPRESSED (1u << 16)
#define FLAG_MARKERS    (1u << 17)

/* Says whether a transfer has taken the file for text. */
static const guint8 newlines[4] = {'\n', ' ', '\r', '\n'};

void vmdk_layout_header(const VmdkLayout *layout, guint8 *sector)
{
    guint32 flags =
        layout->is_stream ? FLAG_NEWLINES | FLAG_COMPRESSED | FLAG_MARKERS : FLAG_NEWLINES | FLAG_REDUNDANT;

    memset(sector, 0, SECTOR_SIZE);
    memcpy(sector, "KDMV", 4);
    vmdk_put32(sector + 4, layout->is_stream ? 3 : 1);
    vmdk_put32(sector + 8, flags);
    vmdk_put64(sector + 12, layout->capacity);
    vmdk_put64(sector + 20, VMDK_GRAIN_SECTORS);
    vmdk_put64(sector + 28, VMDK_DESCRIPTOR_SECTOR);
    vmdk_put64(sector + 36, VMDK_DESCRIPTOR_SECTORS);
    vmdk_put32(sector + 44, VMDK_TABLE_ENTRIES);
    vmdk_put64(sector + 48, layout->redundant_offset);
    vmdk_put64(sector + 56, layout->directory_offset);
    vmdk_put64(sector + 64, layout->overhead);
    sector[72] = (guint8)layout->is_unclean;
    memcpy(sector + 73, newlines, sizeof newlines);
    vmdk_put16(sector + 77, (guint16)layout->is_stream);
}

gboolean vmdk_layout_descriptor(const char *text, guint8 *sectors)
{
    gsize length = strlen(text);

    if (length >= VMDK_DESCRIPTOR_SECTORS * SECTOR_SIZE)
        return FALSE;
    memset(sectors, 0, VMDK_DESCRIPTOR_SECTORS * SECTOR_SIZE);
    memcpy(sectors, text, length);
    return TRUE;
}
