/* SPDX-License-Identifier: MIT */
/* kvm_x86_debug.c - steps, breakpoints and watchpoints by the processor's four
 * debug registers. The guest keeps its own: KVM hides these from it. */
#include "backend.h"

#if defined(__linux__) && defined(__x86_64__)
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_x86.h"

enum { SLOTS = 4, DB = 1, BP = 3 };
enum { DR6_HITS = 0xf, DR6_STEP = 1 << 14 };
enum { DR7_FIXED = 0x600 }; /* bit 10, and exact matching */
enum { DR7_EXECUTE, DR7_WRITE, DR7_ACCESS = 3 };

/* Told to the kernel before the next entry, when no access is pending: a step
 * would end behind that instead of behind the next instruction. */
int kvm_x86_debug(struct vmm_cpu *cpu)
{
    struct kvm_x86 *x = cpu->host;
    unsigned asked = cpu->debug.breaks + cpu->debug.watches;

    if (asked > SLOTS)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: %u breakpoints and %u watchpoints: an x86 "
                        "processor has 4 of both together",
                        cpu->debug.breaks, cpu->debug.watches);
    if (!kvm_cap(x->vcpu.machine, KVM_CAP_SET_GUEST_DEBUG))
        return vmm_fail(VMM_ENOTSUP, "kvm: debug: this kernel has no "
                                     "KVM_CAP_SET_GUEST_DEBUG: use unicorn");
    x->debug_changed = true;
    return 0;
}

bool kvm_x86_debugging(const struct kvm_x86 *x)
{
    return x->debug_changed || x->at_break || x->cpu->debug.step;
}

static uint64_t dr7(unsigned slot, unsigned type, unsigned size)
{
    static const uint8_t length[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

    return UINT64_C(2) << 2 * slot | (uint64_t)(type | length[size] << 2)
                                         << (16 + 4 * slot);
}

/* The breakpoint that we stand on stays out: neither hardware nor emulator let
 * the instruction pass otherwise. */
static void fill(const struct kvm_x86 *x, bool pass, struct kvm_guest_debug *g)
{
    const struct vmm_debug *d = &x->cpu->debug;
    unsigned slot = 0;

    g->arch.debugreg[7] = DR7_FIXED;
    for (unsigned i = 0; i < d->breaks; i++, slot++) {
        if (pass && d->brk[i] == x->break_at)
            continue;
        g->arch.debugreg[slot] = d->brk[i];
        g->arch.debugreg[7] |= dr7(slot, DR7_EXECUTE, 1);
    }
    for (unsigned i = 0; i < d->watches; i++, slot++) {
        const struct vmm_watch *w = &d->watch[i];

        g->arch.debugreg[slot] = w->va;
        g->arch.debugreg[7] |=
            dr7(slot, w->access == VMM_W ? DR7_WRITE : DR7_ACCESS, w->size);
    }
    if (slot)
        g->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
    if (d->trap)
        g->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
    if (d->step || pass)
        g->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
}

/* KVM takes a step for one from the rip that the vCPU has now: if another is to
 * come with the entry, it makes no step. So registers go there first. */
int kvm_x86_arm(struct kvm_x86 *x)
{
    struct kvm_guest_debug g = {0};

    if (x->at_break) {
        int rc = kvm_x86_fetch(x, KVM_SYNC_X86_REGS);

        if (rc < 0)
            return rc;
        x->at_break = x->vcpu.run->s.regs.regs.rip == x->break_rip;
    }
    if (!x->debug_changed && !x->at_break && !(x->cpu->debug.step && x->dirty))
        return 0;
    fill(x, x->at_break, &g);
    if (kvm_x86_flush(x) < 0) /* then the entry fails too, and tells why */
        return 0;
    if (ioctl(x->vcpu.fd, KVM_SET_GUEST_DEBUG, &g) < 0)
        return kvm_fail(x->vcpu.machine, "debug", errno);
    x->debug_changed = x->at_break; /* all breakpoints again after this entry */
    return 0;
}

static unsigned hits(const struct kvm_x86 *x)
{
    const struct vmm_debug *d = &x->cpu->debug;

    return x->vcpu.run->debug.arch.dr6 & DR6_HITS &
           ((1u << (d->breaks + d->watches)) - 1);
}

bool kvm_x86_stepped(const struct kvm_x86 *x)
{
    const struct kvm_run *run = x->vcpu.run;

    return run->exit_reason == KVM_EXIT_DEBUG &&
           run->debug.arch.exception == DB && !hits(x) &&
           run->debug.arch.dr6 & DR6_STEP;
}

static void watch_exit(const struct vmm_watch *w, struct vmm_exit *exit)
{
    exit->kind = VMM_WATCH;
    exit->addr = w->va;
    exit->size = (uint8_t)w->size;
    exit->write = w->access & VMM_W; /* one for both does not tell which */
}

bool kvm_x86_debug_exit(struct kvm_x86 *x, struct vmm_exit *exit)
{
    const struct kvm_debug_exit_arch *arch = &x->vcpu.run->debug.arch;
    const struct vmm_debug *d = &x->cpu->debug;
    unsigned hit = hits(x), slot;

    if (arch->exception == BP) {
        exit->kind = VMM_BRK;
        return true;
    }
    if (!hit) {
        exit->kind = VMM_STEP;
        return d->step;
    }
    slot = (unsigned)__builtin_ctz(hit);
    if (slot >= d->breaks) {
        watch_exit(&d->watch[slot - d->breaks], exit);
        return true;
    }
    exit->kind = VMM_BREAK;
    if (kvm_x86_fetch(x, KVM_SYNC_X86_REGS) == 0) {
        x->at_break = true;
        x->break_at = d->brk[slot];
        x->break_rip = x->vcpu.run->s.regs.regs.rip;
    }
    return true;
}
#endif
