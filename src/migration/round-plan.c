/* What a round has to read.
 *
 * Each disk starts in one of four ways (resume.h).  For a full copy the areas that vSphere calls allocated
 * narrow what is read; they are an opinion, so the first and the last block are always read, and some blocks
 * that are said to be empty are looked at: one that is not makes the whole disk read.  For a delta some
 * blocks that are said to be unchanged are read and held against their checksums, which finds tracking that
 * lost writes; then the disk is read in full and compared.
 *
 * The rest of an unfinished base copy is what its plan read and did not finish, and what changed since.  The
 * target may hold older data beyond what was committed, so nothing may be taken for zero that is not written:
 * such a round is never "fresh".
 */
#include "migration/round-plan.h"

#include "base/clock.h"
#include "base/crash-point.h"
#include "base/error.h"
#include "base/size.h"
#include "migration/facts.h"
#include "migration/images.h"
#include "migration/source.h"
#include "vsphere/datastore.h"

#include <string.h>

#define PROBES 16u
/* In the downtime. */
#define PROBES_OFF  4u
#define PROBE_TRIES 64u
/* Two seconds each. */
#define UNLOCK_TRIES 30u

/* --- a round and its disks --- */

static void round_disk_free(gpointer data)
{
    RoundDisk *disk = data;

    disk_free(disk->source);
    disk_free(disk->target);
    sums_free(disk->sums);
    copy_plan_free(disk->plan);
    extents_free(disk->done);
    store_round_disk_free(disk->row);
    copy_meter_free(disk->meter);
    g_free(disk);
}

Round *round_new(Engine *engine, StoreRound *row)
{
    Round *round = g_new0(Round, 1);

    round->engine = engine;
    round->row = row;
    round->begun = clock_monotonic();
    round->disks = g_ptr_array_new_with_free_func(round_disk_free);
    return round;
}

void round_free(Round *round)
{
    if (round == NULL)
        return;
    g_ptr_array_set_size(round->engine->activity.meters, 0);
    g_ptr_array_set_size(round->engine->activity.keys, 0);
    g_ptr_array_unref(round->disks);
    store_round_free(round->row);
    g_free(round->datacenter_path);
    g_free(round);
}

RoundDisk *round_add_disk(Round *round, const MachineDisk *machine, StoreRoundDisk *row, GError **error)
{
    RoundDisk *disk = g_new0(RoundDisk, 1);

    disk->machine = machine;
    disk->row = row;
    disk->round = round;
    disk->meter = copy_meter_new();
    disk->disk = engine_disk(round->engine, machine->key);
    g_ptr_array_add(round->disks, disk);
    if (disk->disk == NULL) {
        vf_fail(error, VF_ERROR_INTERNAL, "disk %s has no row", machine->key);
        return NULL;
    }
    return disk;
}

static char *base_fact(const char *key)
{
    return g_strdup_printf("base.%s", key);
}

gboolean round_has_base(Engine *engine, const char *key, gboolean *ret, GError **error)
{
    g_autofree char *fact = base_fact(key);

    return fact_is_set(engine->store, engine->id, fact, ret, error);
}

gboolean round_set_base(Engine *engine, const char *key, GError **error)
{
    g_autofree char *fact = base_fact(key);

    return store_fact_set(engine->store, engine->id, fact, "1", error);
}

/* --- what earlier rounds left --- */

static StoreRoundDisk *steal_row(GPtrArray *rows, const char *key)
{
    for (guint i = 0; i < rows->len; i++) {
        StoreRoundDisk *row = g_ptr_array_index(rows, i);

        if (strcmp(row->key, key) == 0) {
            g_ptr_array_set_free_func(rows, NULL);
            row = g_ptr_array_steal_index(rows, i);
            g_ptr_array_set_free_func(rows, (GDestroyNotify)store_round_disk_free);
            return row;
        }
    }
    return NULL;
}

