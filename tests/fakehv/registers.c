/* SPDX-License-Identifier: MIT */
/* registers.c - which registers a vCPU has, what they are at first, and who
 * keeps them. */
#include <string.h>

#include "engine.h"

/* ---- the table ------------------------------------------------------------ */

#define FEATURES(reg, reset)                                                   \
    {                                                                          \
        HV_SYS_REG_##reg, 1100, NEEDS_NOTHING, HOME_ID, UINT64_C(reset)        \
    }
#define ROW(reg, home)                                                         \
    {                                                                          \
        HV_SYS_REG_##reg, 1100, NEEDS_NOTHING, HOME_##home, 0                  \
    }
#define NEWER(reg, since, needs, home, reset)                                  \
    {                                                                          \
        HV_SYS_REG_##reg, since, NEEDS_##needs, HOME_##home, UINT64_C(reset)   \
    }
#define EL2(reg) NEWER(reg, 1500, EL2, ENGINE, 0)

/* In the order of their numbers. The resets are what an SME Mac with macOS 15.5
 * was seen to have. */
static const struct sysreg table[] = {
    ROW(MDCCINT_EL1, DEBUG),
    ROW(MDSCR_EL1, DEBUG),
    {HV_SYS_REG_MIDR_EL1, 1100, NEEDS_NOTHING, HOME_SPECIAL, 0x610f0000},
    ROW(MPIDR_EL1, SPECIAL),
    FEATURES(ID_AA64PFR0_EL1, 0x1101000010110011),
    FEATURES(ID_AA64PFR1_EL1, 0x0000000202000000),
    NEWER(ID_AA64ZFR0_EL1, 1502, NOTHING, ID, 0x0000100000100001),
    NEWER(ID_AA64SMFR0_EL1, 1502, NOTHING, ID, 0x01f150ff00000000),
    FEATURES(ID_AA64DFR0_EL1, 0x0000000010305006),
    FEATURES(ID_AA64DFR1_EL1, 0),
    FEATURES(ID_AA64ISAR0_EL1, 0x0221100110212120),
    FEATURES(ID_AA64ISAR1_EL1, 0x0000111110211502),
    FEATURES(ID_AA64MMFR0_EL1, 0x000010000f100022),
    FEATURES(ID_AA64MMFR1_EL1, 0x0000100011312000),
    FEATURES(ID_AA64MMFR2_EL1, 0x1001001102001011),
    ROW(SCTLR_EL1, ENGINE),
    NEWER(ACTLR_EL1, 1500, NOTHING, STORE, 0),
    ROW(CPACR_EL1, SPECIAL),
    NEWER(SMPRI_EL1, 1502, NOTHING, STORE, 0),
    NEWER(SMCR_EL1, 1502, NOTHING, STORE, 0),
    ROW(TTBR0_EL1, ENGINE),
    ROW(TTBR1_EL1, ENGINE),
    ROW(TCR_EL1, ENGINE),
    ROW(APIAKEYLO_EL1, ENGINE),
    ROW(APIAKEYHI_EL1, ENGINE),
    ROW(APIBKEYLO_EL1, ENGINE),
    ROW(APIBKEYHI_EL1, ENGINE),
    ROW(APDAKEYLO_EL1, ENGINE),
    ROW(APDAKEYHI_EL1, ENGINE),
    ROW(APDBKEYLO_EL1, ENGINE),
    ROW(APDBKEYHI_EL1, ENGINE),
    ROW(APGAKEYLO_EL1, ENGINE),
    ROW(APGAKEYHI_EL1, ENGINE),
    ROW(SPSR_EL1, ENGINE),
    ROW(ELR_EL1, ENGINE),
    ROW(SP_EL0, SPECIAL),
    ROW(AFSR0_EL1, STORE),
    ROW(AFSR1_EL1, STORE),
    ROW(ESR_EL1, ENGINE),
    ROW(FAR_EL1, ENGINE),
    ROW(PAR_EL1, ENGINE),
    ROW(MAIR_EL1, ENGINE),
    ROW(AMAIR_EL1, STORE),
    ROW(VBAR_EL1, ENGINE),
    ROW(CONTEXTIDR_EL1, ENGINE),
    ROW(TPIDR_EL1, ENGINE),
    NEWER(SCXTNUM_EL1, 1502, NOTHING, STORE, 0),
    ROW(CNTKCTL_EL1, ENGINE),
    ROW(CSSELR_EL1, STORE),
    ROW(TPIDR_EL0, ENGINE),
    ROW(TPIDRRO_EL0, ENGINE),
    NEWER(TPIDR2_EL0, 1502, NOTHING, STORE, 0),
    NEWER(SCXTNUM_EL0, 1502, NOTHING, STORE, 0),
    NEWER(CNTP_TVAL_EL0, 1500, GIC, SPECIAL, 0),
    NEWER(CNTP_CTL_EL0, 1500, GIC, SPECIAL, 0),
    NEWER(CNTP_CVAL_EL0, 1500, GIC, SPECIAL, 0),
    ROW(CNTV_CTL_EL0, SPECIAL),
    ROW(CNTV_CVAL_EL0, SPECIAL),
    EL2(VPIDR_EL2),
    EL2(VMPIDR_EL2),
    EL2(SCTLR_EL2),
    EL2(HCR_EL2),
    EL2(MDCR_EL2),
    EL2(CPTR_EL2),
    EL2(TTBR0_EL2),
    EL2(TTBR1_EL2),
    EL2(TCR_EL2),
    EL2(VTTBR_EL2),
    EL2(VTCR_EL2),
    EL2(SPSR_EL2),
    EL2(ELR_EL2),
    ROW(SP_EL1, SPECIAL),
    EL2(ESR_EL2),
    EL2(FAR_EL2),
    EL2(HPFAR_EL2),
    EL2(MAIR_EL2),
    EL2(VBAR_EL2),
    EL2(TPIDR_EL2),
    EL2(CNTVOFF_EL2),
    EL2(CNTHCTL_EL2),
    NEWER(CNTHP_TVAL_EL2, 1500, EL2, STORE, 0),
    NEWER(CNTHP_CTL_EL2, 1500, EL2, STORE, 0),
    NEWER(CNTHP_CVAL_EL2, 1500, EL2, STORE, 0),
    NEWER(SP_EL2, 1500, EL2, SPECIAL, 0),
};

