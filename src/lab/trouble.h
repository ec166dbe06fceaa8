/* lab/trouble.h: what goes wrong on demand: from lab.yaml's `faults`, and at run time through POST
 * /lab/faults.
 *
 * Thread rule: each takes Lab.lock itself.
 */
#pragma once

#include "base/json.h"
#include "lab/model.h"
#include "spec/tree.h"

/* A mapping of what shall go wrong (docs/lab.md); what it does not name stays as it is.  Unknown keys and
 * values are VF_ERROR_INVALID, unknown VMs VF_ERROR_NOT_FOUND. */
gboolean lab_trouble_set(Lab *lab, const TreeNode *wanted, GError **error);
/* What is still to come. */
Json *lab_trouble_json(Lab *lab);

/* Before a request is served: makes it wait, or answers it 503 and returns TRUE. */
gboolean lab_trouble_before(Lab *lab, HttpExchange *exchange);
