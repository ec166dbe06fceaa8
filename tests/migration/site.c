#include "site.h"

#include "base/error.h"
#include "base/proc.h"
#include "base/size.h"
#include "disk/format.h"
#include "vsphere/datastore.h"

#include <string.h>

const LabDiskConfig two_disks[N_DISKS] = {
    {.key = 2000, .name = "web", .size = 12 * MIB, .fill_percent = 60},
    {.key = 2016, .name = "web_1", .size = 5 * MIB, .fill_percent = 20},
    {.key = 2017, .name = "web_2", .size = 4 * MIB},
};
const LabWriterConfig busy = {.write_rate = 2 * MIB, .working_set = 3 * MIB, .seed = 7};

/* --- a site --- */

static Json *parse_progress(const char *text)
{
    g_autoptr(GError) error = NULL;
    Json *json = json_parse(text, strlen(text), MIB, "progress", &error);

    g_assert_no_error(error);
    return json;
}

void ask(Site *site, const char *request)
{
    g_autoptr(GError) error = NULL;
    gboolean already = FALSE;

    g_assert_true(migration_request(site->desk, site->id, request, &already, &error));
    g_assert_no_error(error);
}

static void on_progress(gint64 vm, const char *text, gpointer data)
{
    Site *site = data;
    g_autoptr(Json) json = parse_progress(text);
    const char *stage = json_get_string(json, "stage");

    g_assert_cmpint(vm, ==, site->id);
    site->awaited |= strcmp(stage, "awaiting_shutdown_action") == 0;
    if (site->ask != NULL && json_get_integer(json, "rounds") >= site->ask_after &&
        strcmp(stage, "delta") == 0) {
        ask(site, site->ask);
        site->ask = NULL;
    }
    if (site->interrupt_at > 0 && (guint64)json_get_integer(json, "bytes_done") >= site->interrupt_at)
        cancel_fire(site->cancel);
    if (site->on_progress != NULL)
        site->on_progress(json, site);
}

MigrationContext context_of(Site *site)
{
    return (MigrationContext){.config = site->config,
                              .store = site->store,
                              .cancel = site->cancel,
                              .progress = on_progress,
                              .data = site};
}

static Store *open_store(const Site *site)
{
    g_autoptr(GError) error = NULL;
    Store *store = store_open(site->control, &error);

    g_assert_no_error(error);
    return store;
}

void write_spec(Site *site, const char *more)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func((GDestroyNotify)vm_spec_free);
    const char *interval = strstr(more, "delta_interval") == NULL ? "delta_interval: 1, " : "";
    g_autofree char *text = g_strdup_printf("vm: {name: web}\n"
                                            "migration: {%sfinalize_settle_seconds: none, checkpoint: 1%s}\n"
                                            "target: {local: {directory: %s, define: false}}\n",
                                            interval, more, site->images);

    g_assert_true(spec_parse(text, strlen(text), "test.yaml", site->config, specs, &error));
    g_assert_no_error(error);
    vm_spec_free(site->spec);
    site->spec = g_ptr_array_steal_index(specs, 0);
}

Site *site_new(const LabDiskConfig *disks, guint n_disks, const LabWriterConfig *writer, gboolean on,
               const char *more)
{
    Site *site = g_new0(Site, 1);
    g_autoptr(GError) error = NULL;

    site->fake = fake_vsphere_new(disks, n_disks, writer);
    if (on)
        g_assert_true(lab_backing_power_on(site->fake->backing, &error));
    site->top = g_dir_make_tmp("migration-XXXXXX", NULL);
    site->control = g_build_filename(site->top, "control", NULL);
    site->images = g_build_filename(site->top, "images", NULL);
    site->config = config_load("/dev/null", &error);
    g_assert_no_error(error);
    site->config->vcenter.host = g_strdup("fake");
    site->config->vcenter.user = g_strdup("user");
    site->config->vcenter.password = secret_new("secret");
    site->cancel = cancel_new();
    site->store = open_store(site);
    site->desk = open_store(site);
    write_spec(site, more);
    return site;
}

void site_free(Site *site)
{
    const char *const remove[] = {"rm", "-r", site->top, NULL};
    g_autoptr(GError) error = NULL;

    store_free(site->store);
    store_free(site->desk);
    cancel_unref(site->cancel);
    vm_spec_free(site->spec);
    config_free(site->config);
    fake_vsphere_free(site->fake);
    g_assert_true(proc_run(remove, NULL, NULL, NULL, &error));
    g_free(site->top);
    g_free(site->control);
    g_free(site->images);
    g_free(site);
}

/* --- what is done with it --- */

void prepare(Site *site)
{
    MigrationContext context = context_of(site);
    g_autoptr(GError) error = NULL;

    g_assert_true(migration_prepare(&context, site->spec, &site->id, &error));
    g_assert_no_error(error);
}

static gboolean run(Site *site, GError **error)
{
    MigrationContext context = context_of(site);

    return migration_run(&context, site->id, error);
}

void run_to_end(Site *site)
{
    g_autoptr(GError) error = NULL;

    if (!run(site, &error))
        g_error("%s", error->message);
}

void run_to_error(Site *site, VfErrorClass class, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(run(site, &error));
    g_assert_error(error, VF_ERROR, (int)class);
    if (words != NULL && g_strstr_len(error->message, -1, words) == NULL)
        g_error("\"%s\" does not say \"%s\"", error->message, words);
}

