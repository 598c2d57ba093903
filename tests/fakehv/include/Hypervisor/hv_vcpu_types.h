/* SPDX-License-Identifier: MIT */
/* hv_vcpu_types.h - exits, registers, and what else concerns one vCPU. */
#ifndef HYPERVISOR_HV_VCPU_TYPES_H
#define HYPERVISOR_HV_VCPU_TYPES_H

#include <Hypervisor/hv_kern_types.h>

typedef uint64_t hv_vcpu_t; /* a small number */

/* An os_object: of hv_vcpu_config_create(), for os_release(). */
typedef struct hv_vcpu_config_s *hv_vcpu_config_t;

/* ---- exits --------------------------------------------------------------- */

HV_ENUM(hv_exit_reason_t, uint32_t){
    HV_EXIT_REASON_CANCELED = 0,
    HV_EXIT_REASON_EXCEPTION = 1,
    HV_EXIT_REASON_VTIMER_ACTIVATED = 2,
    HV_EXIT_REASON_UNKNOWN = 3,
};

typedef uint64_t hv_exception_syndrome_t; /* as ESR_EL2 */
typedef uint64_t hv_exception_address_t;

typedef struct {
    hv_exception_syndrome_t syndrome;
    hv_exception_address_t virtual_address;
    hv_ipa_t physical_address;
} hv_vcpu_exit_exception_t;

typedef struct {
    hv_exit_reason_t reason;
    hv_vcpu_exit_exception_t exception; /* HV_EXIT_REASON_EXCEPTION only */
} hv_vcpu_exit_t;

_Static_assert(sizeof(hv_vcpu_exit_t) == 32, "hv_vcpu_exit_t");
_Static_assert(offsetof(hv_vcpu_exit_t, reason) == 0, "reason");
_Static_assert(offsetof(hv_vcpu_exit_t, exception.syndrome) == 8, "syndrome");
_Static_assert(offsetof(hv_vcpu_exit_t, exception.virtual_address) == 16, "va");
_Static_assert(offsetof(hv_vcpu_exit_t, exception.physical_address) == 24,
               "pa");

/* ---- registers ----------------------------------------------------------- */

/* SP is not among them: see HV_SYS_REG_SP_EL0 and HV_SYS_REG_SP_EL1. */
HV_ENUM(hv_reg_t, uint32_t){
    HV_TEN(HV_REG_X, , 0, 1),
    HV_TEN(HV_REG_X, 1, 0, 1),
    HV_TEN(HV_REG_X, 2, 0, 1),
    HV_REG_X30 = 30,
    HV_REG_FP = HV_REG_X29,
    HV_REG_LR = HV_REG_X30,
    HV_REG_PC = 31,
    HV_REG_FPCR = 32,
    HV_REG_FPSR = 33,
    HV_REG_CPSR = 34,
};

HV_ENUM(hv_simd_fp_reg_t, uint32_t){
    HV_TEN(HV_SIMD_FP_REG_Q, , 0, 1),  HV_TEN(HV_SIMD_FP_REG_Q, 1, 0, 1),
    HV_TEN(HV_SIMD_FP_REG_Q, 2, 0, 1), HV_SIMD_FP_REG_Q30 = 30,
    HV_SIMD_FP_REG_Q31 = 31,
};

/* Passed by value, in a vector register. */
typedef uint8_t hv_simd_fp_uchar16_t __attribute__((vector_size(16)));

