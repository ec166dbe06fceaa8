/* vsphere/call.h: calls within a session, for the files of this folder.
 *
 * Thread rule: vsphere_call() may be called from any thread, the rest belongs to the session's own.
 */
#pragma once

#include "vsphere/session.h"
#include "vsphere/soap.h"
#include "vsphere/vim25.h"

/* A session that was lost is opened again, once, and the call repeated, whatever its manner: nothing was
 * done. */
SoapReply *vsphere_call(Vsphere *vsphere, SoapRequest *request, GError **error);
/* For what is done on the way out: whether it worked does not matter. */
void vsphere_call_farewell(Vsphere *vsphere, SoapRequest *request);

const VimServiceContent *vsphere_content(const Vsphere *vsphere);
/* Sleeps, unless the session's cancel fires, and ticks. */
gboolean vsphere_pause(Vsphere *vsphere, guint milliseconds, GError **error);
char *vsphere_dup_session_key(Vsphere *vsphere);

/* Set once a property turned out to be unknown to the server: from then on optional ones are not asked for.
 */
gboolean vsphere_plain(const Vsphere *vsphere);
void vsphere_set_plain(Vsphere *vsphere);

const Cancel *vsphere_cancel(const Vsphere *vsphere); /* NULL when there is none */

/* Set once a name on a datastore turned out to be decoded twice by the server. */
gboolean vsphere_encodes_twice(const Vsphere *vsphere);
void vsphere_set_encodes_twice(Vsphere *vsphere, gboolean twice);
