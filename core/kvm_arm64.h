/* SPDX-License-Identifier: MIT */
/* kvm_arm64.h - what kvm_arm64*.c know of a machine and a vCPU.
 *   kvm_arm64.c        the ops: the machine, its vCPUs, their interrupt lines
 *   kvm_arm64_regs.c   registers
 *   kvm_arm64_run.c    entering the guest, and what it is left with
 *   kvm_arm64_idle.c   guests that KVM would never come back from
 *   kvm_arm64_debug.c  single step, breakpoints, watchpoints
 *   kvm_arm64_gic.h    the kernel's GICv3 */
#ifndef VMM_KVM_ARM64_H
#define VMM_KVM_ARM64_H

#include "kvm.h"

/* Registers that have a place in struct kvm_regs, by that place. */
enum kvm_arm64_core {
    KVM_ARM64_SP_EL0 = 31, /* after x0-x30 */
    KVM_ARM64_PC,
    KVM_ARM64_PSTATE,
    KVM_ARM64_SP_EL1,
    KVM_ARM64_ELR_EL1,
    KVM_ARM64_SPSR_EL1,
    KVM_ARM64_CORE
};

/* The thread that looks after those who stay in the guest. */
struct kvm_arm64_idler {
    pthread_t thread;
    bool started, end;
    pthread_mutex_t lock; /* of all here, and of machine->cpu */
    pthread_cond_t wake;
    _Atomic bool dozing; /* nobody is inside: it waits to be woken */
};

struct kvm_arm64_machine {
    struct kvm_machine kvm;
    bool filter; /* hvc and smc come to us */
    _Atomic unsigned
        events; /* how often vCPUs have had something to start with: a
                              * gic, or that the guest had powered itself off */
    int gic;    /* the kernel's, or -1 */
    _Atomic bool gic_ready; /* it has all the vCPUs that it will ever have */
    struct kvm_arm64 *cpu[VMM_MAX_CPUS]; /* for the idler */
    struct kvm_arm64_idler idler;
};

/* The MMIO access that the last exit was about. */
enum kvm_arm64_pending {
    KVM_ARM64_NONE,
    KVM_ARM64_WRITE,   /* complete but for PC, which the next entry moves on */
    KVM_ARM64_READ,    /* waits for an answer */
    KVM_ARM64_ANSWERED /* has it; the next entry puts it into its register */
};

/* While an access is pending, PC is shown as after it, and one that is written
 * reaches the vCPU only when the kernel has completed it. */
struct kvm_arm64 {
    struct kvm_vcpu vcpu; /* first */
    struct vmm_cpu *cpu;
    struct kvm_arm64_machine *machine;
    unsigned number; /* the kernel's */
    /* registers */
    uint64_t core[KVM_ARM64_CORE];
    uint64_t have, dirty; /* which of them are up to date; changed since */
    /* exits */
    enum kvm_arm64_pending pending;
    struct vmm_a64_pieces
        access;           /* under way, where the kernel leaves it to us */
    bool line[2];         /* enum vmm_line: as the script drives them */
    bool fired;           /* the timer's line is up, and that was told */
    unsigned events;      /* of the machine's, that this vCPU is over */
    struct vmm_exit held; /* to be given before the guest is entered again */
    /* for the idler */
    _Atomic unsigned visits; /* odd: in the guest, or about to be */
    _Atomic int tid;         /* who is */
    unsigned seen, looks;    /* the visit it saw last, how often it has */
    _Atomic bool looked, slept;
    bool started; /* it knows that there is an idler */
    /* debugging */
    bool told;         /* the kernel knows what the debugger wants, */
    bool step, points; /* and that much of it */
    bool broke; /* what is at broke_at was told, and is still to be executed */
    uint64_t broke_at;
};

/* ---- kvm_arm64.c --------------------------------------------------------- */

/* How wide guest physical addresses are. */
unsigned kvm_arm64_ipa_bits(int dev);

/* ---- kvm_arm64_regs.c ---------------------------------------------------- */

int kvm_arm64_get(struct vmm_cpu *cpu, vmm_reg reg, union vmm_value *value);
int kvm_arm64_set(struct vmm_cpu *cpu, vmm_reg reg,
                  const union vmm_value *value);
/* Make the state that vmm.h promises of a new vCPU. */
int kvm_arm64_reset(struct kvm_arm64 *a);
/* Before an entry: have the kernel take what was changed. 0, or vmm_fail(). */
int kvm_arm64_flush(struct kvm_arm64 *a);
/* PC as the guest has it; what failed is told by the next entry. */
uint64_t kvm_arm64_pc(struct kvm_arm64 *a);
void kvm_arm64_set_pc(struct kvm_arm64 *a, uint64_t pc);
/* The step that an exception ended is the host's: not for the guest's SPSR_EL1. */
void kvm_arm64_hide_step(struct kvm_arm64 *a);
/* For run(): the instruction at a virtual address. False: it is not in memory. */
bool kvm_arm64_instruction(struct kvm_arm64 *a, uint64_t va, uint32_t *word);

/* ---- kvm_arm64_run.c ----------------------------------------------------- */

int kvm_arm64_run(struct vmm_cpu *cpu, struct vmm_exit *exit);
int kvm_arm64_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit);
int kvm_arm64_settle(struct vmm_cpu *cpu);
/* Have the kernel complete the access that is pending, if it can. */
int kvm_arm64_complete(struct kvm_arm64 *a);
/* Enter the guest once. 0: *exit says why it was left; VMM_NONE: it goes on,
 * perhaps with an instruction done by us. */
int kvm_arm64_enter(struct kvm_arm64 *a, struct vmm_exit *exit);

/* ---- kvm_arm64_idle.c ---------------------------------------------------- */

void kvm_arm64_idler_open(struct kvm_arm64_machine *m);
void kvm_arm64_idler_close(struct kvm_arm64_machine *m);
/* A vCPU is there to be looked after, or is not any more. */
void kvm_arm64_idler_add(struct kvm_arm64 *a);
void kvm_arm64_idler_remove(struct kvm_arm64 *a);
/* Around the time a vCPU spends in the guest. */
int kvm_arm64_go_in(struct kvm_arm64 *a);
static inline void kvm_arm64_come_out(struct kvm_arm64 *a)
{
    unsigned visits = atomic_load_explicit(&a->visits, memory_order_relaxed);

    atomic_store_explicit(&a->visits, visits + 1, memory_order_relaxed);
}
/* Entering was interrupted: make *exit what KVM should have left for, if the idler
 * has seen that. */
void kvm_arm64_idle_exit(struct kvm_arm64 *a, struct vmm_exit *exit);

/* ---- kvm_arm64_debug.c --------------------------------------------------- */

int kvm_arm64_debug(struct vmm_cpu *cpu);
/* Before an entry: tell the kernel what the debugger wants, `points` with
 * breakpoints and watchpoints; arm() only where that is news. */
int kvm_arm64_tell(struct kvm_arm64 *a, bool step, bool points);
static inline int kvm_arm64_arm(struct kvm_arm64 *a, bool step, bool points)
{
    bool told = a->told && !step && !a->step && points == a->points;

    return told ? 0 : kvm_arm64_tell(a, step, points);
}
/* Before the first entry of a run: past the breakpoint that ended the last. Of an
 * exit: what the debugger has to do with it. */
int kvm_arm64_debug_pass(struct kvm_arm64 *a, struct vmm_exit *exit);
int kvm_arm64_debug_exit(struct kvm_arm64 *a, struct vmm_exit *exit);

#endif
