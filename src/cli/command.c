#include "cli/command.h"

static G_DEFINE_QUARK(vmferry - answer, answer)

    gboolean command_answer(int status, GError **error)
{
    g_set_error_literal(error, answer_quark(), status, "");
    return FALSE;
}

gboolean command_is_answer(const GError *error, int *ret_status)
{
    if (error->domain != answer_quark())
        return FALSE;
    *ret_status = error->code;
    return TRUE;
}
