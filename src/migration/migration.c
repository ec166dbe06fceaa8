#include "migration/migration.h"

#include "base/error.h"
#include "base/log.h"
#include "migration/engine.h"
#include "migration/facts.h"

#include <string.h>

#define LEASE_SECONDS 30u

static gboolean create(const MigrationContext *context, const VmSpec *spec, Vsphere *vsphere,
                       const VsphereVm *vm, gint64 *ret_id, GError **error)
{
    g_autofree char *text = vm_spec_to_json(spec), *line = NULL;
    StoreVm row = {
        .name = vm->machine->name,
        .server = (char *)vsphere_server(vsphere),
        .instance_uuid = vm->machine->instance_uuid,
        .moref = vm->moref,
        .stage = (char *)stage_name(STAGE_INIT),
        .spec = text,
    };

    if (!store_vm_create(context->store, &row, ret_id, error))
        return FALSE;
    line = g_strdup_printf("migration of %s (%s) begun", vm->path, vm->moref);
    return store_event_add(context->store, *ret_id, "info", "stage", line, error);
}

static gboolean change_spec(Store *store, gint64 id, const char *text, GError **error)
{
    g_autoptr(StoreVm) row = store_vm_get(store, id, error);

    if (row == NULL || strcmp(text, row->spec) == 0)
        return row != NULL;
    g_free(row->spec);
    row->spec = g_strdup(text);
    return store_vm_update(store, row, error) &&
           store_event_add(store, id, "info", "spec", "the spec was changed", error);
}

/* One that is open goes on with what the operator writes now.  Not under the hands of a worker, which holds
 * the lease. */
static gboolean take_up(const MigrationContext *context, const VmSpec *spec, const StoreVm *known,
                        gint64 *ret_id, GError **error)
{
    g_autofree char *text = vm_spec_to_json(spec);
    g_autoptr(GError) ignored = NULL;
    gboolean changed;

    if (strcmp(text, known->spec) != 0) {
        if (!store_lease_take(context->store, known->id, LEASE_SECONDS, error))
            return FALSE;
        changed = change_spec(context->store, known->id, text, error);
        store_lease_release(context->store, known->id, &ignored);
        if (!changed)
            return FALSE;
    }
    *ret_id = known->id;
    return TRUE;
}

gboolean migration_prepare(const MigrationContext *context, const VmSpec *spec, gint64 *ret_id,
                           GError **error)
{
    g_autoptr(Vsphere) vsphere = engine_open_vsphere(context, NULL, NULL, error);
    g_autoptr(VsphereVm) vm = vsphere != NULL ? vsphere_find_vm(vsphere, spec->ref, error) : NULL;
    g_autoptr(StoreVm) known = NULL;
    Stage stage;

    if (vm == NULL)
        return FALSE;
    known =
        store_vm_find(context->store, vsphere_server(vsphere), vm->machine->instance_uuid, vm->moref, error);
    if (known == NULL && *error != NULL)
        return FALSE;
    if (known == NULL || !stage_parse(known->stage, &stage))
        return create(context, spec, vsphere, vm, ret_id, error);
    if (!stage_is_over(stage))
        return take_up(context, spec, known, ret_id, error);
    /* Asked for twice, as by a script that does not know how far it had come: what is done stays done. */
    if (stage == STAGE_DONE) {
        log_info("%s: done already; vmferry rollback gives its source back, then it can be migrated anew",
                 vm->machine->name);
        *ret_id = known->id;
        return TRUE;
    }
    return create(context, spec, vsphere, vm, ret_id, error);
}

/* Where it failed, or where the failure's cleaning up says; the error is forgotten. */
static gboolean go_back(Engine *engine, GError **error)
{
    g_autofree char *wanted = store_fact_get(engine->store, engine->id, FACT_RETRY_STAGE, error);
    const char *name = wanted != NULL ? wanted : engine->vm->failed_stage;
    Stage stage;

    if (*error != NULL)
        return FALSE;
    if (name == NULL || !stage_parse(name, &stage))
        return vf_fail(error, VF_ERROR_INTERNAL, "it is not known where %s failed", engine->vm->name);
    g_clear_pointer(&engine->vm->error, g_free);
    g_clear_pointer(&engine->vm->error_class, g_free);
    g_clear_pointer(&engine->vm->failed_stage, g_free);
    return engine_save(engine, error) &&
           store_fact_set(engine->store, engine->id, FACT_RETRY_STAGE, NULL, error) &&
           engine_move(engine, stage, error);
}

gboolean migration_retry(const MigrationContext *context, gint64 id, GError **error)
{
    g_autoptr(Engine) engine = engine_open(context, id, error);

    return engine != NULL && request_allowed(engine->stage, REQUEST_RETRY, error) && go_back(engine, error);
}

gboolean migration_request(Store *store, gint64 id, const char *request, gboolean *ret_already,
                           GError **error)
{
    g_autoptr(StoreVm) vm = store_vm_get(store, id, error);
    Request kind;
    Stage stage;

    if (vm == NULL)
        return FALSE;
    if (!request_parse(request, &kind))
        return vf_fail(error, VF_ERROR_INVALID, "%s is not a request", request);
    if (!stage_parse(vm->stage, &stage))
        return vf_fail(error, VF_ERROR_INTERNAL, "%s is in the unknown stage %s", vm->name, vm->stage);
    return request_allowed(stage, kind, error) &&
           store_request_add(store, id, request_name(kind), NULL, ret_already, error);
}
