/* SPDX-License-Identifier: MIT */
/* hv_vcpu.h - vCPUs. All but hv_vcpus_exit() are the owner's. */
#ifndef HYPERVISOR_HV_VCPU_H
#define HYPERVISOR_HV_VCPU_H

#include <Hypervisor/hv_vcpu_types.h>

/* The calling thread becomes the owner. *exit is valid until the vCPU is
 * destroyed, and every run writes it anew. */
HV_EXTERN hv_return_t hv_vcpu_create(hv_vcpu_t *vcpu, hv_vcpu_exit_t **exit,
                                     hv_vcpu_config_t config);
HV_EXTERN hv_return_t hv_vcpu_destroy(hv_vcpu_t vcpu);

HV_EXTERN hv_return_t hv_vcpu_get_reg(hv_vcpu_t vcpu, hv_reg_t reg,
                                      uint64_t *value);
HV_EXTERN hv_return_t hv_vcpu_set_reg(hv_vcpu_t vcpu, hv_reg_t reg,
                                      uint64_t value);
HV_EXTERN hv_return_t hv_vcpu_get_simd_fp_reg(hv_vcpu_t vcpu,
                                              hv_simd_fp_reg_t reg,
                                              hv_simd_fp_uchar16_t *value);
HV_EXTERN hv_return_t hv_vcpu_set_simd_fp_reg(hv_vcpu_t vcpu,
                                              hv_simd_fp_reg_t reg,
                                              hv_simd_fp_uchar16_t value);
HV_EXTERN hv_return_t hv_vcpu_get_sys_reg(hv_vcpu_t vcpu, hv_sys_reg_t reg,
                                          uint64_t *value);
HV_EXTERN hv_return_t hv_vcpu_set_sys_reg(hv_vcpu_t vcpu, hv_sys_reg_t reg,
                                          uint64_t value);

/* For the next run only. */
HV_EXTERN hv_return_t hv_vcpu_get_pending_interrupt(hv_vcpu_t vcpu,
                                                    hv_interrupt_type_t type,
                                                    bool *pending);
HV_EXTERN hv_return_t hv_vcpu_set_pending_interrupt(hv_vcpu_t vcpu,
                                                    hv_interrupt_type_t type,
                                                    bool pending);

HV_EXTERN hv_return_t hv_vcpu_get_trap_debug_exceptions(hv_vcpu_t vcpu,
                                                        bool *value);
HV_EXTERN hv_return_t hv_vcpu_set_trap_debug_exceptions(hv_vcpu_t vcpu,
                                                        bool value);
HV_EXTERN hv_return_t hv_vcpu_get_trap_debug_reg_accesses(hv_vcpu_t vcpu,
                                                          bool *value);
HV_EXTERN hv_return_t hv_vcpu_set_trap_debug_reg_accesses(hv_vcpu_t vcpu,
                                                          bool value);

HV_EXTERN hv_return_t hv_vcpu_run(hv_vcpu_t vcpu);
/* Any thread. */
HV_EXTERN hv_return_t hv_vcpus_exit(hv_vcpu_t *vcpus, uint32_t vcpu_count);
/* Spent in the guest, in units of mach_absolute_time(). */
HV_EXTERN hv_return_t hv_vcpu_get_exec_time(hv_vcpu_t vcpu, uint64_t *time);

HV_EXTERN hv_return_t hv_vcpu_get_vtimer_mask(hv_vcpu_t vcpu,
                                              bool *vtimer_is_masked);
HV_EXTERN hv_return_t hv_vcpu_set_vtimer_mask(hv_vcpu_t vcpu,
                                              bool vtimer_is_masked);
HV_EXTERN hv_return_t hv_vcpu_get_vtimer_offset(hv_vcpu_t vcpu,
                                                uint64_t *vtimer_offset);
HV_EXTERN hv_return_t hv_vcpu_set_vtimer_offset(hv_vcpu_t vcpu,
                                                uint64_t vtimer_offset);

/* macOS 15.2: SME. Lengths are in bytes and exact. */
HV_EXTERN hv_return_t hv_vcpu_get_sme_state(hv_vcpu_t vcpu,
                                            hv_vcpu_sme_state_t *sme_state);
HV_EXTERN hv_return_t
hv_vcpu_set_sme_state(hv_vcpu_t vcpu, const hv_vcpu_sme_state_t *sme_state);
HV_EXTERN hv_return_t hv_vcpu_get_sme_z_reg(hv_vcpu_t vcpu, hv_sme_z_reg_t reg,
                                            uint8_t *value, size_t length);
HV_EXTERN hv_return_t hv_vcpu_set_sme_z_reg(hv_vcpu_t vcpu, hv_sme_z_reg_t reg,
                                            const uint8_t *value,
                                            size_t length);
HV_EXTERN hv_return_t hv_vcpu_get_sme_p_reg(hv_vcpu_t vcpu, hv_sme_p_reg_t reg,
                                            uint8_t *value, size_t length);
HV_EXTERN hv_return_t hv_vcpu_set_sme_p_reg(hv_vcpu_t vcpu, hv_sme_p_reg_t reg,
                                            const uint8_t *value,
                                            size_t length);
HV_EXTERN hv_return_t hv_vcpu_get_sme_za_reg(hv_vcpu_t vcpu, uint8_t *value,
                                             size_t length);
HV_EXTERN hv_return_t hv_vcpu_set_sme_za_reg(hv_vcpu_t vcpu,
                                             const uint8_t *value,
                                             size_t length);
HV_EXTERN hv_return_t hv_vcpu_get_sme_zt0_reg(hv_vcpu_t vcpu,
                                              hv_sme_zt0_uchar64_t *value);
HV_EXTERN hv_return_t
hv_vcpu_set_sme_zt0_reg(hv_vcpu_t vcpu, const hv_sme_zt0_uchar64_t *value);

#endif
