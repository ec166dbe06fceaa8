/* lab/soap.h: the API under /sdk: envelopes, versions, dispatch, faults.
 *
 * Thread rule: takes Lab.lock itself; any thread of the server.
 */
#pragma once

#include "lab/model.h"

/* POST /sdk, GET /sdk/vimServiceVersions.xml; anything else below /sdk is 404 or 405. */
void lab_soap_handle(Lab *lab, HttpExchange *exchange);
