#include "base/error.h"

#include <errno.h>
#include <stdarg.h>

/* G_DEFINE_QUARK would look at its variable without any order between threads. */
GQuark vf_error_quark(void)
{
    static gsize quark = 0;

    if (g_once_init_enter(&quark))
        g_once_init_leave(&quark, g_quark_from_static_string("vf-error-quark"));
    return (GQuark)quark;
}

/* Exit code 125 and above belong to shells, 64..78 to sysexits: ours stay small and never change. */
static const VfErrorTraits traits[VF_ERROR_N_CLASSES] = {
    [VF_ERROR_CANCELLED] = {"cancelled", FALSE, 409, 11},
    [VF_ERROR_INVALID] = {"invalid", FALSE, 400, 2},
    [VF_ERROR_AUTH] = {"auth", FALSE, 403, 3},
    [VF_ERROR_NOT_FOUND] = {"not-found", FALSE, 404, 4},
    [VF_ERROR_CONFLICT] = {"conflict", FALSE, 409, 5},
    [VF_ERROR_UNSUPPORTED] = {"unsupported", FALSE, 422, 6},
    [VF_ERROR_TRANSIENT] = {"transient", TRUE, 503, 7},
    [VF_ERROR_SOURCE_IO] = {"source-io", FALSE, 502, 8},
    [VF_ERROR_TARGET_IO] = {"target-io", FALSE, 500, 9},
    [VF_ERROR_INTEGRITY] = {"integrity", FALSE, 500, 10},
    [VF_ERROR_INTERNAL] = {"internal", FALSE, 500, 1},
};

const VfErrorTraits *vf_error_traits(VfErrorClass class)
{
    return &traits[(guint) class < VF_ERROR_N_CLASSES ? class : VF_ERROR_INTERNAL];
}

VfErrorClass vf_error_class(const GError *error)
{
    if (error->domain != VF_ERROR || error->code < 0 || error->code >= VF_ERROR_N_CLASSES)
        return VF_ERROR_INTERNAL;
    return (VfErrorClass)error->code;
}

gboolean vf_error_is(const GError *error, VfErrorClass class)
{
    return error != NULL && vf_error_class(error) == class;
}

gboolean vf_fail(GError **error, VfErrorClass class, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_propagate_error(error, g_error_new_valist(VF_ERROR, class, format, arguments));
    va_end(arguments);
    return FALSE;
}

gboolean vf_fail_errno(GError **error, VfErrorClass class, int errnum, const char *format, ...)
{
    const char *advice = errnum == ENOSPC   ? "; free space there or choose another place"
                         : errnum == EDQUOT ? "; raise the quota or choose another place"
                                            : "";
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return vf_fail(error, class, "%s: %s%s", text, g_strerror(errnum), advice);
}
