/* SPDX-License-Identifier: MIT */
/* hv_gic_config.h - what a GIC is created with; macOS 15.0. */
#ifndef HYPERVISOR_HV_GIC_CONFIG_H
#define HYPERVISOR_HV_GIC_CONFIG_H

#include <Hypervisor/hv_gic_types.h>

HV_EXTERN hv_gic_config_t hv_gic_config_create(void);
HV_EXTERN hv_return_t hv_gic_config_set_distributor_base(
    hv_gic_config_t config, hv_ipa_t distributor_base_address);
HV_EXTERN hv_return_t hv_gic_config_set_redistributor_base(
    hv_gic_config_t config, hv_ipa_t redistributor_base_address);
HV_EXTERN hv_return_t hv_gic_config_set_msi_region_base(
    hv_gic_config_t config, hv_ipa_t msi_region_base_address);
HV_EXTERN hv_return_t hv_gic_config_set_msi_interrupt_range(
    hv_gic_config_t config, uint32_t msi_intid_base, uint32_t msi_intid_count);

#endif
