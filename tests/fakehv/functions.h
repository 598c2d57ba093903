/* SPDX-License-Identifier: MIT */
/* functions.h - all functions of the framework: the version that brought each
 * (1502 is macOS 15.2), its name less the hv_, its parameters. For whoever
 * includes this and defines
 *     FN(since, type, name, parameters, arguments, log)
 * `log` is what the log gets to see, as (count, number...): all arguments but
 * the one that is a vector. */

#define F0(since, name) FN(since, hv_return_t, name, (void), (), (0, 0))
#define O0(since, type, name) FN(since, type, name, (void), (), (0, 0))
#define F1(since, name, t, a)                                                  \
    FN(since, hv_return_t, name, (t a), (a), (1, (uint64_t)(a)))
#define F2(since, name, t, a, u, b)                                            \
    FN(since, hv_return_t, name, (t a, u b), (a, b),                           \
       (2, (uint64_t)(a), (uint64_t)(b)))
#define F3(since, name, t, a, u, b, v, c)                                      \
    FN(since, hv_return_t, name, (t a, u b, v c), (a, b, c),                   \
       (3, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c)))
#define V3(since, name, t, a, u, b, v, c)                                      \
    FN(since, hv_return_t, name, (t a, u b, v c), (a, b, c),                   \
       (2, (uint64_t)(a), (uint64_t)(b)))
#define F4(since, name, t, a, u, b, v, c, w, d)                                \
    FN(since, hv_return_t, name, (t a, u b, v c, w d), (a, b, c, d),           \
       (4, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d)))

/* clang-format off */
/* hv_vm.h */
F1(1100, vm_get_max_vcpu_count, uint32_t *, max_vcpu_count)
F1(1100, vm_create, hv_vm_config_t, config)
F0(1100, vm_destroy)
F4(1100, vm_map, void *, addr, hv_ipa_t, ipa, size_t, size, hv_memory_flags_t,
   flags)
F2(1100, vm_unmap, hv_ipa_t, ipa, size_t, size)
F3(1100, vm_protect, hv_ipa_t, ipa, size_t, size, hv_memory_flags_t, flags)
/* hv_vm_allocate.h */
F3(1201, vm_allocate, void **, uvap, size_t, size, hv_allocate_flags_t, flags)
F2(1201, vm_deallocate, void *, uva, size_t, size)
/* hv_vm_config.h */
O0(1300, hv_vm_config_t, vm_config_create)
F1(1300, vm_config_get_max_ipa_size, uint32_t *, ipa_bit_length)
F1(1300, vm_config_get_default_ipa_size, uint32_t *, ipa_bit_length)
F2(1300, vm_config_set_ipa_size, hv_vm_config_t, config, uint32_t,
   ipa_bit_length)
F2(1300, vm_config_get_ipa_size, hv_vm_config_t, config, uint32_t *,
   ipa_bit_length)
F1(1500, vm_config_get_el2_supported, bool *, el2_supported)
F2(1500, vm_config_get_el2_enabled, hv_vm_config_t, config, bool *, el2_enabled)
F2(1500, vm_config_set_el2_enabled, hv_vm_config_t, config, bool, el2_enabled)
F1(2600, vm_config_get_default_ipa_granule, hv_ipa_granule_t *, granule)
F2(2600, vm_config_get_ipa_granule, hv_vm_config_t, config, hv_ipa_granule_t *,
   granule)
F2(2600, vm_config_set_ipa_granule, hv_vm_config_t, config, hv_ipa_granule_t,
   granule)
/* hv_vcpu_config.h */
O0(1100, hv_vcpu_config_t, vcpu_config_create)
F3(1100, vcpu_config_get_feature_reg, hv_vcpu_config_t, config,
   hv_feature_reg_t, feature_reg, uint64_t *, value)
F3(1100, vcpu_config_get_ccsidr_el1_sys_reg_values, hv_vcpu_config_t, config,
   hv_cache_type_t, cache_type, uint64_t *, values)
/* hv_vcpu.h */
F3(1100, vcpu_create, hv_vcpu_t *, vcpu, hv_vcpu_exit_t **, exit,
   hv_vcpu_config_t, config)
