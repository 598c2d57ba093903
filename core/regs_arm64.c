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
/* A vCPU's own: enum vmm_vcpu_reg. */
#define C(name, nr, bits) {name, VMM_REG(VMM_VCPU, nr), 0, bits}
/* SME */
#define Z(n) {"z" #n, VMM_REG(VMM_SCALABLE, VMM_Z0 + (n)), 0, VMM_BYTES}
#define P(n) {"p" #n, VMM_REG(VMM_SCALABLE, VMM_P0 + (n)), 0, VMM_BYTES}
/* The GIC's: its CPU interface is made of system registers; its virtual one has
 * the same encodings. */
#define R(name, at) {"gicr_" name, VMM_REG(VMM_GICR, at), 0, 64}
#define I(name, crm, op2) \
    {name "_el1", VMM_REG(VMM_ICV, VMM_A64_SYSREG(3, 0, 12, crm, op2)), 0, 64}
#define LR(n) S("ich_lr" #n "_el2", 3, 4, 12, 12 + (n) / 8, (n) % 8)

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
    S("id_aa64zfr0_el1", 3, 0, 0, 4, 4), S("id_aa64smfr0_el1", 3, 0, 0, 4, 5),
    S("mdccint_el1", 2, 0, 0, 2, 0),
    S("apiakeylo_el1", 3, 0, 2, 1, 0), S("apiakeyhi_el1", 3, 0, 2, 1, 1),
    S("apibkeylo_el1", 3, 0, 2, 1, 2), S("apibkeyhi_el1", 3, 0, 2, 1, 3),
    S("apdakeylo_el1", 3, 0, 2, 2, 0), S("apdakeyhi_el1", 3, 0, 2, 2, 1),
    S("apdbkeylo_el1", 3, 0, 2, 2, 2), S("apdbkeyhi_el1", 3, 0, 2, 2, 3),
    S("apgakeylo_el1", 3, 0, 2, 3, 0), S("apgakeyhi_el1", 3, 0, 2, 3, 1),
    S("cntp_tval_el0", 3, 3, 14, 2, 0), S("cntp_ctl_el0", 3, 3, 14, 2, 1),
    S("cntp_cval_el0", 3, 3, 14, 2, 2),
    S("scxtnum_el0", 3, 3, 13, 0, 7), S("scxtnum_el1", 3, 0, 13, 0, 7),
    S("vpidr_el2", 3, 4, 0, 0, 0), S("vmpidr_el2", 3, 4, 0, 0, 5),
    S("sctlr_el2", 3, 4, 1, 0, 0), S("hcr_el2", 3, 4, 1, 1, 0),
    S("mdcr_el2", 3, 4, 1, 1, 1), S("cptr_el2", 3, 4, 1, 1, 2),
    S("ttbr0_el2", 3, 4, 2, 0, 0), S("ttbr1_el2", 3, 4, 2, 0, 1),
    S("tcr_el2", 3, 4, 2, 0, 2), S("vttbr_el2", 3, 4, 2, 1, 0),
    S("vtcr_el2", 3, 4, 2, 1, 2), S("spsr_el2", 3, 4, 4, 0, 0),
    S("elr_el2", 3, 4, 4, 0, 1), S("sp_el2", 3, 6, 4, 1, 0),
    S("esr_el2", 3, 4, 5, 2, 0), S("far_el2", 3, 4, 6, 0, 0),
    S("hpfar_el2", 3, 4, 6, 0, 4), S("mair_el2", 3, 4, 10, 2, 0),
    S("vbar_el2", 3, 4, 12, 0, 0), S("tpidr_el2", 3, 4, 13, 0, 2),
    S("cntvoff_el2", 3, 4, 14, 0, 3), S("cnthctl_el2", 3, 4, 14, 1, 0),
    S("cnthp_tval_el2", 3, 4, 14, 2, 0), S("cnthp_ctl_el2", 3, 4, 14, 2, 1),
    S("cnthp_cval_el2", 3, 4, 14, 2, 2),
    S("svcr", 3, 3, 4, 2, 2), S("smcr_el1", 3, 0, 1, 2, 6),
    S("smpri_el1", 3, 0, 1, 2, 4), S("tpidr2_el0", 3, 3, 13, 0, 5),
    Z(0), Z(1), Z(2), Z(3), Z(4), Z(5), Z(6), Z(7),
    Z(8), Z(9), Z(10), Z(11), Z(12), Z(13), Z(14), Z(15),
    Z(16), Z(17), Z(18), Z(19), Z(20), Z(21), Z(22), Z(23),
    Z(24), Z(25), Z(26), Z(27), Z(28), Z(29), Z(30), Z(31),
    P(0), P(1), P(2), P(3), P(4), P(5), P(6), P(7),
    P(8), P(9), P(10), P(11), P(12), P(13), P(14), P(15),
    {"za", VMM_REG(VMM_SCALABLE, VMM_ZA), 0, VMM_BYTES},
    {"zt0", VMM_REG(VMM_SCALABLE, VMM_ZT0), 0, VMM_BYTES},
    S("icc_pmr_el1", 3, 0, 4, 6, 0), S("icc_bpr0_el1", 3, 0, 12, 8, 3),
    S("icc_ap0r0_el1", 3, 0, 12, 8, 4), S("icc_ap1r0_el1", 3, 0, 12, 9, 0),
    S("icc_rpr_el1", 3, 0, 12, 11, 3), S("icc_bpr1_el1", 3, 0, 12, 12, 3),
    S("icc_ctlr_el1", 3, 0, 12, 12, 4), S("icc_sre_el1", 3, 0, 12, 12, 5),
    S("icc_igrpen0_el1", 3, 0, 12, 12, 6),
    S("icc_igrpen1_el1", 3, 0, 12, 12, 7), S("icc_sre_el2", 3, 4, 12, 9, 5),
    S("ich_ap0r0_el2", 3, 4, 12, 8, 0), S("ich_ap1r0_el2", 3, 4, 12, 9, 0),
    S("ich_hcr_el2", 3, 4, 12, 11, 0), S("ich_vtr_el2", 3, 4, 12, 11, 1),
    S("ich_misr_el2", 3, 4, 12, 11, 2), S("ich_eisr_el2", 3, 4, 12, 11, 3),
    S("ich_elrsr_el2", 3, 4, 12, 11, 5), S("ich_vmcr_el2", 3, 4, 12, 11, 7),
    LR(0), LR(1), LR(2), LR(3), LR(4), LR(5), LR(6), LR(7),
    LR(8), LR(9), LR(10), LR(11), LR(12), LR(13), LR(14), LR(15),
    {"icv_pmr_el1", VMM_REG(VMM_ICV, VMM_A64_SYSREG(3, 0, 4, 6, 0)), 0, 64},
    I("icv_bpr0", 8, 3), I("icv_ap0r0", 8, 4), I("icv_ap1r0", 9, 0),
    I("icv_rpr", 11, 3), I("icv_bpr1", 12, 3), I("icv_ctlr", 12, 4),
    I("icv_sre", 12, 5), I("icv_igrpen0", 12, 6), I("icv_igrpen1", 12, 7),
    R("typer", 0x8), R("pidr2", 0xffe8), R("igroupr0", 0x10080),
    R("isenabler0", 0x10100), R("icenabler0", 0x10180), R("ispendr0", 0x10200),
    R("icpendr0", 0x10280), R("isactiver0", 0x10300),
    R("icactiver0", 0x10380), R("ipriorityr0", 0x10400),
    R("ipriorityr1", 0x10404), R("ipriorityr2", 0x10408),
    R("ipriorityr3", 0x1040c), R("ipriorityr4", 0x10410),
    R("ipriorityr5", 0x10414), R("ipriorityr6", 0x10418),
    R("ipriorityr7", 0x1041c), R("icfgr0", 0x10c00), R("icfgr1", 0x10c04),
    C("gicr_base", VMM_GICR_BASE, 64),
    C("trap_debug", VMM_TRAP_DEBUG, 1),
    C("trap_debug_registers", VMM_TRAP_DEBUG_REGISTERS, 1),
    C("vtimer_mask", VMM_VTIMER_MASK, 1),
    C("vtimer_offset", VMM_VTIMER_OFFSET, 64),
    C("exec_time", VMM_EXEC_TIME, 64),
    {NULL, 0, 0, 0}
};

const size_t vmm_arm64_names = sizeof vmm_arm64_regs / sizeof *vmm_arm64_regs - 1;
