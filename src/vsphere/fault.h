/* vsphere/fault.h: what vSphere calls a fault becomes an error of ours.  vsphere_fault() in session.h reads
 * it back.
 *
 * Thread rule: pure functions.
 */
#pragma once

#include "vsphere/vim25.h"

/* These set *error and return FALSE.  From a SOAP Fault element: */
gboolean fault_fail_soap(XmlNode *fault, GError **error);
/* From one inside an answer, as a task or a missing property has it: */
gboolean fault_fail(const VimLocalizedMethodFault *fault, GError **error);
