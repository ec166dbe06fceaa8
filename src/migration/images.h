/* migration/images.h: the images at the target and the checksums that go with them.
 */
#pragma once

#include "migration/engine.h"

/* A row for each disk of the machine, with the paths of its image and its checksums; known rows stay as they
 * are. */
gboolean images_record(Engine *engine, GError **error);

/* A fresh image with no checksums, replacing what an earlier run left: recorded before and after. */
gboolean image_create(Engine *engine, StoreDisk *disk, guint64 size, Disk **ret_target, Sums **ret_sums,
                      GError **error);

/* The image as it is, grown to `size` when the source has grown. */
gboolean image_open(Engine *engine, StoreDisk *disk, guint64 size, Disk **ret_target, Sums **ret_sums,
                    GError **error);

/* For verification: the checksums for the size that the image has. */
gboolean image_open_read(Engine *engine, const StoreDisk *disk, Disk **ret_target, Sums **ret_sums,
                         GError **error);

/* Deletes images and checksums. */
gboolean images_delete(Engine *engine, GError **error);