F1(1100, vcpu_destroy, hv_vcpu_t, vcpu)
F3(1100, vcpu_get_reg, hv_vcpu_t, vcpu, hv_reg_t, reg, uint64_t *, value)
F3(1100, vcpu_set_reg, hv_vcpu_t, vcpu, hv_reg_t, reg, uint64_t, value)
F3(1100, vcpu_get_simd_fp_reg, hv_vcpu_t, vcpu, hv_simd_fp_reg_t, reg,
   hv_simd_fp_uchar16_t *, value)
V3(1100, vcpu_set_simd_fp_reg, hv_vcpu_t, vcpu, hv_simd_fp_reg_t, reg,
   hv_simd_fp_uchar16_t, value)
F3(1100, vcpu_get_sys_reg, hv_vcpu_t, vcpu, hv_sys_reg_t, reg, uint64_t *,
   value)
F3(1100, vcpu_set_sys_reg, hv_vcpu_t, vcpu, hv_sys_reg_t, reg, uint64_t, value)
F3(1100, vcpu_get_pending_interrupt, hv_vcpu_t, vcpu, hv_interrupt_type_t, type,
   bool *, pending)
F3(1100, vcpu_set_pending_interrupt, hv_vcpu_t, vcpu, hv_interrupt_type_t, type,
   bool, pending)
F2(1100, vcpu_get_trap_debug_exceptions, hv_vcpu_t, vcpu, bool *, value)
F2(1100, vcpu_set_trap_debug_exceptions, hv_vcpu_t, vcpu, bool, value)
F2(1100, vcpu_get_trap_debug_reg_accesses, hv_vcpu_t, vcpu, bool *, value)
F2(1100, vcpu_set_trap_debug_reg_accesses, hv_vcpu_t, vcpu, bool, value)
F1(1100, vcpu_run, hv_vcpu_t, vcpu)
F2(1100, vcpus_exit, hv_vcpu_t *, vcpus, uint32_t, vcpu_count)
F2(1100, vcpu_get_exec_time, hv_vcpu_t, vcpu, uint64_t *, time)
F2(1100, vcpu_get_vtimer_mask, hv_vcpu_t, vcpu, bool *, vtimer_is_masked)
F2(1100, vcpu_set_vtimer_mask, hv_vcpu_t, vcpu, bool, vtimer_is_masked)
F2(1100, vcpu_get_vtimer_offset, hv_vcpu_t, vcpu, uint64_t *, vtimer_offset)
F2(1100, vcpu_set_vtimer_offset, hv_vcpu_t, vcpu, uint64_t, vtimer_offset)
F2(1502, vcpu_get_sme_state, hv_vcpu_t, vcpu, hv_vcpu_sme_state_t *, sme_state)
F2(1502, vcpu_set_sme_state, hv_vcpu_t, vcpu, const hv_vcpu_sme_state_t *,
   sme_state)
F4(1502, vcpu_get_sme_z_reg, hv_vcpu_t, vcpu, hv_sme_z_reg_t, reg, uint8_t *,
   value, size_t, length)
F4(1502, vcpu_set_sme_z_reg, hv_vcpu_t, vcpu, hv_sme_z_reg_t, reg, const uint8_t
   *, value, size_t, length)
F4(1502, vcpu_get_sme_p_reg, hv_vcpu_t, vcpu, hv_sme_p_reg_t, reg, uint8_t *,
   value, size_t, length)
F4(1502, vcpu_set_sme_p_reg, hv_vcpu_t, vcpu, hv_sme_p_reg_t, reg, const uint8_t
   *, value, size_t, length)
F3(1502, vcpu_get_sme_za_reg, hv_vcpu_t, vcpu, uint8_t *, value, size_t, length)
F3(1502, vcpu_set_sme_za_reg, hv_vcpu_t, vcpu, const uint8_t *, value, size_t,
   length)
F2(1502, vcpu_get_sme_zt0_reg, hv_vcpu_t, vcpu, hv_sme_zt0_uchar64_t *, value)
F2(1502, vcpu_set_sme_zt0_reg, hv_vcpu_t, vcpu, const hv_sme_zt0_uchar64_t *,
   value)
