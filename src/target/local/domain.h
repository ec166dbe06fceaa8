/* target/local/domain.h: the libvirt domain that a Machine becomes (libvirt.org/formatdomain.html).
 *
 * Thread rule: pure functions.
 */
#pragma once

#include "spec/machine.h"
#include "spec/spec.h"

/* The domain XML.  `paths` is parallel to machine->disks, the boot disk first.  What the guest could see is
 * kept: the SMBIOS uuid, the firmware kind and secure boot, CPU topology, memory, the order of disks, the MAC
 * of every NIC. */
char *domain_xml(const TargetSpec *spec, const Machine *machine, const char *const *paths);

/* Name and uuid as they stand in the XML. */
char *domain_name(const Machine *machine);
const char *domain_uuid(const Machine *machine);

/* "vda".."vdz", "vdaa".. for `index` from 0. */
char *domain_device_name(const char *prefix, guint index);

/* The libvirt network or "bridge:NAME" of a NIC by the spec's mapping; "none": leave it out. */
const char *domain_nic_network(const TargetSpec *spec, const MachineNic *nic);
