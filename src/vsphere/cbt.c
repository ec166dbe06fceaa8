/* Changed block tracking.
 *
 * vSphere answers a question about a disk piecewise, some two thousand areas at a time: {startOffset, length}
 * says which part of the disk the answer speaks of, and the next question starts at its end, never at or
 * beyond the end of the disk, which is a fault.  An answer without areas that does not reach the end is no
 * end either.  What an answer leaves out is never copied again, so whatever cannot be true is refused, and
 * the disk is then read again in full:
 *
 *   a piece that starts elsewhere than asked, has no length, or speaks of a larger disk (it was extended);
 *   an area before its piece, behind it, out of order, overlapping the one before, or without length.
 *
 * Tracking works in blocks of 64 KiB and more: the last one may hang over the end of a disk, and an area may
 * go on into the next piece.
 */
#include "vsphere/areas.h"

#include "base/error.h"
#include "base/size.h"
#include "vsphere/property.h"
#include "vsphere/task.h"
#include "vsphere/vm-ops.h"

#include <string.h>

#define OVERHANG_MAX MIB

/* --- one answer
 * ---------------------------------------------------------------------------------------------- */

/* [start, start + length) as non-negative numbers whose end is not far behind `size`. */
static gboolean checked_range(gint64 start, gint64 length, guint64 size, Extent *ret, GError **error)
{
    if (start < 0 || length <= 0 || (guint64)start >= size ||
        (guint64)length > size - (guint64)start + OVERHANG_MAX)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "%" G_GINT64_FORMAT "+%" G_GINT64_FORMAT " is no part of a disk of %" G_GUINT64_FORMAT
                       " bytes",
                       start, length, size);
    *ret = (Extent){.start = (guint64)start, .end = MIN((guint64)start + (guint64)length, size)};
    return TRUE;
}

static gboolean add_area(const VimDiskChangeExtent *area, guint64 size, const Extent *piece, guint64 *floor,
                         Extents *areas, GError **error)
{
    Extent extent;

    if (!checked_range(area->start, area->length, size, &extent, error))
        return FALSE;
    if (extent.start < *floor || extent.start >= piece->end)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "area %" G_GUINT64_FORMAT "..%" G_GUINT64_FORMAT
                       " is out of order in the answer about %" G_GUINT64_FORMAT "..%" G_GUINT64_FORMAT,
                       extent.start, extent.end, piece->start, piece->end);
    *floor = extent.end;
    extents_add(areas, round_down(extent.start, SECTOR_SIZE), MIN(round_up(extent.end, SECTOR_SIZE), size));
    return TRUE;
}

gboolean areas_add(const VimDiskChangeInfo *answer, guint64 size, guint64 *position, Extents *areas,
                   GError **error)
{
    guint64 floor = *position;
    Extent piece;

    if (!checked_range(answer->start_offset, answer->length, size, &piece, error))
        return FALSE;
    if (piece.start != *position)
        return vf_fail(error, VF_ERROR_INTEGRITY,
                       "asked from %" G_GUINT64_FORMAT ", answered from %" G_GUINT64_FORMAT, *position,
                       piece.start);
    for (guint i = 0; i < answer->changed_area->len; i++)
        if (!add_area(answer->changed_area->pdata[i], size, &piece, &floor, areas, error))
            return FALSE;
    *position = piece.end;
    return TRUE;
}

