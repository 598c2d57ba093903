/* SPDX-License-Identifier: MIT */
/* hvf_debug.c - what a debugger wants of a vCPU, by the processor's own debug
 * registers. They are armed as the guest is entered and taken back after it: so
 * neither the guest's registers nor the script's view of them are touched. */
#include "backend.h"

#ifdef VMM_HVF
#include <inttypes.h>

#include "hvf.h"

enum {
    DBGBVR = VMM_A64_SYSREG(2, 0, 0, 0, 4), /* number n: + 8 * n */
    DBGBCR = VMM_A64_SYSREG(2, 0, 0, 0, 5),
    DBGWVR = VMM_A64_SYSREG(2, 0, 0, 0, 6),
    DBGWCR = VMM_A64_SYSREG(2, 0, 0, 0, 7),
    ID_AA64DFR0_EL1 = VMM_A64_SYSREG(3, 0, 0, 5, 0),
    MDSCR_SS = 1,
    MDSCR_MDE = 1 << 15,
    CPSR_SS = 1 << 21,
    /* Enabled, at EL1 and EL0, for all bytes of an instruction. */
    BREAK_ON = 1 | 3 << 1 | 0xf << 5
};

static unsigned slots(const struct hvf_cpu *h, unsigned shift)
{
    return (hvf_sys(h, ID_AA64DFR0_EL1) >> shift & 15) + 1;
}

static int check(void *arg)
{
    const struct hvf_cpu *h = arg;
    const struct vmm_debug *d = &h->cpu->debug;
    unsigned breaks = slots(h, 12), watches = slots(h, 20);
    hv_return_t rc;

    if (d->breaks > breaks)
        return vmm_fail(VMM_ENOTSUP,
                        "hvf: breakpoint: this processor has %u at a time",
                        breaks);
    if (d->watches > watches)
        return vmm_fail(VMM_ENOTSUP,
                        "hvf: watchpoint: this processor has %u at a time",
                        watches);
    rc = h->call->vcpu_set_trap_debug_exceptions(h->id, d->trap);
    return rc == HV_SUCCESS ? 0 : hvf_fail("trap_debug", rc);
}

int hvf_debug(struct vmm_cpu *cpu)
{
    struct hvf_cpu *h = cpu->host;

    return hvf_do(&h->thread, check, h);
}

/* ---- around an entry ----------------------------------------------------- */

static void arm(struct hvf_cpu *h, bool on)
{
    const struct vmm_debug *d = &h->cpu->debug;

    for (unsigned i = 0; i < d->breaks; i++) {
        uint16_t n = (uint16_t)(8 * i);

        hvf_set_sys(h, DBGBVR + n, d->brk[i]);
        hvf_set_sys(h, DBGBCR + n, on ? BREAK_ON : 0);
    }
    for (unsigned i = 0; i < d->watches; i++) {
        uint16_t n = (uint16_t)(8 * i);

        hvf_set_sys(h, DBGWVR + n, d->watch[i].va & ~UINT64_C(7));
        hvf_set_sys(h, DBGWCR + n,
                    on ? vmm_arm64_watch_control(&d->watch[i]) : 0);
    }
}

/* `points`: with breakpoints and watchpoints. */
static void begin(struct hvf_cpu *h, bool step, bool points)
{
    const struct vmm_debug *d = &h->cpu->debug;

    points = points && (d->breaks > 0 || d->watches > 0);
    if (!step && !points)
        return;
    if (!d->trap)
        h->call->vcpu_set_trap_debug_exceptions(h->id, true);
    h->mdscr = hvf_sys(h, HVF_MDSCR_EL1);
    h->tracing = true;
    hvf_set_sys(h, HVF_MDSCR_EL1,
                h->mdscr | (step ? MDSCR_SS : 0) | (points ? MDSCR_MDE : 0));
    if (points)
        arm(h, true);
    if (step)
        hvf_set_reg(h, HV_REG_CPSR, hvf_reg(h, HV_REG_CPSR) | CPSR_SS);
}

void hvf_debug_begin(struct hvf_cpu *h, bool step)
{
    begin(h, step, true);
}

void hvf_debug_end(struct hvf_cpu *h)
{
    if (!h->tracing)
        return;
    arm(h, false);
    hvf_set_sys(h, HVF_MDSCR_EL1, h->mdscr);
    hvf_set_reg(h, HV_REG_CPSR, hvf_reg(h, HV_REG_CPSR) & ~(uint64_t)CPSR_SS);
    if (!h->cpu->debug.trap)
        h->call->vcpu_set_trap_debug_exceptions(h->id, false);
    h->tracing = false;
}

/* ---- past a breakpoint, and past a watched access ------------------------ */

/* One instruction, with no point armed. What it exits with, if that is more than
 * the step itself. */
static int step_over(struct hvf_cpu *h, struct vmm_exit *exit)
{
    int rc;

    *exit = (struct vmm_exit){0};
    begin(h, true, false);
    do
        rc = hvf_enter(h, exit);
    while (rc == 0 && exit->kind == VMM_NONE &&
           exit->reason != HV_EXIT_REASON_EXCEPTION && !vmm_poked(h->cpu));
    hvf_debug_end(h);
    if (rc == 0 && exit->kind == VMM_NONE &&
        exit->reason != HV_EXIT_REASON_EXCEPTION)
        exit->kind = VMM_KICK;
    else if (exit->kind == VMM_STEP && !h->cpu->debug.step)
        exit->kind = VMM_NONE;
    return rc;
}

/* A run that starts where the last one broke executes the instruction. */
int hvf_debug_pass(struct hvf_cpu *h, struct vmm_exit *exit)
{
    bool pass = h->broke && hvf_reg(h, HV_REG_PC) == h->broke_at;

    h->broke = false;
    return pass ? step_over(h, exit) : 0;
}

/* The processor reports a watched access before it is made: it is made now. */
static int watched(struct hvf_cpu *h, struct vmm_exit *exit)
{
    struct vmm_exit hit = *exit;
    uint32_t word;
    bool known;
    int rc;

    vmm_hold(h->cpu);
    known = hvf_instruction(h->cpu, &word);
    vmm_let_go(h->cpu);
    vmm_arm64_watched(h->cpu, known ? &word : NULL, &hit);
    rc = step_over(h, &h->held);
    *exit = hit;
    return rc;
}

int hvf_debug_exit(struct hvf_cpu *h, struct vmm_exit *exit)
{
    if (exit->kind == VMM_WATCH)
        return watched(h, exit);
    h->broke = exit->kind == VMM_BREAK;
    if (h->broke)
        h->broke_at = hvf_reg(h, HV_REG_PC);
    return 0;
}
#endif
