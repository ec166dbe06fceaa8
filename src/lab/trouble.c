#include "lab/trouble.h"

#include "base/error.h"
#include "lab/config.h"
#include "lab/session.h"
#include "lab/vm.h"

#include <string.h>

#define MAX_RATE ((guint64)1 << 40)

/* --- counters --- */

/* Everything that is one number of LabTroubles. */
static const struct {
    const char *key;
    gsize offset;
    gboolean wide; /* 64 bits: a size */
} NUMBERS[] = {
    {"slow_ms", G_STRUCT_OFFSET(LabTroubles, slow_ms), FALSE},
    {"rate", G_STRUCT_OFFSET(LabTroubles, rate), TRUE},
    {"unavailable", G_STRUCT_OFFSET(LabTroubles, unavailable), FALSE},
    {"full_answers", G_STRUCT_OFFSET(LabTroubles, full_answers), FALSE},
    {"wrong_ranges", G_STRUCT_OFFSET(LabTroubles, wrong_ranges), FALSE},
    {"short_areas", G_STRUCT_OFFSET(LabTroubles, short_areas), FALSE},
    {"refuse_quiesce", G_STRUCT_OFFSET(LabTroubles, refuse_quiesce), FALSE},
    {"fail_removal", G_STRUCT_OFFSET(LabTroubles, fail_removal), FALSE},
    {"half_removal", G_STRUCT_OFFSET(LabTroubles, half_removal), FALSE},
};

static gboolean set_number(LabTroubles *troubles, guint row, const TreeNode *value, GError **error)
{
    char *place = (char *)troubles + NUMBERS[row].offset;
    guint64 wide;
    guint narrow;
    if (NUMBERS[row].wide) {
        if (!tree_to_size(value, 0, MAX_RATE, &wide, error))
            return FALSE;
        memcpy(place, &wide, sizeof wide);
        return TRUE;
    }
    if (!tree_to_uint(value, 0, G_MAXINT32, &narrow, error))
        return FALSE;
    memcpy(place, &narrow, sizeof narrow);
    return TRUE;
}

static gint64 get_number(const LabTroubles *troubles, guint row)
{
    const char *place = (const char *)troubles + NUMBERS[row].offset;
    guint64 wide = 0;
    guint narrow = 0;
    if (NUMBERS[row].wide)
        memcpy(&wide, place, sizeof wide);
    else
        memcpy(&narrow, place, sizeof narrow);
    return NUMBERS[row].wide ? (gint64)wide : narrow;
}

/* --- things that happen once --- */

static LabVm *find_vm(Lab *lab, const TreeNode *node, GError **error)
{
    g_autofree char *moref = NULL;
    if (!tree_to_string(tree_get(node, "vm"), &moref, error))
        return NULL;
    LabObject *object = moref != NULL ? lab_find(lab, moref) : NULL;
    if (object == NULL || !g_str_equal(object->type, "VirtualMachine")) {
        vf_fail(error, VF_ERROR_NOT_FOUND, "there is no VM \"%s\"; `vm` is its moref",
                moref != NULL ? moref : "");
        return NULL;
    }
    return (LabVm *)object;
}

static gboolean expire_sessions(Lab *lab, const TreeNode *value, GError **error)
{
    gboolean yes = FALSE;
    if (!tree_to_boolean(value, &yes, error))
        return FALSE;
    if (yes)
        lab_session_end_all(lab);
    return TRUE;
}

static gboolean reset_change_id(Lab *lab, const TreeNode *value, GError **error)
{
    gint64 key = 0;
    LabVm *vm = find_vm(lab, value, error);
    if (vm == NULL || !tree_to_integer(tree_get(value, "disk"), 0, G_MAXINT32, &key, error))
        return FALSE;
    lab_task_wait_idle(lab, vm);
    if (!lab_backing_reset_tracking(vm->backing, (gint32)key, error))
        return FALSE;
    lab_vm_refresh(vm);
    return TRUE;
}

