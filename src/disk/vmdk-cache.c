#include "disk/vmdk-cache.h"

#include <string.h>

typedef struct {
    guint64 number;
    guint pins;       /* threads that load, wait for, or copy it: it stays */
    gboolean loading; /* its data belong to the thread that loads it */
    gboolean failed;  /* no longer in the cache; the last one to leave frees it */
    GList idle;       /* link in VmdkCache.idle when not pinned */
    guint8 data[];
} Block;

struct VmdkCache {
    gsize block_size;
    guint max_blocks;
    VmdkCacheLoad load;
    gpointer owner;

    GMutex lock;        /* guards all that follows */
    GCond loaded;       /* a block was loaded, or could not be */
    GHashTable *blocks; /* guint64 number -> Block */
    GQueue idle;        /* most recently used first */
};

VmdkCache *vmdk_cache_new(gsize block_size, guint max_blocks, VmdkCacheLoad load, gpointer owner)
{
    VmdkCache *cache = g_new0(VmdkCache, 1);

    cache->block_size = block_size;
    cache->max_blocks = max_blocks;
    cache->load = load;
    cache->owner = owner;
    cache->blocks = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_mutex_init(&cache->lock);
    g_cond_init(&cache->loaded);
    g_queue_init(&cache->idle);
    return cache;
}

void vmdk_cache_free(VmdkCache *cache)
{
    GHashTableIter iter;
    gpointer block;

    if (cache == NULL)
        return;
    g_hash_table_iter_init(&iter, cache->blocks);
    while (g_hash_table_iter_next(&iter, NULL, &block))
        g_free(block);
    g_hash_table_destroy(cache->blocks);
    g_mutex_clear(&cache->lock);
    g_cond_clear(&cache->loaded);
    g_free(cache);
}

/* --- under the lock --- */

static void pin(VmdkCache *cache, Block *block)
{
    if (block->pins == 0)
        g_queue_unlink(&cache->idle, &block->idle);
    block->pins++;
}

static void unpin(VmdkCache *cache, Block *block)
{
    block->pins--;
    if (block->pins > 0)
        return;
    if (block->failed)
        g_free(block);
    else
        g_queue_push_head_link(&cache->idle, &block->idle);
}

static void evict(VmdkCache *cache)
{
    while (g_hash_table_size(cache->blocks) >= cache->max_blocks && cache->idle.length > 0) {
        Block *block = g_queue_pop_tail_link(&cache->idle)->data;

        g_hash_table_remove(cache->blocks, &block->number);
        g_free(block);
    }
}

static Block *insert(VmdkCache *cache, guint64 number)
{
    evict(cache);
    Block *block = g_malloc(sizeof(Block) + cache->block_size);

    *block = (Block){.number = number, .pins = 1, .loading = TRUE, .idle = {.data = block}};
    g_hash_table_insert(cache->blocks, &block->number, block);
    return block;
}

/* Drops the lock while it loads. */
static gboolean load(VmdkCache *cache, Block *block, GError **error)
{
    gboolean ok;

    g_mutex_unlock(&cache->lock);
    ok = cache->load(cache->owner, block->number, block->data, error);
    g_mutex_lock(&cache->lock);
    block->loading = FALSE;
    if (!ok) {
        block->failed = TRUE;
        g_hash_table_remove(cache->blocks, &block->number);
    }
    g_cond_broadcast(&cache->loaded);
    return ok;
}

/* The block, pinned; or NULL.  May drop the lock. */
static Block *get(VmdkCache *cache, guint64 number, GError **error)
{
    Block *block = g_hash_table_lookup(cache->blocks, &number);

    while (block != NULL) {
        pin(cache, block);
        while (block->loading)
            g_cond_wait(&cache->loaded, &cache->lock);
        if (!block->failed)
            return block;
        unpin(cache, block);
        block = g_hash_table_lookup(cache->blocks, &number);
    }
    block = insert(cache, number);
    if (load(cache, block, error))
        return block;
    unpin(cache, block);
    return NULL;
}

gboolean vmdk_cache_copy(VmdkCache *cache, guint64 number, gsize from, gsize length, void *to, GError **error)
{
    g_mutex_lock(&cache->lock);
    Block *block = get(cache, number, error);
    g_mutex_unlock(&cache->lock);
    if (block == NULL)
        return FALSE;

    memcpy(to, block->data + from, length);
    g_mutex_lock(&cache->lock);
    unpin(cache, block);
    g_mutex_unlock(&cache->lock);
    return TRUE;
}
