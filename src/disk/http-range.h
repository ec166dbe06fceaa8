/* disk/http-range.h: the Content-Range header of a 206 answer (RFC 9110, 14.4).
 *
 * Thread rule: pure functions.
 */
#pragma once

#include <glib.h>

typedef struct {
    guint64 first, last; /* inclusive; last < total */
    guint64 total;
} HttpRange;

/* "bytes 0-511/20971520", and nothing else: an unknown total ("*") is of no use here.  `value` NULL is FALSE.
 */
gboolean http_range_parse(const char *value, HttpRange *ret_range);
