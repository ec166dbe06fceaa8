/* cli/work.h: running migrations: one in this process, or several in a process each, so that a fault costs
 * one of them.
 */
#pragma once

#include "cli/session.h"
#include "migration/migration.h"

MigrationContext work_context(const Session *session);

/* Runs them to their ends and shows it: gint64 ids.  At most `parallel` at once.  With several, the error
 * names every VM that failed, and its class is that of the first. */
gboolean work_run(Session *session, const Options *options, GArray *ids, guint parallel, GError **error);

/* What the process of one VM does: no display. */
gboolean work_run_one(Session *session, gint64 id, GError **error);
