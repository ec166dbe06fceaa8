/* migration/progress.h: the document that says how far a migration is (docs/progress.md).
 */
#pragma once

#include "migration/engine.h"

/* One line of JSON. */
char *progress_to_json(Engine *engine);
