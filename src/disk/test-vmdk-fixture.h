/* test-vmdk-fixture.h: a folder for the files of a test, and what is expected of a disk in it.
 */
#pragma once

#include "base/error.h"
#include "disk/vmdk.h"

typedef struct {
    char *directory;
} VmdkFixture;

void fixture_set_up(VmdkFixture *fixture, gconstpointer data);
void fixture_tear_down(VmdkFixture *fixture, gconstpointer data);

/* Runs a shell in the folder, which must succeed. */
void fixture_run(const VmdkFixture *fixture, const char *command);
/* TRUE, and the test is skipped, when there is no QEMU. */
gboolean fixture_no_qemu(void);

char *fixture_path(const VmdkFixture *fixture, const char *name);
void fixture_put_bytes(const VmdkFixture *fixture, const char *name, GByteArray *bytes); /* takes them over */
void fixture_put_text(const VmdkFixture *fixture, const char *name, const char *text);

Disk *fixture_open(const VmdkFixture *fixture, const char *name);
/* Reads all of it in pieces of all sizes, and here and there.  Extents must cover it, and what they call
 * empty must be.  Returns how many bytes they call data. */
guint64 fixture_check(Disk *disk, const guint8 *expected, guint64 size);

/* vmdk_open() fails with that class, and its message contains `part`. */
void fixture_refused(const VmdkFixture *fixture, const char *name, VfErrorClass class, const char *part);
void fixture_refused_with(const char *path, const VmdkOptions *options, VfErrorClass class, const char *part);
