/* base/error.h: the error contract of the whole program.
 *
 * Every function that can fail takes `GError **error` last, never NULL, and returns FALSE, NULL or a negative
 * number after having set it.  On success it leaves *error alone; on failure it leaves its `ret_` outputs
 * alone.
 *
 * The domain is VF_ERROR and the code is a *class*: it says what the caller may do about it (try again, ask
 * the operator, give up), never what went wrong in detail.  The message says that: it names the object, why,
 * and what to do next ("datastore [ds1] is full: 12.0 GiB needed, 3.1 GiB free; free space or choose another
 * target directory"). Context is added on the way up with g_prefix_error().  An error is reported once, where
 * it is handled: a function that returns an error does not log it.
 *
 * Thread rule: a GError belongs to one thread at a time; everything here may be called from any thread.
 */
#pragma once

#include <glib.h>

#define VF_ERROR (vf_error_quark())
GQuark vf_error_quark(void);

typedef enum {
    VF_ERROR_CANCELLED,   /* somebody asked us to stop; never success, never retried by itself */
    VF_ERROR_INVALID,     /* input is wrong: a spec, an argument, a file that is not what it says */
    VF_ERROR_AUTH,        /* credentials or privileges refused */
    VF_ERROR_NOT_FOUND,   /* the object named does not exist */
    VF_ERROR_CONFLICT,    /* exists already, is busy, is leased by another, or is ambiguous */
    VF_ERROR_UNSUPPORTED, /* understood, and not possible here */
    VF_ERROR_TRANSIENT,   /* network, 502/503, time-outs: the same request may work in a moment */
    VF_ERROR_SOURCE_IO,   /* reading the source failed */
    VF_ERROR_TARGET_IO,   /* writing the target failed, a full disk included */
    VF_ERROR_INTEGRITY,   /* data are not what they should be: checksum, generation, structure */
    VF_ERROR_INTERNAL,    /* a fault of ours; also any error of a foreign domain */
    VF_ERROR_N_CLASSES
} VfErrorClass;

/* What each class means to the outside: one row per class. */
typedef struct {
    const char *name;  /* "not-found": stable, used in JSON */
    gboolean retry;    /* the same request may be tried again after a back-off */
    guint http_status; /* of the REST API */
    int exit_code;     /* of the command line, 1..125 */
} VfErrorTraits;

const VfErrorTraits *vf_error_traits(VfErrorClass class);

/* The class of `error`; VF_ERROR_INTERNAL when its domain is not VF_ERROR. */
VfErrorClass vf_error_class(const GError *error);
gboolean vf_error_is(const GError *error, VfErrorClass class);

/* Sets *error and returns FALSE, so that `return vf_fail(...)` is one statement. */
gboolean vf_fail(GError **error, VfErrorClass class, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same, with ": strerror(errnum)" at the end.  ENOSPC and EDQUOT also get what to do about them. */
gboolean vf_fail_errno(GError **error, VfErrorClass class, int errnum, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
