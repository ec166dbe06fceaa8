/* spec/finding.h: what a preflight found.  A finding explains itself and says what to do.
 */
#pragma once

#include "base/json.h"

#include <glib.h>

typedef enum { FINDING_INFO, FINDING_WARNING, FINDING_BLOCKER } FindingSeverity;

typedef struct {
    FindingSeverity severity;
    char *code;    /* stable: "cbt-unsupported", "disk-independent", "snapshot-exists", ... */
    char *object;  /* what it is about: "disk 2000 (Hard disk 1)", "datastore ds1" */
    char *message; /* what is the matter */
    char *advice;  /* what to do about it */
} Finding;

typedef struct Findings Findings;

Findings *findings_new(void);
void findings_free(Findings *findings); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Findings, findings_free)

void findings_add(Findings *findings, FindingSeverity severity, const char *code, const char *object,
                  const char *advice, const char *message_format, ...) G_GNUC_PRINTF(6, 7);
guint findings_count(const Findings *findings, FindingSeverity at_least);
guint findings_length(const Findings *findings);
const Finding *findings_get(const Findings *findings, guint index);       /* blockers first */
const Finding *findings_find(const Findings *findings, const char *code); /* NULL when none */
const char *finding_severity_name(FindingSeverity severity);
Json *findings_to_json(const Findings *findings);
/* VF_ERROR_CONFLICT naming every blocker, when there is one. */
gboolean findings_check(const Findings *findings, GError **error);
