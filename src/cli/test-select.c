#include "cli/select.h"

#include "base/error.h"
#include "base/io.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    char *top, *state, *spec;
    Session session;
} Fixture;

static void write_file(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;

    io_write_file(path, text, strlen(text), 0600, &error);
    g_assert_no_error(error);
}

static gint64 make(Fixture *fixture, const char *name, const char *moref, const char *spec)
{
    const StoreVm vm = {.name = (char *)name,
                        .server = (char *)"vc:443",
                        .instance_uuid = (char *)moref,
                        .moref = (char *)moref,
                        .stage = (char *)"done",
                        .spec = (char *)spec};
    g_autoptr(GError) error = NULL;
    gint64 id = 0;

    store_vm_create(fixture->session.store, &vm, &id, &error);
    g_assert_no_error(error);
    return id;
}

static void setup(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->top = g_dir_make_tmp("vmferry-select-XXXXXX", NULL);
    fixture->state = g_build_filename(fixture->top, "state", NULL);
    fixture->spec = g_build_filename(fixture->top, "spec.yaml", NULL);
    write_file(fixture->spec, "vms:\n"
                              "- {vm: {name: web}, target: {local: {directory: /x}}}\n"
                              "- {vm: {path: /DC/vm/db}, target: {local: {directory: /x}}}\n");
    g_assert_true(session_open(&fixture->session, &(Options){.config = (char *)"/dev/null"}, &error));
    g_free(fixture->session.config->control_dir);
    fixture->session.config->control_dir = g_strdup(fixture->state);
    g_assert_true(session_open_store(&fixture->session, &error));
    g_assert_no_error(error);
}

static void teardown(Fixture *fixture, gconstpointer data)
{
    g_autofree char *db = g_build_filename(fixture->state, "vmferry.db", NULL);

    session_close(&fixture->session);
    g_remove(db);
    g_remove(fixture->spec);
    g_assert_cmpint(g_rmdir(fixture->state), ==, 0);
    g_assert_cmpint(g_rmdir(fixture->top), ==, 0);
    g_free(fixture->top);
    g_free(fixture->state);
    g_free(fixture->spec);
}

static GPtrArray *choose(Fixture *fixture, const Options *options)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *found = select_migrations(&fixture->session, options, FALSE, &error);

    g_assert_no_error(error);
    return found;
}

static gint64 id_of(GPtrArray *found, guint index)
{
    const Selected *selected = found->pdata[index];

    return selected->vm != NULL ? selected->vm->id : 0;
}

static void assert_one(Fixture *fixture, const Options *options, gint64 id)
{
    g_autoptr(GPtrArray) found = choose(fixture, options);

    g_assert_cmpuint(found->len, ==, 1);
    g_assert_cmpint(id_of(found, 0), ==, id);
}

static void assert_refused(Fixture *fixture, const Options *options, VfErrorClass class, const char *part)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *found = select_existing(&fixture->session, options, &error);

    g_assert_null(found);
    g_assert_error(error, VF_ERROR, (gint) class);
    g_assert_nonnull(strstr(error->message, part));
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void test_by_word(Fixture *fixture, gconstpointer data)
{
    gint64 old = make(fixture, "web", "vm-1", "{}");
    gint64 again = make(fixture, "web", "vm-1", "{}");
    gint64 db = make(fixture, "database", "vm-2", "{\"vm\":{\"name\":\"/DC/vm/db\"}}");
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, old);

    assert_one(fixture, &(Options){.arguments = WORDS((char *)"web")}, again);
    assert_one(fixture, &(Options){.arguments = WORDS((char *)"vm-2")}, db);
    assert_one(fixture, &(Options){.arguments = WORDS(number)}, old);
    assert_one(fixture, &(Options){.vm_ids = WORDS((char *)"vm-1")}, again);
    assert_one(fixture, &(Options){.vms = WORDS((char *)"/DC/vm/db")}, db);
    assert_refused(fixture, &(Options){.arguments = WORDS((char *)"mail")}, VF_ERROR_NOT_FOUND, "mail");
    assert_refused(fixture, &(Options){.vm_ids = WORDS((char *)"web")}, VF_ERROR_NOT_FOUND, "web");
    assert_refused(fixture, &(Options){0}, VF_ERROR_INVALID, "which migration?");
}

static void test_by_spec(Fixture *fixture, gconstpointer data)
{
    gint64 db = make(fixture, "renamed", "vm-2", "{\"vm\":{\"name\":\"/DC/vm/db\"}}");
    g_autoptr(GPtrArray) found = choose(fixture, &(Options){.specs = WORDS(fixture->spec)});
    g_autoptr(GPtrArray) same = choose(fixture, &(Options){.arguments = WORDS(fixture->spec)});

    g_assert_cmpuint(found->len, ==, 2);
    g_assert_cmpuint(same->len, ==, 2);
    g_assert_cmpint(id_of(found, 0), ==, 0);
    g_assert_cmpint(id_of(found, 1), ==, db);
    assert_one(fixture, &(Options){.specs = WORDS(fixture->spec), .vms = WORDS((char *)"db")}, db);
    assert_refused(fixture, &(Options){.specs = WORDS(fixture->spec)}, VF_ERROR_NOT_FOUND, "web");
    assert_refused(fixture, &(Options){.specs = WORDS(fixture->spec), .vms = WORDS((char *)"mail")},
                   VF_ERROR_INVALID, "mail");
}

/* Of two VMs of one name none is taken for the other. */
static void test_ambiguous(Fixture *fixture, gconstpointer data)
{
    gint64 second = 0;

    make(fixture, "web", "vm-1", "{}");
    second = make(fixture, "web", "vm-9", "{}");
    assert_refused(fixture, &(Options){.arguments = WORDS((char *)"web")}, VF_ERROR_CONFLICT, "vm-9");
    assert_refused(fixture, &(Options){.specs = WORDS(fixture->spec)}, VF_ERROR_CONFLICT, "--vm-id");
    assert_one(fixture, &(Options){.arguments = WORDS((char *)"vm-9")}, second);
}

static void test_all(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) found = NULL;

    make(fixture, "web", "vm-1", "{}");
    make(fixture, "web", "vm-9", "{}");
    found = select_migrations(&fixture->session, &(Options){0}, TRUE, &error);
    g_assert_cmpuint(found->len, ==, 2);
}

static void test_specs(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) specs = select_specs(
        &fixture->session, &(Options){.arguments = WORDS(fixture->spec), .vms = WORDS((char *)"db")}, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(specs->len, ==, 1);
    g_assert_cmpstr(((VmSpec *)specs->pdata[0])->ref, ==, "/DC/vm/db");
    g_assert_null(select_specs(&fixture->session, &(Options){0}, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/select/by-word", test_by_word);
    ADD("/select/by-spec", test_by_spec);
    ADD("/select/ambiguous", test_ambiguous);
    ADD("/select/all", test_all);
    ADD("/select/specs", test_specs);
    return g_test_run();
}
