#include "base/error.h"
#include "store/holder.h"
#include "store/test-help.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_two_handles(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Store) other = open_store(fixture->directory);
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;
    g_autofree char *holder = NULL;
    g_autofree char *expected = g_strdup_printf("pid %d on %s", getpid(), g_get_host_name());

    g_assert_null(store_lease_holder(other, id, &error));
    g_assert_true(store_lease_take(fixture->store, id, 60, &error));
    g_assert_true(store_lease_take(fixture->store, id, 60, &error));
    g_assert_no_error(error);
    holder = store_lease_holder(other, id, &error);
    g_assert_cmpstr(holder, ==, expected);

    g_assert_false(store_lease_take(other, id, 60, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, expected));
    g_clear_error(&error);
    g_assert_false(store_lease_renew(other, id, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    /* Giving up what one does not hold changes nothing. */
    g_assert_true(store_lease_release(other, id, &error));
    g_assert_true(store_lease_renew(fixture->store, id, &error));

    g_assert_true(store_lease_release(fixture->store, id, &error));
    g_assert_true(store_lease_take(other, id, 60, &error));
    g_assert_no_error(error);
    g_assert_false(store_lease_renew(fixture->store, id, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
}

/* A lease of no length has expired when it is taken: what a holder finds that slept too long. */
static void test_expired(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Store) other = open_store(fixture->directory);
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;

    g_assert_true(store_lease_take(fixture->store, id, 0, &error));
    g_assert_null(store_lease_holder(other, id, &error));
    g_assert_true(store_lease_renew(fixture->store, id, &error));
    g_assert_true(store_lease_take(other, id, 60, &error));
    g_assert_no_error(error);
    g_assert_false(store_lease_renew(fixture->store, id, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(store_lease_take(fixture->store, id, 60, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
}

static void test_given_up(Fixture *fixture, gconstpointer data)
{
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;

    g_assert_false(store_lease_renew(fixture->store, id, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(store_lease_take(fixture->store, id + 1, 60, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_NOT_FOUND);
}

/* Another process takes the lease, says so through the pipe, and waits to be killed. */
static pid_t child_with_lease(const char *directory, gint64 id)
{
    int ready[2];
    char byte = 0;
    pid_t child = 0;

    g_assert_cmpint(pipe(ready), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        g_autoptr(GError) error = NULL;
        Store *store = store_open(directory, &error);

        if (store != NULL && store_lease_take(store, id, 3600, &error) && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    close(ready[0]);
    return child;
}

static void test_dead_holder(Fixture *fixture, gconstpointer data)
{
    gint64 id = make_vm(fixture->store, "vm-1");
    g_autoptr(GError) error = NULL;
    siginfo_t info;
    pid_t child = child_with_lease(fixture->directory, id);
    g_autofree char *expected = g_strdup_printf("pid %d on ", child);

    g_assert_false(store_lease_take(fixture->store, id, 60, &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, expected));
    g_clear_error(&error);

    kill(child, SIGKILL);
    /* Dead, not reaped: still in the table of processes. */
    g_assert_cmpint(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), ==, 0);
    g_assert_null(store_lease_holder(fixture->store, id, &error));
    g_assert_true(store_lease_take(fixture->store, id, 60, &error));
    g_assert_no_error(error);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
}

/* Of many processes that try at the same instant exactly one gets it. */
static void test_contention(Fixture *fixture, gconstpointer data)
{
    enum { N = 6 };
    gint64 id = make_vm(fixture->store, "vm-1");
    int winners = 0;
    pid_t children[N];
    int gate[2];
    int done[2];

    g_assert_cmpint(pipe(gate), ==, 0);
    g_assert_cmpint(pipe(done), ==, 0);
    for (guint i = 0; i < N; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            g_autoptr(GError) error = NULL;
            char byte = 0;
            Store *store = store_open(fixture->directory, &error);
            gboolean ready = store != NULL && close(gate[1]) == 0 && read(gate[0], &byte, 1) == 0;
            gboolean won = ready && store_lease_take(store, id, 3600, &error);

            /* Nobody may leave before all have tried: a dead holder loses its lease. */
            if (!ready || (!won && !vf_error_is(error, VF_ERROR_CONFLICT)) ||
                write(done[1], won ? "w" : "l", 1) != 1)
                _exit(2);
            pause();
        }
    }
    close(gate[0]);
    close(gate[1]);
    close(done[1]);
    for (guint i = 0; i < N; i++) {
        char byte = 0;

        g_assert_cmpint(read(done[0], &byte, 1), ==, 1);
        winners += byte == 'w';
    }
    close(done[0]);
    for (guint i = 0; i < N; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    g_assert_cmpint(winners, ==, 1);
}

static void test_holder(void)
{
    g_auto(Holder) self = {0};
    g_auto(Holder) other = {0};

    holder_init_self(&self);
    holder_init_self(&other);
    g_assert_false(holder_is_gone(&self));
    other.pid_start--;
    g_assert_true(holder_is_gone(&other));
    /* Elsewhere, nobody here can tell. */
    g_free(other.boot);
    other.boot = g_strdup("another boot");
    g_assert_false(holder_is_gone(&other));
    holder_fini(&other);
    holder_init_self(&other);
    other.pid_start--;
    g_free(other.pid_namespace);
    other.pid_namespace = g_strdup("pid:[1]");
    g_assert_false(holder_is_gone(&other));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/lease/two-handles", test_two_handles);
    ADD("/lease/expired", test_expired);
    ADD("/lease/given-up", test_given_up);
    ADD("/lease/dead-holder", test_dead_holder);
    ADD("/lease/contention", test_contention);
    g_test_add_func("/lease/holder", test_holder);
    return g_test_run();
}
