/* vsphere/test-server.h: a vCenter that says what a test tells it to, over TLS, and remembers what it was
 * asked.
 *
 * Session and version calls are answered by themselves, everything else by what was queued for the method
 * with server_say(); the last answer to a method is given again and again.  It wants a login as vCenter does.
 *
 * Thread rule: the test's thread; answers are given on threads of the server's own.
 */
#pragma once

#include "vsphere/session.h"

#define SERVER_USER     "o'mover@<vsphere>"
#define SERVER_PASSWORD "p&ss \"w<rd>"

typedef struct Server Server;

Server *server_start(void);
void server_stop(Server *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_stop)

/* The next answer to `method`: its returnval elements (or anything inside <METHODResponse>). */
void server_say(Server *server, const char *method, const char *inner);
/* The next answer is a fault of that type; `inner` are its fields. */
void server_fault(Server *server, const char *method, const char *type, const char *inner);
/* The next answer is this status and body; status 0: the connection is cut. */
void server_raw(Server *server, const char *method, guint status, const char *body);
/* What was queued for it and is left. */
void server_forget(Server *server, const char *method);
/* From now on every answer is packed. */
void server_pack(Server *server);
/* The session is gone; with `for_good` logins are accepted and forgotten. */
void server_expire(Server *server, gboolean for_good);

/* A session with it.  `cancel` may be NULL. */
Vsphere *server_open(Server *server, const char *password, const Cancel *cancel, GError **error);
/* The same with a tick. */
Vsphere *server_open_ticking(Server *server, void (*tick)(gpointer data), gpointer data, GError **error);

/* What was asked so far: "RetrieveServiceContent Login ...", and then forgotten. */
char *server_asked(Server *server);
guint server_count(Server *server, const char *method);
/* The last request of that method, whole; newly allocated. */
char *server_last(Server *server, const char *method);
/* The SOAPAction and the cookie of the last request. */
char *server_last_action(Server *server);
char *server_last_cookie(Server *server);
