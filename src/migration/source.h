/* migration/source.h: the disks of the source: which there must be, and how they are read.
 */
#pragma once

#include "migration/engine.h"

/* The disks that the source has now (VsphereDisk) must be those that were discovered, by device key and
 * backing uuid: a disk that was added would be lost, one that was replaced would be mixed.  VF_ERROR_CONFLICT
 * names it. */
gboolean source_check_disks(const Machine *machine, const GPtrArray *disks, GError **error);

/* NULL when there is none of that key. */
const VsphereDisk *source_find_disk(const GPtrArray *disks, const char *key);

/* Opens a disk for reading, by the transport of the spec. */
Disk *source_open(Engine *engine, const char *datacenter_path, const char *path, GError **error);

/* VF_ERROR_UNSUPPORTED for a transport that this build does not have. */
gboolean source_check_transport(const char *transport, GError **error);
