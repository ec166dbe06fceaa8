/* lab/lab.h: `vmferry lab`, a small vSphere to practise on and to test with.
 *
 * One process that behaves as a vCenter does towards a migration: SOAP under /sdk, the datastores under
 * /folder, and beside them /lab, by which a test looks behind the scenes and makes things go wrong.  It is
 * described by lab.yaml (docs/lab.md) and strict: what vCenter refuses, it refuses.
 *
 * Thread rule: the functions may be called from any thread; lab_stop() once, when nobody uses the Lab any
 * more.
 */
#pragma once

#include <glib.h>

typedef struct Lab Lab;

/* What the command line says on top of lab.yaml. */
typedef struct {
    const char *directory; /* NULL: as lab.yaml says */
    int port;              /* -1: as lab.yaml says; 0: any free one */
} LabOverrides;

/* Reads lab.yaml, makes what is missing of the datastores, powers VMs on and listens.  VF_ERROR_INVALID names
 * file, line and key.  `overrides` may be NULL. */
Lab *lab_start(const char *config_path, const LabOverrides *overrides, GError **error);
/* Powers off, stops listening, waits for tasks; the files stay.  NULL is fine. */
void lab_stop(Lab *lab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lab, lab_stop)

/* Owned by the lab. */
const char *lab_url(const Lab *lab);        /* "https://127.0.0.1:8989" */
const char *lab_thumbprint(const Lab *lab); /* SHA-1, as VMware's tools print it */
const char *lab_user(const Lab *lab);
const char *lab_password(const Lab *lab);

/* Writes {"url", "thumbprint", "user", "password", "pid"} as JSON, mode 0600, whole or not at all: a script
 * waits for it. */
gboolean lab_write_ready_file(const Lab *lab, const char *path, GError **error);
