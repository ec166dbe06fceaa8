#include "copy/convert.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/size.h"
#include "copy/partial.h"
#include "copy/verify.h"
#include "disk/format.h"

#define CHECKPOINT_MS 3000u

typedef struct {
    const ConvertJob *job;
    CopyMeter *meter;
    const char *phase;
    Partial *partial; /* NULL: in place */
    CopyPlan *plan;
    Disk *target;
    Sums *sums;
    gboolean fresh;
    ConvertReport report;
} Conversion;

static void show(const Conversion *c)
{
    CopyProgress progress = copy_meter_read(c->meter);

    if (c->job->show != NULL)
        c->job->show(c->phase, &progress, c->job->show_data);
}

static gboolean on_tick(gpointer data, GError **error)
{
    show(data);
    return TRUE;
}

static void begin_phase(Conversion *c, const char *phase)
{
    copy_meter_free(c->meter);
    c->meter = copy_meter_new();
    c->phase = phase;
}

/* --- the work, in place or not --- */

static gboolean on_checkpoint(const Extents *done, gpointer data, GError **error)
{
    Conversion *c = data;

    return c->partial == NULL || partial_commit(c->partial, done, error);
}

static gboolean copy(Conversion *c, GError **error)
{
    const ConvertJob *job = c->job;
    g_autoptr(Extents) done =
        c->partial != NULL && c->partial->done != NULL ? extents_copy(c->partial->done) : NULL;
    g_autoptr(RateLimit) limit = job->bandwidth != 0 ? rate_limit_new(job->bandwidth) : NULL;
    const CopyJob copy_job = {.source = job->source->disk,
                              .target = c->target,
                              .plan = c->plan,
                              .done = done,
                              .sums = c->sums,
                              .fresh_target = c->fresh,
                              .checkpoint = on_checkpoint,
                              .data = c,
                              .meter = c->meter};
    const CopyOptions options = {.threads = job->threads,
                                 .checkpoint_ms = CHECKPOINT_MS,
                                 .limit = limit,
                                 .cancel = job->cancel,
                                 .tick = on_tick,
                                 .tick_data = c};

    return copy_run(&copy_job, 1, &options, error);
}

/* The target is opened again: what is read back is what anybody would read. */
static gboolean verify(Conversion *c, const char *path, GError **error)
{
    const char *format = create_options_format(c->job->options)->name;
    g_autoptr(Disk) target = format_open(path, format, FALSE, error);
    g_auto(VerifyReport) report = {0};
    VerifyJob job = {.target = target,
                     .sums = c->sums,
                     .threads = c->job->threads,
                     .cancel = c->job->cancel,
                     .tick = on_tick,
                     .tick_data = c};

    begin_phase(c, "verifying");
    job.meter = c->meter;
    if (target == NULL || !verify_run(&job, &report, error))
        return FALSE;
    c->report.verified = report.blocks;
    show(c);
    return TRUE;
}

static gboolean fill_target(Conversion *c, const char *path, GError **error)
{
    c->plan = copy_plan_full(c->job->source->disk, NULL, error);
    if (c->plan == NULL)
        return FALSE;
    begin_phase(c, "copying");
    if (!copy(c, error))
        return FALSE;
    show(c);
    c->report.progress = copy_meter_read(c->meter);
    if (!content_hash_of_sums(c->sums, c->report.checksum, error) ||
        !disk_close(g_steal_pointer(&c->target), error))
        return FALSE;
    return !c->job->verify || verify(c, path, error);
}

/* --- a file --- */

/* What must be the same for another run to go on with what this one leaves. */
static char *identity_of(const ConvertJob *job)
{
    g_autoptr(Json) identity = image_source_identity(job->source);
    g_autofree char *options = create_options_to_text(job->options);

    json_set_string(identity, "target", options);
    return json_to_line(identity);
}

static gboolean open_partial_image(Conversion *c, GError **error)
{
    const ConvertJob *job = c->job;
    guint64 size = disk_size(job->source->disk);

    if (c->partial->done == NULL) {
        c->target = create_image(c->partial->image, size, job->options, error);
        c->fresh = c->target != NULL && disk_starts_zero(c->target);
    } else {
        c->report.resumed = extents_total(c->partial->done);
        c->target = create_go_on(c->partial->image, job->options, error);
    }
    if (c->target == NULL)
        return FALSE;
    c->sums = sums_open(c->partial->sums, size, error);
    return c->sums != NULL;
}

/* Bytes that had to be read and need not be again. */
static guint64 worth_keeping(const Conversion *c)
{
    g_autoptr(Extents) kept = NULL;

    if (c->partial->done == NULL)
        return 0;
    if (c->plan == NULL)
        return extents_total(c->partial->done);
    kept = extents_intersect(c->partial->done, c->plan->read);
    return extents_total(kept);
}

