/* base/secret.h: a password or key that must not end in a log, an error, a core file or argv.
 *
 * The text lies in locked, non-dumpable memory of its own and is wiped when the last reference goes.
 * Thread rule: immutable after creation; any thread.
 */
#pragma once

#include <glib.h>

typedef struct Secret Secret;

Secret *secret_new(const char *text);
Secret *secret_ref(Secret *secret);
void secret_unref(Secret *secret); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secret, secret_unref)

/* The text, valid while the reference is held.  Call it at the last moment and do not copy what it returns.
 */
const char *secret_reveal(const Secret *secret);

/* Overwrites memory in a way that the compiler may not drop. */
void secret_wipe(void *memory, gsize length);
