#include "lab/session.h"

#include "base/clock.h"

#include <string.h>

static void free_object(gpointer data)
{
    LabObject *object = data;
    object->free(object);
}

static char *new_cookie(void)
{
    g_autofree char *random = g_uuid_string_random();
    return g_compute_checksum_for_string(G_CHECKSUM_SHA1, random, -1);
}

LabSession *lab_session_new(Lab *lab, const char *agent)
{
    LabSession *session = g_new0(LabSession, 1);
    g_atomic_ref_count_init(&session->references);
    session->cookie = new_cookie();
    session->agent = g_strdup(agent);
    session->last_active = clock_now();
    session->objects = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_object);
    g_hash_table_insert(lab->sessions, session->cookie, session);
    return session;
}

LabSession *lab_session_ref(LabSession *session)
{
    g_atomic_ref_count_inc(&session->references);
    return session;
}

void lab_session_unref(LabSession *session)
{
    if (session == NULL || !g_atomic_ref_count_dec(&session->references))
        return;
    g_hash_table_unref(session->objects);
    g_free(session->cookie);
    g_free(session->key);
    g_free(session->agent);
    g_free(session);
}

static gboolean idle_too_long(const Lab *lab, const LabSession *session)
{
    return clock_now() - session->last_active > (gint64)lab->session_timeout * G_USEC_PER_SEC;
}

LabSession *lab_session_find(Lab *lab, const char *cookie)
{
    if (cookie == NULL)
        return NULL;
    g_autofree char *bare = g_strdup(cookie[0] == '"' ? cookie + 1 : cookie);
    if (g_str_has_suffix(bare, "\""))
        bare[strlen(bare) - 1] = '\0';
    LabSession *session = g_hash_table_lookup(lab->sessions, bare);
    if (session == NULL)
        return NULL;
    if (idle_too_long(lab, session)) {
        lab_session_end(lab, session);
        return NULL;
    }
    session->last_active = clock_now();
    session->calls++;
    return session;
}

gboolean lab_session_login(Lab *lab, LabSession *session)
{
    guint logged_in = 0;
    GHashTableIter iterator;
    gpointer other;
    g_hash_table_iter_init(&iterator, lab->sessions);
    while (g_hash_table_iter_next(&iterator, NULL, &other))
        logged_in += ((LabSession *)other)->key != NULL;
    if (logged_in >= lab->max_sessions)
        return FALSE;
    g_free(session->key);
    session->key = g_uuid_string_random();
    g_hash_table_steal(lab->sessions, session->cookie);
    g_free(session->cookie);
    session->cookie = new_cookie();
    g_hash_table_insert(lab->sessions, session->cookie, session);
    session->login_time = clock_now();
    return TRUE;
}

void lab_session_tell(const LabSession *session, HttpExchange *exchange)
{
    g_autofree char *cookie =
        g_strdup_printf(LAB_COOKIE "=\"%s\"; Path=/; HttpOnly; Secure; ", session->cookie);
    http_add_header(exchange, "Set-Cookie", cookie);
}

void lab_session_end(Lab *lab, LabSession *session)
{
    session->ended = TRUE;
    g_cond_broadcast(&lab->changed);
    g_hash_table_remove(lab->sessions, session->cookie);
}

static gboolean end_one(gpointer cookie, gpointer session, gpointer data)
{
    ((LabSession *)session)->ended = TRUE;
    return TRUE;
}

void lab_session_end_all(Lab *lab)
{
    g_hash_table_foreach_remove(lab->sessions, end_one, NULL);
    g_cond_broadcast(&lab->changed);
}

static gboolean end_if_idle(gpointer cookie, gpointer data, gpointer lab)
{
    LabSession *session = data;
    return idle_too_long(lab, session) && end_one(cookie, session, NULL);
}

void lab_session_end_idle(Lab *lab)
{
    if (g_hash_table_foreach_remove(lab->sessions, end_if_idle, lab) > 0)
        g_cond_broadcast(&lab->changed);
}

gboolean lab_password_right(const Lab *lab, const char *user, const char *password)
{
    return g_strcmp0(user, lab->user) == 0 && g_strcmp0(password, lab->password) == 0;
}

LabObject *lab_session_object(Lab *lab, LabSession *session, const char *moref)
{
    LabObject *object = session != NULL ? g_hash_table_lookup(session->objects, moref) : NULL;
    return object != NULL ? object : lab_find(lab, moref);
}

void lab_session_add_object(Lab *lab, LabSession *session, LabObject *object, const char *type,
                            const char *prefix)
{
    object->type = type;
    object->moref =
        g_strdup_printf("session[%s]%s-%" G_GUINT64_FORMAT, session->key, prefix, lab->next_number++);
    object->name = g_strdup("");
    g_hash_table_insert(session->objects, object->moref, object);
}

Value *lab_session_value(const Lab *lab, const LabSession *session)
{
    if (session == NULL || session->key == NULL)
        return NULL;
    Value *value = value_new("UserSession");
    value_set_text(value, "key", session->key);
    value_set_text(value, "userName", lab->user);
    value_set_text(value, "fullName", lab->user);
    value_set_time(value, "loginTime", session->login_time);
    value_set_time(value, "lastActiveTime", session->last_active);
    value_set_text(value, "locale", "en");
    value_set_text(value, "messageLocale", "en");
    value_set_bool(value, "extensionSession", FALSE);
    value_set_text(value, "ipAddress", "127.0.0.1");
    value_set_text(value, "userAgent", session->agent != NULL ? session->agent : "");
    value_set_int(value, "callCount", session->calls);
    return value;
}