/* op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2 */
HV_ENUM(hv_sys_reg_t, uint16_t){
    HV_SYS_REG_DBGBVR0_EL1 = 0x8004,
    HV_SYS_REG_DBGBCR0_EL1 = 0x8005,
    HV_SYS_REG_DBGWVR0_EL1 = 0x8006,
    HV_SYS_REG_DBGWCR0_EL1 = 0x8007,
    HV_SYS_REG_DBGBVR1_EL1 = 0x800c,
    HV_SYS_REG_DBGBCR1_EL1 = 0x800d,
    HV_SYS_REG_DBGWVR1_EL1 = 0x800e,
    HV_SYS_REG_DBGWCR1_EL1 = 0x800f,
    HV_SYS_REG_DBGBVR2_EL1 = 0x8014,
    HV_SYS_REG_DBGBCR2_EL1 = 0x8015,
    HV_SYS_REG_DBGWVR2_EL1 = 0x8016,
    HV_SYS_REG_DBGWCR2_EL1 = 0x8017,
    HV_SYS_REG_DBGBVR3_EL1 = 0x801c,
    HV_SYS_REG_DBGBCR3_EL1 = 0x801d,
    HV_SYS_REG_DBGWVR3_EL1 = 0x801e,
    HV_SYS_REG_DBGWCR3_EL1 = 0x801f,
    HV_SYS_REG_DBGBVR4_EL1 = 0x8024,
    HV_SYS_REG_DBGBCR4_EL1 = 0x8025,
    HV_SYS_REG_DBGWVR4_EL1 = 0x8026,
    HV_SYS_REG_DBGWCR4_EL1 = 0x8027,
    HV_SYS_REG_DBGBVR5_EL1 = 0x802c,
    HV_SYS_REG_DBGBCR5_EL1 = 0x802d,
    HV_SYS_REG_DBGWVR5_EL1 = 0x802e,
    HV_SYS_REG_DBGWCR5_EL1 = 0x802f,
    HV_SYS_REG_DBGBVR6_EL1 = 0x8034,
    HV_SYS_REG_DBGBCR6_EL1 = 0x8035,
    HV_SYS_REG_DBGWVR6_EL1 = 0x8036,
    HV_SYS_REG_DBGWCR6_EL1 = 0x8037,
    HV_SYS_REG_DBGBVR7_EL1 = 0x803c,
    HV_SYS_REG_DBGBCR7_EL1 = 0x803d,
    HV_SYS_REG_DBGWVR7_EL1 = 0x803e,
    HV_SYS_REG_DBGWCR7_EL1 = 0x803f,
    HV_SYS_REG_DBGBVR8_EL1 = 0x8044,
    HV_SYS_REG_DBGBCR8_EL1 = 0x8045,
    HV_SYS_REG_DBGWVR8_EL1 = 0x8046,
    HV_SYS_REG_DBGWCR8_EL1 = 0x8047,
    HV_SYS_REG_DBGBVR9_EL1 = 0x804c,
    HV_SYS_REG_DBGBCR9_EL1 = 0x804d,
    HV_SYS_REG_DBGWVR9_EL1 = 0x804e,
    HV_SYS_REG_DBGWCR9_EL1 = 0x804f,
    HV_SYS_REG_DBGBVR10_EL1 = 0x8054,
    HV_SYS_REG_DBGBCR10_EL1 = 0x8055,
    HV_SYS_REG_DBGWVR10_EL1 = 0x8056,
    HV_SYS_REG_DBGWCR10_EL1 = 0x8057,
    HV_SYS_REG_DBGBVR11_EL1 = 0x805c,
    HV_SYS_REG_DBGBCR11_EL1 = 0x805d,
    HV_SYS_REG_DBGWVR11_EL1 = 0x805e,
    HV_SYS_REG_DBGWCR11_EL1 = 0x805f,
    HV_SYS_REG_DBGBVR12_EL1 = 0x8064,
    HV_SYS_REG_DBGBCR12_EL1 = 0x8065,
    HV_SYS_REG_DBGWVR12_EL1 = 0x8066,
    HV_SYS_REG_DBGWCR12_EL1 = 0x8067,
    HV_SYS_REG_DBGBVR13_EL1 = 0x806c,
    HV_SYS_REG_DBGBCR13_EL1 = 0x806d,
    HV_SYS_REG_DBGWVR13_EL1 = 0x806e,
    HV_SYS_REG_DBGWCR13_EL1 = 0x806f,
    HV_SYS_REG_DBGBVR14_EL1 = 0x8074,
    HV_SYS_REG_DBGBCR14_EL1 = 0x8075,
    HV_SYS_REG_DBGWVR14_EL1 = 0x8076,
    HV_SYS_REG_DBGWCR14_EL1 = 0x8077,
    HV_SYS_REG_DBGBVR15_EL1 = 0x807c,
    HV_SYS_REG_DBGBCR15_EL1 = 0x807d,
    HV_SYS_REG_DBGWVR15_EL1 = 0x807e,
    HV_SYS_REG_DBGWCR15_EL1 = 0x807f,
    HV_SYS_REG_MDCCINT_EL1 = 0x8010,
    HV_SYS_REG_MDSCR_EL1 = 0x8012,
    HV_SYS_REG_MIDR_EL1 = 0xc000,
    HV_SYS_REG_MPIDR_EL1 = 0xc005,
    HV_SYS_REG_ID_AA64PFR0_EL1 = 0xc020,
    HV_SYS_REG_ID_AA64PFR1_EL1 = 0xc021,
    HV_SYS_REG_ID_AA64DFR0_EL1 = 0xc028,
    HV_SYS_REG_ID_AA64DFR1_EL1 = 0xc029,
    HV_SYS_REG_ID_AA64ISAR0_EL1 = 0xc030,
    HV_SYS_REG_ID_AA64ISAR1_EL1 = 0xc031,
    HV_SYS_REG_ID_AA64MMFR0_EL1 = 0xc038,
    HV_SYS_REG_ID_AA64MMFR1_EL1 = 0xc039,
    HV_SYS_REG_ID_AA64MMFR2_EL1 = 0xc03a,
    HV_SYS_REG_SCTLR_EL1 = 0xc080,
    HV_SYS_REG_CPACR_EL1 = 0xc082,
    HV_SYS_REG_TTBR0_EL1 = 0xc100,
    HV_SYS_REG_TTBR1_EL1 = 0xc101,
    HV_SYS_REG_TCR_EL1 = 0xc102,
    HV_SYS_REG_APIAKEYLO_EL1 = 0xc108,
    HV_SYS_REG_APIAKEYHI_EL1 = 0xc109,
    HV_SYS_REG_APIBKEYLO_EL1 = 0xc10a,
    HV_SYS_REG_APIBKEYHI_EL1 = 0xc10b,
    HV_SYS_REG_APDAKEYLO_EL1 = 0xc110,
    HV_SYS_REG_APDAKEYHI_EL1 = 0xc111,
    HV_SYS_REG_APDBKEYLO_EL1 = 0xc112,
    HV_SYS_REG_APDBKEYHI_EL1 = 0xc113,
    HV_SYS_REG_APGAKEYLO_EL1 = 0xc118,
    HV_SYS_REG_APGAKEYHI_EL1 = 0xc119,
    HV_SYS_REG_SPSR_EL1 = 0xc200,
    HV_SYS_REG_ELR_EL1 = 0xc201,
    HV_SYS_REG_SP_EL0 = 0xc208,
    HV_SYS_REG_AFSR0_EL1 = 0xc288,
    HV_SYS_REG_AFSR1_EL1 = 0xc289,
    HV_SYS_REG_ESR_EL1 = 0xc290,
    HV_SYS_REG_FAR_EL1 = 0xc300,
    HV_SYS_REG_PAR_EL1 = 0xc3a0,
    HV_SYS_REG_MAIR_EL1 = 0xc510,
    HV_SYS_REG_AMAIR_EL1 = 0xc518,
    HV_SYS_REG_VBAR_EL1 = 0xc600,
    HV_SYS_REG_CONTEXTIDR_EL1 = 0xc681,
    HV_SYS_REG_TPIDR_EL1 = 0xc684,
    HV_SYS_REG_CNTKCTL_EL1 = 0xc708,
    HV_SYS_REG_CSSELR_EL1 = 0xd000,
    HV_SYS_REG_TPIDR_EL0 = 0xde82,
    HV_SYS_REG_TPIDRRO_EL0 = 0xde83,
    HV_SYS_REG_CNTV_CTL_EL0 = 0xdf19,
    HV_SYS_REG_CNTV_CVAL_EL0 = 0xdf1a,
    HV_SYS_REG_SP_EL1 = 0xe208,
    /* macOS 15.0; the physical timer takes a VM with a GIC, EL2 one with EL2 */
    HV_SYS_REG_ACTLR_EL1 = 0xc081,
    HV_SYS_REG_CNTP_TVAL_EL0 = 0xdf10,
    HV_SYS_REG_CNTP_CTL_EL0 = 0xdf11,
    HV_SYS_REG_CNTP_CVAL_EL0 = 0xdf12,
    HV_SYS_REG_VPIDR_EL2 = 0xe000,
    HV_SYS_REG_VMPIDR_EL2 = 0xe005,
    HV_SYS_REG_SCTLR_EL2 = 0xe080,
    HV_SYS_REG_HCR_EL2 = 0xe088,
    HV_SYS_REG_MDCR_EL2 = 0xe089,
    HV_SYS_REG_CPTR_EL2 = 0xe08a,
    HV_SYS_REG_TTBR0_EL2 = 0xe100,
    HV_SYS_REG_TTBR1_EL2 = 0xe101,
    HV_SYS_REG_TCR_EL2 = 0xe102,
    HV_SYS_REG_VTTBR_EL2 = 0xe108,
    HV_SYS_REG_VTCR_EL2 = 0xe10a,
    HV_SYS_REG_SPSR_EL2 = 0xe200,
    HV_SYS_REG_ELR_EL2 = 0xe201,
    HV_SYS_REG_ESR_EL2 = 0xe290,
    HV_SYS_REG_FAR_EL2 = 0xe300,
    HV_SYS_REG_HPFAR_EL2 = 0xe304,
    HV_SYS_REG_MAIR_EL2 = 0xe510,
    HV_SYS_REG_VBAR_EL2 = 0xe600,
    HV_SYS_REG_TPIDR_EL2 = 0xe682,
    HV_SYS_REG_CNTVOFF_EL2 = 0xe703,
    HV_SYS_REG_CNTHCTL_EL2 = 0xe708,
    HV_SYS_REG_CNTHP_TVAL_EL2 = 0xe710,
    HV_SYS_REG_CNTHP_CTL_EL2 = 0xe711,
    HV_SYS_REG_CNTHP_CVAL_EL2 = 0xe712,
    HV_SYS_REG_SP_EL2 = 0xf208,
    /* macOS 15.2 */
    HV_SYS_REG_ID_AA64ZFR0_EL1 = 0xc024,
    HV_SYS_REG_ID_AA64SMFR0_EL1 = 0xc025,
    HV_SYS_REG_SMPRI_EL1 = 0xc094,
    HV_SYS_REG_SMCR_EL1 = 0xc096,
    HV_SYS_REG_SCXTNUM_EL1 = 0xc687,
    HV_SYS_REG_TPIDR2_EL0 = 0xde85,
    HV_SYS_REG_SCXTNUM_EL0 = 0xde87,
};

