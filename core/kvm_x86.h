/* SPDX-License-Identifier: MIT */
/* kvm_x86.h - what kvm_x86*.c know of a machine and a vCPU. */
#ifndef VMM_KVM_X86_H
#define VMM_KVM_X86_H

#include "kvm.h"

struct kvm_x86_machine {
    struct kvm_machine kvm;
    bool sync;    /* KVM_CAP_SYNC_REGS, for all three classes */
    size_t xsave; /* bytes of the FPU state where KVM_GET_XSAVE2 is, or 0 */
    struct kvm_cpuid2 *cpuid; /* what vCPUs show; NULL: not asked for yet */
};

/* The access that the last exit was about. */
enum kvm_x86_pending {
    KVM_X86_NONE,
    KVM_X86_WRITE, /* complete but for what the kernel does on the next entry */
    KVM_X86_READ,  /* waits for an answer */
    KVM_X86_ANSWERED /* has it; the kernel fetches it on the next entry */
};

/* An MMIO read that was answered: see kvm_x86_look_ahead(). */
struct kvm_x86_answer {
    uint64_t addr, value;
    uint32_t len;
};
enum { KVM_X86_TRAIL = 8 };

enum { KVM_X86_CLASSES = 3, KVM_X86_WANTED = 32 };

/* Classes of registers are KVM_SYNC_X86_*; run->s.regs is where they are kept,
 * also where the kernel does not know of it.
 *
 * While a read waits for its answer, the general registers are in `ahead`, as
 * after the instruction, and what is written there, or of class SREGS, reaches
 * the vCPU only after the instruction is complete. */
struct kvm_x86 {
    struct kvm_vcpu vcpu; /* first */
    struct vmm_cpu *cpu;
    struct kvm_x86_machine *machine;
    enum kvm_x86_pending pending;
    uint32_t element, count; /* of the port access: which one, of how many */
    bool ready;              /* run holds an exit that nobody has seen yet */
    bool accessed;           /* the last exit was an access; rip not seen yet */
    /* registers */
    unsigned have, dirty; /* classes that are up to date; changed since */
    unsigned wanted[KVM_X86_CLASSES]; /* exits left that shall bring it along */
    uint32_t written; /* general registers changed since, a bit for each */
    bool looked;      /* all of `ahead` is there, not only what is written */
    bool held;        /* system registers were written meanwhile: */
    struct kvm_sregs clean; /* what they were */
    struct kvm_regs ahead, before;
    unsigned bits; /* address size of the string instruction, once looked */
    struct kvm_x86_answer trail[KVM_X86_TRAIL];
    unsigned answers; /* ever put on the trail */
    /* interrupts waiting, a bit for each vector */
    uint64_t irq[4];
    /* debugging */
    bool debug_changed; /* the kernel has not been told */
    bool at_break;      /* stopped at the breakpoint at this address */
    uint64_t break_at, break_rip;
};

/* ---- kvm_x86_regs.c: the registers --------------------------------------- */

int kvm_x86_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
int kvm_x86_set(struct vmm_cpu *cpu, vmm_reg reg, const union vmm_value *value);

/* Make the state that vmm.h promises of a new vCPU. */
int kvm_x86_reset(struct kvm_x86 *x);
/* Bring a class into run->s.regs. */
int kvm_x86_fetch(struct kvm_x86 *x, unsigned class);
/* Before an entry: have the kernel take changed registers of `classes`, and
 * bring those along that were used lately. After it: what has become of them.
 * */
int kvm_x86_before_entry(struct kvm_x86 *x, unsigned classes);
/* The same at once, outside an entry, with no access pending. 0 or -errno. */
int kvm_x86_flush(struct kvm_x86 *x);
void kvm_x86_after_entry(struct kvm_x86 *x, unsigned classes);
/* General register `nr` (enum vmm_x86_reg) in `regs`; NULL: no such. */
__u64 *kvm_x86_general(struct kvm_regs *regs, unsigned nr);
/* General register `nr` has been changed in run->s.regs. */
void kvm_x86_changed(struct kvm_x86 *x, unsigned nr);

/* ---- kvm_x86_pending.c: accesses that are not complete ------------------- */

/* Is another element of a string access still to be delivered? */
bool kvm_x86_more(const struct kvm_x86 *x);
/* Have the kernel complete the access. What that leads to is in x->ready. Does
 * nothing where there is none, it waits for an answer, or has more elements. */
int kvm_x86_complete(struct kvm_x86 *x);
/* Where the value of the access is, or goes. */
void *kvm_x86_data(struct kvm_x86 *x);
int kvm_x86_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit);
/* An exit is about to be delivered that is a read: what was written before it
 * waits for its end. */
void kvm_x86_hold_back(struct kvm_x86 *x);
/* The read is over: what was written meanwhile becomes true. */
int kvm_x86_let_go(struct kvm_x86 *x);

/* ---- kvm_x86_ahead.c: behind a read that is not answered yet ------------- */

/* Fill x->ahead, if it is not. There may be no read any more after it. */
int kvm_x86_look_ahead(struct kvm_x86 *x);

/* ---- kvm_x86_string.c: string instructions, element by element ----------- */

/* Is this a REP instruction that has done all its elements, with rip still
 * before it? Then that is its length. */
unsigned kvm_x86_string_done(struct kvm_x86 *x, const struct kvm_regs *regs);
/* Registers before and after all elements of a read of several. */
void kvm_x86_string_between(struct kvm_x86 *x, const struct kvm_regs *before,
                            const struct kvm_regs *after);
/* General register `nr` of x->ahead; between elements, as after this one. */
uint64_t kvm_x86_ahead(const struct kvm_x86 *x, unsigned nr);

/* ---- kvm_x86_debug.c: steps, breakpoints, watchpoints -------------------- */

int kvm_x86_debug(struct vmm_cpu *cpu);
/* Before an entry: have the kernel watch for what the debugger wants. */
int kvm_x86_arm(struct kvm_x86 *x);
/* Does the debugger have to see each access completed before it goes on? */
bool kvm_x86_debugging(const struct kvm_x86 *x);
/* KVM_EXIT_DEBUG as an exit; false: nobody asked for it. */
bool kvm_x86_debug_exit(struct kvm_x86 *x, struct vmm_exit *exit);
/* Is the exit in run nothing but the end of a step? */
bool kvm_x86_stepped(const struct kvm_x86 *x);

#endif