/* The newest plan that was worked on for this disk; *ret is NULL when there is none.  Only looked for before
 * the base copy is complete. */
static gboolean find_rest(Round *round, const char *key, StoreRoundDisk **ret, GError **error)
{
    g_autoptr(GPtrArray) rounds = store_round_list(round->engine->store, round->engine->id, error);

    if (rounds == NULL)
        return FALSE;
    for (guint i = rounds->len; i-- > 0;) {
        const StoreRound *one = g_ptr_array_index(rounds, i);
        g_autoptr(GPtrArray) rows = NULL;
        g_autoptr(StoreRoundDisk) row = NULL;

        if (one->id == round->row->id)
            continue;
        rows = store_round_disk_list(round->engine->store, one->id, error);
        if (rows == NULL)
            return FALSE;
        row = steal_row(rows, key);
        if (row != NULL && row->read != NULL) {
            *ret = g_steal_pointer(&row);
            return TRUE;
        }
    }
    return TRUE;
}

static Extents *extents_of(GBytes *bytes, GError **error)
{
    gsize length = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;

    return data != NULL ? extents_from_bytes(data, length, error) : extents_new();
}

/* What its plan still asks for: in a fresh image nothing was ever written where the plan says zero. */
static Extents *rest_of(const StoreRoundDisk *row, GError **error)
{
    g_autoptr(Extents) read = extents_of(row->read, error);
    g_autoptr(Extents) zero = read != NULL ? extents_of(row->zero, error) : NULL;
    g_autoptr(Extents) done = zero != NULL ? extents_of(row->done, error) : NULL;
    g_autoptr(Extents) all = NULL;

    if (done == NULL)
        return NULL;
    all = row->mode == ROUND_MODE_FULL ? g_steal_pointer(&read) : extents_union(read, zero);
    return extents_subtract(all, done);
}

/* The image is made anew: no earlier plan counts as partly done any more. */
static gboolean forget_rests(Round *round, const char *key, GError **error)
{
    for (;;) {
        g_autoptr(StoreRoundDisk) rest = NULL;

        if (!find_rest(round, key, &rest, error))
            return FALSE;
        if (rest == NULL)
            return TRUE;
        g_clear_pointer(&rest->read, g_bytes_unref);
        g_clear_pointer(&rest->zero, g_bytes_unref);
        g_clear_pointer(&rest->done, g_bytes_unref);
        if (!store_round_disk_put(round->engine->store, rest, error))
            return FALSE;
    }
}

/* --- asking, and not believing everything --- */

/* FALSE with an error; *ret_refused when the source does not answer for this id. */
static gboolean ask_areas(RoundDisk *disk, const char *change_id, Extents *areas, gboolean *ret_refused,
                          GError **error)
{
    Engine *engine = disk->round->engine;
    g_autoptr(GError) failed = NULL;

    *ret_refused = FALSE;
    if (vsphere_changed_areas(engine->vsphere, engine->vm->moref, disk->round->row->snapshot,
                              atoi(disk->row->key), disk->row->size, change_id, areas, &failed))
        return TRUE;
    /* Whatever else is wrong with the question is found by reading; who may not ask, or is cut off, must not
     * guess. */
    *ret_refused = vf_error_is(failed, VF_ERROR_INTEGRITY) || vf_error_is(failed, VF_ERROR_UNSUPPORTED) ||
                   vf_error_is(failed, VF_ERROR_INVALID) || vf_error_is(failed, VF_ERROR_NOT_FOUND);
    if (*ret_refused) {
        engine_event(engine, LOG_WARNING, "tracking", "disk %s: %s", disk->row->key, failed->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&failed));
    return FALSE;
}

