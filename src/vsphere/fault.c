/* A fault is known by its type.  The types stand in a hierarchy (vim25.types), so the table of classes holds
 * the upper ones and what differs from them: a type is looked up, then what it extends, and so on.  Types
 * that are in no table, and faults without a detail, are internal: nothing is known that a caller could do
 * about them.
 */
#include "vsphere/fault.h"

#include "base/error.h"
#include "vsphere/session.h"

#include <string.h>

#define TEXT_MAX 800 /* characters of the server's own words that a message repeats */
#define MARK     " (fault "

static const struct {
    const char *fault;
    VfErrorClass class;
    const char *advice;
} classes[] = {
    {"InvalidLogin", VF_ERROR_AUTH, "; check user name and password"},
    {"NoPermission", VF_ERROR_AUTH, "; give the user's role this privilege"},
    {"NoClientCertificate", VF_ERROR_AUTH, ""},
    {"NotAuthenticated", VF_ERROR_TRANSIENT, ""},
    {"ManagedObjectNotFound", VF_ERROR_NOT_FOUND, ""},
    {"NotFound", VF_ERROR_NOT_FOUND, ""},
    {"FileNotFound", VF_ERROR_NOT_FOUND, ""},
    {"TaskInProgress", VF_ERROR_CONFLICT, ""},
    {"InvalidState", VF_ERROR_CONFLICT, ""},
    {"FileLocked", VF_ERROR_CONFLICT, ""},
    {"DuplicateName", VF_ERROR_CONFLICT, ""},
    {"AlreadyExists", VF_ERROR_CONFLICT, ""},
    {"ResourceInUse", VF_ERROR_CONFLICT, ""},
    {"ConcurrentAccess", VF_ERROR_CONFLICT, ""},
    {"NotSupported", VF_ERROR_UNSUPPORTED, ""},
    {"NotImplemented", VF_ERROR_UNSUPPORTED, ""},
    {"RestrictedVersion", VF_ERROR_UNSUPPORTED, "; the free licence of ESXi allows reading only"},
    {"MethodDisabled", VF_ERROR_UNSUPPORTED, ""},
    {"MethodNotFound", VF_ERROR_UNSUPPORTED, ""},
    {"ApplicationQuiesceFault", VF_ERROR_UNSUPPORTED, ""},
    {"FilesystemQuiesceFault", VF_ERROR_UNSUPPORTED, ""},
    {"ToolsUnavailable", VF_ERROR_UNSUPPORTED, "; VMware Tools do not run in the guest"},
    {"OperationNotSupportedByGuest", VF_ERROR_UNSUPPORTED, ""},
    {"TooManySnapshotLevels", VF_ERROR_CONFLICT, "; remove snapshots of the VM"},
    {"NoDiskSpace", VF_ERROR_CONFLICT, "; free space on the datastore"},
    {"InvalidArgument", VF_ERROR_INVALID, ""},
    {"InvalidProperty", VF_ERROR_INVALID, ""},
    {"InvalidRequest", VF_ERROR_INVALID, ""},
    {"HostCommunication", VF_ERROR_TRANSIENT, "; wait until the host answers vCenter again"},
    {"RequestCanceled", VF_ERROR_TRANSIENT, ""},
    {"Timedout", VF_ERROR_TRANSIENT, ""},
};

/* Fields of faults that a message repeats, and how it calls them. */
static const struct {
    const char *field, *words;
} details[] = {
    {"privilegeId", "privilege"},
    {"object", "on"},
    {"obj", "object"},
    {"file", "file"},
    {"name", "name"},
    {"invalidProperty", "argument"},
    {"task", "task"},
    {"source", "by"},
    {"requestedState", "asked for"},
    {"existingState", "it is"},
};

static int class_of(const char *name)
{
    const VimType *type = vim_type_find(name);

    for (const char *level = name; level != NULL; level = type != NULL ? type->name : NULL) {
        for (guint i = 0; i < G_N_ELEMENTS(classes); i++)
            if (strcmp(classes[i].fault, level) == 0)
                return (int)i;
        type = type != NULL ? type->base : NULL;
    }
    return -1;
}

