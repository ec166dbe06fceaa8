/* lab/task.h: tasks: what takes its time and is waited for.
 *
 * A task is queued, runs on a worker thread for task_ms, then does its work and ends in success or error. Its
 * VM is busy from the start to the end: another one on the same VM is refused with TaskInProgress.  Tasks
 * that have ended can be asked for ten more minutes.
 *
 * Thread rule: with Lab.lock held; only the work itself runs without it.
 */
#pragma once

#include "lab/model.h"

typedef enum { LAB_TASK_QUEUED, LAB_TASK_RUNNING, LAB_TASK_SUCCESS, LAB_TASK_ERROR } LabTaskState;

/* The work: called without the lock, on a worker thread.  FALSE with the fault filled in; task->result may be
 * set. */
typedef gboolean (*LabTaskRun)(LabTask *task, LabFault *fault);

struct LabTask {
    LabObject object;
    Lab *lab;
    LabVm *vm;
    const char *description_id; /* "VirtualMachine.createSnapshot": static */
    const char *method;         /* "CreateSnapshot_Task": static */
    LabTaskState state;
    gboolean cancelled;
    gint progress;
    LabFault fault;
    Value *result;
    gint64 queued, started, completed;
    LabTaskRun run;
    gpointer data;
    GDestroyNotify free_data;
};

/* FALSE with TaskInProgress when the VM is busy; `data` is freed then too. */
LabTask *lab_task_start(Lab *lab, LabVm *vm, const char *description_id, const char *method, LabTaskRun run,
                        gpointer data, GDestroyNotify free_data, LabFault *fault);
/* Waits until no task changes the VM; gives up the lock meanwhile. */
void lab_task_wait_idle(Lab *lab, LabVm *vm);
/* Only a task that has not begun its work can be cancelled; FALSE with InvalidState for one that has ended.
 */
gboolean lab_task_cancel(LabTask *task, LabFault *fault);
/* Forgets what ended long ago. */
void lab_task_expire(Lab *lab);

void lab_tasks_init(Lab *lab);
/* Waits for those that run. */
void lab_tasks_fini(Lab *lab);

/* An error of a backing as the fault that a host would report. */
gboolean lab_fault_backing(LabFault *fault, const LabVm *vm, GError *error);
