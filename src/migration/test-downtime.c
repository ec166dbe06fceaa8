#include "migration/downtime.h"
#include "migration/facts.h"
#include "store/test-help.h"

#define S  G_GINT64_CONSTANT(1000000)
#define T0 (G_GINT64_CONSTANT(1700000000) * S)

static void at(Fixture *fixture, gint64 vm, const char *fact, gint64 seconds)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(fact_set_integer(fixture->store, vm, fact, T0 + seconds * S, &error));
    g_assert_no_error(error);
}

static double part(const Json *json, const char *name)
{
    return json_real_value(json_object_get(json, name));
}

static void test_none(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 vm = make_vm(fixture->store, "vm-1");

    g_assert_null(downtime_to_json(fixture->store, vm, &error));
    g_assert_no_error(error);
}

static void test_parts(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 vm = make_vm(fixture->store, "vm-1");
    g_autoptr(Json) json = NULL;

    at(fixture, vm, FACT_SHUTDOWN_AT, 0);
    at(fixture, vm, FACT_OFF_AT, 12);
    at(fixture, vm, FACT_SETTLED_AT, 27);
    at(fixture, vm, FACT_COPIED_AT, 30);
    at(fixture, vm, FACT_VERIFIED_AT, 31);
    at(fixture, vm, FACT_CONVERTED_AT, 31);
    at(fixture, vm, FACT_IMPORTED_AT, 33);
    at(fixture, vm, FACT_READY_AT, 38);
    json = downtime_to_json(fixture->store, vm, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(part(json, "shutdown"), ==, 12);
    g_assert_cmpfloat(part(json, "settle"), ==, 15);
    g_assert_cmpfloat(part(json, "final_round"), ==, 3);
    g_assert_cmpfloat(part(json, "verify"), ==, 1);
    g_assert_cmpfloat(part(json, "convert"), ==, 0);
    g_assert_cmpfloat(part(json, "import"), ==, 2);
    g_assert_cmpfloat(part(json, "start"), ==, 5);
    g_assert_cmpfloat(part(json, "total"), ==, 38);
}

/* In the middle only what is over is there; a new attempt begins at nothing. */
static void test_unfinished_and_forgotten(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 vm = make_vm(fixture->store, "vm-1");
    g_autoptr(Json) json = NULL;

    at(fixture, vm, FACT_SHUTDOWN_AT, 0);
    at(fixture, vm, FACT_OFF_AT, 12);
    json = downtime_to_json(fixture->store, vm, &error);
    g_assert_cmpfloat(part(json, "total"), ==, 12);
    g_assert_null(json_object_get(json, "settle"));
    g_assert_true(downtime_forget(fixture->store, vm, &error));
    g_assert_null(downtime_to_json(fixture->store, vm, &error));
    g_assert_no_error(error);
}

static void test_facts(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 vm = make_vm(fixture->store, "vm-1"), first = 0, second = 0;
    gboolean is_set = TRUE;
    double real = 0;

    g_assert_true(fact_is_set(fixture->store, vm, "x", &is_set, &error));
    g_assert_false(is_set);
    g_assert_true(fact_get_real(fixture->store, vm, "x", 2.5, &real, &error));
    g_assert_cmpfloat(real, ==, 2.5);
    g_assert_true(fact_set_real(fixture->store, vm, "x", 1e-3, &error));
    g_assert_true(fact_get_real(fixture->store, vm, "x", 2.5, &real, &error));
    g_assert_cmpfloat(real, ==, 1e-3);
    g_assert_true(fact_set_now_once(fixture->store, vm, "t", &error));
    g_assert_true(fact_get_integer(fixture->store, vm, "t", &first, &error));
    g_assert_true(fact_set_now_once(fixture->store, vm, "t", &error));
    g_assert_true(fact_get_integer(fixture->store, vm, "t", &second, &error));
    g_assert_cmpint(first, >, T0);
    g_assert_cmpint(first, ==, second);
    g_assert_no_error(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/downtime/none", test_none);
    ADD("/downtime/parts", test_parts);
    ADD("/downtime/unfinished-and-forgotten", test_unfinished_and_forgotten);
    ADD("/facts", test_facts);
    return g_test_run();
}
