#include "vsphere/vm-ops.h"

#include <string.h>

/* "52 de c0 d9 ...-10 f0 .../81": *ret_length is that of the generation. */
static gboolean parse_change_id(const char *id, gsize *ret_length, guint64 *ret_number)
{
    const char *slash = id != NULL ? strrchr(id, '/') : NULL;

    if (slash == NULL || slash == id || (gsize)(slash - id) != strspn(id, "0123456789abcdefABCDEF -"))
        return FALSE;
    *ret_length = (gsize)(slash - id);
    return g_ascii_string_to_unsigned(slash + 1, 10, 0, G_MAXUINT64, ret_number, NULL);
}

gboolean vsphere_change_id_follows(const char *then, const char *now)
{
    gsize then_length, now_length;
    guint64 then_number, now_number;

    return parse_change_id(then, &then_length, &then_number) &&
           parse_change_id(now, &now_length, &now_number) && then_length == now_length &&
           g_ascii_strncasecmp(then, now, then_length) == 0 && now_number >= then_number;
}
