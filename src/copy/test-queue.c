#include "copy/queue.h"

#include "base/size.h"
#include "copy/sums.h"

#define BLOCK ((guint64)SUMS_BLOCK_SIZE)
#define CHUNK ((guint32)MIB)

static CopyPlan *plan_new(void)
{
    CopyPlan *plan = g_new(CopyPlan, 1);

    plan->read = extents_new();
    plan->zero = extents_new();
    return plan;
}

/* Chunks are in order, apart, within bounds, and together they are the plan less what was done. */
static void test_covers(void)
{
    for (guint round = 0; round < 200; round++) {
        g_autoptr(CopyPlan) plan = plan_new();
        g_autoptr(Extents) done = extents_new();
        g_autoptr(Extents) seen = extents_new();
        g_autoptr(Extents) left = NULL;
        guint64 previous = 0, total = 0;
        gboolean previous_zero = TRUE;
        Chunk chunk;

        for (guint64 at = 0; at < 3000; at += (guint64)g_test_rand_int_range(1, 100)) {
            Extents *sets[] = {plan->read, plan->zero, done};
            guint64 end = at + (guint64)g_test_rand_int_range(1, 80);

            extents_add(sets[g_test_rand_int_range(0, 3)], at * BLOCK, end * BLOCK);
        }
        g_autoptr(Extents) zero = extents_subtract(plan->zero, plan->read);

        extents_free(plan->zero);
        plan->zero = g_steal_pointer(&zero);
        g_autoptr(ChunkQueue) queue = chunk_queue_new(plan, done, CHUNK, FALSE);

        while (chunk_queue_take(queue, &chunk)) {
            g_autoptr(Extents) committed = NULL;

            if (previous_zero && !chunk.zero)
                previous = 0;
            g_assert_true(previous_zero || !chunk.zero);
            previous_zero = chunk.zero;
            g_assert_cmpuint(chunk.offset, >=, previous);
            g_assert_cmpuint(chunk.length, >, 0);
            previous = chunk.offset + chunk.length;
            g_assert_true(chunk.zero || chunk.offset / CHUNK == (previous - 1) / CHUNK);
            g_assert_true(extents_contains(chunk.zero ? plan->zero : plan->read, chunk.offset, previous));
            g_assert_false(extents_overlaps(done, chunk.offset, previous));
            g_assert_false(extents_overlaps(seen, chunk.offset, previous));
            extents_add(seen, chunk.offset, previous);
            total += chunk.length;
            g_assert_cmpuint(chunk_queue_finish(queue, &chunk), ==, total);
            committed = chunk_queue_done(queue);
            g_assert_true(extents_contains(committed, chunk.offset, previous));
        }
        g_assert_cmpuint(chunk_queue_work(queue), ==, total);
        g_assert_cmpuint(chunk_queue_planned(queue), ==, total);
        left = chunk_queue_done(queue);
        extents_remove(seen, 0, 0);
        g_autoptr(Extents) all = extents_union(seen, done);

        g_assert_true(extents_equal(left, all));
    }
}

static void test_zero_is_done(void)
{
    g_autoptr(CopyPlan) plan = plan_new();
    g_autoptr(Extents) done = NULL;
    Chunk chunk;

    extents_add(plan->read, 0, MIB);
    extents_add(plan->zero, MIB, TIB);
    g_autoptr(ChunkQueue) queue = chunk_queue_new(plan, NULL, CHUNK, TRUE);

    g_assert_cmpuint(chunk_queue_planned(queue), ==, TIB);
    g_assert_cmpuint(chunk_queue_work(queue), ==, MIB);
    done = chunk_queue_done(queue);
    g_assert_cmpuint(extents_total(done), ==, TIB - MIB);
    g_assert_true(chunk_queue_take(queue, &chunk));
    g_assert_false(chunk.zero);
    g_assert_false(chunk_queue_take(queue, &chunk));
}

/* The done set may not grow beyond the maximum, where it would join ranges over what is not done. */
static void test_full(void)
{
    g_autoptr(CopyPlan) plan = plan_new();
    g_autoptr(Extents) done = extents_new();
    Chunk chunk;

    for (guint64 i = 0; i < EXTENTS_MAX; i++)
        extents_add(done, i * 4 * BLOCK, (i * 4 + 1) * BLOCK);
    extents_add(plan->read, BLOCK * 2, BLOCK * 3);
    extents_add(plan->read, BLOCK * 6, BLOCK * 7);
    g_autoptr(ChunkQueue) queue = chunk_queue_new(plan, done, CHUNK, TRUE);

    g_assert_true(chunk_queue_take(queue, &chunk));
    chunk_queue_finish(queue, &chunk);
    g_autoptr(Extents) now = chunk_queue_done(queue);

    g_assert_false(extents_overlaps(now, BLOCK, 4 * BLOCK));
    g_assert_true(chunk_queue_take(queue, &chunk));
    chunk_queue_finish(queue, &chunk);
    g_autoptr(Extents) end = chunk_queue_done(queue);

    g_assert_true(extents_contains(end, BLOCK * 2, BLOCK * 3));
    g_assert_true(extents_contains(end, BLOCK * 6, BLOCK * 7));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/covers", test_covers);
    g_test_add_func("/queue/zero-is-done", test_zero_is_done);
    g_test_add_func("/queue/full", test_full);
    return g_test_run();
}
