/* The lab as a process of its own, for tests that speak to it from outside: lab-serve CONFIG DIRECTORY
 * READY-FILE. */
#include "lab/lab.h"

#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    sigset_t signals;
    int received;

    if (argc != 4)
        return 2;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    g_autoptr(Lab) lab = lab_start(argv[1], &(LabOverrides){.directory = argv[2], .port = 0}, &error);
    if (lab == NULL || !lab_write_ready_file(lab, argv[3], &error)) {
        fprintf(stderr, "lab-serve: %s\n", error->message);
        return 1;
    }
    sigwait(&signals, &received);
    return 0;
}