/* After a signal: a new worker. */
void renew_cancel(Site *site)
{
    cancel_unref(site->cancel);
    site->cancel = cancel_new();
    site->interrupt_at = 0;
}

void retry(Site *site)
{
    MigrationContext context = context_of(site);
    g_autoptr(GError) error = NULL;

    g_assert_true(migration_retry(&context, site->id, &error));
    g_assert_no_error(error);
}

StoreVm *row_of(Site *site)
{
    g_autoptr(GError) error = NULL;
    StoreVm *row = store_vm_get(site->desk, site->id, &error);

    g_assert_no_error(error);
    return row;
}

void assert_stage(Site *site, const char *stage)
{
    g_autoptr(StoreVm) row = row_of(site);

    g_assert_cmpstr(row->stage, ==, stage);
}

GPtrArray *rounds_of(Site *site)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *rounds = store_round_list(site->desk, site->id, &error);

    g_assert_no_error(error);
    return rounds;
}

guint count_rounds(Site *site, const char *kind, RoundState state)
{
    g_autoptr(GPtrArray) rounds = rounds_of(site);
    guint n = 0;

    for (guint i = 0; i < rounds->len; i++) {
        const StoreRound *round = g_ptr_array_index(rounds, i);

        n += strcmp(round->kind, kind) == 0 && round->state == state;
    }
    return n;
}

/* How often disk `key` was copied that way. */
guint count_mode(Site *site, const char *key, RoundMode mode)
{
    g_autoptr(GPtrArray) rounds = rounds_of(site);
    g_autoptr(GError) error = NULL;
    guint n = 0;

    for (guint i = 0; i < rounds->len; i++) {
        const StoreRound *round = g_ptr_array_index(rounds, i);
        g_autoptr(GPtrArray) rows = store_round_disk_list(site->desk, round->id, &error);

        for (guint j = 0; j < rows->len; j++) {
            const StoreRoundDisk *row = g_ptr_array_index(rows, j);

            n += strcmp(row->key, key) == 0 && row->read != NULL && row->mode == mode;
        }
    }
    return n;
}

gboolean was_said(Site *site, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) events = store_event_list(site->desk, site->id, 0, 10000, &error);

    for (guint i = 0; i < events->len; i++) {
        if (strstr(((StoreEvent *)g_ptr_array_index(events, i))->text, words) != NULL)
            return TRUE;
    }
    return FALSE;
}

/* --- the proof --- */

void assert_no_snapshot(Site *site)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) left = store_snapshot_list(site->desk, site->id, FALSE, &error);

    g_assert_cmpuint(site->fake->snapshots->len, ==, 0);
    g_assert_cmpuint(left->len, ==, 0);
}

static void assert_same(Disk *a, Disk *b)
{
    g_autofree guint8 *left = g_malloc(MIB), *right = g_malloc(MIB);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(disk_size(a), ==, disk_size(b));
    for (guint64 offset = 0; offset < disk_size(a); offset += MIB) {
        gsize length = (gsize)MIN(MIB, disk_size(a) - offset);

        g_assert_true(disk_pread(a, left, length, offset, &error));
        g_assert_true(disk_pread(b, right, length, offset, &error));
        for (gsize i = 0; i < length; i += 512) {
            if (memcmp(left + i, right + i, 512) != 0)
                g_error("%s and %s differ at %" G_GUINT64_FORMAT, disk_name(a), disk_name(b), offset + i);
        }
    }
}

static void check_image(const char *path)
{
    const char *const argv[] = {"qemu-img", "check", "-q", path, NULL};
    g_autoptr(GError) error = NULL;

    if (!proc_run(argv, NULL, NULL, NULL, &error))
        g_error("%s", error->message);
}

static void assert_disk_copied(Site *site, const LabDiskConfig *config)
{
    g_autofree char *key = g_strdup_printf("%d", config->key);
    g_autofree char *file = lab_backing_file(site->fake->backing, config->key, NULL);
    g_autofree char *path = g_strdup_printf("[ds1] web/%s", file);
    g_autoptr(GError) error = NULL;
    g_autoptr(StoreDisk) row = store_disk_get(site->desk, site->id, key, &error);
    g_autoptr(Disk) source = datastore_open_disk(NULL, "DC1", path, &error);
    g_autoptr(Disk) target = NULL;

    g_assert_no_error(error);
    check_image(row->target_path);
    target = format_open(row->target_path, "qcow2", FALSE, &error);
    g_assert_no_error(error);
    assert_same(source, target);
}

void prove(Site *site)
{
    assert_stage(site, "done");
    g_assert_false(lab_backing_is_on(site->fake->backing));
    assert_no_snapshot(site);
    for (guint i = 0; i < site->fake->n_disks; i++)
        assert_disk_copied(site, &site->fake->disks[i]);
}

Site *warm_site(const char *more)
{
    Site *site = site_new(two_disks, N_DISKS, &busy, TRUE, more);

    site->ask_after = 2;
    site->ask = "finalize";
    return site;
}

guint at_call;
static const char *wanted_call;

/* Calls the site's action at the at_call-th time that wanted_call is called. */
gboolean is_time(const char *call)
{
    return strcmp(call, wanted_call) == 0 && at_call > 0 && --at_call == 0;
}

void on_call_at(Site *site, const char *call, guint nth, void (*what)(const char *, gpointer))
{
    wanted_call = call;
    at_call = nth;
    site->fake->on_call = what;
    site->fake->data = site;
}
