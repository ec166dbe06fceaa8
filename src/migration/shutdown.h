/* migration/shutdown.h: the source goes down, as the operator wants it.
 *
 *   auto:   the guest is asked through VMware Tools and given shutdown_timeout; when that does not work an
 * operator decides: a power cut is never the program's own idea force:  the power is cut manual: an operator
 * does it
 *
 * Two actions are open to the operator who is waited for: shutdown-force, and shutdown-done (he did it; the
 * power state has to agree).
 *
 * Thread rule: the engine's thread.
 */
#pragma once

#include "migration/engine.h"

typedef enum { SHUTDOWN_OFF, SHUTDOWN_AWAITS, SHUTDOWN_FAILED } ShutdownEnd;

/* Until it is off, or until an operator has to decide (stage awaiting_shutdown_action is entered, with the
 * reason). */
ShutdownEnd shutdown_source(Engine *engine, GError **error);

/* Waits for the operator, or for the VM to be off, and goes back to final_sync. */
gboolean shutdown_await(Engine *engine, GError **error);
