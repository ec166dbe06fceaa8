/* cli/status.h: the state of migrations as the store has it, for people and for scripts.
 */
#pragma once

#include "base/json.h"
#include "cli/select.h"

/* One object for a migration, or for a spec of which nothing is in the store: vm_name, vm_moref, id,
 * current_stage, next_stage, finalize_requested, finalize_now_requested, progress (percent), control_dir,
 * error, worker, round_list, and every key of the progress document. */
Json *status_to_json(const Session *session, const Selected *selected, GError **error);

/* A table of such objects, and a line below for what needs a word. */
char *status_to_text(const Json *array);
