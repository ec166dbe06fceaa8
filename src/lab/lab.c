#include "lab/lab.h"

#include "base/error.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "lab/config.h"
#include "lab/control.h"
#include "lab/folder.h"
#include "lab/session.h"
#include "lab/soap.h"
#include "lab/state.h"
#include "lab/trouble.h"
#include "lab/vm.h"

#include <string.h>

#define KEEPER_MS   100u
#define MAX_PEM     ((gsize)64 << 10)
#define MAX_REQUEST ((gsize)4 << 20)

/* --- requests --- */

static gboolean is_below(const char *path, const char *top)
{
    gsize length = strlen(top);
    return strncmp(path, top, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static void handle(HttpExchange *exchange, gpointer data)
{
    Lab *lab = data;
    const char *path = http_path(exchange);
    if (is_below(path, "/lab"))
        lab_control_handle(lab, exchange);
    else if (lab_trouble_before(lab, exchange))
        return;
    else if (is_below(path, "/sdk"))
        lab_soap_handle(lab, exchange);
    else if (is_below(path, "/folder"))
        lab_folder_handle(lab, exchange);
    else
        http_answer_text(exchange, 404, "text/plain", "404 Not Found\n");
}

/* --- what happens by itself --- */

/* Asks a backing without the lock; takes over what it says with it. */
static void notice_shutdown(Lab *lab, LabVm *vm)
{
    lab_lock(lab);
    gboolean was_on = vm->on && vm->task == NULL;
    lab_unlock(lab);
    if (!was_on || lab_backing_is_on(vm->backing))
        return;
    lab_lock(lab);
    if (vm->task == NULL) {
        vm->on = FALSE;
        lab_vm_refresh(vm);
        lab_state_save(lab);
        g_cond_broadcast(&lab->changed);
    }
    lab_unlock(lab);
}

static gpointer keep(gpointer data)
{
    Lab *lab = data;
    for (;;) {
        g_autoptr(GError) stopped = NULL;
        if (!cancel_sleep(lab->cancel, KEEPER_MS, &stopped))
            return NULL;
        for (guint i = 0; i < lab->vms->len; i++)
            notice_shutdown(lab, g_ptr_array_index(lab->vms, i));
        lab_lock(lab);
        lab_task_expire(lab);
        lab_session_end_idle(lab);
        lab_unlock(lab);
    }
}

/* --- the certificate --- */

/* Made once and kept, so that a thumbprint stays good. */
static gboolean make_certificate(Lab *lab, const char *key_path, const char *cert_path, GError **error)
{
    static const char *const NAMES[] = {"localhost", "127.0.0.1", NULL};
    const char *const *names = lab->tls_names != NULL ? (const char *const *)lab->tls_names : NAMES;
    g_autofree char *key = NULL, *cert = NULL;
    return tls_make_certificate(names, &key, &cert, error) &&
           io_write_file(key_path, key, strlen(key), 0600, error) &&
           io_write_file(cert_path, cert, strlen(cert), 0644, error);
}

static gboolean start_server(Lab *lab, GError **error)
{
    g_autofree char *key_path = g_build_filename(lab->directory, "lab.key", NULL);
    g_autofree char *cert_path = g_build_filename(lab->directory, "lab.crt", NULL);
    if (!g_file_test(cert_path, G_FILE_TEST_EXISTS) && !make_certificate(lab, key_path, cert_path, error))
        return FALSE;
    g_autofree char *key = io_read_file(key_path, MAX_PEM, NULL, error);
    g_autofree char *cert = key != NULL ? io_read_file(cert_path, MAX_PEM, NULL, error) : NULL;
    lab->peer = cert != NULL ? tls_peer_from_pem(cert, error) : NULL;
    if (lab->peer == NULL)
        return FALSE;
    HttpServerOptions options = {.address = lab->address,
                                 .port = lab->port,
                                 .key_pem = key,
                                 .cert_pem = cert,
                                 .max_body = MAX_REQUEST,
                                 .handler = handle,
                                 .data = lab};
    lab->server = http_server_start(&options, error);
    if (lab->server == NULL)
        return FALSE;
    gboolean v6 = strchr(lab->address, ':') != NULL;
    lab->url = g_strdup_printf("https://%s%s%s:%u", v6 ? "[" : "", lab->address, v6 ? "]" : "",
                               http_server_port(lab->server));
    return TRUE;
}

/* --- start and stop --- */

static void add_service(Lab *lab, const char *type, const char *moref)
{
    lab_object_init(lab, g_new0(LabObject, 1), type, moref, moref, NULL);
}

static gboolean start(Lab *lab, const TreeNode *root, const LabOverrides *overrides, GError **error)
{
    static const char *const SERVICES[] = {"ServiceInstance",      "SessionManager", "ViewManager",
                                           "AuthorizationManager", "SearchIndex",    "TaskManager"};
    for (guint i = 0; i < G_N_ELEMENTS(SERVICES); i++)
        add_service(lab, SERVICES[i], SERVICES[i]);
    lab_tasks_init(lab);
    if (!lab_config_read(lab, root, overrides, error) ||
        !lab_trouble_set(lab, tree_get(root, "faults"), error) || !start_server(lab, error))
        return FALSE;
    lab->keeper = g_thread_new("lab-keeper", keep, lab);
    log_debug("lab: %u VMs at %s", lab->vms->len, lab->url);
    return TRUE;
}

Lab *lab_start(const char *config_path, const LabOverrides *overrides, GError **error)
{
    g_autoptr(Tree) tree = tree_load(config_path, error);
    if (tree == NULL)
        return NULL;
    g_autoptr(Lab) lab = g_new0(Lab, 1);
    lab_model_init(lab);
    return start(lab, tree_root(tree), overrides, error) ? g_steal_pointer(&lab) : NULL;
}

void lab_stop(Lab *lab)
{
    if (lab == NULL)
        return;
    cancel_fire(lab->cancel);
    lab_lock(lab);
    lab_session_end_all(lab);
    lab_unlock(lab);
    http_server_stop(lab->server);
    lab_tasks_fini(lab);
    if (lab->keeper != NULL)
        g_thread_join(lab->keeper);
    lab_model_fini(lab);
    tls_peer_free(lab->peer);
    g_strfreev(lab->tls_names);
    char *texts[] = {lab->directory, lab->address, lab->user, lab->password, lab->instance_uuid, lab->url};
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_free(lab);
}

const char *lab_url(const Lab *lab)
{
    return lab->url;
}

const char *lab_thumbprint(const Lab *lab)
{
    return lab->peer->sha1;
}

const char *lab_user(const Lab *lab)
{
    return lab->user;
}

const char *lab_password(const Lab *lab)
{
    return lab->password;
}

gboolean lab_write_ready_file(const Lab *lab, const char *path, GError **error)
{
    g_autoptr(Json) object = json_object();
    json_set_string(object, "url", lab->url);
    json_set_string(object, "thumbprint", lab->peer->sha1);
    json_set_string(object, "user", lab->user);
    json_set_string(object, "password", lab->password);
    json_set_integer(object, "pid", getpid());
    g_autofree char *text = json_to_text(object);
    return io_write_file(path, text, strlen(text), 0600, error);
}
