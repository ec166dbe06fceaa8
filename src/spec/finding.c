#include "spec/finding.h"

#include "base/error.h"

#include <string.h>

struct Findings {
    GPtrArray *all; /* Finding, blockers first; those of one severity in the order in which they were added */
};

static void finding_free(gpointer data)
{
    Finding *finding = data;

    g_free(finding->code);
    g_free(finding->object);
    g_free(finding->message);
    g_free(finding->advice);
    g_free(finding);
}

Findings *findings_new(void)
{
    Findings *findings = g_new0(Findings, 1);

    findings->all = g_ptr_array_new_with_free_func(finding_free);
    return findings;
}

void findings_free(Findings *findings)
{
    if (findings == NULL)
        return;
    g_ptr_array_unref(findings->all);
    g_free(findings);
}

void findings_add(Findings *findings, FindingSeverity severity, const char *code, const char *object,
                  const char *advice, const char *message_format, ...)
{
    Finding *finding = g_new0(Finding, 1);
    va_list arguments;

    finding->severity = severity;
    finding->code = g_strdup(code);
    finding->object = g_strdup(object);
    finding->advice = g_strdup(advice);
    va_start(arguments, message_format);
    finding->message = g_strdup_vprintf(message_format, arguments);
    va_end(arguments);
    g_ptr_array_insert(findings->all, (gint)findings_count(findings, severity), finding);
}

guint findings_count(const Findings *findings, FindingSeverity at_least)
{
    guint count = 0;

    while (count < findings->all->len && findings_get(findings, count)->severity >= at_least)
        count++;
    return count;
}

guint findings_length(const Findings *findings)
{
    return findings->all->len;
}

const Finding *findings_get(const Findings *findings, guint index)
{
    return index < findings->all->len ? findings->all->pdata[index] : NULL;
}

const Finding *findings_find(const Findings *findings, const char *code)
{
    for (guint i = 0; i < findings->all->len; i++) {
        const Finding *finding = findings->all->pdata[i];

        if (strcmp(finding->code, code) == 0)
            return finding;
    }
    return NULL;
}

const char *finding_severity_name(FindingSeverity severity)
{
    static const char *const names[] = {"info", "warning", "blocker"};

    return names[severity];
}

Json *findings_to_json(const Findings *findings)
{
    Json *array = json_array();

    for (guint i = 0; i < findings->all->len; i++) {
        const Finding *finding = findings->all->pdata[i];
        Json *object = json_object();

        json_set_string(object, "severity", finding_severity_name(finding->severity));
        json_set_string(object, "code", finding->code);
        json_set_string(object, "object", finding->object);
        json_set_string(object, "message", finding->message);
        json_set_string(object, "advice", finding->advice);
        json_array_append_new(array, object);
    }
    return array;
}

static void append_sentence(GString *text, const Finding *finding)
{
    if (text->len > 0)
        g_string_append(text, "; ");
    if (finding->object != NULL)
        g_string_append_printf(text, "%s: ", finding->object);
    g_string_append(text, finding->message);
    if (finding->advice != NULL)
        g_string_append_printf(text, " (%s)", finding->advice);
}

gboolean findings_check(const Findings *findings, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint blockers = findings_count(findings, FINDING_BLOCKER);

    for (guint i = 0; i < blockers; i++)
        append_sentence(text, findings_get(findings, i));
    return blockers == 0 || vf_fail(error, VF_ERROR_CONFLICT, "%s", text->str);
}
