/* SPDX-License-Identifier: MIT */
/* unicorn_arm64_sysreg.c - the guest's system registers. The library reads them
 * raw, which for some aborts the process by an assertion, and complains aloud
 * of those that do not exist (2.1.4): so what can be read is in a table. It is
 * from trying all 65536 encodings, with one result on 2.0.1 and 2.1.1. */
#include "unicorn_arm64.h"

/* Encodings of EL1 and EL0 that can be read and written, first and last. */
/* clang-format off */
static const struct {
    uint16_t first, last;
} table[] = {
    {0x8004, 0x8008}, {0x800c, 0x800f}, {0x8012, 0x8012}, {0x8014, 0x8017},
    {0x801c, 0x801f}, {0x8024, 0x8025}, {0x802c, 0x802d}, {0x8080, 0x8080},
    {0x808c, 0x808c}, {0xc000, 0xc000}, {0xc005, 0xc006}, {0xc008, 0xc03f},
    {0xc080, 0xc082}, {0xc100, 0xc102}, {0xc200, 0xc201}, {0xc208, 0xc208},
    {0xc210, 0xc210}, {0xc288, 0xc289}, {0xc290, 0xc290}, {0xc300, 0xc300},
    {0xc3a0, 0xc3a0}, {0xc4f1, 0xc4f2}, {0xc510, 0xc510}, {0xc518, 0xc518},
    {0xc600, 0xc600}, {0xc608, 0xc608}, {0xc681, 0xc681}, {0xc684, 0xc684},
    {0xc708, 0xc708}, {0xc800, 0xc801}, {0xc807, 0xc807}, {0xcf98, 0xcf98},
    {0xd000, 0xd000}, {0xd801, 0xd801}, {0xd807, 0xd807}, {0xda11, 0xda11},
    {0xda20, 0xda21}, {0xdce0, 0xdce3}, {0xdce5, 0xdcea}, {0xdcf0, 0xdcf0},
    {0xdcf3, 0xdcf3}, {0xde82, 0xde83}, {0xdf00, 0xdf02}, {0xdf10, 0xdf12},
    {0xdf18, 0xdf1a}, {0xdf40, 0xdf43}, {0xdf60, 0xdf63}, {0xdf7f, 0xdf7f},
    {0xe208, 0xe208},
};
/* clang-format on */

