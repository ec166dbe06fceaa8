#include "spec/finding.h"

#include "base/error.h"

static void test_order_and_check(void)
{
    g_autoptr(Findings) findings = findings_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(Json) json = NULL;

    g_assert_true(findings_check(findings, &error));
    findings_add(findings, FINDING_INFO, "i", "vm web", NULL, "is %d", 1);
    findings_add(findings, FINDING_WARNING, "w", "vm web", "look", "two");
    g_assert_true(findings_check(findings, &error));
    g_assert_no_error(error);
    findings_add(findings, FINDING_BLOCKER, "b1", "disk 2000", "make it dependent", "is independent");
    findings_add(findings, FINDING_INFO, "i2", NULL, NULL, "last");
    findings_add(findings, FINDING_BLOCKER, "b2", NULL, NULL, "no space");

    g_assert_cmpuint(findings_length(findings), ==, 5);
    g_assert_cmpuint(findings_count(findings, FINDING_BLOCKER), ==, 2);
    g_assert_cmpuint(findings_count(findings, FINDING_WARNING), ==, 3);
    g_assert_cmpuint(findings_count(findings, FINDING_INFO), ==, 5);
    g_assert_cmpstr(findings_get(findings, 0)->code, ==, "b1");
    g_assert_cmpstr(findings_get(findings, 1)->code, ==, "b2");
    g_assert_cmpstr(findings_get(findings, 2)->code, ==, "w");
    g_assert_cmpstr(findings_get(findings, 4)->code, ==, "i2");
    g_assert_null(findings_get(findings, 5));
    g_assert_cmpstr(findings_find(findings, "i")->message, ==, "is 1");
    g_assert_null(findings_find(findings, "x"));

    g_assert_false(findings_check(findings, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, "disk 2000: is independent (make it dependent); no space");

    json = findings_to_json(findings);
    g_assert_cmpuint(json_array_size(json), ==, 5);
    g_assert_cmpstr(json_get_string(json_array_get(json, 0), "severity"), ==, "blocker");
    g_assert_cmpstr(json_get_string(json_array_get(json, 0), "object"), ==, "disk 2000");
    g_assert_true(json_is_null(json_object_get(json_array_get(json, 1), "advice")));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/finding/order-and-check", test_order_and_check);
    return g_test_run();
}
