/* SPDX-License-Identifier: MIT */
/* hv_vcpu_config.h - what a vCPU will be like. */
#ifndef HYPERVISOR_HV_VCPU_CONFIG_H
#define HYPERVISOR_HV_VCPU_CONFIG_H

#include <Hypervisor/hv_vcpu_types.h>

HV_EXTERN hv_vcpu_config_t hv_vcpu_config_create(void);
HV_EXTERN hv_return_t hv_vcpu_config_get_feature_reg(
    hv_vcpu_config_t config, hv_feature_reg_t feature_reg, uint64_t *value);
/* All eight levels. */
HV_EXTERN hv_return_t hv_vcpu_config_get_ccsidr_el1_sys_reg_values(
    hv_vcpu_config_t config, hv_cache_type_t cache_type, uint64_t values[8]);

#endif
