#include "cli/display.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/render.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Between two plain lines about the same phase. */
#define PLAIN_SECONDS 10.0
#define DEFAULT_WIDTH 80u

typedef struct {
    gint64 id;
    char *name;
    Json *progress; /* NULL: nothing known */
    char *shown_phase;
    double shown_at; /* on the monotonic clock */
} Shown;

struct Display {
    FILE *out;
    gboolean live;
    GPtrArray *all; /* Shown */
    GMutex lock;    /* guards what follows, against log lines of other threads */
    GString *frame; /* what stands on the terminal now, each line ended */
    guint height;
};

static void shown_free(gpointer data)
{
    Shown *shown = data;

    g_free(shown->name);
    json_decref(shown->progress);
    g_free(shown->shown_phase);
    g_free(shown);
}

/* Erases the frame: up to its first line, and everything from there. */
static void erase(Display *display)
{
    if (display->height > 0)
        fprintf(display->out, "\033[%uA\r\033[J", display->height);
}

static void on_log(LogLevel level, const char *line, gpointer data)
{
    Display *display = data;

    g_mutex_lock(&display->lock);
    erase(display);
    fprintf(display->out, "%s\n%s", line, display->frame->str);
    fflush(display->out);
    g_mutex_unlock(&display->lock);
}

Display *display_new(FILE *out)
{
    Display *display = g_new0(Display, 1);
    const char *terminal = g_getenv("TERM");

    display->out = out;
    display->live = isatty(fileno(out)) && g_strcmp0(terminal, "dumb") != 0;
    display->all = g_ptr_array_new_with_free_func(shown_free);
    display->frame = g_string_new(NULL);
    g_mutex_init(&display->lock);
    if (display->live)
        log_set_sink(on_log, display);
    return display;
}

void display_free(Display *display)
{
    if (display == NULL)
        return;
    if (display->live)
        log_set_sink(NULL, NULL);
    g_ptr_array_unref(display->all);
    g_string_free(display->frame, TRUE);
    g_mutex_clear(&display->lock);
    g_free(display);
}

static Shown *find(Display *display, gint64 id)
{
    Shown *shown = NULL;

    for (guint i = 0; i < display->all->len; i++) {
        shown = display->all->pdata[i];
        if (shown->id == id)
            return shown;
    }
    shown = g_new0(Shown, 1);
    shown->id = id;
    g_ptr_array_add(display->all, shown);
    return shown;
}

void display_set(Display *display, gint64 id, const char *name, const Json *progress)
{
    Shown *shown = find(display, id);

    g_free(shown->name);
    shown->name = g_strdup(name);
    json_decref(shown->progress);
    shown->progress = json_incref((Json *)progress);
}

static guint terminal_width(FILE *out)
{
    struct winsize size = {0};

    /* One less, because some terminals wrap a line that is full. */
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col - 1u;
    return DEFAULT_WIDTH - 1;
}

static void draw_live(Display *display)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    guint width = terminal_width(display->out);

    for (guint i = 0; i < display->all->len; i++) {
        const Shown *shown = display->all->pdata[i];

        render_lines(lines, shown->name, shown->progress, width);
    }
    g_mutex_lock(&display->lock);
    erase(display);
    g_string_truncate(display->frame, 0);
    for (guint i = 0; i < lines->len; i++)
        g_string_append_printf(display->frame, "%s\n", (const char *)lines->pdata[i]);
    display->height = lines->len;
    fputs(display->frame->str, display->out);
    fflush(display->out);
    g_mutex_unlock(&display->lock);
}

static void draw_plain(Display *display, Shown *shown)
{
    g_autofree char *phase = render_phase(shown->progress);
    g_autofree char *line = NULL;
    double now = clock_monotonic();

    if (*phase == '\0' ||
        (g_strcmp0(phase, shown->shown_phase) == 0 && now - shown->shown_at < PLAIN_SECONDS))
        return;
    line = render_line(shown->name, shown->progress);
    fprintf(display->out, "%s\n", line);
    fflush(display->out);
    g_free(shown->shown_phase);
    shown->shown_phase = g_steal_pointer(&phase);
    shown->shown_at = now;
}

void display_draw(Display *display)
{
    if (display->live) {
        draw_live(display);
        return;
    }
    for (guint i = 0; i < display->all->len; i++)
        draw_plain(display, display->all->pdata[i]);
}
