#include "cli/status.h"

#include "base/clock.h"
#include "cli/render.h"
#include "cli/table.h"
#include "migration/stage.h"

#include <string.h>

#define MAX_PROGRESS ((gsize)4 << 20)

static const char *round_state_name(RoundState state)
{
    static const char *const names[] = {"intent", "frozen", "copied", "closed", "abandoned"};

    return names[state];
}

static void set_time(Json *json, const char *key, gint64 time)
{
    g_autofree char *text = time != 0 ? clock_format(time) : NULL;

    json_set_string(json, key, text);
}

static gboolean set_rounds(const Session *session, gint64 id, Json *json, GError **error)
{
    g_autoptr(GPtrArray) rounds = store_round_list(session->store, id, error);
    Json *list = json_array();

    json_set_take(json, "round_list", list);
    for (guint i = 0; rounds != NULL && i < rounds->len; i++) {
        const StoreRound *round = rounds->pdata[i];
        Json *row = json_object();

        json_set_integer(row, "number", round->number);
        json_set_string(row, "kind", round->kind);
        json_set_string(row, "state", round_state_name(round->state));
        set_time(row, "started", round->started);
        set_time(row, "ended", round->ended);
        json_array_append_new(list, row);
    }
    return rounds != NULL;
}

/* Requests that no worker has seen yet count as much as those that one shows. */
static gboolean set_requests(const Session *session, gint64 id, Json *json, GError **error)
{
    g_autoptr(GPtrArray) open = store_request_open(session->store, id, error);
    gboolean finalize = FALSE;
    gboolean now = FALSE;

    for (guint i = 0; open != NULL && i < open->len; i++) {
        const StoreRequest *request = open->pdata[i];

        now = now || strcmp(request->kind, request_name(REQUEST_FINALIZE_NOW)) == 0;
        finalize = finalize || now || strcmp(request->kind, request_name(REQUEST_FINALIZE)) == 0;
    }
    json_set_boolean(json, "finalize_requested", finalize);
    json_set_boolean(json, "finalize_now_requested", now);
    return open != NULL;
}

static void set_not_started(const VmSpec *spec, Json *json)
{
    json_set_string(json, "vm_name", spec->ref);
    json_set_string(json, "vm_moref", NULL);
    json_set_take(json, "id", json_null());
    json_set_string(json, "current_stage", "not_started");
    json_set_string(json, "next_stage", stage_name(STAGE_INIT));
    json_set_boolean(json, "finalize_requested", FALSE);
    json_set_boolean(json, "finalize_now_requested", FALSE);
    json_set_real(json, "progress", 0);
    json_set_string(json, "control_dir", NULL);
}

static void set_stage(const StoreVm *vm, Json *json)
{
    Stage stage;
    gboolean finalize = json_get_boolean(json, "finalize_requested");

    json_set_string(json, "current_stage", vm->stage);
    json_set_string(json, "next_stage",
                    stage_parse(vm->stage, &stage) ? stage_next_name(stage, finalize) : "unknown");
    json_set_string(json, "failed_stage", vm->failed_stage);
    json_set_string(json, "error", vm->error);
    json_set_string(json, "error_class", vm->error_class);
}

static void set_progress(const StoreVm *vm, Json *json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) progress = vm->progress != NULL ? json_parse(vm->progress, strlen(vm->progress),
                                                                 MAX_PROGRESS, "progress", &error)
                                                    : NULL;

    json_set_real(json, "progress",
                  strcmp(vm->stage, stage_name(STAGE_DONE)) == 0
                      ? 100
                      : json_number_value(json_object_get(progress, "percent")));
    if (progress != NULL)
        json_object_update_missing(json, progress);
}

static gboolean set_started(const Session *session, const StoreVm *vm, Json *json, GError **error)
{
    g_autofree char *worker = NULL;

    json_set_string(json, "vm_name", vm->name);
    json_set_string(json, "vm_moref", vm->moref);
    json_set_integer(json, "id", vm->id);
    if (!set_requests(session, vm->id, json, error) || !set_rounds(session, vm->id, json, error))
        return FALSE;
    set_stage(vm, json);
    worker = store_lease_holder(session->store, vm->id, error);
    if (worker == NULL && *error != NULL)
        return FALSE;
    json_set_string(json, "worker", worker);
    json_set_string(json, "control_dir", store_directory(session->store));
    set_time(json, "created", vm->created);
    set_time(json, "updated", vm->updated);
    set_progress(vm, json);
    return TRUE;
}

Json *status_to_json(const Session *session, const Selected *selected, GError **error)
{
    g_autoptr(Json) json = json_object();

    if (selected->vm == NULL)
        set_not_started(selected->spec, json);
    else if (!set_started(session, selected->vm, json, error))
        return NULL;
    return g_steal_pointer(&json);
}

/* --- text --- */

static void add_row(Table *table, const Json *vm)
{
    g_autofree char *id = json_is_integer(json_object_get(vm, "id"))
                              ? g_strdup_printf("%" G_GINT64_FORMAT, json_get_integer(vm, "id"))
                              : NULL;
    const char *stage = json_get_string(vm, "current_stage");
    g_autofree char *percent =
        render_percent(vm, strcmp(stage, stage_name(STAGE_DONE)) == 0 ? "progress" : "percent");
    g_autofree char *rate = render_rate(vm, "rate");
    g_autofree char *eta = render_seconds(vm, "eta");
    g_autofree char *predicted = render_seconds(vm, "predicted_downtime");
    g_autofree char *measured = render_seconds(json_object_get(vm, "downtime"), "total"); /* or so far */
    const char *const cells[] = {id,
                                 json_get_string(vm, "vm_name"),
                                 json_get_string(vm, "vm_moref"),
                                 stage,
                                 json_get_string(vm, "next_stage"),
                                 percent,
                                 rate,
                                 eta,
                                 measured != NULL ? measured : predicted,
                                 json_get_string(vm, "worker")};

    table_add(table, cells);
}

static void add_word(GString *out, const Json *vm, const char *before, const char *text)
{
    g_autofree char *line = NULL;
    g_autofree char *printable = NULL;

    if (text == NULL)
        return;
    line = g_strdup_printf("%s: %s%s", json_get_string(vm, "vm_name"), before, text);
    printable = table_printable(line);
    g_string_append_printf(out, "%s\n", printable);
}

static void add_words(GString *out, const Json *vm)
{
    add_word(out, vm, "failed: ", json_get_string(vm, "error"));
    if (json_get_boolean(vm, "finalize_requested"))
        add_word(out, vm, "",
                 json_get_boolean(vm, "finalize_now_requested") ? "finalize now is requested"
                                                                : "finalize is requested");
    add_word(out, vm, "", json_get_string(vm, "verdict"));
    if (json_get_string(vm, "required_action") != NULL)
        add_word(out, vm, "shut it down, or vmferry finalize --shutdown force: ",
                 json_get_string(vm, "shutdown_reason"));
}

char *status_to_text(const Json *array)
{
    static const char *const headers[] = {">ID",   "VM",    "MOREF",     "STAGE",  "NEXT", ">DONE",
                                          ">RATE", ">LEFT", ">DOWNTIME", "WORKER", NULL};
    g_autoptr(Table) table = table_new(headers);
    g_autoptr(GString) words = g_string_new(NULL);
    g_autofree char *text = NULL;
    gsize i = 0;
    Json *vm = NULL;

    json_array_foreach((Json *)array, i, vm)
    {
        add_row(table, vm);
        add_words(words, vm);
    }
    text = table_to_text(table);
    return g_strconcat(text, words->str, NULL);
}
