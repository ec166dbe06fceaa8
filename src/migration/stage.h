/* migration/stage.h: the stages of one VM, which may follow which, and which request is allowed in which: two
 * tables.
 *
 *   init -> base_copy -> delta (loop) -> final_sync -> converting -> import_root_disk -> import_data_disk ->
 * done and awaiting_shutdown_action, failed, cancelled, rolled_back.
 *
 * The names are the seed system's and go into the store, JSON and the REST API as they are.
 */
#pragma once

#include <glib.h>

typedef enum {
    STAGE_INIT,
    STAGE_BASE_COPY,
    STAGE_DELTA,
    STAGE_AWAITING_SHUTDOWN_ACTION,
    STAGE_FINAL_SYNC,
    STAGE_CONVERTING,
    STAGE_IMPORT_ROOT_DISK,
    STAGE_IMPORT_DATA_DISK,
    STAGE_DONE,
    STAGE_FAILED,
    STAGE_CANCELLED,
    STAGE_ROLLED_BACK,
    STAGE_N
} Stage;

typedef enum {
    REQUEST_FINALIZE,
    REQUEST_FINALIZE_NOW,
    REQUEST_CANCEL,
    REQUEST_RETRY,
    REQUEST_SHUTDOWN_FORCE,
    REQUEST_SHUTDOWN_DONE,
    REQUEST_ROLLBACK,
    REQUEST_VERIFY,
    REQUEST_N
} Request;

const char *stage_name(Stage stage);
gboolean stage_parse(const char *name, Stage *ret_stage);
const char *request_name(Request request);
gboolean request_parse(const char *name, Request *ret_request);

gboolean stage_may_follow(Stage from, Stage to);
/* done, cancelled, rolled_back: no worker will touch it any more. */
gboolean stage_is_over(Stage stage);
/* FALSE with VF_ERROR_CONFLICT that says in which stages it would be allowed. */
gboolean request_allowed(Stage stage, Request request, GError **error);
/* What status shows as next: the seed's words ("delta", "Finalize", "none"). */
const char *stage_next_name(Stage stage, gboolean finalize_requested);