/* ---- the rest ------------------------------------------------------------ */

HV_ENUM(hv_interrupt_type_t, uint32_t){
    HV_INTERRUPT_TYPE_IRQ = 0,
    HV_INTERRUPT_TYPE_FIQ = 1,
};

HV_ENUM(hv_cache_type_t, uint32_t){
    HV_CACHE_TYPE_DATA = 0,
    HV_CACHE_TYPE_INSTRUCTION = 1,
};

HV_ENUM(hv_feature_reg_t, uint32_t){
    HV_FEATURE_REG_ID_AA64DFR0_EL1 = 0,   HV_FEATURE_REG_ID_AA64DFR1_EL1 = 1,
    HV_FEATURE_REG_ID_AA64ISAR0_EL1 = 2,  HV_FEATURE_REG_ID_AA64ISAR1_EL1 = 3,
    HV_FEATURE_REG_ID_AA64MMFR0_EL1 = 4,  HV_FEATURE_REG_ID_AA64MMFR1_EL1 = 5,
    HV_FEATURE_REG_ID_AA64MMFR2_EL1 = 6,  HV_FEATURE_REG_ID_AA64PFR0_EL1 = 7,
    HV_FEATURE_REG_ID_AA64PFR1_EL1 = 8,   HV_FEATURE_REG_CTR_EL0 = 9,
    HV_FEATURE_REG_CLIDR_EL1 = 10,        HV_FEATURE_REG_DCZID_EL0 = 11,
    HV_FEATURE_REG_ID_AA64SMFR0_EL1 = 12, /* macOS 15.2 */
    HV_FEATURE_REG_ID_AA64ZFR0_EL1 = 13,  /* macOS 15.2 */
};

/* ---- SME, macOS 15.2 ----------------------------------------------------- */

typedef struct {
    bool streaming_sve_mode_enabled; /* PSTATE.SM */
    bool za_storage_enabled;         /* PSTATE.ZA */
} hv_vcpu_sme_state_t;

HV_ENUM(hv_sme_z_reg_t, uint32_t){
    HV_TEN(HV_SME_Z_REG_, , 0, 1),  HV_TEN(HV_SME_Z_REG_, 1, 0, 1),
    HV_TEN(HV_SME_Z_REG_, 2, 0, 1), HV_SME_Z_REG_30 = 30,
    HV_SME_Z_REG_31 = 31,
};

HV_ENUM(hv_sme_p_reg_t, uint32_t){
    HV_TEN(HV_SME_P_REG_, , 0, 1), HV_SME_P_REG_10 = 10, HV_SME_P_REG_11 = 11,
    HV_SME_P_REG_12 = 12,          HV_SME_P_REG_13 = 13, HV_SME_P_REG_14 = 14,
    HV_SME_P_REG_15 = 15,
};

/* By pointer, unlike hv_simd_fp_uchar16_t. */
typedef uint8_t hv_sme_zt0_uchar64_t __attribute__((vector_size(64)));

#endif
