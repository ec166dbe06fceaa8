/* target/local/local.h: a directory as the target: one image per disk and the libvirt domain that boots them.
 *
 * DIRECTORY/NAME_ID_diskKEY.qcow2 (or .raw) and DIRECTORY/NAME_ID.xml.  The XML is written always; with
 * `define` it is also defined through libvirt, with `start` started.  The id that import returns is the
 * domain's name when it was defined, and the path of the XML when it was not.
 */
#pragma once

#include "target/target.h"

Target *local_target_open(const TargetSpec *spec, const Cancel *cancel, GError **error);

/* A name for files and domains: "/", "\", control characters and a leading dot or dash become "_"; UTF-8 and
 * spaces stay; at most 100 bytes, cut between characters. */
char *local_safe_name(const char *name);
