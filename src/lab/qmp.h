/* lab/qmp.h: a client of QEMU's monitor (QMP) on a unix socket.
 *
 * Commands are answered in turn; events that come meanwhile are kept, the last QMP_MAX_EVENTS of them, until
 * somebody takes them.
 *
 * Thread rule: belongs to one thread at a time.
 */
#pragma once

#include "base/json.h"

#define QMP_MAX_EVENTS 1024

typedef struct Qmp Qmp;

/* Waits up to `timeout_ms` for the socket and the greeting.  VF_ERROR_TRANSIENT on time-out. */
Qmp *qmp_connect(const char *path, guint timeout_ms, GError **error);
void qmp_free(Qmp *qmp); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_free)

/* Takes over `arguments` (may be NULL).  What the command returned; VF_ERROR_NOT_FOUND or VF_ERROR_INTERNAL
 * with QEMU's words when it was refused, VF_ERROR_TRANSIENT when QEMU is gone or does not answer within a
 * minute. */
Json *qmp_ask(Qmp *qmp, const char *command, Json *arguments, GError **error);
/* The same without the answer. */
gboolean qmp_tell(Qmp *qmp, const char *command, Json *arguments, GError **error);

/* The oldest event of that name whose data have `key` = `value` (a string; key NULL: any), or NULL.  Does not
 * wait. */
Json *qmp_take_event(Qmp *qmp, const char *name, const char *key, const char *value);
/* Waits for it.  VF_ERROR_TRANSIENT on time-out, or when QEMU is gone. */
Json *qmp_wait_event(Qmp *qmp, const char *name, const char *key, const char *value, guint timeout_ms,
                     GError **error);

/* TRUE when QEMU closed the connection. */
gboolean qmp_is_closed(Qmp *qmp);