enum { BREAKS = 64, ROWS = BREAKS + sizeof table / sizeof *table };
_Static_assert((int)ROWS <= (int)SYSREGS, "struct vcpu has no room for them");

/* DBGB*n_EL1 and DBGW*n_EL1 are the first rows, four for each n. */
int fake_sysreg_row(uint32_t reg)
{
    if (reg >= HV_SYS_REG_DBGBVR0_EL1 && reg <= HV_SYS_REG_DBGWCR15_EL1 &&
        (reg & 4))
        return (int)((reg >> 3 & 15) << 2 | (reg & 3));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].reg == reg && table[i].since <= fake.macos)
            return (int)(BREAKS + i);
    return -1;
}

const struct sysreg *fake_sysreg(int row)
{
    static const struct sysreg debug = {0, 1100, NEEDS_NOTHING, HOME_DEBUG, 0};

    return row < BREAKS ? &debug : &table[row - BREAKS];
}

/* ---- one register --------------------------------------------------------- */

static uint64_t get_special(struct vcpu *v, uint32_t reg, int row)
{
    uint64_t value = v->sys[row];

    switch (reg) {
    case HV_SYS_REG_SP_EL0:
        return v->sp_el0;
    case HV_SYS_REG_SP_EL1:
        return v->sp_el1;
    case HV_SYS_REG_SP_EL2:
        return v->sp_el2;
    default:
        fake_timer_get(v, reg, &value);
        return value;
    }
}

/* SVE is not for guests, and the library ends the process when it is enabled
 * without FP: so that never reaches it. FP it does not trap: hooks.c does. */
static void set_special(struct vcpu *v, uint32_t reg, int row, uint64_t value)
{
    v->sys[row] = value;
    switch (reg) {
    case HV_SYS_REG_MIDR_EL1:
        engine_set_sys(v->engine, SYS_VPIDR_EL2, value);
        break;
    case HV_SYS_REG_MPIDR_EL1:
        engine_set_sys(v->engine, SYS_VMPIDR_EL2, value | UINT64_C(1) << 31);
        break;
    case HV_SYS_REG_CPACR_EL1:
        v->fpen = value >> 20 & 3;
        engine_set_sys(v->engine, reg, value & ~UINT64_C(0x30000));
        break;
    case HV_SYS_REG_SP_EL0:
        v->sp_el0 = value;
        break;
    case HV_SYS_REG_SP_EL1:
        v->sp_el1 = value;
        break;
    case HV_SYS_REG_SP_EL2:
        v->sp_el2 = value;
        break;
    default:
        fake_timer_set(v, reg, value);
        break;
    }
}

uint64_t fake_sysreg_get(struct vcpu *v, int row)
{
    const struct sysreg *s = fake_sysreg(row);
    uint64_t value = v->sys[row];

    if (s->home == HOME_ENGINE)
        engine_sys(v->engine, s->reg, &value);
    else if (s->home == HOME_SPECIAL)
        value = get_special(v, s->reg, row);
    return value;
}

