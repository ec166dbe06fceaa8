#include "migration/verification.h"

#include "base/error.h"
#include "base/size.h"
#include "copy/verify.h"
#include "migration/facts.h"
#include "migration/images.h"
#include "migration/source.h"

#include "migration/snapshots.h"

#include <string.h>

/* --- what rounds wrote --- */

static gboolean add_bytes(Extents **areas, GBytes *bytes, GError **error)
{
    g_autoptr(Extents) more = NULL, all = NULL;
    gsize length = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;

    if (data == NULL)
        return TRUE;
    more = extents_from_bytes(data, length, error);
    if (more == NULL)
        return FALSE;
    all = extents_union(*areas, more);
    extents_free(*areas);
    *areas = g_steal_pointer(&all);
    return TRUE;
}

/* Adds what this round was to write of the disk. */
static gboolean add_round(Engine *engine, const StoreRound *round, const char *key, Extents **areas,
                          GError **error)
{
    g_autoptr(GPtrArray) rows = store_round_disk_list(engine->store, round->id, error);

    if (rows == NULL)
        return FALSE;
    for (guint i = 0; i < rows->len; i++) {
        const StoreRoundDisk *row = g_ptr_array_index(rows, i);

        if (strcmp(row->key, key) == 0 &&
            (!add_bytes(areas, row->read, error) || !add_bytes(areas, row->zero, error)))
            return FALSE;
    }
    return TRUE;
}

/* *ret_next is 1 + the number of the newest round. */
static Extents *written_since(Engine *engine, const char *key, gint64 first, gint64 *ret_next, GError **error)
{
    g_autoptr(GPtrArray) rounds = store_round_list(engine->store, engine->id, error);
    g_autoptr(Extents) areas = extents_new();

    if (rounds == NULL)
        return NULL;
    for (guint i = 0; i < rounds->len; i++) {
        const StoreRound *round = g_ptr_array_index(rounds, i);

        *ret_next = (gint64)round->number + 1;
        if (round->number >= first && !add_round(engine, round, key, &areas, error))
            return NULL;
    }
    return g_steal_pointer(&areas);
}

/* --- reading back --- */

typedef struct {
    StoreDisk *disk;
    const Extents *areas; /* NULL: all */
    Disk *source;         /* NULL: only against the checksums */
} Subject;

static gboolean run(Engine *engine, const Subject *subject, VerifyReport *report, GError **error)
{
    g_autoptr(Disk) target = NULL;
    g_autoptr(Sums) sums = NULL;
    g_autoptr(CopyMeter) meter = copy_meter_new();
    VerifyJob job = {.areas = subject->areas,
                     .source = subject->source,
                     .threads = engine->spec->readers,
                     .meter = meter,
                     .cancel = engine->context->cancel,
                     .tick = engine_tick,
                     .tick_data = engine};
    gboolean verified;

    if (!image_open_read(engine, subject->disk, &target, &sums, error))
        return FALSE;
    job.target = target;
    job.sums = sums;
    g_ptr_array_add(engine->activity.keys, subject->disk->key);
    g_ptr_array_add(engine->activity.meters, meter);
    verified = verify_run(&job, report, error);
    g_ptr_array_set_size(engine->activity.keys, 0);
    g_ptr_array_set_size(engine->activity.meters, 0);
    if (!verified)
        g_prefix_error(error, "disk %s: ", subject->disk->key);
    return verified;
}

static gboolean catch_up_disk(Engine *engine, StoreDisk *disk, gint64 first, gint64 *ret_next, GError **error)
{
    g_auto(VerifyReport) report = {0};
    g_autoptr(Extents) areas = written_since(engine, disk->key, first, ret_next, error);
    Subject subject = {.disk = disk, .areas = first > 0 ? areas : NULL};

    if (areas == NULL)
        return FALSE;
    if (first > 0 && extents_count(areas) == 0)
        return TRUE;
    if (!run(engine, &subject, &report, error))
        return FALSE;
    engine_event(engine, LOG_INFO, "verify",
                 "disk %s: %" G_GUINT64_FORMAT " blocks read back, all as they were read", disk->key,
                 report.blocks + report.unread);
    disk->verified = TRUE;
    return store_disk_put(engine->store, engine->id, disk, error);
}

gboolean verification_catch_up(Engine *engine, GError **error)
{
    gint64 first = 0, next = 0;

    if (!engine->spec->verify)
        return TRUE;
    if (!fact_get_integer(engine->store, engine->id, FACT_VERIFIED, &first, error))
        return FALSE;
    engine_doing(engine, "reading the target back");
    for (guint i = 0; i < engine->disks->len; i++) {
        if (!catch_up_disk(engine, g_ptr_array_index(engine->disks, i), first, &next, error))
            return FALSE;
    }
    return fact_set_integer(engine->store, engine->id, FACT_VERIFIED, next, error);
}

/* --- on request --- */

static void put_ranges(Json *json, const VerifyReport *report)
{
    Json *list = json_array();

    for (guint i = 0; report->bad != NULL && i < extents_count(report->bad) && i < 1000; i++) {
        Extent bad = extents_get(report->bad, i);
        Json *row = json_object();

        json_set_integer(row, "offset", (gint64)bad.start);
        json_set_integer(row, "length", (gint64)(bad.end - bad.start));
        json_array_append_new(list, row);
    }
    json_set_take(json, "bad", list);
}

static Json *report_to_json(const StoreDisk *disk, const VerifyReport *report, const GError *failed)
{
    Json *json = json_object();

    json_set_string(json, "key", disk->key);
    json_set_string(json, "target", disk->target_path);
    json_set_boolean(json, "ok", failed == NULL);
    json_set_integer(json, "blocks", (gint64)report->blocks);
    json_set_integer(json, "unread", (gint64)report->unread);
    json_set_integer(json, "mismatches", (gint64)report->mismatches);
    json_set_boolean(json, "deep", report->deep);
    json_set_string(json, "error", failed != NULL ? failed->message : NULL);
    put_ranges(json, report);
    return json;
}

