/* Prints the table of crash points, a name a line: what the crash suite walks. */
#include "base/crash-point.h"

#include <stdio.h>

int main(void)
{
    for (const char *const *name = crash_point_names(); *name != NULL; name++)
        puts(*name);
    return 0;
}