void fake_sysreg_set(struct vcpu *v, int row, uint64_t value)
{
    const struct sysreg *s = fake_sysreg(row);

    if (s->home == HOME_SPECIAL) {
        set_special(v, s->reg, row, value);
        return;
    }
    if (s->reg == HV_SYS_REG_HCR_EL2) /* E2H and TGE were seen to get lost */
        value &= ~(UINT64_C(1) << 34 | UINT64_C(1) << 27);
    v->sys[row] = value;
    if (s->home == HOME_ENGINE) {
        engine_set_sys(v->engine, s->reg, value);
        engine_flush_tlb(v->engine);
    }
}

/* ---- at first ------------------------------------------------------------- */

static uint64_t reset_of(const struct sysreg *s)
{
    switch (s->reg) {
    case HV_SYS_REG_ID_AA64PFR0_EL1:
        return s->reset | (fake_vm.gic != NULL ? 1 << 24 : 0u);
    case HV_SYS_REG_ID_AA64PFR1_EL1:
        return s->reset & ~(fake.sme ? 0 : UINT64_C(15) << 24);
    case HV_SYS_REG_ID_AA64SMFR0_EL1:
    case HV_SYS_REG_ID_AA64ZFR0_EL1:
        return fake.sme ? s->reset : 0;
    default:
        return s->reset;
    }
}

/* What a Mac has as zero, and nobody has promised, is poison here: a program that
 * relies on it is found out. The mode in CPSR is none there is. */
void fake_registers_reset(struct vcpu *v)
{
    for (int row = 0; row < (int)ROWS; row++) {
        const struct sysreg *s = fake_sysreg(row);

        if (s->needs != NEEDS_EL2 || fake_vm.el2)
            fake_sysreg_set(v, row, reset_of(s));
    }
    for (unsigned n = 0; n < 31; n++)
        engine_set_x(v->engine, n, POISON + n);
    for (int n = 0; n < 32; n++) {
        uint64_t poison[2] = {POISON, POISON};

        v->engine->u.reg_write(v->engine->uc, UC_ARM64_REG_V0 + n, poison);
    }
    v->pc = POISON;
    v->cpsr = (uint32_t)POISON;
}

static const struct sysreg *feature_row(hv_feature_reg_t reg)
{
    static const uint16_t regs[] = {HV_SYS_REG_ID_AA64DFR0_EL1,
                                    HV_SYS_REG_ID_AA64DFR1_EL1,
                                    HV_SYS_REG_ID_AA64ISAR0_EL1,
                                    HV_SYS_REG_ID_AA64ISAR1_EL1,
                                    HV_SYS_REG_ID_AA64MMFR0_EL1,
                                    HV_SYS_REG_ID_AA64MMFR1_EL1,
                                    HV_SYS_REG_ID_AA64MMFR2_EL1,
                                    HV_SYS_REG_ID_AA64PFR0_EL1,
                                    HV_SYS_REG_ID_AA64PFR1_EL1,
                                    0,
                                    0,
                                    0,
                                    HV_SYS_REG_ID_AA64SMFR0_EL1,
                                    HV_SYS_REG_ID_AA64ZFR0_EL1};

    return fake_sysreg(fake_sysreg_row(regs[reg]));
}

uint64_t fake_feature(hv_feature_reg_t reg)
{
    switch (reg) {
    case HV_FEATURE_REG_CTR_EL0:
        return UINT64_C(0x99444c004);
    case HV_FEATURE_REG_CLIDR_EL1:
        return 0x09200023; /* 64 KiB each, and a common second level */
    case HV_FEATURE_REG_DCZID_EL0:
        return 4;
    default:
        return reset_of(feature_row(reg));
    }
}

/* ---- the calls: configuration --------------------------------------------- */

hv_return_t fake_vcpu_config_get_feature_reg(hv_vcpu_config_t config,
                                             hv_feature_reg_t feature_reg,
                                             uint64_t *value)
{
    hv_feature_reg_t last = fake.macos < 1502 ? HV_FEATURE_REG_DCZID_EL0
                                              : HV_FEATURE_REG_ID_AA64ZFR0_EL1;

    if (config == NULL || value == NULL || feature_reg > last)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VCPU_CONFIG);
    *value = fake_feature(feature_reg);
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_config_get_ccsidr_el1_sys_reg_values(
    hv_vcpu_config_t config, hv_cache_type_t cache_type, uint64_t *values)
{
    if (config == NULL || values == NULL ||
        cache_type > HV_CACHE_TYPE_INSTRUCTION)
        return HV_BAD_ARGUMENT;
    fake_object_check(config, VCPU_CONFIG);
    memset(values, 0, 8 * sizeof *values);
    values[0] = cache_type == HV_CACHE_TYPE_DATA ? 0x700fe03a : 0x203fe01a;
    if (cache_type == HV_CACHE_TYPE_DATA)
        values[1] = 0x70ffe07b;
    return HV_SUCCESS;
}

