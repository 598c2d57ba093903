/* SPDX-License-Identifier: MIT */
/* kvm.h - what kvm_x86*.c and kvm_arm64*.c share: /dev/kvm, the VM, memory slots,
 * and a vCPU's way into the guest and out of it. Only kvm*.c include this, or the
 * kernel's header. */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>

#include "backend.h"

enum { KVM_MAX_SLOTS = 32768 };

/* What not every exit needs, or hardly any does, is kept out of the functions that
 * each of them passes: there it would have registers saved, and stack taken, for
 * nothing. */
#define OUTLINE __attribute__((noinline))
#define RARE __attribute__((cold, noinline))

/* Begins what vmm.host points at. */
struct kvm_machine {
    int dev, vm;     /* /dev/kvm and the VM; -1: not open */
    size_t run_size; /* of struct kvm_run and the pages behind it */
    int signal;      /* what gets a vCPU out of the guest */
    bool readonly;   /* KVM_CAP_READONLY_MEM */
    uint32_t slots;  /* memory slots that the kernel offers */
    uint64_t used[KVM_MAX_SLOTS / 64];
    unsigned made;        /* vCPUs so far: the number of the next one */
    const char *mine;     /* points at 1; in a forked child, at 0 */
    _Atomic bool shut;    /* no vCPU may enter the guest */
    pthread_mutex_t gate; /* held while it is shut, so that one can wait */
};

/* Begins what vmm_cpu.host points at. */
struct kvm_vcpu {
    struct kvm_machine *machine;
    int fd; /* -1: not open */
    struct kvm_run *run;
    pthread_t thread;       /* of whoever is inside */
    _Atomic bool signalled; /* the signal is on its way for this entry */
    _Atomic bool inside;    /* KVM_RUN is under way, or about to be */
    _Atomic unsigned kicks; /* how many threads are at kicking it */
    /* kvm_time.c */
    bool timed; /* it has a timer, which signals this thread: */
    int timer;
    pthread_t timed_thread;
    uint64_t until;
};

/* struct vmm_ops's probe. */
const char *kvm_probe(char *buffer, size_t size);

/* What the architecture's VMs are made with: KVM_CREATE_VM's argument. */
unsigned long kvm_vm_type(int dev);
/* Open /dev/kvm and make a VM. kvm_close copes with half-open. */
int kvm_open(struct kvm_machine *m);
void kvm_close(struct kvm_machine *m);

/* The value of a KVM_CAP_*; 0: the kernel does not have it. */
int kvm_cap(const struct kvm_machine *m, long cap);

/* vmm_fail() with "kvm: what: <errno in words>", and what to do where known. */
int kvm_fail(const struct kvm_machine *m, const char *what, int error);
/* VMM_ESTATE in a forked child, to which none of this belongs; else 0. Ask
 * before touching struct kvm_run: the child shares that with its parent. */
int kvm_disowned(const char *what); /* in a child: what to say */
static inline int kvm_owned(const struct kvm_machine *m, const char *what)
{
    return *m->mine ? 0 : kvm_disowned(what);
}

/* struct vmm_ops's members, for every architecture. Without VMM_W a range is
 * KVM_MEM_READONLY; X cannot be withheld, and R not either. */
int kvm_map(struct vmm *vm, struct vmm_mem *mem);
int kvm_unmap(struct vmm *vm, struct vmm_mem *mem);
int kvm_protect(struct vmm *vm, struct vmm_mem *mem, unsigned prot);
void kvm_kick(struct vmm_cpu *cpu);

/* Have all vCPUs wait outside of the guest; let them in again. */
void kvm_shut(struct vmm *vm);
void kvm_unshut(struct vmm *vm);

/* Make a vCPU. kvm_vcpu_close copes with half-open. */
int kvm_vcpu_open(struct kvm_machine *m, struct kvm_vcpu *v);
void kvm_vcpu_close(struct kvm_vcpu *v);

/* How an entry ended; else a negative errno. */
enum kvm_entered {
    KVM_LEFT,        /* with an exit, in struct kvm_run */
    KVM_INTERRUPTED, /* without one; accesses that were pending are complete */
    KVM_OUTSIDE,     /* it never came in: somebody had poked the vCPU */
    KVM_LATE         /* interrupted, as its time was up */
};

/* Enter the guest until it leaves or the vCPU is poked. A signal that is not
 * ours does not end it. */
int kvm_enter(struct vmm_cpu *cpu);
/* The same, but any signal does. */
int kvm_enter_till_signal(struct vmm_cpu *cpu);
/* As kvm_enter, but for so many nanoseconds at most. */
int kvm_enter_for(struct vmm_cpu *cpu, uint64_t ns);
/* Enter once, without heed to pokes. `complete`: only finish the access that
 * is pending: KVM_INTERRUPTED, or KVM_LEFT where that has led to a further
 * exit. */
int kvm_enter_once(struct kvm_vcpu *v, bool complete);

/* ---- kvm_time.c ---------------------------------------------------------- */

/* From now on entries of this vCPU by this thread are interrupted once `ns` have
 * passed, and then again and again. 0, or a negative errno. */
int kvm_time_start(struct kvm_vcpu *v, uint64_t ns);
bool kvm_time_is_up(const struct kvm_vcpu *v);
void kvm_time_stop(struct kvm_vcpu *v);
void kvm_time_close(struct kvm_vcpu *v);

/* ---- kvm.c: exits -------------------------------------------------------- */

/* Describe a KVM_EXIT_SYSTEM_EVENT; an exit that we have no words for. */
void kvm_system_exit(const struct kvm_run *run, struct vmm_exit *exit);
void kvm_unknown_exit(const struct kvm_run *run, struct vmm_exit *exit);
/* A run has ended: before the next one this thread may block other signals. */
void kvm_settled(void);

#endif
