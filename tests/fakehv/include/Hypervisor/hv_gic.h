/* SPDX-License-Identifier: MIT */
/* hv_gic.h - the VM's GICv3; macOS 15.0. What names a vCPU is its owner's but
 * for hv_gic_get_redistributor_base(), the rest any thread's. */
#ifndef HYPERVISOR_HV_GIC_H
#define HYPERVISOR_HV_GIC_H

#include <Hypervisor/hv_gic_types.h>

HV_EXTERN hv_return_t hv_gic_create(hv_gic_config_t gic_config);
HV_EXTERN hv_return_t hv_gic_set_spi(uint32_t intid, bool level);
HV_EXTERN hv_return_t hv_gic_send_msi(hv_ipa_t address, uint32_t intid);
HV_EXTERN hv_return_t hv_gic_get_distributor_reg(hv_gic_distributor_reg_t reg,
                                                 uint64_t *value);
HV_EXTERN hv_return_t hv_gic_set_distributor_reg(hv_gic_distributor_reg_t reg,
                                                 uint64_t value);
HV_EXTERN hv_return_t hv_gic_get_redistributor_base(
    hv_vcpu_t vcpu, hv_ipa_t *redistributor_base_address);
HV_EXTERN hv_return_t hv_gic_get_redistributor_reg(
    hv_vcpu_t vcpu, hv_gic_redistributor_reg_t reg, uint64_t *value);
HV_EXTERN hv_return_t hv_gic_set_redistributor_reg(
    hv_vcpu_t vcpu, hv_gic_redistributor_reg_t reg, uint64_t value);
HV_EXTERN hv_return_t hv_gic_get_icc_reg(hv_vcpu_t vcpu, hv_gic_icc_reg_t reg,
                                         uint64_t *value);
HV_EXTERN hv_return_t hv_gic_set_icc_reg(hv_vcpu_t vcpu, hv_gic_icc_reg_t reg,
                                         uint64_t value);
HV_EXTERN hv_return_t hv_gic_get_ich_reg(hv_vcpu_t vcpu, hv_gic_ich_reg_t reg,
                                         uint64_t *value);
HV_EXTERN hv_return_t hv_gic_set_ich_reg(hv_vcpu_t vcpu, hv_gic_ich_reg_t reg,
                                         uint64_t value);
HV_EXTERN hv_return_t hv_gic_get_icv_reg(hv_vcpu_t vcpu, hv_gic_icv_reg_t reg,
                                         uint64_t *value);
HV_EXTERN hv_return_t hv_gic_set_icv_reg(hv_vcpu_t vcpu, hv_gic_icv_reg_t reg,
                                         uint64_t value);
HV_EXTERN hv_return_t hv_gic_get_msi_reg(hv_gic_msi_reg_t reg, uint64_t *value);
HV_EXTERN hv_return_t hv_gic_set_msi_reg(hv_gic_msi_reg_t reg, uint64_t value);
HV_EXTERN hv_return_t hv_gic_set_state(const void *gic_state_data,
                                       size_t gic_state_size);
HV_EXTERN hv_return_t hv_gic_reset(void);

#endif