/* ---- the calls: registers ------------------------------------------------- */

hv_return_t fake_vcpu_get_reg(hv_vcpu_t vcpu, hv_reg_t reg, uint64_t *value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (value == NULL || reg > HV_REG_CPSR)
        return HV_BAD_ARGUMENT;
    if (reg <= HV_REG_X30)
        *value = engine_x(v->engine, reg);
    else if (reg == HV_REG_PC)
        *value = v->pc;
    else if (reg == HV_REG_CPSR)
        *value = v->cpsr;
    else
        *value = (uint32_t)engine_reg(v->engine, reg == HV_REG_FPCR
                                                     ? UC_ARM64_REG_FPCR
                                                     : UC_ARM64_REG_FPSR);
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_set_reg(hv_vcpu_t vcpu, hv_reg_t reg, uint64_t value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (reg > HV_REG_CPSR)
        return HV_BAD_ARGUMENT;
    if (reg <= HV_REG_X30) {
        engine_set_x(v->engine, reg, value);
    } else if (reg == HV_REG_PC) {
        v->pc = value;
        v->pc_set = true;
    } else if (reg == HV_REG_CPSR) {
        v->cpsr = (uint32_t)value;
        v->cpsr_set = true;
    } else {
        engine_set_reg(v->engine,
                       reg == HV_REG_FPCR ? UC_ARM64_REG_FPCR
                                          : UC_ARM64_REG_FPSR,
                       (uint32_t)value);
    }
    return HV_SUCCESS;
}

/* In streaming mode they are the low bits of Z registers. */
hv_return_t fake_vcpu_get_simd_fp_reg(hv_vcpu_t vcpu, hv_simd_fp_reg_t reg,
                                      hv_simd_fp_uchar16_t *value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (value == NULL || reg > HV_SIMD_FP_REG_Q31)
        return HV_BAD_ARGUMENT;
    v->engine->u.reg_read(v->engine->uc, UC_ARM64_REG_V0 + (int)reg, value);
    return HV_SUCCESS;
}

hv_return_t fake_vcpu_set_simd_fp_reg(hv_vcpu_t vcpu, hv_simd_fp_reg_t reg,
                                      hv_simd_fp_uchar16_t value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);

    if (v == NULL)
        return result;
    if (reg > HV_SIMD_FP_REG_Q31)
        return HV_BAD_ARGUMENT;
    v->engine->u.reg_write(v->engine->uc, UC_ARM64_REG_V0 + (int)reg, &value);
    memcpy(v->sme->z[reg], &value, sizeof value);
    return HV_SUCCESS;
}

static hv_return_t check_sysreg(hv_sys_reg_t reg, int *row)
{
    hv_return_t result = HV_SUCCESS;
    unsigned needs;

    *row = fake_sysreg_row(reg);
    if (*row < 0)
        return HV_BAD_ARGUMENT;
    needs = fake_sysreg(*row)->needs;
    fake_lock();
    if ((needs == NEEDS_GIC && fake_vm.gic == NULL) ||
        (needs == NEEDS_EL2 && !fake_vm.el2))
        result = HV_UNSUPPORTED;
    fake_unlock();
    return result;
}

hv_return_t fake_vcpu_get_sys_reg(hv_vcpu_t vcpu, hv_sys_reg_t reg,
                                  uint64_t *value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);
    int row;

    if (v == NULL)
        return result;
    if (value == NULL)
        return HV_BAD_ARGUMENT;
    result = check_sysreg(reg, &row);
    if (result == HV_SUCCESS)
        *value = fake_sysreg_get(v, row);
    return result;
}

hv_return_t fake_vcpu_set_sys_reg(hv_vcpu_t vcpu, hv_sys_reg_t reg,
                                  uint64_t value)
{
    hv_return_t result;
    struct vcpu *v = fake_vcpu(vcpu, &result);
    int row;

    if (v == NULL)
        return result;
    result = check_sysreg(reg, &row);
    if (result != HV_SUCCESS)
        return result;
    if (v->ran && fake_sysreg(row)->home == HOME_ID)
        fake_report("an ID register set after the vCPU has run");
    if (reg == HV_SYS_REG_MPIDR_EL1)
        v->mpidr_set = true;
    fake_sysreg_set(v, row, value);
    return HV_SUCCESS;
}