/* --- asking
 * -------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *vm, *snapshot, *change_id;
    gint32 disk_key;
} Question;

static VimDiskChangeInfo *ask(Vsphere *vsphere, const Question *question, guint64 position, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("QueryChangedDiskAreas", "VirtualMachine", question->vm, SOAP_REPEATABLE);
    XmlWriter *writer = soap_request_writer(request);
    g_autoptr(SoapReply) reply = NULL;

    soap_put_ref(request, "snapshot", "VirtualMachineSnapshot", question->snapshot);
    xml_elementf(writer, "deviceKey", "%d", question->disk_key);
    xml_elementf(writer, "startOffset", "%" G_GUINT64_FORMAT, position);
    xml_element(writer, "changeId", question->change_id);
    reply = vsphere_call(vsphere, request, error);
    if (reply == NULL)
        return NULL;
    if (soap_reply_value(reply) == NULL) {
        vf_fail(error, VF_ERROR_INTEGRITY, "an answer without areas");
        return NULL;
    }
    return vim_decode(&vim_disk_change_info_type, soap_reply_value(reply), error);
}

/* That the server no longer knows the id, or its tracking file, says that the id is not to be trusted. */
static void classify(GError *error)
{
    if (vsphere_fault_is(error, "FileFault") || vsphere_fault_is(error, "InvalidArgument"))
        error->code = VF_ERROR_INTEGRITY;
}

static gboolean collect(Vsphere *vsphere, const Question *question, guint64 size, Extents *areas,
                        GError **error)
{
    guint64 position = 0;

    while (position < size) {
        g_autoptr(VimDiskChangeInfo) answer = ask(vsphere, question, position, error);

        if (answer == NULL || !areas_add(answer, size, &position, areas, error))
            return FALSE;
    }
    return TRUE;
}

gboolean vsphere_changed_areas(Vsphere *vsphere, const char *vm, const char *snapshot, gint32 disk_key,
                               guint64 size, const char *change_id, Extents *areas, GError **error)
{
    Question question = {.vm = vm, .snapshot = snapshot, .change_id = change_id, .disk_key = disk_key};
    g_autoptr(Extents) found = extents_new();
    g_autoptr(GError) local = NULL;

    if (!collect(vsphere, &question, size, found, &local)) {
        classify(local);
        g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                   "changed areas of disk %d of %s since %s: ", disk_key, vm, change_id);
        return FALSE;
    }
    for (guint i = 0; i < extents_count(found); i++) {
        Extent extent = extents_get(found, i);

        extents_add(areas, extent.start, extent.end);
    }
    return TRUE;
}

/* --- switching it on
 * ----------------------------------------------------------------------------------------- */

gboolean vsphere_set_change_tracking(Vsphere *vsphere, const char *vm, gboolean on, GError **error)
{
    g_autoptr(SoapRequest) request =
        soap_request_new("ReconfigVM_Task", "VirtualMachine", vm, SOAP_REPEATABLE);
    g_autoptr(VimVmState) state = NULL;
    TaskEnd end;

    xml_open(soap_request_writer(request), "spec");
    soap_put_boolean(request, "changeTrackingEnabled", on);
    xml_close(soap_request_writer(request));
    end = task_run(vsphere, request, NULL, error);
    if (end != TASK_VANISHED)
        return end == TASK_DONE;
    state = property_read_one(vsphere, &vim_vm_state_type, vm, error);
    if (state == NULL)
        return FALSE;
    if (state->change_tracking_enabled == on)
        return TRUE;
    return vf_fail(error, VF_ERROR_TRANSIENT, "%s: change tracking of %s did not change",
                   vsphere_server(vsphere), vm);
}

/* --- change ids
 * ---------------------------------------------------------------------------------------------- */

/* "52 de c0 d9 ...-10 f0 .../81": *ret_length is that of the generation. */
static gboolean parse_change_id(const char *id, gsize *ret_length, guint64 *ret_number)
{
    const char *slash = id != NULL ? strrchr(id, '/') : NULL;

    if (slash == NULL || slash == id || (gsize)(slash - id) != strspn(id, "0123456789abcdefABCDEF -"))
        return FALSE;
    *ret_length = (gsize)(slash - id);
    return g_ascii_string_to_unsigned(slash + 1, 10, 0, G_MAXUINT64, ret_number, NULL);
}

gboolean vsphere_change_id_follows(const char *then, const char *now)
{
    gsize then_length, now_length;
    guint64 then_number, now_number;

    return parse_change_id(then, &then_length, &then_number) &&
           parse_change_id(now, &now_length, &now_number) && then_length == now_length &&
           g_ascii_strncasecmp(then, now, then_length) == 0 && now_number >= then_number;
}
