#include "migration/resume.h"

#include "vsphere/vm-ops.h"

ResumeAction resume_round(const StoreRound *last, gboolean still_frozen)
{
    if (last == NULL)
        return RESUME_NOTHING;
    switch (last->state) {
    case ROUND_INTENT:
        return RESUME_ABANDON;
    case ROUND_FROZEN:
        return still_frozen ? RESUME_CONTINUE : RESUME_ABANDON;
    case ROUND_COPIED:
        return RESUME_CLOSE;
    case ROUND_CLOSED:
    case ROUND_ABANDONED:
        break;
    }
    return RESUME_NOTHING;
}

static gboolean follows(const char *then, const char *now)
{
    return then != NULL && now != NULL && vsphere_change_id_follows(then, now);
}

DiskStart resume_disk(const DiskFacts *facts)
{
    if (facts->has_base) {
        gboolean trusted = !facts->distrusted && facts->committed_size == facts->now_size &&
                           follows(facts->committed_id, facts->now_id);

        return trusted ? DISK_START_CHANGED : DISK_START_COMPARE;
    }
    if (facts->has_rest && !facts->distrusted && facts->rest_size == facts->now_size &&
        follows(facts->rest_id, facts->now_id))
        return DISK_START_REST;
    return DISK_START_FULL;
}

const char *resume_disk_reason(const DiskFacts *facts)
{
    const char *then = facts->has_base ? facts->committed_id : facts->rest_id;
    guint64 size = facts->has_base ? facts->committed_size : facts->rest_size;

    if (!facts->has_base && !facts->has_rest)
        return NULL;
    if (facts->now_id == NULL || then == NULL)
        return "its changes are not tracked";
    if (size != facts->now_size)
        return "its size changed";
    if (!follows(then, facts->now_id))
        return "its change tracking was started anew";
    return facts->distrusted ? "what the source says of its changes is not to be trusted" : NULL;
}
