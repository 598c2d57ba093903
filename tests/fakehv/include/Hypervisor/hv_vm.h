/* SPDX-License-Identifier: MIT */
/* hv_vm.h - the process's one VM and its memory. */
#ifndef HYPERVISOR_HV_VM_H
#define HYPERVISOR_HV_VM_H

#include <Hypervisor/hv_vm_types.h>

HV_EXTERN hv_return_t hv_vm_get_max_vcpu_count(uint32_t *max_vcpu_count);
HV_EXTERN hv_return_t hv_vm_create(hv_vm_config_t config);
HV_EXTERN hv_return_t hv_vm_destroy(void);
HV_EXTERN hv_return_t hv_vm_map(void *addr, hv_ipa_t ipa, size_t size,
                                hv_memory_flags_t flags);
HV_EXTERN hv_return_t hv_vm_unmap(hv_ipa_t ipa, size_t size);
HV_EXTERN hv_return_t hv_vm_protect(hv_ipa_t ipa, size_t size,
                                    hv_memory_flags_t flags);

#endif
