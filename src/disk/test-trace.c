#include "disk/test-trace.h"

#include <string.h>

#include "base/error.h"
#include "base/size.h"

typedef enum { EVENT_WRITE, EVENT_ZERO, EVENT_TRUNCATE, EVENT_FLUSH } EventKind;

typedef struct {
    EventKind kind;
    guint64 offset, length;
    guint covers; /* flush: events before this one are durable */
    guint8 *data; /* write */
} Event;

struct Trace {
    gint references;
    GMutex lock; /* guards all below */
    GByteArray *start, *now;
    GArray *events;
    guint64 reads;
    gsize fail_length;
    gboolean fail_flushes;
    gulong write_us; /* atomic */
};

typedef struct {
    Bytes bytes;
    Trace *trace;
} TraceBytes;

static void clear_event(gpointer event)
{
    g_free(((Event *)event)->data);
}

static GByteArray *copy_array(const void *data, gsize length)
{
    GByteArray *array = g_byte_array_new();

    if (length > 0)
        g_byte_array_append(array, data, (guint)length);
    return array;
}

Trace *trace_new(const void *data, gsize length)
{
    Trace *trace = g_new0(Trace, 1);

    trace->references = 1;
    g_mutex_init(&trace->lock);
    trace->start = copy_array(data, length);
    trace->now = copy_array(data, length);
    trace->events = g_array_new(FALSE, FALSE, sizeof(Event));
    g_array_set_clear_func(trace->events, clear_event);
    return trace;
}

void trace_unref(Trace *trace)
{
    if (!g_atomic_int_dec_and_test(&trace->references))
        return;
    g_array_unref(trace->events);
    g_byte_array_unref(trace->start);
    g_byte_array_unref(trace->now);
    g_mutex_clear(&trace->lock);
    g_free(trace);
}

static void set_length(GByteArray *array, guint64 length)
{
    guint old = array->len;

    g_assert_cmpuint(length, <=, 1u << 30);
    g_byte_array_set_size(array, (guint)length);
    if (length > old)
        memset(array->data + old, 0, (gsize)length - old);
}

static guint8 *reach(GByteArray *array, guint64 offset, guint64 length)
{
    if (array->len < offset + length)
        set_length(array, offset + length);
    return array->data + offset;
}

static Trace *trace_of(Bytes *bytes)
{
    return ((TraceBytes *)bytes)->trace;
}

static gboolean trace_pread(Bytes *bytes, void *buffer, gsize length, guint64 offset, GError **error)
{
    Trace *trace = trace_of(bytes);
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);

    trace->reads++;
    memcpy(buffer, trace->now->data + offset, length);
    return TRUE;
}

static gboolean trace_pwrite(Bytes *bytes, const void *buffer, gsize length, guint64 offset, GError **error)
{
    Trace *trace = trace_of(bytes);
    gulong write_us = __atomic_load_n(&trace->write_us, __ATOMIC_RELAXED);
    g_autoptr(GMutexLocker) locker = NULL;
    Event event = {.kind = EVENT_WRITE, .offset = offset, .length = length};

    if (write_us > 0)
        g_usleep(write_us);
    locker = g_mutex_locker_new(&trace->lock);
    if (trace->fail_length != 0 && length >= trace->fail_length)
        return vf_fail(error, VF_ERROR_TARGET_IO, "%s: failure on demand", bytes->name);
    event.data = g_memdup2(buffer, length);
    g_array_append_val(trace->events, event);
    memcpy(reach(trace->now, offset, length), buffer, length);
    return TRUE;
}

static gboolean trace_zero(Bytes *bytes, guint64 offset, guint64 length, GError **error)
{
    Trace *trace = trace_of(bytes);
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);
    Event event = {.kind = EVENT_ZERO, .offset = offset, .length = length};

    g_array_append_val(trace->events, event);
    memset(reach(trace->now, offset, length), 0, length);
    return TRUE;
}

static gboolean trace_truncate(Bytes *bytes, guint64 size, GError **error)
{
    Trace *trace = trace_of(bytes);
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);
    Event event = {.kind = EVENT_TRUNCATE, .length = size};

    g_array_append_val(trace->events, event);
    set_length(trace->now, size);
    return TRUE;
}

