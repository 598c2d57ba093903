/* SPDX-License-Identifier: MIT */
/* hv_vm_config.h - what a VM is created with. */
#ifndef HYPERVISOR_HV_VM_CONFIG_H
#define HYPERVISOR_HV_VM_CONFIG_H

#include <Hypervisor/hv_vm_types.h>

/* macOS 13.0: the width of guest physical addresses */
HV_EXTERN hv_vm_config_t hv_vm_config_create(void);
HV_EXTERN hv_return_t hv_vm_config_get_max_ipa_size(uint32_t *ipa_bit_length);
HV_EXTERN hv_return_t
hv_vm_config_get_default_ipa_size(uint32_t *ipa_bit_length);
HV_EXTERN hv_return_t hv_vm_config_set_ipa_size(hv_vm_config_t config,
                                                uint32_t ipa_bit_length);
HV_EXTERN hv_return_t hv_vm_config_get_ipa_size(hv_vm_config_t config,
                                                uint32_t *ipa_bit_length);

/* macOS 15.0: guests with EL2 */
HV_EXTERN hv_return_t hv_vm_config_get_el2_supported(bool *el2_supported);
HV_EXTERN hv_return_t hv_vm_config_get_el2_enabled(hv_vm_config_t config,
                                                   bool *el2_enabled);
HV_EXTERN hv_return_t hv_vm_config_set_el2_enabled(hv_vm_config_t config,
                                                   bool el2_enabled);

/* macOS 26.0: what addresses and sizes of guest memory are multiples of */
HV_EXTERN hv_return_t
hv_vm_config_get_default_ipa_granule(hv_ipa_granule_t *granule);
HV_EXTERN hv_return_t hv_vm_config_get_ipa_granule(hv_vm_config_t config,
                                                   hv_ipa_granule_t *granule);
HV_EXTERN hv_return_t hv_vm_config_set_ipa_granule(hv_vm_config_t config,
                                                   hv_ipa_granule_t granule);

#endif
