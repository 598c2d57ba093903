/* SPDX-License-Identifier: MIT */
/* kvm_arm64_debug.c - steps, breakpoints and watchpoints by the processor's debug
 * registers, which KVM lends: the guest's own are not touched. */
#include "backend.h"

#if defined(__linux__) && defined(__aarch64__)
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm_arm64.h"

/* Enabled, at EL1 and EL0, for all bytes of an instruction. */
enum { BREAK_ON = 1 | 3 << 1 | 0xf << 5 };

int kvm_arm64_debug(struct vmm_cpu *cpu)
{
    struct kvm_arm64 *a = cpu->host;
    const struct vmm_debug *d = &cpu->debug;
    unsigned breaks =
        (unsigned)kvm_cap(a->vcpu.machine, KVM_CAP_GUEST_DEBUG_HW_BPS);
    unsigned watches =
        (unsigned)kvm_cap(a->vcpu.machine, KVM_CAP_GUEST_DEBUG_HW_WPS);

    if (d->breaks > breaks)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: breakpoint: this processor has %u at a time",
                        breaks);
    if (d->watches > watches)
        return vmm_fail(VMM_ENOTSUP,
                        "kvm: watchpoint: this processor has %u at a time",
                        watches);
    a->told = false;
    return 0;
}

/* ---- around an entry ----------------------------------------------------- */

static void fill(const struct vmm_debug *d, bool step, bool points,
                 struct kvm_guest_debug *g)
{
    if (step)
        g->control |= KVM_GUESTDBG_SINGLESTEP;
    if (d->trap)
        g->control |= KVM_GUESTDBG_USE_SW_BP;
    if (points && (d->breaks > 0 || d->watches > 0))
        g->control |= KVM_GUESTDBG_USE_HW;
    if (g->control)
        g->control |= KVM_GUESTDBG_ENABLE;
    for (unsigned i = 0; points && i < d->breaks; i++) {
        g->arch.dbg_bvr[i] = d->brk[i];
        g->arch.dbg_bcr[i] = BREAK_ON;
    }
    for (unsigned i = 0; points && i < d->watches; i++) {
        g->arch.dbg_wvr[i] = d->watch[i].va & ~UINT64_C(7);
        g->arch.dbg_wcr[i] = vmm_arm64_watch_control(&d->watch[i]);
    }
}

static int tell(const struct kvm_arm64 *a, const struct kvm_guest_debug *g)
{
    if (ioctl(a->vcpu.fd, KVM_SET_GUEST_DEBUG, g) < 0)
        return kvm_fail(a->vcpu.machine, "debug", errno);
    return 0;
}

/* A step that is armed while an access is pending would end behind that. One that
 * was armed before an HVC is over behind it, before another instruction: so that
 * is taken back first. */
int kvm_arm64_tell(struct kvm_arm64 *a, bool step, bool points)
{
    struct kvm_guest_debug g = {0};
    int rc;

    fill(&a->cpu->debug, step, points, &g);
    rc = kvm_arm64_complete(a);
    if (rc == 0 && a->step)
        rc = tell(a, &(struct kvm_guest_debug){0});
    if (rc == 0)
        rc = tell(a, &g);
    a->told = rc == 0;
    a->step = step;
    a->points = points;
    return rc;
}

/* ---- past a breakpoint, and past a watched access ------------------------ */

/* One instruction, with no point armed. What it exits with, if that is more than
 * the step itself: a kick or the timer may come first, and then it is still to be
 * passed. */
static int step_over(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    uint64_t at = kvm_arm64_pc(a);
    int rc = kvm_arm64_arm(a, true, false);

    *exit = (struct vmm_exit){0};
    while (rc == 0 && exit->kind == VMM_NONE && exit->reason == 0)
        rc = kvm_arm64_enter(a, exit);
    a->broke = rc == 0 && (exit->kind == VMM_KICK || exit->kind == VMM_TIMER) &&
               kvm_arm64_pc(a) == at;
    a->broke_at = at;
    if (exit->kind == VMM_STEP && !a->cpu->debug.step)
        exit->kind = VMM_NONE;
    return rc;
}

/* A run that starts where the last one broke executes the instruction. */
int kvm_arm64_debug_pass(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    bool pass = a->broke && kvm_arm64_pc(a) == a->broke_at;

    a->broke = false;
    return pass ? step_over(a, exit) : 0;
}

/* The processor reports a watched access before it is made: it is made now. */
static int watched(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    struct vmm_exit hit = *exit;
    uint32_t word;
    bool known = kvm_arm64_instruction(a, kvm_arm64_pc(a), &word);
    int rc;

    vmm_arm64_watched(a->cpu, known ? &word : NULL, &hit);
    rc = step_over(a, &a->held);
    if (a->held.kind == VMM_KICK) /* it is still there for the next run */
        a->held.kind = VMM_NONE;
    *exit = hit;
    return rc;
}

int kvm_arm64_debug_exit(struct kvm_arm64 *a, struct vmm_exit *exit)
{
    if (exit->kind == VMM_WATCH)
        return watched(a, exit);
    a->broke = exit->kind == VMM_BREAK;
    if (a->broke)
        a->broke_at = kvm_arm64_pc(a);
    return 0;
}
#endif
