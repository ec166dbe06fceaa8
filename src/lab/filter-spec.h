/* lab/filter-spec.h: PropertyFilterSpec: which objects, reached how, and which of their properties.
 *
 * Objects are where a client starts; selections lead from an object through one of its properties to others,
 * by name over and over if it wants (folders in folders).  What comes out is a list of objects with the paths
 * to be read, each object once.
 *
 * Thread rule: with Lab.lock held.
 */
#pragma once

#include "lab/call.h"

typedef struct FilterSpec FilterSpec;

/* Copies all it needs.  NULL with InvalidProperty, InvalidType, ManagedObjectNotFound or InvalidArgument in
 * call->fault. */
FilterSpec *filter_spec_new(LabCall *call, XmlNode *spec);
void filter_spec_free(FilterSpec *spec); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FilterSpec, filter_spec_free)

typedef struct {
    char *moref;
    GPtrArray *paths; /* char *, sorted, each once */
} FilterItem;
void filter_item_free(FilterItem *item);

/* Appends FilterItems; objects that have gone meanwhile are left out. */
void filter_spec_select(const FilterSpec *spec, Lab *lab, LabSession *session, GPtrArray *items);
