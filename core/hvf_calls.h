/* SPDX-License-Identifier: MIT */
/* hvf_calls.h - the framework's functions, each with the first macOS that has it
 * (1502 is 15.2). They are looked up when a machine is opened: so one program
 * runs on every macOS since 11, on what stands in for one (HVLUA_HYPERVISOR), and
 * starts faster than one that is linked to it.
 *
 * What came after macOS 11 is declared here by plain types of the same size: so
 * hvlua compiles with any SDK, also one that has never heard of these. */
#ifndef VMM_HVF_CALLS_H
#define VMM_HVF_CALLS_H

#include <Hypervisor/Hypervisor.h>
#include <mach/mach_time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* hv_vm_config_t and all the others: objects, for os_release() in the end. */
typedef void *hvf_object;

/* hv_vcpu_sme_state_t */
struct hvf_sme_state {
    bool streaming, za;
};

enum { HVF_GRANULE_4K, HVF_GRANULE_16K }; /* hv_ipa_granule_t */

/* X(since, what it gives, its name without "hv_", parameters) */
/* clang-format off */
#define HVF_CALLS(X)                                                           \
    X(1100, hv_return_t, vm_get_max_vcpu_count, (uint32_t *count))             \
    X(1100, hv_return_t, vm_create, (hvf_object config))                       \
    X(1100, hv_return_t, vm_destroy, (void))                                   \
    X(1100, hv_return_t, vm_map,                                               \
      (void *host, hv_ipa_t at, size_t size, hv_memory_flags_t flags))         \
    X(1100, hv_return_t, vm_unmap, (hv_ipa_t at, size_t size))                 \
    X(1100, hv_return_t, vm_protect,                                           \
      (hv_ipa_t at, size_t size, hv_memory_flags_t flags))                     \
    X(1201, hv_return_t, vm_allocate,                                          \
      (void **host, size_t size, uint64_t flags))                              \
    X(1201, hv_return_t, vm_deallocate, (void *host, size_t size))             \
    X(1300, hvf_object, vm_config_create, (void))                              \
    X(1300, hv_return_t, vm_config_get_max_ipa_size, (uint32_t *bits))         \
    X(1300, hv_return_t, vm_config_get_default_ipa_size, (uint32_t *bits))     \
    X(1300, hv_return_t, vm_config_set_ipa_size,                               \
      (hvf_object config, uint32_t bits))                                      \
    X(1300, hv_return_t, vm_config_get_ipa_size,                               \
      (hvf_object config, uint32_t *bits))                                     \
    X(1500, hv_return_t, vm_config_get_el2_supported, (bool *is))              \
    X(1500, hv_return_t, vm_config_get_el2_enabled,                            \
      (hvf_object config, bool *is))                                           \
    X(1500, hv_return_t, vm_config_set_el2_enabled,                            \
      (hvf_object config, bool on))                                            \
    X(2600, hv_return_t, vm_config_get_default_ipa_granule,                    \
      (uint32_t *granule))                                                     \
    X(2600, hv_return_t, vm_config_get_ipa_granule,                            \
      (hvf_object config, uint32_t *granule))                                  \
    X(2600, hv_return_t, vm_config_set_ipa_granule,                            \
      (hvf_object config, uint32_t granule))                                   \
    X(1100, hvf_object, vcpu_config_create, (void))                            \
    X(1100, hv_return_t, vcpu_config_get_feature_reg,                          \
      (hvf_object config, uint32_t reg, uint64_t *value))                      \
    X(1100, hv_return_t, vcpu_config_get_ccsidr_el1_sys_reg_values,            \
      (hvf_object config, uint32_t type, uint64_t values[8]))                  \
    X(1100, hv_return_t, vcpu_create,                                          \
      (hv_vcpu_t *cpu, hv_vcpu_exit_t **exit, hvf_object config))              \
    X(1100, hv_return_t, vcpu_destroy, (hv_vcpu_t cpu))                        \
    X(1100, hv_return_t, vcpu_get_reg,                                         \
      (hv_vcpu_t cpu, uint32_t reg, uint64_t *value))                          \
    X(1100, hv_return_t, vcpu_set_reg,                                         \
      (hv_vcpu_t cpu, uint32_t reg, uint64_t value))                           \
    X(1100, hv_return_t, vcpu_get_simd_fp_reg,                                 \
      (hv_vcpu_t cpu, uint32_t reg, hv_simd_fp_uchar16_t *value))              \
    X(1100, hv_return_t, vcpu_set_simd_fp_reg,                                 \
      (hv_vcpu_t cpu, uint32_t reg, hv_simd_fp_uchar16_t value))               \
    X(1100, hv_return_t, vcpu_get_sys_reg,                                     \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t *value))                          \
    X(1100, hv_return_t, vcpu_set_sys_reg,                                     \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t value))                           \
    X(1100, hv_return_t, vcpu_get_pending_interrupt,                           \
      (hv_vcpu_t cpu, uint32_t type, bool *pending))                           \
    X(1100, hv_return_t, vcpu_set_pending_interrupt,                           \
      (hv_vcpu_t cpu, uint32_t type, bool pending))                            \
    X(1100, hv_return_t, vcpu_get_trap_debug_exceptions,                       \
      (hv_vcpu_t cpu, bool *on))                                               \
    X(1100, hv_return_t, vcpu_set_trap_debug_exceptions,                       \
      (hv_vcpu_t cpu, bool on))                                                \
    X(1100, hv_return_t, vcpu_get_trap_debug_reg_accesses,                     \
      (hv_vcpu_t cpu, bool *on))                                               \
    X(1100, hv_return_t, vcpu_set_trap_debug_reg_accesses,                     \
      (hv_vcpu_t cpu, bool on))                                                \
    X(1100, hv_return_t, vcpu_run, (hv_vcpu_t cpu))                            \
    X(1100, hv_return_t, vcpus_exit, (hv_vcpu_t *cpus, uint32_t count))        \
    X(1100, hv_return_t, vcpu_get_exec_time, (hv_vcpu_t cpu, uint64_t *ticks)) \
    X(1100, hv_return_t, vcpu_get_vtimer_mask, (hv_vcpu_t cpu, bool *masked))  \
    X(1100, hv_return_t, vcpu_set_vtimer_mask, (hv_vcpu_t cpu, bool masked))   \
    X(1100, hv_return_t, vcpu_get_vtimer_offset,                               \
      (hv_vcpu_t cpu, uint64_t *offset))                                       \
    X(1100, hv_return_t, vcpu_set_vtimer_offset,                               \
      (hv_vcpu_t cpu, uint64_t offset))                                        \
    X(1502, hv_return_t, vcpu_get_sme_state,                                   \
      (hv_vcpu_t cpu, struct hvf_sme_state *state))                            \
    X(1502, hv_return_t, vcpu_set_sme_state,                                   \
      (hv_vcpu_t cpu, const struct hvf_sme_state *state))                      \
    X(1502, hv_return_t, vcpu_get_sme_z_reg,                                   \
      (hv_vcpu_t cpu, uint32_t reg, uint8_t *value, size_t size))              \
    X(1502, hv_return_t, vcpu_set_sme_z_reg,                                   \
      (hv_vcpu_t cpu, uint32_t reg, const uint8_t *value, size_t size))        \
    X(1502, hv_return_t, vcpu_get_sme_p_reg,                                   \
      (hv_vcpu_t cpu, uint32_t reg, uint8_t *value, size_t size))              \
    X(1502, hv_return_t, vcpu_set_sme_p_reg,                                   \
      (hv_vcpu_t cpu, uint32_t reg, const uint8_t *value, size_t size))        \
    X(1502, hv_return_t, vcpu_get_sme_za_reg,                                  \
      (hv_vcpu_t cpu, uint8_t *value, size_t size))                            \
    X(1502, hv_return_t, vcpu_set_sme_za_reg,                                  \
      (hv_vcpu_t cpu, const uint8_t *value, size_t size))                      \
    X(1502, hv_return_t, vcpu_get_sme_zt0_reg, (hv_vcpu_t cpu, void *value))   \
    X(1502, hv_return_t, vcpu_set_sme_zt0_reg,                                 \
      (hv_vcpu_t cpu, const void *value))                                      \
    X(1502, hv_return_t, sme_config_get_max_svl_bytes, (size_t *size))         \
    X(1500, hvf_object, gic_config_create, (void))                             \
    X(1500, hv_return_t, gic_config_set_distributor_base,                      \
      (hvf_object config, hv_ipa_t at))                                        \
    X(1500, hv_return_t, gic_config_set_redistributor_base,                    \
      (hvf_object config, hv_ipa_t at))                                        \
    X(1500, hv_return_t, gic_config_set_msi_region_base,                       \
      (hvf_object config, hv_ipa_t at))                                        \
    X(1500, hv_return_t, gic_config_set_msi_interrupt_range,                   \
      (hvf_object config, uint32_t first, uint32_t count))                     \
    X(1500, hv_return_t, gic_create, (hvf_object config))                      \
    X(1500, hv_return_t, gic_set_spi, (uint32_t intid, bool level))            \
    X(1500, hv_return_t, gic_send_msi, (hv_ipa_t at, uint32_t intid))          \
    X(1500, hv_return_t, gic_get_distributor_reg,                              \
      (uint16_t reg, uint64_t *value))                                         \
    X(1500, hv_return_t, gic_set_distributor_reg,                              \
      (uint16_t reg, uint64_t value))                                          \
    X(1500, hv_return_t, gic_get_redistributor_base,                           \
      (hv_vcpu_t cpu, hv_ipa_t *at))                                           \
    X(1500, hv_return_t, gic_get_redistributor_reg,                            \
      (hv_vcpu_t cpu, uint32_t reg, uint64_t *value))                          \
    X(1500, hv_return_t, gic_set_redistributor_reg,                            \
      (hv_vcpu_t cpu, uint32_t reg, uint64_t value))                           \
    X(1500, hv_return_t, gic_get_icc_reg,                                      \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t *value))                          \
    X(1500, hv_return_t, gic_set_icc_reg,                                      \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t value))                           \
    X(1500, hv_return_t, gic_get_ich_reg,                                      \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t *value))                          \
    X(1500, hv_return_t, gic_set_ich_reg,                                      \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t value))                           \
    X(1500, hv_return_t, gic_get_icv_reg,                                      \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t *value))                          \
    X(1500, hv_return_t, gic_set_icv_reg,                                      \
      (hv_vcpu_t cpu, uint16_t reg, uint64_t value))                           \
    X(1500, hv_return_t, gic_get_msi_reg, (uint16_t reg, uint64_t *value))     \
    X(1500, hv_return_t, gic_set_msi_reg, (uint16_t reg, uint64_t value))      \
    X(1500, hv_return_t, gic_set_state, (const void *state, size_t size))      \
    X(1500, hv_return_t, gic_reset, (void))                                    \
    X(1500, hvf_object, gic_state_create, (void))                              \
    X(1500, hv_return_t, gic_state_get_size,                                   \
      (hvf_object state, size_t *size))                                        \
    X(1500, hv_return_t, gic_state_get_data, (hvf_object state, void *data))   \
    X(1500, hv_return_t, gic_get_distributor_size, (size_t *size))             \
    X(1500, hv_return_t, gic_get_distributor_base_alignment, (size_t *size))   \
    X(1500, hv_return_t, gic_get_redistributor_region_size, (size_t *size))    \
    X(1500, hv_return_t, gic_get_redistributor_size, (size_t *size))           \
    X(1500, hv_return_t, gic_get_redistributor_base_alignment, (size_t *size)) \
    X(1500, hv_return_t, gic_get_msi_region_size, (size_t *size))              \
    X(1500, hv_return_t, gic_get_msi_region_base_alignment, (size_t *size))    \
    X(1500, hv_return_t, gic_get_spi_interrupt_range,                          \
      (uint32_t *first, uint32_t *count))                                      \
    X(1500, hv_return_t, gic_get_intid, (uint16_t interrupt, uint32_t *intid))
