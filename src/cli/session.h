/* cli/session.h: what a command needs before it can call anything: config, store, and a Cancel that signals
 * fire.
 */
#pragma once

#include "base/cancel.h"
#include "cli/options.h"
#include "spec/spec.h"
#include "store/store.h"
#include "vsphere/session.h"

typedef struct {
    Config *config;
    Store *store; /* NULL before session_open_store() */
    Cancel *cancel;
} Session;

/* Reads the config.  With --control-dir a config that cannot be read counts as an empty one. */
gboolean session_open(Session *session, const Options *options, GError **error);
gboolean session_open_store(Session *session, GError **error);
void session_close(Session *session);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Session, session_close)

/* A connection to the vCenter of the config. */
Vsphere *session_connect(const Session *session, GError **error);

/* From now on SIGINT and SIGTERM fire session->cancel; the second one kills.  Once per process. */
void session_catch_signals(Session *session);
