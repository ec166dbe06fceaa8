/* Linked only into builds with -Db_sanitize=thread.
 *
 * GLib's mutexes, conditions and g_once() sit on futexes of their own, inside a library that is not
 * instrumented: ThreadSanitizer does not see them and would report every field that they guard.  These
 * definitions stand before GLib's for the calls that our code makes, do the same through GLib, and tell
 * ThreadSanitizer what was ordered.
 */
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

#define REAL(function) ((__typeof__(&function))real(#function))

const char *__tsan_default_suppressions(void);

static void *real(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    if (symbol == NULL)
        __builtin_trap();
    return symbol;
}

void g_mutex_lock(GMutex *mutex)
{
    REAL(g_mutex_lock)(mutex);
    __tsan_acquire(mutex);
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    gboolean locked = REAL(g_mutex_trylock)(mutex);

    if (locked)
        __tsan_acquire(mutex);
    return locked;
}

void g_mutex_unlock(GMutex *mutex)
{
    __tsan_release(mutex);
    REAL(g_mutex_unlock)(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    __tsan_release(mutex);
    REAL(g_cond_wait)(cond, mutex);
    __tsan_acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    gboolean signalled;

    __tsan_release(mutex);
    signalled = REAL(g_cond_wait_until)(cond, mutex, end_time);
    __tsan_acquire(mutex);
    return signalled;
}

/* The fast path of g_once() is a load in our own code: give it a store that it can be seen to follow. */
gpointer g_once_impl(GOnce *once, GThreadFunc function, gpointer argument)
{
    gpointer result = REAL(g_once_impl)(once, function, argument);

    __atomic_store_n(&once->status, G_ONCE_STATUS_READY, __ATOMIC_RELEASE);
    return result;
}

/* A pool hands a task from one thread to another through a queue inside GLib. */
typedef struct {
    GFunc function;
    gpointer user_data;
} PoolTask;

static void run_task(gpointer task, gpointer user_data)
{
    const PoolTask *pool = user_data;

    __tsan_acquire(task);
    pool->function(task, pool->user_data);
}

/* Pools are few and live as long as the process: what is allocated here is not freed. */
GThreadPool *g_thread_pool_new(GFunc function, gpointer user_data, gint max_threads, gboolean exclusive,
                               GError **error)
{
    PoolTask *pool = g_new(PoolTask, 1);

    *pool = (PoolTask){.function = function, .user_data = user_data};
    return REAL(g_thread_pool_new)(run_task, pool, max_threads, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer task, GError **error)
{
    __tsan_release(task);
    return REAL(g_thread_pool_push)(pool, task, error);
}

const char *__tsan_default_suppressions(void)
{
    /* Not instrumented, and synchronised inside by means that are not seen either.  Neither calls anything of
     * ours: the second frees the links of a pool's queue. */
    return "race:libgnutls.so\nrace:g_queue_pop_tail\n";
}
