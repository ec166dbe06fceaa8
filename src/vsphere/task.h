/* vsphere/task.h: methods that answer with a Task, and waiting for its end.
 *
 * Thread rule: the session's thread.
 */
#pragma once

#include "vsphere/call.h"

/* A server forgets a finished task after some minutes.  Who was cut off longer must look at the object
 * itself. */
typedef enum { TASK_FAILED, TASK_DONE, TASK_VANISHED } TaskEnd;

/* Asks, and waits as long as it takes.  What is refused with TaskInProgress is asked for again for up to ten
 * minutes. *ret_result is the task's result (may be NULL); `ret_result` may be NULL.  *error is set with
 * TASK_FAILED only. */
TaskEnd task_run(Vsphere *vsphere, SoapRequest *request, char **ret_result, GError **error);
