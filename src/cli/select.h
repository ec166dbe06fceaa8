/* cli/select.h: which VMs a command line means.
 *
 * A spec names a VM by name, path, moref or uuid; a migration that is in the store is named by its number or
 * by its VM's moref. Where several migrations fit, those of one VM give the newest, and those of several VMs
 * are an error that lists them.
 */
#pragma once

#include "cli/session.h"

typedef struct {
    VmSpec *spec; /* NULL when it was named by id */
    StoreVm *vm;  /* NULL when nothing of it is in the store */
} Selected;

void selected_free(Selected *selected);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Selected, selected_free)

/* All VMs of the specs named (--spec and arguments), less those that --vm leaves out: VmSpec. */
GPtrArray *select_specs(const Session *session, const Options *options, GError **error);

/* Migrations by spec file, id, moref or --vm: Selected.  An argument that is a file is a spec, any other an
 * id, a moref or a name.  With nothing named: all, newest first, when `all_by_default`, and VF_ERROR_INVALID
 * otherwise. */
GPtrArray *select_migrations(const Session *session, const Options *options, gboolean all_by_default,
                             GError **error);

/* The same for commands that need one that exists: VF_ERROR_NOT_FOUND when something of it is not in the
 * store. */
GPtrArray *select_existing(const Session *session, const Options *options, GError **error);
