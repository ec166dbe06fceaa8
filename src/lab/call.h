/* lab/call.h: one call of a SOAP method, and the tables of the methods that exist.
 *
 * A row says on which managed type the method is, which parameters it takes (in the schema's order; "?"
 * optional, "*" any number), since which API version it exists, and which privilege it needs on its object.
 * The front door (soap.c) checks all of that; a method sees only calls that are right so far.
 *
 * Thread rule: a method runs with Lab.lock held.
 */
#pragma once

#include "base/xml.h"
#include "lab/session.h"

typedef struct {
    Lab *lab;
    LabSession *session; /* its key is NULL before the login */
    LabObject *self;
    XmlNode *arguments; /* the method's element */
    Value *result;      /* NULL: returns nothing */
    LabFault fault;
    gboolean out_of_sessions; /* to be answered 503 */
} LabCall;

/* FALSE with call->fault. */
typedef gboolean (*LabMethodRun)(LabCall *call);

typedef struct {
    const char *name;
    const char *type;
    LabMethodRun run;
    const char *parameters;
    const char *privilege; /* NULL: a login is enough */
    guint since;           /* 65: API 6.5 */
    gboolean anonymous;    /* needs no login */
} LabMethod;

/* Each ends with a row without name. */
extern const LabMethod LAB_SERVICE_METHODS[];   /* service.c */
extern const LabMethod LAB_COLLECTOR_METHODS[]; /* collector.c */
extern const LabMethod LAB_VM_METHODS[];        /* vm.c */
extern const LabMethod LAB_SNAPSHOT_METHODS[];  /* snapshot.c */

const char *call_text(LabCall *call, const char *name);                /* NULL when it is not given */
gboolean call_boolean(LabCall *call, const char *name, gboolean *ret); /* not given: *ret stays */
gboolean call_integer(LabCall *call, const char *name, gint64 *ret);   /* not given: *ret stays */
/* The managed object that a reference means, of `type` or derived; ManagedObjectNotFound or InvalidArgument.
 * Not given: TRUE, *ret is NULL. */
gboolean call_object(LabCall *call, const char *name, const char *type, LabObject **ret);
char **call_texts(LabCall *call, const char *name); /* of a repeated parameter */
/* Starts from an element instead of a parameter's name. */
gboolean call_resolve(LabCall *call, XmlNode *reference, const char *type, LabObject **ret);
/* Sets the fault that every check of privileges gives; FALSE when the user lacks it. */
gboolean call_allowed(LabCall *call, const char *privilege);
/* Sets NotAuthenticated and returns FALSE: for calls that outlive their session. */
gboolean call_not_authenticated(LabCall *call);
