#include "lab/task.h"

#include "base/clock.h"
#include "base/error.h"
#include "lab/property.h"
#include "lab/state.h"

#define WORKERS      16
#define KEPT_SECONDS 600
#define SLICES       4

static void task_free(LabObject *object)
{
    LabTask *task = (LabTask *)object;
    lab_fault_clear(&task->fault);
    value_free(task->result);
    if (task->free_data != NULL)
        task->free_data(task->data);
    lab_object_fini(object);
    g_free(task);
}

/* The time that the task takes, in slices, so that its progress can be seen and it can be cancelled. */
static gboolean take_time(LabTask *task, LabFault *fault)
{
    Lab *lab = task->lab;
    for (gint slice = 1; slice <= SLICES; slice++) {
        g_autoptr(GError) stopped = NULL;
        if (!cancel_sleep(lab->cancel, lab->task_ms / SLICES, &stopped))
            return lab_fault_plain(fault, "RequestCanceled", "The server is shutting down.");
        lab_lock(lab);
        gboolean cancelled = task->cancelled;
        task->progress = slice * 90 / SLICES;
        g_cond_broadcast(&lab->changed);
        lab_unlock(lab);
        if (cancelled)
            return lab_fault_plain(fault, "RequestCanceled", "The task was canceled by a user.");
    }
    return TRUE;
}

/* The oldest that waits.  Each push into the pool is one of them, whichever worker comes first. */
static LabTask *begin_next(Lab *lab)
{
    lab_lock(lab);
    GList *link = lab->tasks.head;
    while (((LabTask *)link->data)->state != LAB_TASK_QUEUED)
        link = link->next;
    LabTask *task = link->data;
    task->state = LAB_TASK_RUNNING;
    task->started = clock_now();
    lab_unlock(lab);
    return task;
}

static void run_next(gpointer unused, gpointer data)
{
    Lab *lab = data;
    LabTask *task = begin_next(lab);
    g_auto(LabFault) fault = {0};
    gboolean done = take_time(task, &fault) && task->run(task, &fault);

    lab_lock(lab);
    task->state = done ? LAB_TASK_SUCCESS : LAB_TASK_ERROR;
    task->completed = clock_now();
    task->progress = 100;
    task->fault = fault;
    fault = (LabFault){0};
    task->vm->task = NULL;
    lab_state_save(lab);
    g_cond_broadcast(&lab->changed);
    lab_unlock(lab);
}

LabTask *lab_task_start(Lab *lab, LabVm *vm, const char *description_id, const char *method, LabTaskRun run,
                        gpointer data, GDestroyNotify free_data, LabFault *fault)
{
    if (vm->task != NULL) {
        Value *value = value_new("TaskInProgress");
        value_set(value, "task", lab_ref(&vm->task->object));
        lab_fault(fault, value, "Another task is already in progress.");
        if (free_data != NULL)
            free_data(data);
        return NULL;
    }
    LabTask *task = g_new0(LabTask, 1);
    *task = (LabTask){.lab = lab,
                      .vm = vm,
                      .description_id = description_id,
                      .method = method,
                      .queued = clock_now(),
                      .run = run,
                      .data = data,
                      .free_data = free_data};
    g_autofree char *moref = lab_next_moref(lab, "task-");
    task->object.free = task_free;
    lab_object_init(lab, &task->object, "Task", moref, moref, NULL);
    vm->task = task;
    g_queue_push_tail(&lab->tasks, task);
    g_cond_broadcast(&lab->changed);
    g_thread_pool_push(lab->workers, lab, NULL);
    return task;
}

void lab_task_wait_idle(Lab *lab, LabVm *vm)
{
    while (vm->task != NULL)
        g_cond_wait(&lab->changed, &lab->lock);
}

gboolean lab_task_cancel(LabTask *task, LabFault *fault)
{
    if (task->completed != 0)
        return lab_fault_plain(fault, "InvalidState", "The task has ended already.");
    task->cancelled = TRUE;
    return TRUE;
}

void lab_task_expire(Lab *lab)
{
    for (;;) {
        LabTask *task = g_queue_peek_head(&lab->tasks);
        if (task == NULL || task->completed == 0 ||
            clock_now() - task->completed < (gint64)KEPT_SECONDS * G_USEC_PER_SEC)
            return;
        g_queue_pop_head(&lab->tasks);
        g_hash_table_remove(lab->objects, task->object.moref);
        task_free(&task->object);
    }
}

void lab_tasks_init(Lab *lab)
{
    lab->workers = g_thread_pool_new(run_next, lab, WORKERS, FALSE, NULL);
}

void lab_tasks_fini(Lab *lab)
{
    if (lab->workers != NULL)
        g_thread_pool_free(lab->workers, FALSE, TRUE);
}

Value *lab_task_info(const LabTask *task)
{
    static const char *const STATES[] = {"queued", "running", "success", "error"};
    Value *info = value_new("TaskInfo");
    value_set_text(info, "key", task->object.moref);
    value_set(info, "task", lab_ref(&task->object));
    value_set_text(info, "name", task->method);
    value_set_text(info, "descriptionId", task->description_id);
    value_set(info, "entity", lab_ref(&task->vm->object));
    value_set_text(info, "entityName", task->vm->object.name);
    value_set_text(info, "state", STATES[task->state]);
    value_set_bool(info, "cancelled", task->cancelled);
    value_set_bool(info, "cancelable", task->completed == 0);
    value_set(info, "error", lab_fault_value(&task->fault));
    value_set(info, "result", value_copy(task->result));
    if (task->state == LAB_TASK_RUNNING)
        value_set_int(info, "progress", task->progress);
    value_set_time(info, "queueTime", task->queued);
    if (task->started != 0)
        value_set_time(info, "startTime", task->started);
    if (task->completed != 0)
        value_set_time(info, "completeTime", task->completed);
    value_set_int(info, "eventChainId", 1);
    return info;
}

gboolean lab_fault_backing(LabFault *fault, const LabVm *vm, GError *error)
{
    Value *value = value_new("FileFault");
    value_setf(value, "file", "[%s] %s", vm->datastore->object.name, vm->home);
    lab_fault(fault, value, "%s", error->message);
    g_error_free(error);
    return FALSE;
}
