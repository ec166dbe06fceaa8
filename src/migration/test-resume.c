#include "migration/resume.h"

#define A1 "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/1"
#define A2 "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/2"
#define B1 "52 00 c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/9"

static void test_rounds(void)
{
    static const struct {
        RoundState state;
        gboolean still_frozen;
        ResumeAction action;
    } rows[] = {
        {ROUND_INTENT, FALSE, RESUME_ABANDON},
        /* The snapshot was made and not recorded: its change ids are unknown. */
        {ROUND_INTENT, TRUE, RESUME_ABANDON},
        {ROUND_FROZEN, TRUE, RESUME_CONTINUE},
        {ROUND_FROZEN, FALSE, RESUME_ABANDON},
        {ROUND_COPIED, TRUE, RESUME_CLOSE},
        {ROUND_COPIED, FALSE, RESUME_CLOSE},
        {ROUND_CLOSED, FALSE, RESUME_NOTHING},
        {ROUND_ABANDONED, TRUE, RESUME_NOTHING},
    };

    g_assert_cmpint(resume_round(NULL, TRUE), ==, RESUME_NOTHING);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        StoreRound round = {.state = rows[i].state};

        g_assert_cmpint(resume_round(&round, rows[i].still_frozen), ==, rows[i].action);
    }
}

typedef struct {
    const char *what;
    DiskFacts facts;
    DiskStart start;
    gboolean reason;
} DiskRow;

static const DiskRow disk_rows[] = {
    {"the first round", {.now_id = A1, .now_size = 10}, DISK_START_FULL, FALSE},
    {"the first round, untracked", {.now_size = 10}, DISK_START_FULL, FALSE},
    {"a delta",
     {.has_base = TRUE, .committed_id = A1, .committed_size = 10, .now_id = A2, .now_size = 10},
     DISK_START_CHANGED,
     FALSE},
    {"the same id: nothing changed",
     {.has_base = TRUE, .committed_id = A1, .committed_size = 10, .now_id = A1, .now_size = 10},
     DISK_START_CHANGED,
     FALSE},
    {"a reset of tracking",
     {.has_base = TRUE, .committed_id = A1, .committed_size = 10, .now_id = B1, .now_size = 10},
     DISK_START_COMPARE,
     TRUE},
    {"an id that goes back",
     {.has_base = TRUE, .committed_id = A2, .committed_size = 10, .now_id = A1, .now_size = 10},
     DISK_START_COMPARE,
     TRUE},
    {"a resized disk",
     {.has_base = TRUE, .committed_id = A1, .committed_size = 10, .now_id = A2, .now_size = 20},
     DISK_START_COMPARE,
     TRUE},
    {"tracking went away",
     {.has_base = TRUE, .committed_id = A1, .committed_size = 10, .now_size = 10},
     DISK_START_COMPARE,
     TRUE},
    {"tracking came",
     {.has_base = TRUE, .committed_size = 10, .now_id = A1, .now_size = 10},
     DISK_START_COMPARE,
     TRUE},
    {"a refused question",
     {.has_base = TRUE,
      .committed_id = A1,
      .committed_size = 10,
      .now_id = A2,
      .now_size = 10,
      .distrusted = TRUE},
     DISK_START_COMPARE,
     TRUE},
    {"an unfinished base copy",
     {.has_rest = TRUE, .rest_id = A1, .rest_size = 10, .now_id = A2, .now_size = 10},
     DISK_START_REST,
     FALSE},
    {"an unfinished base copy, untracked",
     {.has_rest = TRUE, .rest_size = 10, .now_size = 10},
     DISK_START_FULL,
     TRUE},
    {"an unfinished base copy, tracking reset",
     {.has_rest = TRUE, .rest_id = A1, .rest_size = 10, .now_id = B1, .now_size = 10},
     DISK_START_FULL,
     TRUE},
    {"an unfinished base copy, resized",
     {.has_rest = TRUE, .rest_id = A1, .rest_size = 10, .now_id = A2, .now_size = 20},
     DISK_START_FULL,
     TRUE},
    {"an unfinished base copy, refused question",
     {.has_rest = TRUE, .rest_id = A1, .rest_size = 10, .now_id = A2, .now_size = 10, .distrusted = TRUE},
     DISK_START_FULL,
     TRUE},
};

static void test_disks(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(disk_rows); i++) {
        const DiskRow *row = &disk_rows[i];

        g_test_message("%s", row->what);
        g_assert_cmpint(resume_disk(&row->facts), ==, row->start);
        g_assert_cmpint(resume_disk_reason(&row->facts) != NULL, ==, row->reason);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/resume/rounds", test_rounds);
    g_test_add_func("/resume/disks", test_disks);
    return g_test_run();
}
