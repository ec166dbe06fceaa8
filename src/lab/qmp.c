#include "lab/qmp.h"

#include "base/cancel.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define COMMAND_TIMEOUT_MS 60000
#define CONNECT_PAUSE_MS   20
#define MAX_LINE           (16u << 20)

struct Qmp {
    int fd;
    gboolean closed;
    GString *input; /* what came and is no whole line yet */
    GQueue events;  /* Json */
};

void qmp_free(Qmp *qmp)
{
    if (qmp == NULL)
        return;
    g_queue_clear_full(&qmp->events, (GDestroyNotify)json_decref);
    g_string_free(qmp->input, TRUE);
    fd_close(&qmp->fd);
    g_free(qmp);
}

/* --- lines --- */

static gint64 deadline_after(guint timeout_ms)
{
    return g_get_monotonic_time() + (gint64)timeout_ms * 1000;
}

/* Reads what is there, or the first bytes that come until the deadline. */
static gboolean receive(Qmp *qmp, gint64 deadline, GError **error)
{
    struct pollfd descriptor = {.fd = qmp->fd, .events = POLLIN};
    gint64 left_ms = MAX(0, (deadline - g_get_monotonic_time() + 999) / 1000);
    char buffer[4096];

    if (poll(&descriptor, 1, (int)MIN(left_ms, G_MAXINT)) <= 0)
        return vf_fail(error, VF_ERROR_TRANSIENT, "QEMU does not answer");
    gssize length = recv(qmp->fd, buffer, sizeof buffer, 0);
    if (length <= 0 || qmp->input->len > MAX_LINE) {
        qmp->closed = TRUE;
        return vf_fail(error, VF_ERROR_TRANSIENT, "QEMU is gone");
    }
    g_string_append_len(qmp->input, buffer, length);
    return TRUE;
}

/* The next whole line that is here, as a message; NULL when there is none. */
static Json *next_message(Qmp *qmp)
{
    const char *end;

    while ((end = memchr(qmp->input->str, '\n', qmp->input->len)) != NULL) {
        gsize length = (gsize)(end - qmp->input->str);
        Json *message = json_loadb(qmp->input->str, length, 0, NULL);

        g_string_erase(qmp->input, 0, (gssize)length + 1);
        if (message != NULL)
            return message;
    }
    return NULL;
}

static void keep_event(Qmp *qmp, Json *event)
{
    g_queue_push_tail(&qmp->events, event);
    if (g_queue_get_length(&qmp->events) > QMP_MAX_EVENTS)
        json_decref(g_queue_pop_head(&qmp->events));
}

/* The next message that is no event. */
static Json *wait_answer(Qmp *qmp, gint64 deadline, GError **error)
{
    for (;;) {
        Json *message = next_message(qmp);

        if (message == NULL) {
            if (!receive(qmp, deadline, error))
                return NULL;
        } else if (json_object_get(message, "event") == NULL) {
            return message;
        } else {
            keep_event(qmp, message);
        }
    }
}

/* --- commands --- */

static gboolean send_command(Qmp *qmp, const char *command, Json *arguments, GError **error)
{
    g_autoptr(Json) message = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
    g_autofree char *line = json_to_line(message);
    g_autofree char *text = g_strconcat(line, "\n", NULL);

    for (gsize sent = 0, length = strlen(text); sent < length;) {
        gssize step = send(qmp->fd, text + sent, length - sent, MSG_NOSIGNAL);

        if (step < 0)
            return vf_fail_errno(error, VF_ERROR_TRANSIENT, errno, "QEMU cannot be told %s", command);
        sent += (gsize)step;
    }
    return TRUE;
}

static gboolean fail_command(const char *command, const Json *problem, GError **error)
{
    const char *class = json_get_string(problem, "class");
    const char *text = json_get_string(problem, "desc");

    return vf_fail(error, g_strcmp0(class, "DeviceNotFound") == 0 ? VF_ERROR_NOT_FOUND : VF_ERROR_INTERNAL,
                   "QEMU refused %s: %s", command, text != NULL ? text : "");
}

Json *qmp_ask(Qmp *qmp, const char *command, Json *arguments, GError **error)
{
    if (!send_command(qmp, command, arguments, error))
        return NULL;
    g_autoptr(Json) answer = wait_answer(qmp, deadline_after(COMMAND_TIMEOUT_MS), error);
    if (answer == NULL) {
        g_prefix_error(error, "%s: ", command);
        return NULL;
    }
    if (json_object_get(answer, "error") != NULL) {
        fail_command(command, json_object_get(answer, "error"), error);
        return NULL;
    }
    return json_incref(json_object_get(answer, "return"));
}

gboolean qmp_tell(Qmp *qmp, const char *command, Json *arguments, GError **error)
{
    g_autoptr(Json) answer = qmp_ask(qmp, command, arguments, error);

    return answer != NULL;
}

/* --- events --- */

static gboolean matches(const Json *event, const char *name, const char *key, const char *value)
{
    return g_strcmp0(json_get_string(event, "event"), name) == 0 &&
           (key == NULL || g_strcmp0(json_get_string(json_object_get(event, "data"), key), value) == 0);
}

/* Takes in what has arrived. */
static void drain(Qmp *qmp)
{
    g_autoptr(GError) nothing_more = NULL;
    Json *message;

    do
        while ((message = next_message(qmp)) != NULL)
            keep_event(qmp, message);
    while (!qmp->closed && receive(qmp, 0, &nothing_more));
}

Json *qmp_take_event(Qmp *qmp, const char *name, const char *key, const char *value)
{
    drain(qmp);
    for (GList *item = qmp->events.head; item != NULL; item = item->next)
        if (matches(item->data, name, key, value)) {
            Json *event = item->data;

            g_queue_delete_link(&qmp->events, item);
            return event;
        }
    return NULL;
}

Json *qmp_wait_event(Qmp *qmp, const char *name, const char *key, const char *value, guint timeout_ms,
                     GError **error)
{
    gint64 deadline = deadline_after(timeout_ms);
    Json *event;

    while ((event = qmp_take_event(qmp, name, key, value)) == NULL)
        if (!receive(qmp, deadline, error)) {
            g_prefix_error(error, "waiting for %s: ", name);
            return NULL;
        }
    return event;
}

gboolean qmp_is_closed(Qmp *qmp)
{
    drain(qmp);
    return qmp->closed;
}

/* --- connecting --- */

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_auto(Fd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return fd_steal(&fd);
}

static gboolean connect_until(Qmp *qmp, const char *path, gint64 deadline, GError **error)
{
    g_autoptr(Cancel) never = cancel_new();

    while ((qmp->fd = connect_unix(path)) < 0) {
        if (g_get_monotonic_time() >= deadline)
            return vf_fail(error, VF_ERROR_TRANSIENT, "QEMU does not listen on %s", path);
        if (!cancel_sleep(never, CONNECT_PAUSE_MS, error))
            return FALSE;
    }
    return TRUE;
}

Qmp *qmp_connect(const char *path, guint timeout_ms, GError **error)
{
    g_autoptr(Qmp) qmp = g_new0(Qmp, 1);
    gint64 deadline = deadline_after(timeout_ms);

    qmp->fd = -1;
    qmp->input = g_string_new(NULL);
    g_queue_init(&qmp->events);
    if (!connect_until(qmp, path, deadline, error))
        return NULL;
    g_autoptr(Json) greeting = wait_answer(qmp, deadline, error);
    if (greeting == NULL || !qmp_tell(qmp, "qmp_capabilities", NULL, error))
        return NULL;
    return g_steal_pointer(&qmp);
}