static bool readable(uint32_t reg)
{
    size_t low = 0, high = sizeof table / sizeof *table;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (reg > table[middle].last)
            low = middle + 1;
        else if (reg < table[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

bool a64_cp_exists(uint32_t reg)
{
    switch (reg) {
    case VMM_A64_SYSREG(2, 0, 0, 2, 0): /* MDCCINT_EL1 */
    case VMM_A64_SYSREG(2, 0, 1, 0, 4): /* OSLAR_EL1 */
    case VMM_A64_SYSREG(2, 0, 1, 3, 4): /* OSDLR_EL1 */
    case A64_CURRENTEL:
    case A64_NZCV:
    case A64_PMSWINC_EL0:
        return true;
    default:
        return readable(reg);
    }
}

/* EL2 and EL3 are the host's here; what PSTATE has is named cpsr. */
static int check(uint32_t reg)
{
    unsigned op1 = reg >> 11 & 7;
    const char *why;

    if (reg == A64_NZCV || reg == A64_DAIF || reg == A64_SPSEL ||
        reg == A64_CURRENTEL)
        why = "part of cpsr here";
    else if (readable(reg))
        return 0;
    else if (op1 >= 4)
        why = "not one of EL1 or EL0, which is all a guest has here";
    else if (a64_cp_exists(reg))
        why = "libunicorn gives no access to it";
    else
        why = "this CPU, a Cortex-A72, has none";
    return vmm_fail(
        VMM_ENOTSUP, "unicorn: system register S%u_%u_C%u_C%u_%u: %s",
        reg >> 14 & 3, op1, reg >> 7 & 15, reg >> 3 & 15, reg & 7, why);
}

/* The register behind the one that is asked for. */
static uint32_t behind(uint32_t reg)
{
    return reg == A64_MIDR_EL1    ? A64_VPIDR_EL2
           : reg == A64_MPIDR_EL1 ? A64_VMPIDR_EL2
                                  : reg;
}

/* Is it the copy of SP that SP itself stands for at the moment? */
static bool is_live_sp(const struct a64_engine *e, uint32_t reg)
{
    if (reg != A64_SP_EL0 && reg != A64_SP_EL1)
        return false;
    return a64_sp_bank(a64_pstate(e)) ==
           (reg == A64_SP_EL1 ? UC_ARM64_REG_SP_EL1 : UC_ARM64_REG_SP_EL0);
}

int a64_get_system(struct a64_engine *e, uint32_t reg, uint64_t *value)
{
    int code = check(reg);

    if (code < 0)
        return code;
    if (is_live_sp(e, reg))
        *value = a64_reg(e, UC_ARM64_REG_SP);
    else if (reg == A64_MDSCR_EL1 && e->stepping)
        *value = e->mdscr;
    else if (!a64_timer_get(e, reg, value))
        a64_cp_read(e, behind(reg), value);
    return 0;
}

/* Identification registers are constants: a write would seem to work. */
static bool is_constant(uint32_t reg)
{
    return reg >> 14 == 3 && (reg >> 7 & 15) == 0 && (reg >> 11 & 7) != 2 &&
           reg != A64_MIDR_EL1 && reg != A64_MPIDR_EL1;
}

int a64_set_system(struct a64_engine *e, uint32_t reg, uint64_t value)
{
    int code = check(reg);

    if (code < 0)
        return code;
    if (is_constant(reg))
        return vmm_fail(VMM_ENOTSUP,
                        "unicorn: system register S3_%u_C0_C%u_%u: constant: "
                        "this CPU is a Cortex-A72",
                        reg >> 11 & 7, reg >> 3 & 15, reg & 7);
    if (is_live_sp(e, reg))
        a64_set_reg(e, UC_ARM64_REG_SP, value);
    else if (reg == A64_MDSCR_EL1 && e->stepping)
        e->mdscr = value;
    else if (!a64_timer_set(e, reg, value))
        a64_cp_write(e, behind(reg), value);
    if (reg == A64_SCTLR_EL1)
        a64_sctlr_written(e, value);
    if (reg == A64_CPACR_EL1)
        a64_fp_control(e, value);
    if (reg == A64_SCTLR_EL1 || reg == A64_TCR_EL1 || reg == A64_TTBR0_EL1 ||
        reg == A64_TTBR1_EL1)
        a64_flush_tlb(e);
    a64_state_changed(e);
    return 0;
}

/* ---- about the vCPU ------------------------------------------------------- */

static int cannot(const struct a64_engine *e, vmm_reg reg)
{
    return vmm_cannot(e->cpu->vm, vmm_reg_called(VMM_ARM64, reg),
                      VMM_REG_NR(reg) == VMM_GICR_BASE ? VMM_GIC_BACKENDS
                                                       : "hvf");
}

int a64_get_own(const struct a64_engine *e, vmm_reg reg, uint64_t *value)
{
    switch (VMM_REG_NR(reg)) {
    case VMM_TRAP_DEBUG:
        *value = e->cpu->debug.trap;
        return 0;
    case VMM_TRAP_DEBUG_REGISTERS:
        *value = e->trap_registers;
        return 0;
    case VMM_VTIMER_MASK:
        *value = e->timer.fired || e->timer.masked;
        return 0;
    case VMM_VTIMER_OFFSET:
        a64_cp_read(e, A64_CNTVOFF_EL2, value);
        return 0;
    default:
        return cannot(e, reg);
    }
}

int a64_set_own(struct a64_engine *e, vmm_reg reg, uint64_t value)
{
    switch (VMM_REG_NR(reg)) {
    case VMM_TRAP_DEBUG_REGISTERS:
        e->trap_registers = value != 0;
        return 0;
    case VMM_VTIMER_MASK:
        e->timer.masked = value != 0;
        e->timer.fired = false;
        break;
    case VMM_VTIMER_OFFSET:
        a64_cp_write(e, A64_CNTVOFF_EL2, value);
        break;
    default:
        return cannot(e, reg);
    }
    e->limit = 0; /* ask after the timer soon */
    return 0;
}
