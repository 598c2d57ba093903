/* SPDX-License-Identifier: MIT */
/* kvm_x86_pending.c - accesses that are not complete. KVM leaves with a port,
 * MMIO or MSR access in the middle of its instruction, and completes it when it
 * is entered again; immediate_exit makes it go no further than that.
 *
 * hvlua promises that the instruction is behind us when a handler runs. For a
 * write that is had by completing it; a read needs its answer first, which is
 * why there is kvm_x86_ahead.c. */
#include "backend.h"

#if defined(__linux__) && defined(__x86_64__)
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_x86.h"

bool kvm_x86_more(const struct kvm_x86 *x)
{
    return x->element + 1 < x->count;
}

void *kvm_x86_data(struct kvm_x86 *x)
{
    struct kvm_run *run = x->vcpu.run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return (char *)run + run->io.data_offset +
               (size_t)x->element * run->io.size;
    case KVM_EXIT_MMIO:
        return run->mmio.data;
    default:
        return &run->msr.data;
    }
}

/* ---- completing ---------------------------------------------------------- */

/* System registers are an instruction's destination now and then (MOV DS,
 * LGDT): only what was written goes over what it has made of them. */
static int let_go_system(struct kvm_x86 *x)
{
    struct kvm_sregs *s = &x->vcpu.run->s.regs.sregs, want = *s;
    char *to = (char *)s;
    const char *from = (const char *)&want, *was = (const char *)&x->clean;
    int rc;

    x->held = false;
    x->have &= ~(unsigned)KVM_SYNC_X86_SREGS;
    rc = kvm_x86_fetch(x, KVM_SYNC_X86_SREGS);
    for (size_t i = 0; rc == 0 && i < sizeof want; i++)
        if (from[i] != was[i])
            to[i] = from[i];
    return rc;
}

int kvm_x86_let_go(struct kvm_x86 *x)
{
    uint32_t written = x->written;
    int rc = x->held ? let_go_system(x) : 0;

    if (rc == 0 && written)
        rc = kvm_x86_fetch(x, KVM_SYNC_X86_REGS);
    for (unsigned nr = 0; rc == 0 && nr <= VMM_RFLAGS; nr++)
        if (written & 1u << nr) {
            *kvm_x86_general(&x->vcpu.run->s.regs.regs, nr) =
                *kvm_x86_general(&x->ahead, nr);
            kvm_x86_changed(x, nr);
        }
    return rc;
}

void kvm_x86_hold_back(struct kvm_x86 *x)
{
    x->looked = x->held = false;
    if (!(x->dirty & KVM_SYNC_X86_REGS)) {
        x->written = 0;
        return;
    }
    x->ahead = x->vcpu.run->s.regs.regs;
    x->dirty &= ~(unsigned)(KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS);
    x->have &= ~(unsigned)(KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS);
}

int kvm_x86_complete(struct kvm_x86 *x)
{
    bool answered = x->pending == KVM_X86_ANSWERED;
    unsigned classes = answered ? 0 : KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS;
    int rc;

    if ((x->pending != KVM_X86_WRITE && !answered) || kvm_x86_more(x))
        return 0;
    rc = kvm_x86_before_entry(x, classes);
    if (x->machine->sync)
        x->vcpu.run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
    if (rc == 0)
        rc = kvm_enter_once(&x->vcpu, true);
    if (rc < 0)
        return kvm_fail(x->vcpu.machine, "complete an access", -rc);
    kvm_x86_after_entry(x, classes);
    x->pending = KVM_X86_NONE;
    x->count = 0;
    x->ready = rc == KVM_LEFT && !kvm_x86_stepped(x);
    rc = kvm_x86_fetch(x, KVM_SYNC_X86_EVENTS);
    return rc == 0 && answered ? kvm_x86_let_go(x) : rc;
}

int kvm_x86_answer(struct vmm_cpu *cpu, const struct vmm_exit *exit)
{
    struct kvm_x86 *x = cpu->host;
    struct kvm_run *run = x->vcpu.run;
    int rc = kvm_owned(x->vcpu.machine, "answer");

    if (rc < 0 || x->pending != KVM_X86_READ)
        return rc; /* not pending: kvm_x86_look_ahead() has lost it */
    memcpy(kvm_x86_data(x), &exit->value, exit->size);
    if (run->exit_reason == KVM_EXIT_MMIO)
        x->trail[x->answers++ % KVM_X86_TRAIL] = (struct kvm_x86_answer){
            run->mmio.phys_addr, exit->value, run->mmio.len};
    if (!kvm_x86_more(x))
        x->pending = KVM_X86_ANSWERED;
    return 0;
}
#endif
