#include "migration/stage.h"

#include "base/error.h"

#include <string.h>

#define BIT(stage) (1u << STAGE_##stage)
/* What may happen to every migration that is not over. */
#define STOPPED (BIT(FAILED) | BIT(CANCELLED))
/* Where a worker is at work. */
#define WORKING                                                                                              \
    (BIT(INIT) | BIT(BASE_COPY) | BIT(DELTA) | BIT(AWAITING_SHUTDOWN_ACTION) | BIT(FINAL_SYNC) |             \
     BIT(CONVERTING) | BIT(IMPORT_ROOT_DISK) | BIT(IMPORT_DATA_DISK))

typedef struct {
    const char *name;
    guint followers;  /* bits of the stages that may follow */
    const char *next; /* for people */
} StageRow;

static const StageRow stages[STAGE_N] = {
    [STAGE_INIT] = {"init", BIT(BASE_COPY) | STOPPED, "base_copy"},
    /* A VM that is off has no deltas: straight to the last round. */
    [STAGE_BASE_COPY] = {"base_copy", BIT(DELTA) | BIT(FINAL_SYNC) | STOPPED, "delta"},
    [STAGE_DELTA] = {"delta", BIT(FINAL_SYNC) | STOPPED, "delta"},
    [STAGE_AWAITING_SHUTDOWN_ACTION] = {"awaiting_shutdown_action", BIT(FINAL_SYNC) | STOPPED,
                                        "Shutdown action"},
    [STAGE_FINAL_SYNC] = {"final_sync", BIT(AWAITING_SHUTDOWN_ACTION) | BIT(CONVERTING) | STOPPED,
                          "converting"},
    [STAGE_CONVERTING] = {"converting", BIT(IMPORT_ROOT_DISK) | STOPPED, "import_root_disk"},
    [STAGE_IMPORT_ROOT_DISK] = {"import_root_disk", BIT(IMPORT_DATA_DISK) | STOPPED, "import_data_disk"},
    [STAGE_IMPORT_DATA_DISK] = {"import_data_disk", BIT(DONE) | STOPPED, "done"},
    [STAGE_DONE] = {"done", BIT(ROLLED_BACK), "none"},
    /* A retry goes on where it stopped, or one loop earlier when the source was started again. */
    [STAGE_FAILED] = {"failed", WORKING | BIT(CANCELLED) | BIT(ROLLED_BACK), "retry"},
    [STAGE_CANCELLED] = {"cancelled", 0, "none"},
    [STAGE_ROLLED_BACK] = {"rolled_back", 0, "none"},
};

typedef struct {
    const char *name;
    guint allowed; /* bits of the stages in which it may be asked for */
} RequestRow;

static const RequestRow requests[REQUEST_N] = {
    [REQUEST_FINALIZE] = {"finalize", BIT(INIT) | BIT(BASE_COPY) | BIT(DELTA)},
    [REQUEST_FINALIZE_NOW] = {"finalize-now", BIT(INIT) | BIT(BASE_COPY) | BIT(DELTA)},
    [REQUEST_CANCEL] = {"cancel", WORKING | BIT(FAILED)},
    [REQUEST_RETRY] = {"retry", BIT(FAILED)},
    [REQUEST_SHUTDOWN_FORCE] = {"shutdown-force", BIT(AWAITING_SHUTDOWN_ACTION) | BIT(FINAL_SYNC)},
    [REQUEST_SHUTDOWN_DONE] = {"shutdown-done", BIT(AWAITING_SHUTDOWN_ACTION) | BIT(FINAL_SYNC)},
    [REQUEST_ROLLBACK] = {"rollback", BIT(DONE) | BIT(FAILED)},
    [REQUEST_VERIFY] = {"verify", BIT(DELTA) | BIT(FAILED) | BIT(DONE) | BIT(CANCELLED)},
};

const char *stage_name(Stage stage)
{
    g_assert(stage < STAGE_N);
    return stages[stage].name;
}

gboolean stage_parse(const char *name, Stage *ret_stage)
{
    for (guint i = 0; i < STAGE_N; i++) {
        if (strcmp(stages[i].name, name) == 0) {
            *ret_stage = (Stage)i;
            return TRUE;
        }
    }
    return FALSE;
}

const char *request_name(Request request)
{
    g_assert(request < REQUEST_N);
    return requests[request].name;
}

gboolean request_parse(const char *name, Request *ret_request)
{
    for (guint i = 0; i < REQUEST_N; i++) {
        if (strcmp(requests[i].name, name) == 0) {
            *ret_request = (Request)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean stage_may_follow(Stage from, Stage to)
{
    g_assert(from < STAGE_N && to < STAGE_N);
    return (stages[from].followers & (1u << to)) != 0;
}

gboolean stage_is_over(Stage stage)
{
    return ((BIT(DONE) | BIT(CANCELLED) | BIT(ROLLED_BACK)) & (1u << stage)) != 0;
}

static char *names_of(guint bits)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < STAGE_N; i++) {
        if (bits & (1u << i))
            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", stages[i].name);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

gboolean request_allowed(Stage stage, Request request, GError **error)
{
    g_autofree char *where = NULL;

    g_assert(stage < STAGE_N && request < REQUEST_N);
    if (requests[request].allowed & (1u << stage))
        return TRUE;
    where = names_of(requests[request].allowed);
    return vf_fail(error, VF_ERROR_CONFLICT, "%s is not possible in stage %s, only in %s",
                   requests[request].name, stages[stage].name, where);
}

const char *stage_next_name(Stage stage, gboolean finalize_requested)
{
    g_assert(stage < STAGE_N);
    return stage == STAGE_DELTA && finalize_requested ? "Finalize" : stages[stage].next;
}