static gboolean trace_flush(Bytes *bytes, GError **error)
{
    Trace *trace = trace_of(bytes);
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);
    Event event = {.kind = EVENT_FLUSH, .covers = trace->events->len};

    if (trace->fail_flushes)
        return vf_fail(error, VF_ERROR_TARGET_IO, "%s: failure on demand", bytes->name);
    g_array_append_val(trace->events, event);
    return TRUE;
}

static void trace_free(Bytes *bytes)
{
    trace_unref(trace_of(bytes));
    g_free(bytes->name);
    g_free(bytes);
}

static const BytesOps trace_ops = {
    .pread = trace_pread,
    .pwrite = trace_pwrite,
    .zero = trace_zero,
    .truncate = trace_truncate,
    .flush = trace_flush,
    .free = trace_free,
};

static const BytesOps device_ops = {
    .pread = trace_pread,
    .pwrite = trace_pwrite,
    .flush = trace_flush,
    .free = trace_free,
};

static Bytes *new_bytes(Trace *trace, const BytesOps *ops)
{
    TraceBytes *bytes = g_new0(TraceBytes, 1);

    g_atomic_int_inc(&trace->references);
    bytes->trace = trace;
    bytes->bytes = (Bytes){.ops = ops, .name = g_strdup("trace"), .size = trace->now->len, .writable = TRUE};
    return &bytes->bytes;
}

Bytes *trace_bytes(Trace *trace)
{
    return new_bytes(trace, &trace_ops);
}

Bytes *trace_device(Trace *trace)
{
    return new_bytes(trace, &device_ops);
}

guint trace_length(Trace *trace)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);

    return trace->events->len;
}

guint64 trace_reads(Trace *trace)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);

    return trace->reads;
}

TraceCounts trace_count(Trace *trace, guint first)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);
    TraceCounts counts = {0};

    for (guint i = first; i < trace->events->len; i++) {
        const Event *event = &g_array_index(trace->events, Event, i);

        counts.zeroes += event->kind == EVENT_ZERO;
        counts.truncates += event->kind == EVENT_TRUNCATE;
        counts.flushes += event->kind == EVENT_FLUSH;
        if (event->kind != EVENT_WRITE)
            continue;
        counts.writes++;
        counts.bytes_written += event->length;
        counts.largest_write = MAX(counts.largest_write, event->length);
    }
    return counts;
}

void trace_fail_writes(Trace *trace, gsize min_length)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);

    trace->fail_length = min_length;
}

void trace_fail_flushes(Trace *trace, gboolean fail)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);

    trace->fail_flushes = fail;
}

void trace_slow_writes(Trace *trace, gulong microseconds)
{
    __atomic_store_n(&trace->write_us, microseconds, __ATOMIC_RELAXED);
}

/* Applies an event whole, or sector by sector as chance wants it. */
static void apply(GByteArray *image, const Event *event, GRand *random)
{
    gboolean whole = random == NULL || g_rand_boolean(random);

    if (event->kind == EVENT_TRUNCATE)
        set_length(image, event->length);
    if (event->kind != EVENT_WRITE && event->kind != EVENT_ZERO)
        return;
    for (guint64 at = 0; at < event->length; at += SECTOR_SIZE) {
        gsize step = (gsize)MIN(SECTOR_SIZE, event->length - at);
        guint8 *target = reach(image, event->offset + at, step);

        if (!whole && g_rand_boolean(random))
            continue;
        if (event->kind == EVENT_ZERO)
            memset(target, 0, step);
        else
            memcpy(target, event->data + at, step);
    }
}

/* The events that the last flush among the first `length` covers. */
static guint durable(const GArray *events, guint length)
{
    for (guint i = length; i > 0; i--) {
        const Event *event = &g_array_index(events, Event, i - 1);

        if (event->kind == EVENT_FLUSH)
            return event->covers;
    }
    return 0;
}

GByteArray *trace_cut(Trace *trace, guint length, GRand *random)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&trace->lock);
    GByteArray *image = copy_array(trace->start->data, trace->start->len);
    guint n_durable = durable(trace->events, length);

    for (guint i = 0; i < length; i++) {
        const Event *event = &g_array_index(trace->events, Event, i);
        /* A file system orders changes of the size; a third of the rest is lost whole. */
        gboolean lost =
            i >= n_durable && event->kind != EVENT_TRUNCATE && g_rand_int_range(random, 0, 3) == 0;

        if (!lost)
            apply(image, event, i < n_durable ? NULL : random);
    }
    return image;
}