static void append_details(GString *text, const VimMethodFault *fault)
{
    for (guint i = 0; i < G_N_ELEMENTS(details); i++) {
        const char *value = vim_get_string(fault, details[i].field);

        if (value != NULL && *value != '\0')
            g_string_append_printf(text, ", %s %s", details[i].words, value);
    }
    for (guint i = 0; i < fault->fault_message->len; i++) {
        const VimLocalizableMessage *message = g_ptr_array_index(fault->fault_message, i);

        if (message->message != NULL)
            g_string_append_printf(text, ", %s", message->message);
    }
}

/* One line of bounded length, as the rest of the message. */
static char *tame(const GString *text)
{
    glong characters = g_utf8_strlen(text->str, -1);
    char *line = g_utf8_substring(text->str, 0, MIN(characters, TEXT_MAX));

    return g_strstrip(g_strdelimit(line, "\r\n\t", ' '));
}

/* `fault` NULL: only the name is known, or not even that. */
static gboolean fail(const char *name, const VimMethodFault *fault, const char *said, GError **error)
{
    gboolean silent = said == NULL || *said == '\0';
    g_autoptr(GString) text = g_string_new(!silent ? said : name != NULL ? name : "unknown fault");
    int row = name != NULL ? class_of(name) : -1;
    VfErrorClass class = row >= 0 ? classes[row].class : VF_ERROR_INTERNAL;
    g_autofree char *line = NULL;

    /* Servers older than the fault MethodNotFound say it in words. */
    if (strstr(text->str, "resolve WSDL method name") != NULL)
        class = VF_ERROR_UNSUPPORTED;
    if (fault != NULL)
        append_details(text, fault);
    line = tame(text);
    return vf_fail(error, class, "%s%s" MARK "%s)", line, row >= 0 ? classes[row].advice : "",
                   name != NULL ? name : "without a type");
}

/* "InvalidLoginFault" is the element, "InvalidLogin" the type; either may stand alone. */
static char *fault_name(XmlNode *detail)
{
    const char *type = xml_xsi_type(detail);
    char *name = g_strdup(type != NULL ? type : xml_name(detail));

    if (type == NULL && g_str_has_suffix(name, "Fault") && vim_type_find(name) == NULL)
        name[strlen(name) - strlen("Fault")] = '\0';
    return name;
}

/* Elements without an xsi:type are decoded as the type that their name says. */
static VimMethodFault *decode_detail(XmlNode *detail, const char *name)
{
    const VimType *known = xml_xsi_type(detail) == NULL ? vim_type_find(name) : NULL;
    g_autoptr(GError) ignored = NULL;

    if (known == NULL || !vim_extends(known, &vim_method_fault_type))
        known = &vim_method_fault_type;
    return vim_decode(known, detail, &ignored);
}

gboolean fault_fail_soap(XmlNode *fault, GError **error)
{
    XmlNode *detail = xml_child(xml_child(fault, "detail"), NULL);
    const char *said = xml_child_text(fault, "faultstring");
    g_autofree char *name = detail != NULL ? fault_name(detail) : NULL;
    g_autoptr(VimMethodFault) decoded = detail != NULL ? decode_detail(detail, name) : NULL;

    return fail(name, decoded, said, error);
}

gboolean fault_fail(const VimLocalizedMethodFault *fault, GError **error)
{
    return fail(vim_type_name(fault->fault), fault->fault, fault->localized_message, error);
}

char *vsphere_fault(const GError *error)
{
    const char *mark = error->domain == VF_ERROR ? g_strrstr(error->message, MARK) : NULL;
    const char *end = mark != NULL ? strchr(mark, ')') : NULL;

    if (end == NULL)
        return NULL;
    mark += strlen(MARK);
    return g_strndup(mark, (gsize)(end - mark));
}

gboolean vsphere_fault_is(const GError *error, const char *name)
{
    g_autofree char *fault = vsphere_fault(error);
    const VimType *type = fault != NULL ? vim_type_find(fault) : NULL;

    while (type != NULL && strcmp(type->name, name) != 0)
        type = type->base;
    return type != NULL || g_strcmp0(fault, name) == 0;
}
