#include "base/error.h"
#include "migration/stage.h"

static void test_names(void)
{
    for (guint i = 0; i < STAGE_N; i++) {
        Stage stage = STAGE_N;

        g_assert_true(stage_parse(stage_name((Stage)i), &stage));
        g_assert_cmpuint(stage, ==, i);
    }
    for (guint i = 0; i < REQUEST_N; i++) {
        Request request = REQUEST_N;

        g_assert_true(request_parse(request_name((Request)i), &request));
        g_assert_cmpuint(request, ==, i);
    }
    g_assert_false(stage_parse("paused", &(Stage){0}));
    g_assert_false(request_parse("", &(Request){0}));
}

/* Every stage can be reached from init by allowed moves. */
static void test_reachable(void)
{
    gboolean seen[STAGE_N] = {[STAGE_INIT] = TRUE};

    for (guint pass = 0; pass < STAGE_N; pass++) {
        for (guint from = 0; from < STAGE_N; from++) {
            for (guint to = 0; to < STAGE_N; to++)
                seen[to] |= seen[from] && stage_may_follow((Stage)from, (Stage)to);
        }
    }
    for (guint i = 0; i < STAGE_N; i++)
        g_assert_true(seen[i]);
}

static void test_moves(void)
{
    for (guint i = 0; i < STAGE_N; i++) {
        Stage stage = (Stage)i;

        g_assert_false(stage_may_follow(stage, stage));
        /* Only a round taken with the source off leads out of replication. */
        g_assert_cmpint(stage_may_follow(stage, STAGE_CONVERTING), ==,
                        stage == STAGE_FINAL_SYNC || stage == STAGE_FAILED);
        g_assert_cmpint(stage_may_follow(stage, STAGE_DONE), ==, stage == STAGE_IMPORT_DATA_DISK);
        if (!stage_is_over(stage))
            g_assert_true(stage_may_follow(stage, STAGE_CANCELLED));
    }
    g_assert_true(stage_may_follow(STAGE_BASE_COPY, STAGE_FINAL_SYNC));
    g_assert_true(stage_may_follow(STAGE_DONE, STAGE_ROLLED_BACK));
    g_assert_false(stage_may_follow(STAGE_DONE, STAGE_DELTA));
    g_assert_false(stage_may_follow(STAGE_CANCELLED, STAGE_INIT));
}

static void test_requests(void)
{
    static const struct {
        Stage stage;
        Request request;
        gboolean allowed;
    } rows[] = {
        {STAGE_BASE_COPY, REQUEST_FINALIZE, TRUE},
        {STAGE_DELTA, REQUEST_FINALIZE_NOW, TRUE},
        {STAGE_FAILED, REQUEST_FINALIZE, FALSE},
        {STAGE_DONE, REQUEST_FINALIZE, FALSE},
        {STAGE_FAILED, REQUEST_RETRY, TRUE},
        {STAGE_DELTA, REQUEST_RETRY, FALSE},
        {STAGE_AWAITING_SHUTDOWN_ACTION, REQUEST_SHUTDOWN_FORCE, TRUE},
        {STAGE_DELTA, REQUEST_SHUTDOWN_FORCE, FALSE},
        {STAGE_DONE, REQUEST_CANCEL, FALSE},
        {STAGE_IMPORT_DATA_DISK, REQUEST_CANCEL, TRUE},
        {STAGE_DONE, REQUEST_ROLLBACK, TRUE},
        {STAGE_DELTA, REQUEST_ROLLBACK, FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(request_allowed(rows[i].stage, rows[i].request, &error), ==, rows[i].allowed);
        if (!rows[i].allowed)
            g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    }
}

/* No request is allowed nowhere, none when all is over but what undoes or looks. */
static void test_requests_have_a_stage(void)
{
    for (guint r = 0; r < REQUEST_N; r++) {
        guint n = 0;

        for (guint s = 0; s < STAGE_N; s++) {
            g_autoptr(GError) error = NULL;

            n += request_allowed((Stage)s, (Request)r, &error) ? 1 : 0;
        }
        g_assert_cmpuint(n, >, 0);
    }
}

static void test_refusal_says_where(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(request_allowed(STAGE_DELTA, REQUEST_RETRY, &error));
    g_assert_cmpstr(error->message, ==, "retry is not possible in stage delta, only in failed");
}

static void test_next(void)
{
    g_assert_cmpstr(stage_next_name(STAGE_DELTA, FALSE), ==, "delta");
    g_assert_cmpstr(stage_next_name(STAGE_DELTA, TRUE), ==, "Finalize");
    g_assert_cmpstr(stage_next_name(STAGE_AWAITING_SHUTDOWN_ACTION, TRUE), ==, "Shutdown action");
    g_assert_cmpstr(stage_next_name(STAGE_DONE, TRUE), ==, "none");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stage/names", test_names);
    g_test_add_func("/stage/reachable", test_reachable);
    g_test_add_func("/stage/moves", test_moves);
    g_test_add_func("/stage/requests", test_requests);
    g_test_add_func("/stage/requests-have-a-stage", test_requests_have_a_stage);
    g_test_add_func("/stage/refusal-says-where", test_refusal_says_where);
    g_test_add_func("/stage/next", test_next);
    return g_test_run();
}
