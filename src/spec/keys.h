/* spec/keys.h: the tables of every key that an operator may write.  The parts say whose struct a row fills
 * and in which file it may stand.
 */
#pragma once

#include "spec/schema.h"
#include "spec/spec.h"

/* A run spec, which fills a VmSpec: vm.*, disks.*, what only a spec may say; its `also` are the shared keys.
 */
extern const Schema spec_keys;
/* A spec file with a list: vms. */
extern const Schema spec_list_keys;
/* migration.* and target.*: a spec says them, the config gives defaults; they fill a VmSpec. */
extern const Schema shared_keys;
/* The config file, which fills a Config; its `also` are config_spec_keys and the shared keys. */
extern const Schema config_keys;
/* What only the config may say, and a VmSpec inherits: virt.run_virt_v2v, cloudstack_defaults.*. */
extern const Schema config_spec_keys;
