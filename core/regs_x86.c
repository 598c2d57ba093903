/* SPDX-License-Identifier: MIT */
/* regs_x86.c - the names of x86_64 registers. `pc` and `sp` are rip and rsp, so
 * that a script can say them on both architectures; the 16 bits of SP have no
 * name of their own. */
#include "backend.h"

/* clang-format off */
#define Q(name, nr) {name, VMM_REG(VMM_GENERAL, nr), 0, 64}
#define D(name, nr) {name, VMM_REG(VMM_GENERAL, nr), 0, 32}
#define H(name, nr) {name, VMM_REG(VMM_GENERAL, nr), 0, 16}
#define L(name, nr) {name, VMM_REG(VMM_GENERAL, nr), 0, 8}
#define U(name, nr) {name, VMM_REG(VMM_GENERAL, nr), 8, 8}
#define C(name, nr) {name, VMM_REG(VMM_CONTROL, nr), 0, 64}
#define SEG(name, nr) {name, VMM_REG(VMM_SEGMENT, nr), 0, 0}
#define XMM(n) {"xmm" #n, VMM_REG(VMM_VECTOR, n), 0, 128}
#define MSR(name, nr) {name, VMM_REG(VMM_MSR, nr), 0, 64}

const struct vmm_reg_name vmm_x86_regs[] = {
    Q("rax", VMM_RAX), Q("rbx", VMM_RBX), Q("rcx", VMM_RCX), Q("rdx", VMM_RDX),
    Q("rsi", VMM_RSI), Q("rdi", VMM_RDI), Q("rbp", VMM_RBP), Q("rsp", VMM_RSP),
    Q("r8", VMM_R8), Q("r9", VMM_R9), Q("r10", VMM_R10), Q("r11", VMM_R11),
    Q("r12", VMM_R12), Q("r13", VMM_R13), Q("r14", VMM_R14), Q("r15", VMM_R15),
    Q("rip", VMM_RIP), Q("rflags", VMM_RFLAGS), Q("pc", VMM_RIP),
    Q("sp", VMM_RSP),
    D("eax", VMM_RAX), D("ebx", VMM_RBX), D("ecx", VMM_RCX), D("edx", VMM_RDX),
    D("esi", VMM_RSI), D("edi", VMM_RDI), D("ebp", VMM_RBP), D("esp", VMM_RSP),
    D("r8d", VMM_R8), D("r9d", VMM_R9), D("r10d", VMM_R10), D("r11d", VMM_R11),
    D("r12d", VMM_R12), D("r13d", VMM_R13), D("r14d", VMM_R14),
    D("r15d", VMM_R15), D("eip", VMM_RIP), D("eflags", VMM_RFLAGS),
    H("ax", VMM_RAX), H("bx", VMM_RBX), H("cx", VMM_RCX), H("dx", VMM_RDX),
    H("si", VMM_RSI), H("di", VMM_RDI), H("bp", VMM_RBP), H("r8w", VMM_R8),
    H("r9w", VMM_R9), H("r10w", VMM_R10), H("r11w", VMM_R11),
    H("r12w", VMM_R12), H("r13w", VMM_R13), H("r14w", VMM_R14),
    H("r15w", VMM_R15),
    L("al", VMM_RAX), L("bl", VMM_RBX), L("cl", VMM_RCX), L("dl", VMM_RDX),
    U("ah", VMM_RAX), U("bh", VMM_RBX), U("ch", VMM_RCX), U("dh", VMM_RDX),
    L("sil", VMM_RSI), L("dil", VMM_RDI), L("bpl", VMM_RBP), L("spl", VMM_RSP),
    L("r8b", VMM_R8), L("r9b", VMM_R9), L("r10b", VMM_R10), L("r11b", VMM_R11),
    L("r12b", VMM_R12), L("r13b", VMM_R13), L("r14b", VMM_R14),
    L("r15b", VMM_R15),
    C("cr0", VMM_CR0), C("cr2", VMM_CR2), C("cr3", VMM_CR3), C("cr4", VMM_CR4),
    C("cr8", VMM_CR8), C("efer", VMM_EFER), C("apic_base", VMM_APIC_BASE),
    C("fs_base", VMM_FS_BASE), C("gs_base", VMM_GS_BASE), C("dr0", VMM_DR0),
    C("dr1", VMM_DR1), C("dr2", VMM_DR2), C("dr3", VMM_DR3), C("dr6", VMM_DR6),
    C("dr7", VMM_DR7),
    SEG("cs", VMM_CS), SEG("ds", VMM_DS), SEG("es", VMM_ES), SEG("fs", VMM_FS),
    SEG("gs", VMM_GS), SEG("ss", VMM_SS), SEG("ldtr", VMM_LDTR),
    SEG("tr", VMM_TR),
    {"gdtr", VMM_REG(VMM_TABLE, 0), 0, 0},
    {"idtr", VMM_REG(VMM_TABLE, 1), 0, 0},
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8),
    XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
    MSR("tsc", 0x10), MSR("sysenter_cs", 0x174), MSR("sysenter_esp", 0x175),
    MSR("sysenter_eip", 0x176), MSR("pat", 0x277), MSR("star", 0xc0000081),
    MSR("lstar", 0xc0000082), MSR("cstar", 0xc0000083),
    MSR("sfmask", 0xc0000084), MSR("kernel_gs_base", 0xc0000102),
    MSR("tsc_aux", 0xc0000103),
    {"trap_debug", VMM_REG(VMM_VCPU, VMM_TRAP_DEBUG), 0, 1},
    {NULL, 0, 0, 0}
};

const size_t vmm_x86_names = sizeof vmm_x86_regs / sizeof *vmm_x86_regs - 1;