static gboolean block_is_as_known(RoundDisk *disk, guint64 block, void *buffer, gboolean *ret, GError **error)
{
    guint64 offset = block * SUMS_BLOCK_SIZE, known = 0;
    gsize length = (gsize)MIN(SUMS_BLOCK_SIZE, disk->row->size - offset);

    if (!disk_pread(disk->source, buffer, length, offset, error) ||
        (disk->sums != NULL && !sums_get(disk->sums, block, &known, 1, error)))
        return FALSE;
    *ret = known != 0 ? known == sums_of(buffer, length) : buffer_is_zero(buffer, length);
    return TRUE;
}

/* Looks at some blocks outside of `areas`: with checksums they must be unchanged, without they must be zero.
 */
static gboolean spot_check(RoundDisk *disk, const Extents *areas, gboolean *ret_right, GError **error)
{
    g_autofree void *buffer = g_malloc(SUMS_BLOCK_SIZE);
    guint64 blocks = div_round_up(disk->row->size, SUMS_BLOCK_SIZE);
    guint looked = 0, enough = disk->round->off ? PROBES_OFF : PROBES;

    *ret_right = TRUE;
    for (guint i = 0; i < PROBE_TRIES && looked < enough && *ret_right; i++) {
        guint64 block = (((guint64)g_random_int() << 32) | g_random_int()) % blocks;
        guint64 start = block * SUMS_BLOCK_SIZE;

        if (extents_overlaps(areas, start, MIN(start + SUMS_BLOCK_SIZE, disk->row->size)))
            continue;
        looked++;
        if (!block_is_as_known(disk, block, buffer, ret_right, error))
            return FALSE;
        if (!*ret_right)
            engine_event(disk->round->engine, LOG_WARNING, "tracking",
                         "disk %s: offset %" G_GUINT64_FORMAT
                         " is not listed and not as it was: what vSphere says of this disk is "
                         "not believed, it is read in full",
                         disk->row->key, start);
    }
    return TRUE;
}

/* --- the four ways --- */

static gboolean plan_full(RoundDisk *disk, GError **error)
{
    g_autoptr(Extents) allocated = NULL;
    gboolean refused = disk->row->change_id == NULL, right = TRUE;

    if (!image_create(disk->round->engine, disk->disk, disk->row->size, &disk->target, &disk->sums, error))
        return FALSE;
    if (!refused) {
        allocated = extents_new();
        if (!ask_areas(disk, "*", allocated, &refused, error))
            return FALSE;
    }
    if (!refused) {
        extents_add(allocated, 0, MIN(SUMS_BLOCK_SIZE, disk->row->size));
        extents_add(allocated, disk->row->size - MIN(SUMS_BLOCK_SIZE, disk->row->size), disk->row->size);
        extents_align(allocated, SUMS_BLOCK_SIZE, disk->row->size);
        if (!spot_check(disk, allocated, &right, error))
            return FALSE;
    }
    disk->row->mode = ROUND_MODE_FULL;
    disk->plan = copy_plan_full(disk->source, refused || !right ? NULL : allocated, error);
    return disk->plan != NULL;
}

static gboolean plan_compare(RoundDisk *disk, const char *reason, GError **error)
{
    engine_event(disk->round->engine, LOG_WARNING, "round", "disk %s is read in full and compared: %s",
                 disk->row->key,
                 reason != NULL ? reason : "the areas that were named are not all that changed");
    disk->row->mode = ROUND_MODE_COMPARE;
    disk->plan = copy_plan_full(disk->source, NULL, error);
    return disk->plan != NULL;
}

/* `areas` is what changed since the older id; `rest` what an unfinished copy left of it, or NULL. */
static gboolean plan_areas(RoundDisk *disk, const Extents *areas, const Extents *rest, GError **error)
{
    g_autoptr(Extents) all = rest != NULL ? extents_union(areas, rest) : extents_copy(areas);

    disk->row->mode = ROUND_MODE_CHANGED;
    disk->plan = copy_plan_changed(disk->source, all, error);
    return disk->plan != NULL;
}

