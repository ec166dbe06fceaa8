/* disk/vmdk-layout.h: the fixed parts of hosted sparse files ("KDMV"), for those who write them: the sparse
 * file that is written in place and the stream.  VMware's Virtual Disk Format 5.0, "Hosted Sparse Extents".
 *
 * Thread rule: pure functions.
 */
#pragma once

#include <glib.h>
#include <string.h>

#define VMDK_GRAIN_SECTORS      128u
#define VMDK_GRAIN_SIZE         (64u << 10)
#define VMDK_TABLE_ENTRIES      512u
#define VMDK_TABLE_SIZE         2048u /* bytes: entries of 4 bytes */
#define VMDK_TABLE_SECTORS      4u
#define VMDK_DESCRIPTOR_SECTOR  1u
#define VMDK_DESCRIPTOR_SECTORS 20u
/* An entry of a table is the number of a sector in 32 bits. */
#define VMDK_SECTORS_MAX ((guint64)1 << 32)

static inline void vmdk_put16(guint8 *to, guint16 value)
{
    value = GUINT16_TO_LE(value);
    memcpy(to, &value, sizeof value);
}

static inline void vmdk_put32(guint8 *to, guint32 value)
{
    value = GUINT32_TO_LE(value);
    memcpy(to, &value, sizeof value);
}

static inline void vmdk_put64(guint8 *to, guint64 value)
{
    value = GUINT64_TO_LE(value);
    memcpy(to, &value, sizeof value);
}

/* What differs between the headers that we write.  In sectors. */
typedef struct {
    gboolean is_stream;
    gboolean is_unclean; /* open for writing */
    guint64 capacity;
    guint64 redundant_offset, directory_offset;
    guint64 overhead; /* where grains may begin */
} VmdkLayout;

/* Fills one sector. */
void vmdk_layout_header(const VmdkLayout *layout, guint8 *sector);

/* The text in the sectors that are kept for it, or FALSE when it is too long. */
gboolean vmdk_layout_descriptor(const char *text, guint8 *sectors);
