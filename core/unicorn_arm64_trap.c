/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_trap.c - exceptions for the host: what the guest is given without
 * further ado, and what becomes an exit. */
#include <inttypes.h>

#include "unicorn_arm64.h"

enum {
    EC_UNKNOWN = 0x00,
    EC_SYSREG = 0x18,
    EC_FETCH = 0x20,
    EC_DATA = 0x24,
    EC_STEP = 0x32
};

static const uint32_t WFI = 0xd503207f, SYNDROME_WFI = 0x07e00000;

bool a64_unknown_sysreg(struct a64_engine *e)
{
    uint32_t i, reg;

    if (e->syndrome >> 26 != EC_UNKNOWN || !(a64_pstate(e) & 4) ||
        !a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &i) ||
        (i & 0xffd00000) != 0xd5100000)
        return false;
    reg = i >> 5 & 0xffff;
    if ((reg >> 11 & 7) >= 4 || a64_cp_exists(reg))
        return false;
    e->syndrome = (uint32_t)EC_SYSREG << 26 | 1u << 25 | (reg >> 14) << 20 |
                  (reg & 7) << 17 | (reg >> 11 & 7) << 14 |
                  (reg >> 7 & 15) << 10 | (i & 31) << 5 | (reg >> 3 & 15) << 1 |
                  (i >> 21 & 1);
    return true;
}

static void advance(struct a64_engine *e)
{
    a64_set_reg(e, UC_ARM64_REG_PC, a64_reg(e, UC_ARM64_REG_PC) + 4);
}

/* Is it for the script to answer? The library's physical timer (CNTP_*) has
 * registers but never fires. */
static bool is_for_script(const struct a64_engine *e, uint32_t reg)
{
    bool debug = reg >> 14 == 2;

    return (debug && e->trap_registers) ||
           reg >> 3 == VMM_A64_SYSREG(3, 3, 14, 2, 0) >> 3 ||
           !a64_cp_exists(reg);
}

/* A register that the engine does have traps only for MDCR_EL2.TDE, that is for
 * the host's debugger: the guest gets what it would without. */
static void trapped_sysreg(struct a64_engine *e, struct vmm_exit *exit,
                           unsigned rt)
{
    vmm_reg reg = VMM_REG(VMM_SYSTEM, exit->reg);
    union vmm_value value = {.u64 = a64_x(e, rt)};

    if (is_for_script(e, exit->reg)) {
        e->sysreg_rt = (uint8_t)rt;
        exit->value = exit->write ? value.u64 : 0;
        return;
    }
    exit->kind = VMM_NONE;
    if (exit->write) {
        a64_set(e->cpu, reg, &value);
    } else {
        if (a64_get(e->cpu, reg, &value) < 0)
            value.u64 = 0;
        a64_set_x(e, rt, value.u64);
    }
}

/* MDCR_EL2.TDE is also on for a single step, and then BRK stays the guest's. */
static void trapped_brk(struct a64_engine *e, struct vmm_exit *exit)
{
    if (e->cpu->debug.trap)
        return;
    exit->kind = VMM_NONE;
    if (!a64_take(e))
        a64_stuck(e, exit);
}

static void raw(const struct a64_engine *e, struct vmm_exit *exit)
{
    unsigned ec = e->syndrome >> 26;
    uint64_t page;

    exit->syndrome = e->syndrome;
    if (ec != EC_FETCH && ec != EC_DATA)
        return;
    exit->va = exit->pa = e->far;
    if (!e->mapped)
        return;
    a64_cp_read(e, A64_HPFAR_EL2, &page);
    exit->pa = page >> 4 << 12 | (e->far & 0xfff);
}

/* The instruction is looked at even where the syndrome describes it: the
 * library's syndrome leaves the write-back out. */
static void accessed(struct a64_engine *e, struct vmm_exit *exit,
                     const struct vmm_esr_access *esr)
{
    uint32_t instruction;
    bool known = a64_instruction(e, a64_reg(e, UC_ARM64_REG_PC), &instruction);

    vmm_arm64_access(e->cpu, &e->access, exit, known ? &instruction : NULL,
                     esr);
}

/* The library steps over a WFI as if it were nothing. */
static bool unstep_wfi(struct a64_engine *e)
{
    uint32_t instruction;

    if (a64_reg(e, UC_ARM64_REG_PC) != e->end ||
        !a64_instruction(e, e->end - 4, &instruction) || instruction != WFI)
        return false;
    a64_set_reg(e, UC_ARM64_REG_PC, e->end - 4);
    e->syndrome = SYNDROME_WFI;
    return true;
}

/* WFI of EL0 that EL1 wants to know of. */
static bool is_wfi_of_el1(const struct a64_engine *e)
{
    enum { NTWI = 1 << 16 };
    uint64_t sctlr = 0;

    a64_cp_read(e, A64_SCTLR_EL1, &sctlr);
    return (a64_pstate(e) & A64_MODE) == A64_EL0T && !(sctlr & NTWI);
}

void a64_trapped(struct a64_engine *e, struct vmm_exit *exit)
{
    struct vmm_esr_access access;
    bool described;

    if (e->syndrome >> 26 == EC_STEP && unstep_wfi(e) && is_wfi_of_el1(e)) {
        exit->kind = VMM_STEP;
        if (!a64_take(e))
            a64_stuck(e, exit);
        return;
    }
    raw(e, exit);
    if (e->shaded > 0 && a64_watch_fault(e, exit)) {
        exit->kind = VMM_NONE;
        return;
    }
    described = vmm_esr_decode(exit, &access);
    if (vmm_esr_pc_is_at(exit->kind))
        advance(e);
    switch (exit->kind) {
    case VMM_MMIO:
        accessed(e, exit, described ? &access : NULL);
        break;
    case VMM_SYSREG:
        trapped_sysreg(e, exit, access.rt);
        break;
    case VMM_BRK:
        trapped_brk(e, exit);
        break;
    case VMM_FAULT:
        if (exit->ec == EC_FETCH && a64_vector_missing(e))
            a64_stuck(e, exit);
        break;
    default:
        break;
    }
    if (exit->kind == VMM_NONE && e->stepping)
        exit->kind = VMM_STEP;
}
