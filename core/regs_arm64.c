/* SPDX-License-Identifier: MIT */
/* regs_arm64.c - the names of arm64 registers. Every system register can be
 * reached by its encoding; those with a name here are the ones a guest's boot
 * code, exception handlers and their teachers speak of. */
#include "backend.h"

/* clang-format off */
#define X(n) {"x" #n, VMM_REG(VMM_GENERAL, n), 0, 64}
#define W(n) {"w" #n, VMM_REG(VMM_GENERAL, n), 0, 32}
#define V(n) {"v" #n, VMM_REG(VMM_VECTOR, n), 0, 128}
#define G(name, nr) {name, VMM_REG(VMM_GENERAL, nr), 0, 64}
#define S(name, op0, op1, crn, crm, op2) \
    {name, VMM_REG(VMM_SYSTEM, VMM_A64_SYSREG(op0, op1, crn, crm, op2)), 0, 64}

const struct vmm_reg_name vmm_arm64_regs[] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7),
    X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15),
    X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23),
    X(24), X(25), X(26), X(27), X(28), X(29), X(30),
    G("sp", VMM_A64_SP), G("pc", VMM_A64_PC), G("cpsr", VMM_A64_CPSR),
    G("fp", 29), G("lr", 30), G("pstate", VMM_A64_CPSR),
    G("fpcr", VMM_A64_FPCR), G("fpsr", VMM_A64_FPSR),
    W(0), W(1), W(2), W(3), W(4), W(5), W(6), W(7),
    W(8), W(9), W(10), W(11), W(12), W(13), W(14), W(15),
    W(16), W(17), W(18), W(19), W(20), W(21), W(22), W(23),
    W(24), W(25), W(26), W(27), W(28), W(29), W(30),
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7),
    V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
    V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23),
    V(24), V(25), V(26), V(27), V(28), V(29), V(30), V(31),
    S("sp_el0", 3, 0, 4, 1, 0), S("sp_el1", 3, 4, 4, 1, 0),
    S("elr_el1", 3, 0, 4, 0, 1), S("spsr_el1", 3, 0, 4, 0, 0),
    S("esr_el1", 3, 0, 5, 2, 0), S("far_el1", 3, 0, 6, 0, 0),
    S("vbar_el1", 3, 0, 12, 0, 0), S("sctlr_el1", 3, 0, 1, 0, 0),
    S("cpacr_el1", 3, 0, 1, 0, 2), S("actlr_el1", 3, 0, 1, 0, 1),
    S("ttbr0_el1", 3, 0, 2, 0, 0), S("ttbr1_el1", 3, 0, 2, 0, 1),
    S("tcr_el1", 3, 0, 2, 0, 2), S("mair_el1", 3, 0, 10, 2, 0),
    S("amair_el1", 3, 0, 10, 3, 0), S("par_el1", 3, 0, 7, 4, 0),
    S("contextidr_el1", 3, 0, 13, 0, 1), S("csselr_el1", 3, 2, 0, 0, 0),
    S("afsr0_el1", 3, 0, 5, 1, 0), S("afsr1_el1", 3, 0, 5, 1, 1),
    S("tpidr_el0", 3, 3, 13, 0, 2), S("tpidrro_el0", 3, 3, 13, 0, 3),
    S("tpidr_el1", 3, 0, 13, 0, 4), S("mdscr_el1", 2, 0, 0, 2, 2),
    S("cntkctl_el1", 3, 0, 14, 1, 0), S("cntfrq_el0", 3, 3, 14, 0, 0),
    S("cntv_ctl_el0", 3, 3, 14, 3, 1), S("cntv_cval_el0", 3, 3, 14, 3, 2),
    S("midr_el1", 3, 0, 0, 0, 0), S("mpidr_el1", 3, 0, 0, 0, 5),
    S("revidr_el1", 3, 0, 0, 0, 6), S("ctr_el0", 3, 3, 0, 0, 1),
    S("dczid_el0", 3, 3, 0, 0, 7), S("clidr_el1", 3, 1, 0, 0, 1),
    S("id_aa64pfr0_el1", 3, 0, 0, 4, 0), S("id_aa64pfr1_el1", 3, 0, 0, 4, 1),
    S("id_aa64dfr0_el1", 3, 0, 0, 5, 0), S("id_aa64dfr1_el1", 3, 0, 0, 5, 1),
    S("id_aa64isar0_el1", 3, 0, 0, 6, 0), S("id_aa64isar1_el1", 3, 0, 0, 6, 1),
    S("id_aa64mmfr0_el1", 3, 0, 0, 7, 0), S("id_aa64mmfr1_el1", 3, 0, 0, 7, 1),
    S("id_aa64mmfr2_el1", 3, 0, 0, 7, 2),
    {"trap_debug", VMM_REG(VMM_TRAP, VMM_TRAP_DEBUG), 0, 64},
    {NULL, 0, 0, 0}
};

const size_t vmm_arm64_names = sizeof vmm_arm64_regs / sizeof *vmm_arm64_regs - 1;