/* hv_gic_config.h */
O0(1500, hv_gic_config_t, gic_config_create)
F2(1500, gic_config_set_distributor_base, hv_gic_config_t, config, hv_ipa_t,
   distributor_base_address)
F2(1500, gic_config_set_redistributor_base, hv_gic_config_t, config, hv_ipa_t,
   redistributor_base_address)
F2(1500, gic_config_set_msi_region_base, hv_gic_config_t, config, hv_ipa_t,
   msi_region_base_address)
F3(1500, gic_config_set_msi_interrupt_range, hv_gic_config_t, config, uint32_t,
   msi_intid_base, uint32_t, msi_intid_count)
/* hv_gic.h */
F1(1500, gic_create, hv_gic_config_t, gic_config)
F2(1500, gic_set_spi, uint32_t, intid, bool, level)
F2(1500, gic_send_msi, hv_ipa_t, address, uint32_t, intid)
F2(1500, gic_get_distributor_reg, hv_gic_distributor_reg_t, reg, uint64_t *,
   value)
F2(1500, gic_set_distributor_reg, hv_gic_distributor_reg_t, reg, uint64_t,
   value)
F2(1500, gic_get_redistributor_base, hv_vcpu_t, vcpu, hv_ipa_t *,
   redistributor_base_address)
F3(1500, gic_get_redistributor_reg, hv_vcpu_t, vcpu, hv_gic_redistributor_reg_t,
   reg, uint64_t *, value)
F3(1500, gic_set_redistributor_reg, hv_vcpu_t, vcpu, hv_gic_redistributor_reg_t,
   reg, uint64_t, value)
F3(1500, gic_get_icc_reg, hv_vcpu_t, vcpu, hv_gic_icc_reg_t, reg, uint64_t *,
   value)
F3(1500, gic_set_icc_reg, hv_vcpu_t, vcpu, hv_gic_icc_reg_t, reg, uint64_t,
   value)
F3(1500, gic_get_ich_reg, hv_vcpu_t, vcpu, hv_gic_ich_reg_t, reg, uint64_t *,
   value)
F3(1500, gic_set_ich_reg, hv_vcpu_t, vcpu, hv_gic_ich_reg_t, reg, uint64_t,
   value)
F3(1500, gic_get_icv_reg, hv_vcpu_t, vcpu, hv_gic_icv_reg_t, reg, uint64_t *,
   value)
F3(1500, gic_set_icv_reg, hv_vcpu_t, vcpu, hv_gic_icv_reg_t, reg, uint64_t,
   value)
F2(1500, gic_get_msi_reg, hv_gic_msi_reg_t, reg, uint64_t *, value)
F2(1500, gic_set_msi_reg, hv_gic_msi_reg_t, reg, uint64_t, value)
F2(1500, gic_set_state, const void *, gic_state_data, size_t, gic_state_size)
F0(1500, gic_reset)
/* hv_gic_state.h */
O0(1500, hv_gic_state_t, gic_state_create)
F2(1500, gic_state_get_size, hv_gic_state_t, state, size_t *, gic_state_size)
F2(1500, gic_state_get_data, hv_gic_state_t, state, void *, gic_state_data)
/* hv_gic_parameters.h */
F1(1500, gic_get_distributor_size, size_t *, distributor_size)
F1(1500, gic_get_distributor_base_alignment, size_t *,
   distributor_base_alignment)
F1(1500, gic_get_redistributor_region_size, size_t *, redistributor_region_size)
F1(1500, gic_get_redistributor_size, size_t *, redistributor_size)
F1(1500, gic_get_redistributor_base_alignment, size_t *,
   redistributor_base_alignment)
F1(1500, gic_get_msi_region_size, size_t *, msi_region_size)
F1(1500, gic_get_msi_region_base_alignment, size_t *, msi_region_base_alignment)
F2(1500, gic_get_spi_interrupt_range, uint32_t *, spi_intid_base, uint32_t *,
   spi_intid_count)
F2(1500, gic_get_intid, hv_gic_intid_t, interrupt, uint32_t *, intid)
/* hv_sme_config.h */
F1(1502, sme_config_get_max_svl_bytes, size_t *, value)
/* clang-format on */

#undef FN
#undef F0
#undef O0
#undef F1
#undef F2
#undef F3
#undef V3
#undef F4
