/* SPDX-License-Identifier: MIT */
/* hvf_debug.c - what a debugger wants of a vCPU, by the processor's own debug
 * registers. They are lent to it as the guest is entered and taken back after it;
 * meanwhile the guest's accesses to them trap: so neither what it finds there nor
 * the script's view is touched. */
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

static void lend(struct hvf_cpu *h, uint16_t reg, uint64_t value, uint64_t *own)
{
    if (h->armed)
        *own = hvf_sys(h, reg);
    hvf_set_sys(h, reg, h->armed ? value : *own);
}

static void arm(struct hvf_cpu *h, bool on)
{
    const struct vmm_debug *d = &h->cpu->debug;

    h->armed = on;
    for (unsigned i = 0; i < d->breaks; i++) {
        uint16_t n = (uint16_t)(8 * i);

        lend(h, DBGBVR + n, d->brk[i], &h->own_break[i].value);
        lend(h, DBGBCR + n, BREAK_ON, &h->own_break[i].control);
    }
    for (unsigned i = 0; i < d->watches; i++) {
        const struct vmm_watch *w = &d->watch[i];
        uint16_t n = (uint16_t)(8 * i);

        lend(h, DBGWVR + n, w->va & ~UINT64_C(7), &h->own_watch[i].value);
        lend(h, DBGWCR + n, vmm_arm64_watch_control(w),
             &h->own_watch[i].control);
    }
}

/* While they are lent, the guest would see them and overwrite them; unless it is
 * the script that answers for them all. */
static hv_return_t set_shadow(struct hvf_cpu *h, bool on)
{
    bool asked = false;
    hv_return_t rc = HV_SUCCESS;

    if (on)
        rc = h->call->vcpu_get_trap_debug_reg_accesses(h->id, &asked);
    if (rc == HV_SUCCESS && (on ? !asked : h->shadow))
        rc = h->call->vcpu_set_trap_debug_reg_accesses(h->id, on);
    h->shadow = on && !asked && rc == HV_SUCCESS;
    return rc;
}

/* And what traps to the host, whatever the guest makes of it. */
static hv_return_t set_traps(struct hvf_cpu *h, bool on)
{
    hv_return_t rc = set_shadow(h, on), other = HV_SUCCESS;

    if (!h->cpu->debug.trap)
        other = h->call->vcpu_set_trap_debug_exceptions(h->id, on);
    return rc == HV_SUCCESS ? other : rc;
}

/* `points`: with breakpoints and watchpoints. */
static int begin(struct hvf_cpu *h, bool step, bool points)
{
    const struct vmm_debug *d = &h->cpu->debug;
    hv_return_t rc;

    points = points && (d->breaks > 0 || d->watches > 0);
    if (!step && !points)
        return 0;
    rc = set_traps(h, true);
    if (rc != HV_SUCCESS) {
        set_traps(h, false);
        return hvf_fail("debug", rc);
    }
    h->tracing = true;
    h->mdscr = hvf_sys(h, HVF_MDSCR_EL1);
    h->added = (step ? MDSCR_SS : 0u) | (points ? MDSCR_MDE : 0u);
    hvf_set_sys(h, HVF_MDSCR_EL1, h->mdscr | h->added);
    if (points)
        arm(h, true);
    if (step) {
        h->step_at = hvf_reg(h, HV_REG_PC);
        hvf_set_reg(h, HV_REG_CPSR, hvf_reg(h, HV_REG_CPSR) | CPSR_SS);
    }
    return 0;
}

/* What the run has come to is `rc`. */
static int end(struct hvf_cpu *h, int rc)
{
    hv_return_t err;

    if (!h->tracing)
        return rc;
    if (h->armed)
        arm(h, false);
    hvf_set_sys(h, HVF_MDSCR_EL1, h->mdscr);
    hvf_set_reg(h, HV_REG_CPSR, hvf_reg(h, HV_REG_CPSR) & ~(uint64_t)CPSR_SS);
    h->tracing = false;
    err = set_traps(h, false);
    return rc == 0 && err != HV_SUCCESS ? hvf_fail("debug", err) : rc;
}

/* The processor clears PSTATE.SS as it executes the instruction; where the host
 * completes that, PC is past it. */
bool hvf_debug_stepped(const struct hvf_cpu *h)
{
    return h->tracing && h->added & MDSCR_SS &&
           !(hvf_reg(h, HV_REG_CPSR) & CPSR_SS &&
             hvf_reg(h, HV_REG_PC) == h->step_at);
}

/* What the guest has in a register that is lent out; NULL: it is not. */
static uint64_t *lent(struct hvf_cpu *h, uint32_t reg)
{
    const struct vmm_debug *d = &h->cpu->debug;
    uint32_t n = reg >> 3 & 15;
    bool is_break = h->armed && n < d->breaks;
    bool is_watch = h->armed && n < d->watches;

    if (reg == HVF_MDSCR_EL1)
        return &h->mdscr;
    switch (reg - 8 * n) {
    case DBGBVR:
        return is_break ? &h->own_break[n].value : NULL;
    case DBGBCR:
        return is_break ? &h->own_break[n].control : NULL;
    case DBGWVR:
        return is_watch ? &h->own_watch[n].value : NULL;
    case DBGWCR:
        return is_watch ? &h->own_watch[n].control : NULL;
    default:
        return NULL;
    }
}

/* Those with CRn 0; the OS lock's have 1. */
bool hvf_debug_access(struct hvf_cpu *h, const struct vmm_exit *exit,
                      unsigned rt)
{
    uint16_t reg = (uint16_t)exit->reg;
    uint64_t value, *own;

    if (!h->shadow || reg >> 14 != 2 || reg >> 7 & 15)
        return false;
    own = lent(h, reg);
    if (!exit->write) {
        vmm_arm64_set_x(h->cpu, rt, own ? *own : hvf_sys(h, reg));
        return true;
    }
    value = vmm_arm64_x(h->cpu, rt);
    if (own)
        *own = value;
    if (reg == HVF_MDSCR_EL1)
        hvf_set_sys(h, reg, value | h->added);
    else if (!own)
        hvf_set_sys(h, reg, value);
    return true;
}

/* ---- past a breakpoint, and past a watched access ------------------------ */

/* One instruction, with no point armed, and before any interrupt. What it exits
 * with, if that is more than the step itself: a kick or the timer may come first,
 * and then it is still to be passed. */
static int step_over(struct hvf_cpu *h, struct vmm_exit *exit)
{
    int rc = begin(h, true, false);

    if (rc < 0)
        return rc;
    h->passing = true;
    rc = hvf_go_on(h, exit);
    h->passing = false;
    h->broke = !hvf_debug_stepped(h);
    h->broke_at = h->step_at;
    rc = end(h, rc);
    if (exit->kind == VMM_STEP && !h->cpu->debug.step)
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
    if (h->held.kind == VMM_KICK) /* it is still there for the next run */
        h->held.kind = VMM_NONE;
    *exit = hit;
    return rc;
}

int hvf_debug_run(struct hvf_cpu *h, struct vmm_exit *exit)
{
    int rc = begin(h, h->cpu->debug.step, true);

    if (rc == 0)
        rc = end(h, hvf_go_on(h, exit));
    if (rc == 0 && exit->kind == VMM_WATCH)
        return watched(h, exit);
    h->broke = rc == 0 && exit->kind == VMM_BREAK;
    if (h->broke)
        h->broke_at = hvf_reg(h, HV_REG_PC);
    return rc;
}
#endif