/* Tracking that was caught lying once is not asked again, unless it was started anew since. */
static gboolean was_caught(RoundDisk *disk, gboolean *ret, GError **error)
{
    Engine *engine = disk->round->engine;
    g_autofree char *fact = g_strdup_printf("distrusted.%s", disk->row->key);
    g_autofree char *caught_at = store_fact_get(engine->store, engine->id, fact, error);

    *ret = caught_at != NULL && disk->row->change_id != NULL &&
           vsphere_change_id_follows(caught_at, disk->row->change_id);
    return caught_at != NULL || *error == NULL;
}

static gboolean remember_caught(RoundDisk *disk, GError **error)
{
    Engine *engine = disk->round->engine;
    g_autofree char *fact = g_strdup_printf("distrusted.%s", disk->row->key);

    return store_fact_set(engine->store, engine->id, fact, disk->row->change_id, error);
}

static gboolean gather_facts(RoundDisk *disk, StoreRoundDisk **ret_rest, DiskFacts *facts, GError **error)
{
    *facts = (DiskFacts){.committed_id = disk->disk->change_id,
                         .committed_size = disk->disk->size,
                         .now_id = disk->row->change_id,
                         .now_size = disk->row->size};
    if (!round_has_base(disk->round->engine, disk->row->key, &facts->has_base, error) ||
        !was_caught(disk, &facts->distrusted, error))
        return FALSE;
    if (facts->has_base || !disk->disk->target_created)
        return TRUE;
    if (!find_rest(disk->round, disk->row->key, ret_rest, error))
        return FALSE;
    if (*ret_rest != NULL) {
        facts->has_rest = TRUE;
        facts->rest_id = (*ret_rest)->change_id;
        facts->rest_size = (*ret_rest)->size;
    }
    return TRUE;
}

/* The areas since the id that the facts name; what is wrong with them makes the facts distrusted. */
static gboolean ask_since(RoundDisk *disk, DiskFacts *facts, Extents *areas, GError **error)
{
    gboolean right = TRUE;
    const char *since = facts->has_base ? facts->committed_id : facts->rest_id;

    if (!ask_areas(disk, since, areas, &facts->distrusted, error))
        return FALSE;
    if (facts->distrusted || !facts->has_base)
        return TRUE;
    extents_align(areas, SUMS_BLOCK_SIZE, disk->row->size);
    if (!spot_check(disk, areas, &right, error))
        return FALSE;
    facts->distrusted = !right;
    return right || remember_caught(disk, error);
}

static gboolean open_image(RoundDisk *disk, GError **error)
{
    return image_open(disk->round->engine, disk->disk, disk->row->size, &disk->target, &disk->sums, error);
}

static gboolean start_over(RoundDisk *disk, const DiskFacts *facts, GError **error)
{
    const char *reason = resume_disk_reason(facts);

    if (reason != NULL)
        engine_event(disk->round->engine, LOG_WARNING, "round", "disk %s is copied anew: %s", disk->row->key,
                     reason);
    if (!forget_rests(disk->round, disk->row->key, error))
        return FALSE;
    disk_free(g_steal_pointer(&disk->target));
    sums_free(g_steal_pointer(&disk->sums));
    return plan_full(disk, error);
}

static gboolean plan_disk(RoundDisk *disk, GError **error)
{
    g_autoptr(StoreRoundDisk) rest = NULL;
    g_autoptr(Extents) areas = extents_new(), left = NULL;
    DiskFacts facts;

    if (!gather_facts(disk, &rest, &facts, error))
        return FALSE;
    if (resume_disk(&facts) == DISK_START_FULL)
        return start_over(disk, &facts, error);
    if (!open_image(disk, error))
        return FALSE;
    if (resume_disk(&facts) != DISK_START_COMPARE && !ask_since(disk, &facts, areas, error))
        return FALSE;
    /* Asked again: the answer may have been refused. */
    switch (resume_disk(&facts)) {
    case DISK_START_FULL:
        return start_over(disk, &facts, error);
    case DISK_START_REST:
        left = rest_of(rest, error);
        return left != NULL && plan_areas(disk, areas, left, error);
    case DISK_START_CHANGED:
        return plan_areas(disk, areas, NULL, error);
    case DISK_START_COMPARE:
        break;
    }
    return plan_compare(disk, resume_disk_reason(&facts), error);
}

