#include "lab/state.h"

#include "base/io.h"
#include "base/log.h"

#define MAX_STATE ((gsize)16 << 20)

static char *state_path(const Lab *lab)
{
    return g_build_filename(lab->directory, "lab-state.json", NULL);
}

gboolean lab_state_load(Lab *lab, GError **error)
{
    g_autofree char *path = state_path(lab);
    gsize length;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    g_autofree char *text = io_read_file(path, MAX_STATE, &length, error);
    lab->saved = text != NULL ? json_parse(text, length, MAX_STATE, path, error) : NULL;
    return lab->saved != NULL;
}

static void take_text(const Json *object, const char *key, char **text)
{
    if (json_get_string(object, key) == NULL)
        return;
    g_free(*text);
    *text = g_strdup(json_get_string(object, key));
}

void lab_state_apply(Lab *lab, LabVm *vm, gboolean *on, gboolean *cbt)
{
    const Json *object = lab->saved != NULL ? json_object_get(lab->saved, vm->object.moref) : NULL;
    if (object == NULL)
        return;
    *on = json_get_boolean(object, "on");
    *cbt = json_get_boolean(object, "change_tracking");
    take_text(object, "name", &vm->object.name);
    take_text(object, "instance_uuid", &vm->instance_uuid);
}

static Json *vm_state(const LabVm *vm)
{
    Json *object = json_object();
    json_set_boolean(object, "on", vm->on);
    json_set_boolean(object, "change_tracking", vm->cbt);
    json_set_string(object, "name", vm->object.name);
    json_set_string(object, "instance_uuid", vm->instance_uuid);
    return object;
}

/* A lab is killed more often than its machine loses power: renamed into place, but not synced. */
void lab_state_save(Lab *lab)
{
    g_autoptr(Json) state = json_object();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = state_path(lab);
    for (guint i = 0; i < lab->vms->len; i++) {
        const LabVm *vm = g_ptr_array_index(lab->vms, i);
        json_set_take(state, vm->object.moref, vm_state(vm));
    }
    g_autofree char *text = json_to_text(state);
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error))
        log_warning("lab: the state cannot be saved: %s", error->message);
}
