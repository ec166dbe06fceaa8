/* vsphere/datastore.h: disks of vSphere, read over the datastore's HTTPS access (/folder).
 *
 * "[ds1] web/web.vmdk" becomes /folder/web/web.vmdk?dcPath=Europe/DC1&dsName=ds1, each part percent-encoded
 * once; on 404 and a name with unusual characters twice (an old vCenter quirk), and what worked is remembered
 * per session.  The descriptor is fetched and its extents are opened by range reads on the session's own
 * client: flat files and sparse ones, and the chain of parents that a delta has (disk/vmdk.h).
 */
#pragma once

#include "disk/disk.h"
#include "vsphere/session.h"

/* Read-only.  VF_ERROR_UNSUPPORTED when the file lies where /folder cannot read (vSAN, vVol),
 * VF_ERROR_CONFLICT when it is locked by a running VM (just after power off that may pass): the message says
 * which, and what would help.  The session must outlive the disk. */
Disk *datastore_open_disk(Vsphere *vsphere, const char *datacenter_path, const char *path, GError **error);

/* A small file (descriptor, .vmx, nvram) whole. */
char *datastore_read_file(Vsphere *vsphere, const char *datacenter_path, const char *path, gsize max,
                          gsize *ret_length, GError **error);

/* "[ds] dir/file" -> its parts; VF_ERROR_INVALID otherwise. */
gboolean datastore_path_parse(const char *path, char **ret_datastore, char **ret_file, GError **error);
