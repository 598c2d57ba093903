/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_HV_VM_TYPES_H
#define HYPERVISOR_HV_VM_TYPES_H

#include <Hypervisor/hv_kern_types.h>

/* An os_object: of hv_vm_config_create(), for os_release(). */
typedef struct hv_vm_config_s *hv_vm_config_t;

HV_ENUM(hv_allocate_flags_t, uint64_t){HV_ALLOCATE_DEFAULT = 0};

/* macOS 26.0 */
HV_ENUM(hv_ipa_granule_t, uint32_t){
    HV_IPA_GRANULE_4KB = 0,
    HV_IPA_GRANULE_16KB = 1,
};

#endif