/* A VM that was just switched off may hold the locks of its disks for a moment. */
static Disk *open_when_unlocked(RoundDisk *disk, GError **error)
{
    Engine *engine = disk->round->engine;

    for (guint i = 0;; i++) {
        g_autoptr(GError) failed = NULL;
        Disk *source = source_open(engine, disk->round->datacenter_path, disk->row->source_path, &failed);

        if (source != NULL)
            return source;
        if (!disk->round->off || i == UNLOCK_TRIES || !vf_error_is(failed, VF_ERROR_CONFLICT)) {
            g_propagate_error(error, g_steal_pointer(&failed));
            return NULL;
        }
        if (!engine_wait(engine, 2, error))
            return NULL;
    }
}

static gboolean open_source(RoundDisk *disk, GError **error)
{
    disk->source = open_when_unlocked(disk, error);
    if (disk->source == NULL)
        return FALSE;
    if (disk_size(disk->source) != disk->row->size)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "disk %s: %s has %" G_GUINT64_FORMAT " bytes, vSphere says %" G_GUINT64_FORMAT,
                       disk->row->key, disk->row->source_path, disk_size(disk->source), disk->row->size);
    return TRUE;
}

static gboolean record_plan(RoundDisk *disk, GError **error)
{
    disk->row->read = extents_to_bytes(disk->plan->read);
    disk->row->zero = extents_to_bytes(disk->plan->zero);
    return store_round_disk_put(disk->round->engine->store, disk->row, error);
}

/* All plans and the state that says they hold, or none. */
static gboolean record_plans(Round *round, GError **error)
{
    Store *store = round->engine->store;

    if (!store_begin(store, error))
        return FALSE;
    round->row->state = ROUND_FROZEN;
    for (guint i = 0; i < round->disks->len; i++) {
        if (!record_plan(g_ptr_array_index(round->disks, i), error)) {
            store_rollback(store);
            return FALSE;
        }
    }
    if (!store_round_update(store, round->row, error)) {
        store_rollback(store);
        return FALSE;
    }
    return store_commit(store, error);
}

gboolean round_plan(Round *round, GError **error)
{
    engine_doing(round->engine, "asking what has to be copied");
    for (guint i = 0; i < round->disks->len; i++) {
        RoundDisk *disk = g_ptr_array_index(round->disks, i);

        if (!open_source(disk, error) || !plan_disk(disk, error) || !engine_tick(round->engine, error)) {
            g_prefix_error(error, "disk %s: ", disk->row->key);
            return FALSE;
        }
    }
    if (!record_plans(round, error))
        return FALSE;
    crash_point("round.areas-recorded");
    return TRUE;
}

static gboolean reopen_disk(RoundDisk *disk, GError **error)
{
    disk->plan = g_new0(CopyPlan, 1);
    disk->plan->read = extents_of(disk->row->read, error);
    disk->plan->zero = disk->plan->read != NULL ? extents_of(disk->row->zero, error) : NULL;
    disk->done = disk->plan->zero != NULL ? extents_of(disk->row->done, error) : NULL;
    return disk->done != NULL && open_source(disk, error) && open_image(disk, error);
}

gboolean round_reopen(Round *round, GError **error)
{
    for (guint i = 0; i < round->disks->len; i++) {
        RoundDisk *disk = g_ptr_array_index(round->disks, i);

        if (!disk->row->complete && !reopen_disk(disk, error)) {
            g_prefix_error(error, "disk %s: ", disk->row->key);
            return FALSE;
        }
    }
    return TRUE;
}