/* clang-format on */

struct hvf_calls {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): it is a declaration */
#define X(since, type, name, parameters) type(*name) parameters;
    HVF_CALLS(X)
#undef X
    void *library;
    /* Not the framework's, but of the same system. */
    void (*icache_invalidate)(void *start, size_t size);
    void (*os_release)(void *object);
    int (*timebase)(struct mach_timebase_info *info);
    uint64_t (*absolute_time)(void);
    int (*sysctl)(const char *name, void *old, size_t *old_size, void *value,
                  size_t size);
};

/* Why there is no such framework here, in words; NULL: *c is filled in, but for
 * functions that this macOS lacks. */
const char *hvf_load(struct hvf_calls *c, char *buffer, size_t size);
/* vmm_fail() with "hvf: what: <the error in words, and what to do>". */
int hvf_fail(const char *what, hv_return_t error);
/* The same where the function is not there: hvf_call(c, gic_reset) is it. */
int hvf_lacks(const char *what, const char *function);
/* Call look(name, "15.2", ctx) for each function that this macOS lacks. */
void hvf_missing(const struct hvf_calls *c,
                 void (*look)(const char *name, const char *since, void *ctx),
                 void *ctx);
/* "15.5", or NULL; in the buffer. */
const char *hvf_macos(const struct hvf_calls *c, char *buffer, size_t size);

#endif
