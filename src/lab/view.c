#include "lab/view.h"

#include "lab/property.h"
#include "lab/schema.h"

static void view_free(LabObject *object)
{
    LabView *view = (LabView *)object;
    g_strfreev(view->types);
    lab_object_fini(object);
    g_free(view);
}

LabView *lab_view_new(Lab *lab, LabSession *session, LabObject *container, char **types, gboolean recursive)
{
    LabView *view = g_new0(LabView, 1);
    view->object.free = view_free;
    view->container = container;
    view->types = g_strdupv(types);
    view->recursive = recursive;
    lab_session_add_object(lab, session, &view->object, "ContainerView", "ContainerView");
    return view;
}

static gboolean shows(const LabView *view, const LabObject *object)
{
    if (view->types == NULL || view->types[0] == NULL)
        return TRUE;
    for (guint i = 0; view->types[i] != NULL; i++)
        if (schema_is(object->type, view->types[i]))
            return TRUE;
    return FALSE;
}

/* A view shows managed entities that lie below its container: directly, or anywhere. */
static gboolean lies_below(const LabView *view, const LabObject *object)
{
    const LabObject *up = object->parent;
    while (view->recursive && up != NULL && up != view->container)
        up = up->parent;
    return up != NULL && up == view->container;
}

static gint by_moref(gconstpointer a, gconstpointer b)
{
    const LabObject *one = *(LabObject *const *)a, *other = *(LabObject *const *)b;
    return g_strcmp0(one->moref, other->moref);
}

Value *lab_view_value(const Lab *lab, const LabView *view)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    GHashTableIter iterator;
    gpointer object;
    g_hash_table_iter_init(&iterator, lab->objects);
    while (g_hash_table_iter_next(&iterator, NULL, &object))
        if (lies_below(view, object) && shows(view, object))
            g_ptr_array_add(found, object);
    g_ptr_array_sort(found, by_moref);
    return lab_refs(found);
}
