/* base/size.h: sizes and durations as people write them, and arithmetic that notices overflow.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include <glib.h>

#define KIB ((guint64)1 << 10)
#define MIB ((guint64)1 << 20)
#define GIB ((guint64)1 << 30)
#define TIB ((guint64)1 << 40)

#define SECTOR_SIZE 512u

/* "10G", "1.5T", "64K", "4096", "10GiB", "10GB": the units are powers of 1024, as in qemu-img.  Bytes,
 * rounded down. */
gboolean size_parse(const char *text, guint64 *ret_bytes, GError **error);

/* "1.20 GiB", "12.0 GiB", "120 GiB", "512 B". */
char *size_format(guint64 bytes);

/* "312 MiB/s". */
char *size_format_rate(double bytes_per_second);

/* "30s", "5m", "2h", "1d", "1h30m", "90" (seconds).  Seconds. */
gboolean duration_parse(const char *text, guint64 *ret_seconds, GError **error);

/* "1h 02m", "3m 05s", "12.3 s", "45 ms", "1d 02h". */
char *duration_format(double seconds);

/* TRUE and the sum or product, or FALSE when it does not fit in 64 bits. */
static inline gboolean size_add(guint64 a, guint64 b, guint64 *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

static inline gboolean size_mul(guint64 a, guint64 b, guint64 *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

/* `unit` is a power of two.  round_up() needs value <= 2^64 - unit. */
static inline guint64 round_down(guint64 value, guint64 unit)
{
    return value & ~(unit - 1);
}

static inline guint64 round_up(guint64 value, guint64 unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

static inline guint64 div_round_up(guint64 value, guint64 unit)
{
    return value / unit + (value % unit != 0);
}

/* TRUE when [offset, offset + length) lies within [0, size); safe against overflow. */
static inline gboolean range_within(guint64 offset, guint64 length, guint64 size)
{
    return offset <= size && length <= size - offset;
}

/* TRUE when all `length` bytes are zero. */
gboolean buffer_is_zero(const void *buffer, gsize length);