/* The source as it can be compared: what changed since the committed state is left out. */
typedef struct {
    Disk *disk;
    Extents *unchanged;
} DeepSource;

static void deep_source_clear(DeepSource *source)
{
    disk_free(source->disk);
    extents_free(source->unchanged);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DeepSource, deep_source_clear)

static gboolean open_deep(Engine *engine, const StoreDisk *disk, const VsphereDisk *frozen,
                          const char *snapshot, const char *datacenter_path, DeepSource *ret, GError **error)
{
    g_autoptr(Extents) all = extents_new(), changed = extents_new();

    if (disk->change_id == NULL || frozen->path == NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "disk %s has no committed change id, so what changed since cannot be left out; verify "
                       "without deep",
                       disk->key);
    if (!vsphere_changed_areas(engine->vsphere, engine->vm->moref, snapshot, frozen->key, frozen->size,
                               disk->change_id, changed, error))
        return FALSE;
    extents_align(changed, SUMS_BLOCK_SIZE, frozen->size);
    extents_add(all, 0, MIN(frozen->size, disk->size));
    ret->unchanged = extents_subtract(all, changed);
    ret->disk = source_open(engine, datacenter_path, frozen->path, error);
    return ret->disk != NULL;
}

typedef struct {
    const GPtrArray *disks; /* VsphereDisk; NULL: not deep */
    const char *snapshot;
    const char *datacenter_path;
} Deep;

static gboolean verify_disk(Engine *engine, StoreDisk *disk, const Deep *deep, Json *list, GError **error)
{
    g_auto(DeepSource) source = {0};
    g_auto(VerifyReport) report = {0};
    g_autoptr(GError) failed = NULL;
    Subject subject = {.disk = disk};

    if (deep->disks != NULL) {
        const VsphereDisk *frozen = source_find_disk(deep->disks, disk->key);

        if (frozen == NULL)
            return vf_fail(error, VF_ERROR_NOT_FOUND, "disk %s is not at the source any more", disk->key);
        if (!open_deep(engine, disk, frozen, deep->snapshot, deep->datacenter_path, &source, error))
            return FALSE;
        subject.source = source.disk;
        subject.areas = source.unchanged;
    }
    if (!run(engine, &subject, &report, &failed) && !vf_error_is(failed, VF_ERROR_INTEGRITY)) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return FALSE;
    }
    json_array_append_new(list, report_to_json(disk, &report, failed));
    if (failed != NULL && *error == NULL)
        engine_event(engine, LOG_ERROR, "verify", "%s", failed->message);
    return TRUE;
}

static gboolean verify_all(Engine *engine, const Deep *deep, Json **ret_report, GError **error)
{
    g_autoptr(Json) report = json_object();
    Json *list = json_array();
    gboolean ok = TRUE;

    json_set_take(report, "disks", list);
    for (guint i = 0; i < engine->disks->len; i++) {
        if (!verify_disk(engine, g_ptr_array_index(engine->disks, i), deep, list, error))
            return FALSE;
        ok = ok && json_get_boolean(json_array_get(list, i), "ok");
    }
    json_set_boolean(report, "ok", ok);
    *ret_report = g_steal_pointer(&report);
    return TRUE;
}

/* Off: as it lies.  On: from a snapshot that lives as long as the reading. */
static gboolean verify_deep(Engine *engine, Json **ret_report, GError **error)
{
    g_autoptr(VsphereVm) vm = engine_get_vm(engine, error);
    g_autofree char *name = snapshot_name_new(engine, "verify"), *moref = NULL;
    g_autoptr(GPtrArray) frozen = NULL;
    g_autoptr(GError) failed = NULL;
    Deep deep = {0};
    gboolean verified;

    if (vm == NULL)
        return FALSE;
    deep.datacenter_path = vm->datacenter_path;
    deep.disks = vm->disks;
    if (strcmp(vm->power_state, "poweredOff") == 0)
        return verify_all(engine, &deep, ret_report, error);
    if (!snapshot_make(engine, name, QUIESCE_FALSE, &moref, error))
        return FALSE;
    frozen = vsphere_snapshot_disks(engine->vsphere, moref, error);
    deep.disks = frozen;
    deep.snapshot = moref;
    verified = frozen != NULL && verify_all(engine, &deep, ret_report, error);
    if (!snapshot_drop(engine, name, moref, &failed))
        engine_event(engine, LOG_WARNING, "snapshot", "%s; it will be tried again", failed->message);
    return verified;
}

gboolean migration_verify(const MigrationContext *context, gint64 id, gboolean deep, Json **ret_report,
                          GError **error)
{
    g_autoptr(Engine) engine = engine_open(context, id, error);
    gboolean taken_over = FALSE;
    Deep shallow = {0};

    if (engine == NULL || !request_allowed(engine->stage, REQUEST_VERIFY, error) ||
        !fact_is_set(engine->store, id, FACT_TAKEN_OVER, &taken_over, error))
        return FALSE;
    if (taken_over)
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "%s was started at the target: its images are not those that were copied any "
                       "more",
                       engine->vm->name);
    if (engine->machine == NULL || engine->disks->len == 0)
        return vf_fail(error, VF_ERROR_CONFLICT, "nothing was copied of %s yet", engine->vm->name);
    if (!engine_connect(engine, error))
        return FALSE;
    return deep ? verify_deep(engine, ret_report, error) : verify_all(engine, &shallow, ret_report, error);
}
