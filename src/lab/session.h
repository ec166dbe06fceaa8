/* lab/session.h: who is logged in, and what belongs to one login only.
 *
 * A session begins with the first request (the cookie comes before the login) and ends by Logout, by idling
 * too long, or because a test says so.  Views, collectors and filters hang on it and end with it.
 *
 * Thread rule: guarded by Lab.lock; a request keeps a reference while it waits.
 */
#pragma once

#include "lab/model.h"

#define LAB_COOKIE "vmware_soap_session"

typedef struct {
    gatomicrefcount references;
    char *cookie;
    char *key; /* what the API calls it; NULL before the login */
    char *agent;
    gint64 login_time, last_active; /* microseconds since 1970 */
    guint calls;
    gboolean ended;      /* a request that still waits must give up */
    GHashTable *objects; /* moref -> LabObject, owned */
} LabSession;

LabSession *lab_session_new(Lab *lab, const char *agent);
LabSession *lab_session_ref(LabSession *session);
void lab_session_unref(LabSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabSession, lab_session_unref)

/* By cookie, quoted or not; NULL when there is none or it has expired.  Counts as activity.  Borrowed. */
LabSession *lab_session_find(Lab *lab, const char *cookie);
/* Changes the cookie.  FALSE when max_sessions are logged in. */
gboolean lab_session_login(Lab *lab, LabSession *session);
/* The Set-Cookie that tells the client. */
void lab_session_tell(const LabSession *session, HttpExchange *exchange);
void lab_session_end(Lab *lab, LabSession *session);
void lab_session_end_all(Lab *lab);
void lab_session_end_idle(Lab *lab);
gboolean lab_password_right(const Lab *lab, const char *user, const char *password);

/* Its own objects first, then the inventory's; NULL when there is none. */
LabObject *lab_session_object(Lab *lab, LabSession *session, const char *moref);
void lab_session_add_object(Lab *lab, LabSession *session, LabObject *object, const char *type,
                            const char *prefix);

/* UserSession. */
Value *lab_session_value(const Lab *lab, const LabSession *session);
