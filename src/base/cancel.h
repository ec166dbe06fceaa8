/* base/cancel.h: how one part of the program asks another to stop, and how that other sleeps.
 *
 * A Cancel is a flag that is raised once and never lowered.  Whoever stops because of it returns an error of
 * class VF_ERROR_CANCELLED: stopped early is never finished.  No code sleeps with anything but
 * cancel_sleep().
 *
 * A NULL Cancel is one that is never raised: optional cancellation needs no branch.
 *
 * Thread rule: every function may be called from any thread; cancel_fire() also from a signal handler.
 */
#pragma once

#include <glib.h>

typedef struct Cancel Cancel;

Cancel *cancel_new(void);
Cancel *cancel_ref(Cancel *cancel);
void cancel_unref(Cancel *cancel); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cancel, cancel_unref)

/* Raises the flag and wakes every sleeper.  Idempotent.  Async-signal-safe. */
void cancel_fire(Cancel *cancel);

gboolean cancel_fired(const Cancel *cancel);

/* FALSE with VF_ERROR_CANCELLED when the flag is up. */
gboolean cancel_check(const Cancel *cancel, GError **error);

/* Sleeps `milliseconds`; FALSE with VF_ERROR_CANCELLED as soon as the flag goes up. */
gboolean cancel_sleep(const Cancel *cancel, guint milliseconds, GError **error);

/* A descriptor that becomes readable when the flag goes up; owned by the Cancel.  -1, which poll() skips, for
 * NULL. */
int cancel_fd(const Cancel *cancel);
