#include "copy/content-hash.h"

#include <stdio.h>
#include <xxhash.h>

#include "base/size.h"
#include "copy/walk.h"

/* Sums that are looked at in one go. */
#define BATCH 4096u

struct ContentHash {
    XXH3_state_t *state;
};

ContentHash *content_hash_new(void)
{
    ContentHash *hash = g_new0(ContentHash, 1);

    hash->state = XXH3_createState();
    g_assert(hash->state != NULL);
    XXH3_128bits_reset(hash->state);
    return hash;
}

void content_hash_free(ContentHash *hash)
{
    if (hash == NULL)
        return;
    XXH3_freeState(hash->state);
    g_free(hash);
}

void content_hash_add(ContentHash *hash, guint64 block, guint64 sum)
{
    const guint64 record[] = {GUINT64_TO_LE(block), GUINT64_TO_LE(sum)};

    XXH3_128bits_update(hash->state, record, sizeof record);
}

void content_hash_finish(ContentHash *hash, guint64 size, char text[CONTENT_HASH_TEXT])
{
    XXH128_hash_t result;

    content_hash_add(hash, size, 0);
    result = XXH3_128bits_digest(hash->state);
    g_snprintf(text, CONTENT_HASH_TEXT, "%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x",
               (guint64)result.high64, (guint64)result.low64);
}

/* --- from the sums of a copy --- */

static gboolean add_sums(ContentHash *hash, Sums *sums, guint64 first, guint count, GError **error)
{
    g_autofree guint64 *values = g_new(guint64, count);

    if (!sums_get(sums, first, values, count, error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        gsize length = (gsize)MIN(SUMS_BLOCK_SIZE, sums_size(sums) - (first + i) * SUMS_BLOCK_SIZE);

        if (values[i] != 0 && values[i] != sums_of_zero(length))
            content_hash_add(hash, first + i, values[i]);
    }
    return TRUE;
}

gboolean content_hash_of_sums(Sums *sums, char text[CONTENT_HASH_TEXT], GError **error)
{
    g_autoptr(ContentHash) hash = content_hash_new();
    guint64 first, end = 0;

    while (end < sums_blocks(sums)) {
        if (!sums_next(sums, end, &first, &end, error))
            return FALSE;
        for (guint64 block = first; block < end; block += BATCH)
            if (!add_sums(hash, sums, block, (guint)MIN(BATCH, end - block), error))
                return FALSE;
    }
    content_hash_finish(hash, sums_size(sums), text);
    return TRUE;
}

/* --- of a disk --- */

typedef struct {
    WalkJob walk;
    Disk *disk;
    ContentHash *hash;
} Hashing;

/* The sums take the place of the second buffer's contents: 16 per piece. */
static gboolean look(WalkPiece *piece, gpointer data, GError **error)
{
    const Hashing *hashing = data;
    const guint8 *bytes = (const guint8 *)piece->buffers[0];
    guint64 *sums = (guint64 *)(void *)piece->buffers[1];

    if (!walk_read(&hashing->walk, piece, hashing->disk, piece->offset, piece->length, piece->buffers[0],
                   error))
        return FALSE;
    for (gsize at = 0; at < piece->length; at += SUMS_BLOCK_SIZE) {
        gsize length = MIN(SUMS_BLOCK_SIZE, piece->length - at);

        *sums++ = buffer_is_zero(bytes + at, length) ? 0 : sums_of(bytes + at, length);
    }
    return TRUE;
}

static gboolean merge(WalkPiece *piece, gpointer data, gboolean *ret_stop, GError **error)
{
    const Hashing *hashing = data;
    const guint64 *sums = (const guint64 *)(const void *)piece->buffers[1];
    guint count = (guint)div_round_up(piece->length, SUMS_BLOCK_SIZE);

    for (guint i = 0; i < count; i++)
        if (sums[i] != 0)
            content_hash_add(hashing->hash, piece->offset / SUMS_BLOCK_SIZE + i, sums[i]);
    return TRUE;
}

gboolean content_hash_run(const ContentHashJob *job, char text[CONTENT_HASH_TEXT], GError **error)
{
    g_autoptr(ContentHash) hash = content_hash_new();
    g_autoptr(CopyPlan) plan = copy_plan_full(job->disk, NULL, error);
    Hashing hashing = {.disk = job->disk, .hash = hash};

    if (plan == NULL)
        return FALSE;
    hashing.walk = (WalkJob){.where = plan->read,
                             .threads = job->threads,
                             .limit = job->limit,
                             .meter = job->meter,
                             .cancel = job->cancel,
                             .tick = job->tick,
                             .tick_data = job->tick_data,
                             .look = look,
                             .merge = merge,
                             .data = &hashing};
    if (!walk_run(&hashing.walk, error))
        return FALSE;
    content_hash_finish(hash, disk_size(job->disk), text);
    return TRUE;
}
