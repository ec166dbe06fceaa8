/* lab/control.h: /lab, behind the scenes: state that vSphere does not show, changes that an administrator
 * would make, faults on demand.  JSON, described in docs/lab.md.
 *
 * Thread rule: takes Lab.lock itself; any thread of the server.
 */
#pragma once

#include "lab/model.h"

void lab_control_handle(Lab *lab, HttpExchange *exchange);