/* After an error: what is worth going on with stays, and the error says so; anything else goes. */
static void keep_or_discard(const Conversion *c, GError **error)
{
    guint64 committed = worth_keeping(c);
    g_autofree char *size = size_format(committed);
    GError *why = *error;

    if (committed == 0 || vf_error_is(why, VF_ERROR_INTEGRITY) ||
        !create_options_format(c->job->options)->can_resume) {
        partial_discard(c->partial);
        return;
    }
    *error = NULL;
    vf_fail(error, vf_error_class(why),
            "%s\n%s of the disk are safe in %s: the same command with --resume goes on from there, "
            "rm -r %s forgets it",
            why->message, size, c->partial->folder, c->partial->folder);
    g_error_free(why);
}

static gboolean fill_file(Conversion *c, GError **error)
{
    return open_partial_image(c, error) && fill_target(c, c->partial->image, error) &&
           partial_finish(c->partial, error);
}

static gboolean check_file(const ConvertJob *job, GError **error)
{
    const CreateFormat *format = create_options_format(job->options);

    if (image_source_is_made_of(job->source, job->target))
        return vf_fail(error, VF_ERROR_CONFLICT,
                       "%s is a part of the source %s and cannot be the target; choose another name",
                       job->target, job->source->path);
    if (g_file_test(job->target, G_FILE_TEST_EXISTS) && !g_file_test(job->target, G_FILE_TEST_IS_REGULAR))
        return vf_fail(error, VF_ERROR_INVALID, "%s is neither a file nor a block device", job->target);
    if (create_options_text(job->options, "backing_file", NULL) != NULL)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s: a conversion copies the whole disk and needs no backing file; leave backing_file "
                       "out",
                       job->target);
    if (job->resume && !format->can_resume)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "an image of format %s is written from start to end and cannot be resumed",
                       format->name);
    return TRUE;
}

static gboolean convert_to_file(Conversion *c, GError **error)
{
    g_autofree char *identity = identity_of(c->job);

    if (!check_file(c->job, error))
        return FALSE;
    c->partial = partial_open(c->job->target, identity, c->job->resume, error);
    if (c->partial == NULL)
        return FALSE;
    if (fill_file(c, error))
        return TRUE;
    keep_or_discard(c, error);
    return FALSE;
}

/* --- in place --- */

static gboolean is_device(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISBLK(status.st_mode);
}

static gboolean is_nbd(const char *path)
{
    return g_str_has_prefix(path, "nbd");
}

static gboolean check_in_place(const ConvertJob *job, GError **error)
{
    if (strcmp(create_options_format(job->options)->name, "raw") != 0)
        return vf_fail(error, VF_ERROR_UNSUPPORTED, "%s: only raw is written in place; use -O raw",
                       job->target);
    if (job->resume)
        return vf_fail(error, VF_ERROR_UNSUPPORTED,
                       "%s is written in place, which cannot be resumed; start without --resume",
                       job->target);
    if (image_source_is_made_of(job->source, job->target))
        return vf_fail(error, VF_ERROR_CONFLICT, "%s is a part of the source %s", job->target,
                       job->source->path);
    return TRUE;
}

/* Sums that are gone with this process. */
static Sums *temporary_sums(guint64 size, GError **error)
{
    g_autofree char *folder = g_dir_make_tmp("vmferry-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder != NULL ? folder : g_get_tmp_dir(), "sums", NULL);
    Sums *sums = sums_open(path, size, error);

    g_unlink(path);
    if (folder != NULL)
        g_rmdir(folder);
    return sums;
}

static gboolean convert_in_place(Conversion *c, GError **error)
{
    const ConvertJob *job = c->job;

    if (!check_in_place(job, error))
        return FALSE;
    c->target = format_open(job->target, "raw", TRUE, error);
    if (c->target == NULL)
        return FALSE;
    c->sums = temporary_sums(disk_size(job->source->disk), error);
    return c->sums != NULL && fill_target(c, job->target, error);
}

gboolean convert_run(const ConvertJob *job, ConvertReport *ret_report, GError **error)
{
    Conversion c = {.job = job, .report.size = disk_size(job->source->disk)};
    gboolean ok = is_nbd(job->target) || is_device(job->target) ? convert_in_place(&c, error)
                                                                : convert_to_file(&c, error);

    disk_free(c.target);
    sums_free(c.sums);
    partial_free(c.partial);
    copy_plan_free(c.plan);
    copy_meter_free(c.meter);
    if (ok)
        *ret_report = c.report;
    return ok;
}