static gboolean set_tools(Lab *lab, const TreeNode *value, GError **error)
{
    LabVm *vm = find_vm(lab, value, error);
    return vm != NULL && tree_to_boolean(tree_get(value, "running"), &vm->has_tools, error);
}

/* The reply-th range from now ends after so many bytes. */
static gboolean cut(Lab *lab, const TreeNode *value, GError **error)
{
    static const char *const KEYS[] = {"reply", "bytes", NULL};
    guint reply = 1;
    guint64 bytes = 0;
    if (!lab_config_keys(value, KEYS, error) ||
        !tree_to_uint(tree_get(value, "reply"), 1, G_MAXINT32, &reply, error) ||
        !tree_to_size(tree_get(value, "bytes"), 0, MAX_RATE, &bytes, error))
        return FALSE;
    lab->troubles.cut_after_replies = reply;
    lab->troubles.cut_bytes = bytes;
    return TRUE;
}

static gboolean clear(Lab *lab, const TreeNode *value, GError **error)
{
    gboolean yes = FALSE;
    if (!tree_to_boolean(value, &yes, error))
        return FALSE;
    if (yes)
        lab->troubles = (LabTroubles){0};
    return TRUE;
}

static const struct {
    const char *key;
    gboolean (*run)(Lab *lab, const TreeNode *value, GError **error);
} EVENTS[] = {
    {"clear", clear},
    {"cut", cut},
    {"expire_sessions", expire_sessions},
    {"reset_change_id", reset_change_id},
    {"tools", set_tools},
};

static gboolean set_one(Lab *lab, const TreeNode *value, GError **error)
{
    const char *key = tree_key(value);
    for (guint i = 0; i < G_N_ELEMENTS(NUMBERS); i++)
        if (g_str_equal(NUMBERS[i].key, key))
            return set_number(&lab->troubles, i, value, error);
    for (guint i = 0; i < G_N_ELEMENTS(EVENTS); i++)
        if (g_str_equal(EVENTS[i].key, key))
            return EVENTS[i].run(lab, value, error);
    return tree_fail(value, error, "there is no fault of this name; docs/lab.md lists them");
}

gboolean lab_trouble_set(Lab *lab, const TreeNode *wanted, GError **error)
{
    gboolean right = wanted == NULL || tree_kind(wanted) == TREE_MAPPING ||
                     tree_fail(wanted, error, "must be a mapping of faults");
    lab_lock(lab);
    for (guint i = 0; right && i < tree_length(wanted); i++)
        right = set_one(lab, tree_item(wanted, i), error);
    lab_unlock(lab);
    return right;
}

Json *lab_trouble_json(Lab *lab)
{
    Json *object = json_object();
    lab_lock(lab);
    for (guint i = 0; i < G_N_ELEMENTS(NUMBERS); i++)
        json_set_integer(object, NUMBERS[i].key, get_number(&lab->troubles, i));
    Json *coming_cut = json_object();
    json_set_integer(coming_cut, "reply", lab->troubles.cut_after_replies);
    json_set_integer(coming_cut, "bytes", (gint64)lab->troubles.cut_bytes);
    json_set_take(object, "cut", coming_cut);
    lab_unlock(lab);
    return object;
}

gboolean lab_trouble_before(Lab *lab, HttpExchange *exchange)
{
    g_autoptr(GError) stopped = NULL;
    lab_lock(lab);
    guint wait = lab->troubles.slow_ms;
    gboolean unavailable = lab->troubles.unavailable > 0;
    lab->troubles.unavailable -= unavailable;
    lab_unlock(lab);
    if (wait > 0 && !cancel_sleep(lab->cancel, wait, &stopped))
        unavailable = TRUE;
    if (unavailable)
        http_answer_text(exchange, 503, "text/plain", "503 Service Unavailable\n");
    return unavailable;
}
