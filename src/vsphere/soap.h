/* vsphere/soap.h: one SOAP call to /sdk: its envelope, its fault, and patience with a server that is busy.
 *
 * Thread rule: a request and a reply belong to one thread; soap_client_call() may be called from many.
 */
#pragma once

#include "base/xml.h"
#include "net/http-client.h"

/* What happens when no answer comes, or 502 or 503: a call that may have been carried out is not repeated
 * unawares. */
typedef enum {
    SOAP_ONCE,       /* the caller finds out what became of it */
    SOAP_REPEATABLE, /* again with back-off, for two minutes */
    SOAP_FAREWELL, /* tidying up: once, also when cancelled, and not at all when the server does not answer */
} SoapManner;

typedef struct SoapRequest SoapRequest;

/* `method` of the object `moref`, which is of `type`. */
SoapRequest *soap_request_new(const char *method, const char *type, const char *moref, SoapManner manner);
/* Wipes it: a request may hold a password. */
void soap_request_free(SoapRequest *request); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SoapRequest, soap_request_free)
/* "PowerOnVM_Task of vm-12", for messages; borrowed. */
const char *soap_request_title(const SoapRequest *request);
/* Other words, where the method's subject says nothing to people. */
void soap_request_set_title(SoapRequest *request, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* For the parameters, in the order of the schema; borrowed, and until the first call. */
XmlWriter *soap_request_writer(SoapRequest *request);
void soap_put_boolean(SoapRequest *request, const char *name, gboolean value);
/* <name type="type">moref</name>; nothing when `moref` is NULL. */
void soap_put_ref(SoapRequest *request, const char *name, const char *type, const char *moref);

typedef struct SoapReply SoapReply;

/* An answer's body: VF_ERROR_INVALID when it is none to `method`, the fault's class when it is a fault. */
SoapReply *soap_reply_parse(const char *method, const char *body, gsize length, GError **error);
void soap_reply_free(SoapReply *reply); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SoapReply, soap_reply_free)
/* The first returnval; NULL when it has none.  Borrowed; xml_next(value, "returnval") goes on. */
XmlNode *soap_reply_value(const SoapReply *reply);

typedef struct SoapClient SoapClient;

/* Borrows both; `cancel` may be NULL.  `tick` (may be NULL) is called while the thread that made the client
 * waits. */
SoapClient *soap_client_new(HttpClient *http, const Cancel *cancel, void (*tick)(gpointer data),
                            gpointer tick_data);
void soap_client_free(SoapClient *client); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SoapClient, soap_client_free)
/* Sleeps, with a tick about every second. */
gboolean soap_client_pause(SoapClient *client, guint milliseconds, GError **error);

/* Asks which versions of the API the server speaks and chooses one; before the first call.  This is also the
 * first contact, so an unreachable server is an error at once. */
gboolean soap_client_negotiate(SoapClient *client, GError **error);
/* The newest version in vimServiceVersions.xml that we know. */
const char *soap_choose_version(const char *xml, gsize length);

SoapReply *soap_client_call(SoapClient *client, SoapRequest *request, GError **error);
